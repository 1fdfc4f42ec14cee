"""The demonstration's town: a network of four nodes, its offices, and the houses that move in (paper IV-A).

Everything people do here is a signed transaction through the same doors as from the shell, so the data
directory can be looked at, and gone on with, by every other command.

Left out: when they do it (`scenario`, `incidents`).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from gridmonitoring.blockchain.state_rows import MeterRow, Table
from gridmonitoring.contracts.agreement import DAY_MS, Agreement, CustomerClass
from gridmonitoring.contracts.meter_rule import MeterState, Relay
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.energy_center.credit import Account
from gridmonitoring.energy_center.tariffs import Tariff
from gridmonitoring.errors import UserError
from gridmonitoring.runtime.counter import (
    Paid,
    grid_office,
    install_meter,
    new_supply_point,
    pay,
    register_consumer,
)
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.founding import Plan, found
from gridmonitoring.runtime.grid_port import load_signer
from gridmonitoring.runtime.local_grid import LocalGrid
from gridmonitoring.runtime.meter_agent import MeterAgent
from gridmonitoring.runtime.meter_home import meter_at_home
from gridmonitoring.runtime.offices import offer_capacity, publish
from gridmonitoring.runtime.parties import Signer
from gridmonitoring.runtime.simulators.replay import Replay
from gridmonitoring.user_layer.cli.standard_tariffs import Shape, fixed_offset, standard_tariff
from gridmonitoring.user_layer.demo.concentrator import Concentrator
from gridmonitoring.user_layer.demo.household_format import UTC_OFFSET_MINUTES
from gridmonitoring.user_layer.demo.plan import (
    ACTIONS,
    CARELESS_SHARE,
    CURRENCY,
    FIRST_SHARE,
    MINOR_DIGITS,
    PRICE,
    SLOT_MS,
    STANDING,
    START_MS,
    HousePlan,
    expected_cost,
    share_of,
)

VALIDATORS = 4
"""Nodes in the one process."""
FOUNDED_MS = START_MS - DAY_MS
"""When the network is founded: a day before the first minute."""
MOVING_MS = 60_000
"""Time from one house moving in to the next."""
METERS_AT_WORK = 16
"""Meters that measure at the same time."""
DAILY_CAPACITY = 400_000
"""What the energy center offers to be bought in a day, Wh for each house."""


class House:
    """A house that has moved in: who lives there, its meter, and what was agreed."""

    def __init__(self, plan: HousePlan, consumer: Signer, mid: bytes, agreement: Agreement, tariff: Tariff):
        self.plan = plan
        self.consumer = consumer
        """Signs for the people who live there."""
        self.mid = mid
        """Meter ID."""
        self.agreement = agreement
        self.tariff = tariff
        self.agent: MeterAgent
        """The meter, once it is at work."""
        self.replay: Replay
        """The recording on its way into it."""
        self.payments = 0
        """Payments so far; their references are numbered."""
        self.last_reference = b""
        """Reference of the last one."""
        self.heeds = not plan.careless
        """Whether the people buy power when the display asks for it."""
        self.budget = share_of(expected_cost(plan.series, tariff, agreement.billing), 100, self.days)
        """What it spends at a time, money."""

    @property
    def days(self) -> int:
        """Length of its recording, days."""
        return len(self.plan.series) * MOVING_MS // DAY_MS

    @property
    def name(self) -> str:
        """What it is called."""
        return self.plan.name

    @property
    def state(self) -> MeterState:
        """What its meter holds itself to be."""
        return self.agent.meter.state

    @property
    def dark(self) -> bool:
        """Whether its relay is open."""
        return self.agent.meter.relay is not Relay.CONNECTED

    def share(self, percent: int) -> int:
        """Return a share of its budget in whole cents, money."""
        cent = PRICE // 25
        return max(self.budget * percent // 100 // cent, 1) * cent


class Town:
    """The network with everyone in it. Closing it gives the directory up."""

    def __init__(self, root: Path, plans: list[HousePlan], tell: Callable[[int], None]) -> None:
        """Found the network in an empty directory and have every house move in; raises `UserError`.

        `tell` is called with the number of houses that have moved in.
        """
        place = Directory(root)
        place.acquire()
        try:
            found(place, Plan("demo", "A1", CURRENCY, MINOR_DIGITS, VALIDATORS), FOUNDED_MS)
            place.simulated.touch()
        finally:
            place.release()
        self._stack = ExitStack()
        self._meters = self._stack.enter_context(ThreadPoolExecutor(METERS_AT_WORK, "meter"))
        self.grid = self._stack.enter_context(LocalGrid(place))
        try:
            self.houses = self._settle(plans, tell)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop the meters and close every file."""
        self._stack.close()

    def office(self, role: Role) -> Signer:
        """Return the signer of the first office of a role."""
        return self.grid.signer(grid_office(self.grid, role))

    @property
    def now(self) -> int:
        """Simulated time, ms."""
        return self.grid.clock.now_ms()

    @property
    def node(self) -> Signer:
        """The signer of a node that votes."""
        return self.grid.nodes[self.grid.engine.first().node]

    def account(self, house: House) -> Account:
        """Return a house's account on the ledger."""
        account: Account = self.grid.row(Table.ACCOUNT, house.mid)
        return account

    def meter(self, house: House) -> MeterRow:
        """Return the row of a house's meter on the ledger."""
        row: MeterRow = self.grid.row(Table.METER, house.mid)
        return row

    # moving in

    def _settle(self, plans: list[HousePlan], tell: Callable[[int], None]) -> list[House]:
        grid = self.grid
        self._begin(len(plans))
        self.line = Concentrator(grid)
        """The way of all meters to the grid."""
        houses = []
        for number, plan in enumerate(plans, 1):
            houses.append(self._move_in(plan))
            tell(number)
        for house in houses:
            house.agent = self._stack.enter_context(meter_at_home(grid, self.line, house.mid))
            house.replay = Replay(house.agent, house.plan.series)
            first = CARELESS_SHARE if house.plan.careless else FIRST_SHARE
            self.buy(house, house.share(first))
        self.exchange(houses)
        return houses

    def _begin(self, houses: int) -> None:
        """Publish the tariffs, and offer capacity until the first day begins."""
        self._utility = self.office(Role.UTILITY)
        calendar = fixed_offset(UTC_OFFSET_MINUTES)
        self.tariffs = {
            shape.value: standard_tariff(
                *(shape, self._utility.id, shape.value, CURRENCY),
                *(PRICE, STANDING, FOUNDED_MS - DAY_MS, calendar),
            )
            for shape in Shape
        }
        """The published tariffs by name."""
        for tariff in self.tariffs.values():
            self.grid.require(publish(self._utility, tariff, self.now))
        self._center = self.office(Role.ENERGY_CENTER)
        self.capacity = DAILY_CAPACITY * houses
        """Energy that can be bought on one day, Wh."""
        self.offer(self.now)

    def offer(self, start_ms: int, days: int = 1) -> None:
        """Have the energy center offer the capacity of some days, in one window."""
        end, energy = start_ms + days * DAY_MS, days * self.capacity
        self.grid.require(offer_capacity(self._center, start_ms, end, energy, self.now))

    def _move_in(self, plan: HousePlan) -> House:
        """Register the consumer, agree, and install the meter: all of IV-A."""
        grid, terms = self.grid, plan.terms
        grid.move_clock(self.now + MOVING_MS)
        registered = register_consumer(grid, plan.name, grid.directory.keys)
        consumer = load_signer(grid, registered.key_file)
        meter = new_supply_point(grid, str(plan.number))
        tariff = self.tariffs[plan.tariff]
        agreement = Agreement(
            *(self._utility.id, consumer.id, meter.mid),
            customer_class=CustomerClass.HOME,
            tariff=tariff.digest,
            billing=terms.billing,
            reporting_interval_ms=SLOT_MS,
            billing_interval_ms=DAY_MS,
            power_limit=0,
            custodian_may_read=terms.custodian,
            language=terms.language,
            never_cut=False,
            no_cut=terms.no_cut,
            actions=ACTIONS,
            valid_from_ms=self.now,
        )
        install_meter(grid, consumer, meter, agreement, f"serial {plan.number}")
        return House(plan, consumer, meter.mid, agreement, tariff)

    # what people do

    def reference(self, house: House) -> bytes:
        """Return the reference of a house's next payment."""
        house.payments += 1
        house.last_reference = f"{house.name}/{house.payments}".encode()
        return house.last_reference

    def buy(self, house: House, amount: int) -> Paid:
        """Buy power for a house."""
        return pay(self.grid, house.consumer, house.mid, amount, self.reference(house))

    def measure(self, until_ms: int) -> None:
        """Have every meter measure up to a time; side by side, as each waits for its own disk."""
        for done in [self._meters.submit(house.replay.advance, until_ms) for house in self.houses]:
            done.result()

    def exchange(self, houses: list[House]) -> None:
        """Have meters and grid tell each other all: reports in, proven commands out, and their answers."""
        now = self.now
        self.line.collect([house.agent for house in houses])
        waiting = [house for house in houses if house.agent.poll(now)]
        while waiting:
            for house in waiting:
                if house.state is MeterState.READY_FOR_RECONNECTION:
                    house.agent.accept_reconnection(now)
            self.line.collect([house.agent for house in waiting])
            waiting = [house for house in waiting if house.agent.poll(now)]


def new_directory(wanted: Path | None) -> Path:
    """Return the directory of a run: the one asked for, which must be empty, or the next free `demo-<n>`.

    Raises `UserError`.
    """
    if wanted is not None:
        if wanted.exists() and (not wanted.is_dir() or any(wanted.iterdir())):
            raise UserError(
                f"{wanted} is not an empty directory; the demonstration makes a network of its own"
            )
        wanted.mkdir(parents=True, exist_ok=True)
        return wanted
    number = 1
    while True:
        path = Path(f"demo-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
        except OSError as error:
            raise UserError(f"cannot make {path} here ({error.strerror}); say where: --dir DIR") from error
        else:
            return path
