"""The smart meter: minutes, senses and commands in, reports out; no clock, entropy or file (paper IV-B).

Credit is looked at before a minute and after it by the code that the grid settles with, so at the minute in
which it reaches the threshold the meter warns, and at the one in which it is used up the relay opens: what
is owed then is at most that minute's use. Between, a bound says how much energy can surely be used before
that, so that most minutes cost no more than counting.

The caller signs, seals and sends what is returned, in order, and keeps `memory` with it (`runtime`).

Left out: sub-metering and sensing themselves; a minute's readings and what sensors show come as arguments.
"""

from __future__ import annotations

from collections.abc import Sequence

from gridmonitoring.blockchain.bodies import Register
from gridmonitoring.blockchain.state_rows import CommandRow
from gridmonitoring.contracts.agreement import Agreement
from gridmonitoring.contracts.meter_rule import Event, MeterState, Relay, Status
from gridmonitoring.energy_center.credit import Account
from gridmonitoring.energy_center.tariffs import Tariff
from gridmonitoring.errors import MeterError
from gridmonitoring.smart_meter import orders, senses
from gridmonitoring.smart_meter.claims import MINUTE_MS, Draft
from gridmonitoring.smart_meter.contract import MeterContract
from gridmonitoring.smart_meter.display import DisplayState, display_of
from gridmonitoring.smart_meter.memory import Handover, Identity, Memory, Standing
from gridmonitoring.smart_meter.registers import NEVER
from gridmonitoring.smart_meter.terms import Terms

LIMIT_MINUTES = 3
"""Minutes in a row over the power limit that the meter allows."""

NOTHING: Sequence[Draft] = ()
"""The usual outcome of a minute."""


def new_meter(identity: Identity, agreement: Agreement, tariffs: Sequence[Tariff]) -> Meter:
    """Return a meter as it comes from the shelf, with the terms it will run under.

    `tariffs` are the agreement's and those known to follow it, in order. Raises `ContractError`,
    `TariffError` or `MeterError`.
    """
    terms = Terms(agreement, tariffs, identity.contract_key)
    return Meter(identity, Memory(Standing(), terms.state(), None))


