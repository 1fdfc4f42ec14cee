"""The contract as it runs on the meter: Algorithm 1 on the meter's own registers and account (paper V-A).

Every report goes through `MeterContract.report`, in the order in which the grid takes it: settle the
registers, run the script on the event, follow its effects. Both sides run the same script by the same code
on the same account, so the state that the grid holds the meter to be is the state that the meter is in.

Left out: when there is something to report (`meter`), what commands mean (`orders`), and the alert that the
grid sends on its own.
"""

from __future__ import annotations

from gridmonitoring.contracts.effects import CutPower, Display
from gridmonitoring.contracts.fields import contract_fields
from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.meter_rule import (
    SETTLING_EVENTS,
    Event,
    MeterState,
    Relay,
    Status,
    Step,
    credit_event,
    expects,
    relay_after,
)
from gridmonitoring.energy_center.calendar import next_day_boundary_ms
from gridmonitoring.energy_center.credit import Projection, open_account, swap_device
from gridmonitoring.energy_center.tariffs import TariffKind, price_at
from gridmonitoring.errors import MeterError
from gridmonitoring.smart_meter.books import Books, BooksState
from gridmonitoring.smart_meter.channels import Channels
from gridmonitoring.smart_meter.claims import Draft
from gridmonitoring.smart_meter.day import Day
from gridmonitoring.smart_meter.memory import Handover, Identity, Memory, Standing
from gridmonitoring.smart_meter.registers import NEVER, Registers
from gridmonitoring.smart_meter.terms import Terms

DAY_MS = 86_400_000
"""Longest billing interval, ms; it ends with the local day."""
ENDS_INTERVAL = (Event.INTERVAL, Event.END_OF_BILLING)
"""Events that end an interval, and with it what its status word tells."""


class MeterContract:
    """State, relay, registers and account of one device, and the reports about them."""

    def __init__(self, identity: Identity, memory: Memory) -> None:
        standing = memory.standing
        self.identity = identity
        kept = memory.terms
        self.terms = Terms(kept.agreement, kept.tariffs, kept.contract_key)
        self.registers = Registers(standing.registers)
        self.channels = Channels(standing.channels)
        self.sequence, self.signed = standing.sequence, standing.signed
        self.state, self.relay = standing.state, standing.relay
        self.carried_out = standing.carried_out
        self.in_service = standing.in_service
        self.tampered, self.cut_off = standing.tampered, standing.cut_off
        self.own_limit = standing.own_limit
        self.readers = memory.readers
        self.disputed = standing.disputed
        self.lasting, self.passing = Status(standing.lasting), Status(standing.passing)
        self.passwords, self.power = standing.passwords, standing.power
        self.key_notice = standing.key_notice
        self.day = Day(standing.day)
        self.midnight_total = standing.midnight_total
        self.rate_until = 0
        """From this time on `count_at` has to be called before energy is counted, ms."""
        self.boundary = NEVER
        """Next time at which a settlement is due at the latest, ms."""
        self._midnight = 0
        self._books = None if memory.books is None else Books(memory.books)
        if self.reporting:
            self.plan_boundary(max(self.signed, standing.time))

    # the account

    @property
    def books(self) -> Books:
        """The books; raises `MeterError` before the installation."""
        if self._books is None:
            raise MeterError("the meter is not installed")
        return self._books

    @property
    def installed(self) -> bool:
        """Whether the meter made its keys and reported."""
        return self._books is not None

    def open_books(self, time: int, handover: Handover | None) -> None:
        """Open the account, or take over the one of the device before; uses up a sequence.

        Raises `MeterError` where the tariff is not in force yet, else as `credit.open_account` does.
        """
        tariff = self.terms.tariff_at(time)
        if tariff.valid_from_ms >= time:
            raise MeterError("the agreed tariff is not in force yet")
        self.count_at(time)
        reading = self.registers.reading()
        sequence = self.sequence + 1
        if handover is None:
            account = open_account(tariff, reading, time, sequence)
        else:
            account = swap_device(handover.account, tariff, reading, time, sequence)
            self.state, self.tampered, self.cut_off = handover.state, handover.tampered, handover.cut_off
            self.carried_out, self.own_limit = handover.carried_out, handover.own_limit
        self._books = Books(BooksState(account, (), ()))
        self.midnight_total = self.registers.total
        self.day.begin(time)
        self.sequence, self.signed = sequence, time

    def projected(self, time: int) -> Projection:
        """Return credit and debt as a settlement now would leave them."""
        terms = self.terms
        reading = self.registers.reading()
        return self.books.projected(terms.tariff_at(time), terms.agreement.billing, reading, time)

    def price(self, time: int) -> int:
        """Return the price of the next kWh, money without tax; of slabs, the one that the month is in."""
        terms = self.terms
        tariff = terms.tariff_at(time + 1)
        if tariff.kind != TariffKind.SLAB:
            return price_at(tariff, time)
        used = self.books.period_energy(tariff, terms.agreement.billing, self.registers.reading(), time)
        return next(price for limit, price in tariff.slabs if limit is None or used < limit)

    def due_event(self, time: int) -> tuple[Event | None, int]:
        """Return what the credit comes to, or a cut-off that waited, if it is news; and the credit, exact."""
        projection = self.projected(time)
        if self.cut_off_waits and self._cut_is_due(projection, time):
            return Event.CUT_OFF, projection.credit
        if self.state is MeterState.OUT_OF_CREDIT:
            return self._grace_event(projection, time), projection.credit
        threshold = self.terms.agreement.billing.threshold
        return credit_event(projection.credit, threshold, self.state), projection.credit

    @property
    def cut_off_waits(self) -> bool:
        """Whether an agreed cut-off is in force while the relay is closed, because it may not open yet."""
        return self.cut_off and self.relay is Relay.CONNECTED and self.expects(Event.CUT_OFF)

    def _cut_is_due(self, projection: Projection, time: int) -> bool:
        fields = self._fields(projection, time, self.status)
        return CutPower() in self.terms.machine.run(self.state, Event.CUT_OFF, fields).effects

    def _grace_event(self, projection: Projection, time: int) -> Event | None:
        if self.relay is not Relay.CONNECTED:
            return None
        fields = self._fields(projection, time, self.status)
        return Event.GRACE_ENDED if self.terms.machine.grace_is_over(fields) else None

    def watt_minutes_left(self, credit: int, time: int) -> int:
        """Return energy that can surely be used before credit is news again; negative: look each minute."""
        if self.cut_off_waits:
            return -1
        if self.state is MeterState.ACTIVE:
            return self.terms.safe_watt_minutes(credit - self.terms.agreement.billing.threshold, time)
        if self.state is MeterState.LOW_CREDIT:
            return self.terms.safe_watt_minutes(credit, time)
        in_grace = self.state is MeterState.OUT_OF_CREDIT and self.relay is Relay.CONNECTED
        return -1 if in_grace else NEVER

    # registers and time

    def count_at(self, time: int) -> None:
        """Count from a time on under the tariff and rate that are in force then."""
        change = self.registers.switch(self.terms.tariff_at(time + 1), time)
        self.rate_until = min(change, self.terms.next_tariff_ms(time))

    def plan_boundary(self, time: int) -> None:
        """Look for the first time after this one at which a settlement is due.

        Local midnight comes first: with it a billing month may begin. Then the billing interval, and another
        tariff. Rates need no settlement of their own, for each has its register.
        """
        agreement = self.terms.agreement
        if time >= self._midnight:
            if self._midnight:
                self.midnight_total = self.registers.total
                self.day.begin(time)
            self._midnight = next_day_boundary_ms(self.terms.tariff_at(time + 1).calendar, time)
        self.boundary = min(self._midnight, self.terms.next_tariff_ms(time))
        if agreement.billing_interval_ms < DAY_MS:
            following = (time // agreement.billing_interval_ms + 1) * agreement.billing_interval_ms
            self.boundary = min(self.boundary, following)

    def catch_up(self, time: int) -> list[Draft]:
        """Settle a boundary that lies before a time, as of the boundary; nothing was measured since."""
        if time <= self.boundary or not self.reporting:
            return []
        draft = self.report(Event.END_OF_BILLING, self.boundary)
        self.plan_boundary(time - 1)
        return [draft]

    def change_terms(self, terms: Terms) -> None:
        """Go on under other terms, from the last report on."""
        self.terms = terms
        self.count_at(self.signed)
        self._midnight = 0
        if self.reporting:
            self.plan_boundary(self.signed)

    # reports

    @property
    def reporting(self) -> bool:
        """Whether the meter reports readings: from access to electricity to the account's end."""
        return self.in_service and self.state is not MeterState.CLOSED

    @property
    def status(self) -> Status:
        """The status word."""
        return self.lasting | self.passing

    def expects(self, event: Event) -> bool:
        """Tell whether the contract expects an event of a meter in service now."""
        return self.in_service and expects(self.state, event)

    def report_expected(self, event: Event, time: int) -> list[Draft]:
        """Report an event if the contract expects it, else nothing."""
        return [self.report(event, time)] if self.expects(event) else []

    def report(self, event: Event, time: int) -> Draft:
        """Report an event: settle, run the script, follow its effects.

        Signed later than the last report, if need be by a millisecond. Raises `UnexpectedEvent`.
        """
        time = max(time, self.signed + 1)
        sequence = self.sequence + 1
        if time > self.rate_until:
            self.count_at(time - 1)
        credit = None
        reading = self.registers.reading()
        if event in SETTLING_EVENTS:
            terms = self.terms
            billing = terms.agreement.billing
            settled = self.books.settle(terms.tariff_at(time), billing, reading, time, sequence)
            self.day.charge(settled.charge)
            known = self.books.known
            credit = known.credit - known.debt
        self.sequence, self.signed = sequence, time
        status = self.status
        if event is not Event.INTERVAL:
            self._follow(self._run(event, time), event)
        if event in ENDS_INTERVAL:
            self.passing = Status(0)
        channels, profile = self.channels.take()
        if any(energy for _, energy in channels):
            self.day.count(channels, self.price(time - 1))
        return Draft(
            *(sequence, time, event, int(status), self.relay, self.carried_out),
            *(reading, credit, channels, profile),
        )

    def _run(self, event: Event, time: int) -> Step:
        machine = self.terms.machine
        if not machine.reads_fields(self.state, event):
            return machine.run(self.state, event, {})
        return machine.run(self.state, event, self._fields(self.books.known, time, self.status))

    def _fields(self, money: Projection, time: int, status: int) -> dict[str, int]:
        return contract_fields(
            self.terms.agreement,
            self.terms.tariff_at(time),
            credit=money.credit,
            debt=money.debt,
            time=time,
            relay=self.relay,
            status=status,
            power=self.power,
            cut_off=self.cut_off,
            own_limit=self.own_limit,
        )

    def _follow(self, step: Step, event: Event) -> None:
        self.relay = relay_after(step, self.relay)
        self.state = step.state
        if event is Event.TAMPER:
            self.tampered = self.sequence
        elif event is Event.TAMPER_CLEARED:
            self.tampered = 0
        elif event is Event.INSTALLATION:
            self.in_service = True
        self.cut_off = event is Event.CUT_OFF or (self.cut_off and event is not Event.CUT_OFF_LIFTED)
        for effect in step.effects:
            if isinstance(effect, Display):
                self.show(effect.message, self.signed)

    def show(self, message: Message, time: int) -> None:
        """Put a message on the display."""
        self.day.show(message, time)

    # memory

    def remember(self, time: int, over_limit: int) -> Memory:
        """Return all that has to outlast a power cut."""
        standing = Standing(
            *(self.sequence, self.signed, time, self.state, self.relay, self.carried_out, self.in_service),
            *(self.tampered, self.cut_off, self.own_limit, self.disputed, int(self.lasting)),
            *(int(self.passing), self.passwords, over_limit, self.power, self.midnight_total),
            *(self.registers.state(), self.channels.state(), self.key_notice, self.day.state()),
        )
        books = None if self._books is None else self._books.state()
        return Memory(standing, self.terms.state(), books, self.readers)