class Meter:
    """One device. Reports come back as drafts, in order; each number is used up by its draft."""

    __slots__ = (
        "_due",
        "_interval",
        "_limit",
        "_look",
        "_over_limit",
        "_spare",
        "contract",
        "time",
    )

    def __init__(self, identity: Identity, memory: Memory) -> None:
        """Wake up with what was kept."""
        self.contract = MeterContract(identity, memory)
        """State, relay, registers and account."""
        self.time = memory.standing.time
        """End of the last minute measured, ms."""
        self._over_limit = memory.standing.over_limit
        self._plan()

    # what it is

    @property
    def state(self) -> MeterState:
        """What the contract holds it to be."""
        return self.contract.state

    @property
    def relay(self) -> Relay:
        """Where the relay is."""
        return self.contract.relay

    @property
    def account(self) -> Account:
        """The meter's own account; raises `MeterError` before the installation."""
        return self.contract.books.account

    def registers(self) -> tuple[Register, ...]:
        """Return (OBIS code, Wh) in order of code."""
        return self.contract.registers.reading()

    def memory(self) -> Memory:
        """Return what has to be kept with the reports made so far."""
        return self.contract.remember(self.time, self._over_limit)

    def display(self) -> DisplayState:
        """Return what the in-home display shows."""
        return display_of(self.contract, self.time)

    # installation

    def install(self, time: int, handover: Handover | None = None) -> tuple[int, tuple[Register, ...]]:
        """Open the account; return sequence and first registers for the signed installation.

        A device that replaces another takes over what the ledger holds. Raises `MeterError` where it is
        installed already or the tariff is not in force, `RegisterError` or `TariffError`.
        """
        if self.contract.installed:
            raise MeterError("the meter is installed already")
        self.contract.open_books(time, handover)
        self.time = max(self.time, time)
        return self.contract.sequence, self.contract.registers.reading()

    def fail(self, time: int) -> tuple[int, tuple[Register, ...]]:
        """Return sequence and registers for the signed report that the installation failed.

        Raises `MeterError` where it succeeded before.
        """
        if self.contract.installed:
            raise MeterError("the meter is installed already")
        self.contract.sequence += 1
        self.contract.signed = time
        return self.contract.sequence, self.contract.registers.reading()

    # minutes

    def minute(
        self,
        start: int,
        watts: int,
        kitchen: int = 0,
        laundry: int = 0,
        climate: int = 0,
        rest: int = 0,
        exported: int = 0,
    ) -> Sequence[Draft]:
        """Measure the minute that starts at a time, and return what there is to report.

        `watts` is the mean power in W, so also the energy in watt-minutes; the channels and what was given to
        the grid are watt-minutes. It is what the house would draw: through an open relay flows nothing.
        """
        contract = self.contract
        drafts: Sequence[Draft] = NOTHING
        if self._look or start > contract.boundary:
            drafts = self._begin(start)
        end = self.time = start + MINUTE_MS
        if contract.relay is not Relay.CONNECTED:
            watts = kitchen = laundry = climate = rest = exported = 0
        if start >= contract.rate_until:
            contract.count_at(max(start, contract.signed))
        contract.registers.imported(watts)
        if exported:
            contract.registers.give(exported)
        contract.channels.minute(watts, kitchen, laundry, climate, rest)
        contract.power = watts
        self._spare -= watts
        if self._spare >= 0 and end < self._due and watts <= self._limit and not self._over_limit:
            return drafts
        return [*drafts, *self._end(end, watts)]

    def _begin(self, start: int) -> list[Draft]:
        """Look at the credit before a minute."""
        contract = self.contract
        drafts = contract.catch_up(start)
        self._look = False
        if contract.reporting:
            event, credit = contract.due_event(max(start, contract.signed + 1))
            if event is not None:
                drafts.append(contract.report(event, start))
                credit = contract.books.known.credit
            self._spare = contract.watt_minutes_left(credit, start)
        self._due = min(self._interval, contract.boundary)
        return drafts

    def _end(self, end: int, watts: int) -> list[Draft]:
        """Look at credit, limit and time after a minute; report once for all that ends with it."""
        contract = self.contract
        drafts = contract.catch_up(end)
        if not contract.reporting:
            self._due = self._spare = NEVER
            return drafts
        event = self._event(end, watts)
        if event is None and end >= contract.boundary:
            event = Event.END_OF_BILLING
        if event is None and end >= self._interval:
            event = Event.INTERVAL
        if event is None:
            return drafts
        draft = contract.report(event, end)
        if draft.credit is not None:
            self._spare = contract.watt_minutes_left(contract.books.known.credit, end)
        if end >= contract.boundary:
            contract.plan_boundary(end)
        self._plan_interval(end)
        return [*drafts, draft]

    def _event(self, end: int, watts: int) -> Event | None:
        contract = self.contract
        if self._spare < 0 or end >= contract.boundary:
            event, credit = contract.due_event(max(end, contract.signed + 1))
            if event is not None:
                return event
            self._spare = contract.watt_minutes_left(credit, end)
        self._over_limit = self._over_limit + 1 if watts > self._limit else 0
        if self._over_limit == LIMIT_MINUTES and contract.expects(Event.POWER_LIMIT_EXCEEDED):
            return Event.POWER_LIMIT_EXCEEDED
        return None

    # commands

    def command(
        self, number: int, command: CommandRow, time: int, tariffs: Sequence[Tariff] = ()
    ) -> list[Draft]:
        """Carry out a proven command (`command_check`); `tariffs` come with a script."""
        drafts = orders.carry_out(self.contract, number, command, time, tariffs)
        return self._planned(senses.after(self.contract, drafts, time))

    def ignore(self, time: int) -> list[Draft]:
        """Report that a stale, repeated or foreign command came."""
        return self._planned(orders.ignore(self.contract, time))

    def distrust(self, time: int) -> list[Draft]:
        """Report that a command or statement came without a valid proof."""
        return self._planned(orders.distrust(self.contract, time))

    def hear(self, commands: Sequence[tuple[int, CommandRow]]) -> None:
        """Take note of proven commands that come next, in order, before the first is carried out."""
        orders.hear(self.contract, commands)

    def statement(self, theirs: Account, whole: bool, time: int) -> list[Draft]:
        """Hold a proven account's last statement against the meter's own.

        `whole` tells whether every command that the meter has heard of is in the account.
        """
        return self._planned(orders.hold_against(self.contract, theirs, whole, time))

    def learn(self, tariffs: Sequence[Tariff]) -> bool:
        """Take over proven tariffs that follow those known; return whether there were any.

        Raises `TariffError` or `MeterError`.
        """
        learnt = self.contract.terms.learn(tariffs)
        if learnt:
            self.contract.change_terms(self.contract.terms)
            self._plan()
        return learnt

    # people and senses

    def accept(self, time: int) -> list[Draft]:
        """The consumer accepts at the meter that the relay closes; without effect where it is not offered."""
        return self._planned(senses.happen(self.contract, Event.RECONNECTED, time))

    def sense(self, inputs: Status, time: int) -> list[Draft]:
        """Take what the sensors of covers and magnetic fields show now; what is new is a tamper."""
        return self._planned(senses.sense(self.contract, inputs, time))

    def wrong_password(self, time: int) -> list[Draft]:
        """A wrong password came at the meter's port; several are a tamper."""
        return self._planned(senses.wrong_password(self.contract, time))

    def voltage(self, present: bool, time: int) -> list[Draft]:
        """The grid's voltage is gone, or back."""
        return self._planned(senses.voltage(self.contract, present, time))

    def remove(self, time: int) -> list[Draft]:
        """The device is taken out: report its last registers, and nothing after them."""
        drafts = senses.happen(self.contract, Event.DEVICE_REMOVED, time)
        self.contract.in_service = False
        return self._planned(drafts)

    # planning

    def _planned(self, drafts: list[Draft]) -> list[Draft]:
        """After anything but a minute: look at the credit before the next."""
        self._plan()
        return drafts

    def _plan(self) -> None:
        contract = self.contract
        self._limit = min(contract.terms.agreement.power_limit or NEVER, contract.own_limit or NEVER)
        self._look = True
        self._spare = NEVER
        self._plan_interval(self.time)

    def _plan_interval(self, time: int) -> None:
        interval = self.contract.terms.agreement.reporting_interval_ms
        self._interval = (time // interval + 1) * interval
        self._due = min(self._interval, self.contract.boundary)
