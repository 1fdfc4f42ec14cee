"""An agreed cut-off where the relay may not open: it waits for the end of the no-cut hours, then is done."""

from __future__ import annotations

import pytest

from gridmonitoring.blockchain.state_rows import CommandKind
from gridmonitoring.contracts.agreement import NoCutWindow
from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.meter_rule import Event, MeterState, Relay
from gridmonitoring.encoding.bounds import IMPORT_TOTAL
from tests.support.billing import CENT, HOUR, MINUTE, flat
from tests.support.houses import NOVEMBER_30, House
from tests.support.small_grid import SmallGrid

TARIFF = flat(500 * CENT)
BEGIN, END = NOVEMBER_30 + 18 * HOUR, NOVEMBER_30 + 21 * HOUR
NO_CUT = (NoCutWindow((), 18 * 60, 21 * 60),)


@pytest.fixture
def house() -> House:
    """A house with power and credit, and hours in which nobody may cut it off; it is 19:00."""
    grid = SmallGrid()
    home = House(grid, TARIFF, start=BEGIN - HOUR, no_cut=NO_CUT)
    home.install(BEGIN - HOUR + 1)
    home.buy(90_000 * CENT, BEGIN - HOUR + 5)
    for number in range(3):
        home.meet(BEGIN - HOUR + 10 + number)
    home.agent.accept_reconnection(BEGIN - HOUR + 20)
    home.meet(BEGIN - HOUR + 30)
    live(home, BEGIN + HOUR)
    return home


def live(house: House, until: int, watts: int = 1_200) -> None:
    """Have the house use power from where the meter is up to a time, minute by minute."""
    start = -(-house.agent.time // MINUTE) * MINUTE
    for minute in range((until - start) // MINUTE):
        house.agent.minute(start + minute * MINUTE, watts)
    house.meet(until)


def cut_off(house: House) -> None:
    """The grid orders an agreed cut-off, and the meter hears of it."""
    cause = house.grid.decoded(len(house.grid.raws) - 1)
    house.grid.order(cause, house.mid, CommandKind.DISCONNECT)
    house.meet(house.agent.time + 1)


def used(house: House) -> int:
    return dict(house.agent.meter.registers())[bytes(IMPORT_TOTAL)]


def cuts(house: House) -> list[int]:
    """Return the times of the meter's reports of a cut-off."""
    reports = [report.payload for report in house.grid.reports(house.mid)]
    return [payload.time for payload in reports if payload.body.event == Event.CUT_OFF]


def agrees(house: House) -> bool:
    """Tell whether grid and meter are in the same state."""
    meter, row = house.agent.meter, house.grid.meter(house.mid)
    return (meter.state, meter.relay, meter.contract.cut_off) == (row.state, row.relay, row.cut_off)


def test_it_waits_for_the_end_of_the_hours_and_is_done_in_the_first_minute_after(house: House) -> None:
    cut_off(house)
    assert house.agent.meter.relay is Relay.CONNECTED
    assert house.agent.display().message is Message.CUT_OFF_WAITS
    assert house.grid.meter(house.mid).cut_off
    before = used(house)
    live(house, END - MINUTE)
    assert used(house) - before > 2_000
    assert house.agent.meter.relay is Relay.CONNECTED
    assert len(cuts(house)) == 1
    live(house, END + 2 * MINUTE)
    assert (house.agent.meter.state, house.agent.meter.relay) == (MeterState.CUT_OFF, Relay.DISCONNECTED)
    assert END <= cuts(house)[1] < END + MINUTE
    assert house.grid.told(house.mid)[-1] is Message.CUT_OFF
    dark = used(house)
    live(house, END + 3 * HOUR)
    assert used(house) == dark
    assert len(cuts(house)) == 2
    assert agrees(house)
    assert house.grid.violations(house.mid) == []


def test_outside_the_hours_it_does_not_wait(house: House) -> None:
    live(house, END + HOUR)
    cut_off(house)
    assert (house.agent.meter.state, house.agent.meter.relay) == (MeterState.CUT_OFF, Relay.DISCONNECTED)
    assert agrees(house)


def test_one_that_is_lifted_while_it_waits_never_comes(house: House) -> None:
    cut_off(house)
    house.lift(house.agent.time + 1)
    house.meet(house.agent.time + 2)
    live(house, END + HOUR)
    assert (house.agent.meter.state, house.agent.meter.relay) == (MeterState.ACTIVE, Relay.CONNECTED)
    assert agrees(house)


def test_a_power_cut_does_not_make_the_meter_forget(house: House) -> None:
    cut_off(house)
    house.wake()
    live(house, END + 2 * MINUTE)
    assert (house.agent.meter.state, house.agent.meter.relay) == (MeterState.CUT_OFF, Relay.DISCONNECTED)
    assert agrees(house)


@pytest.mark.parametrize("back", [END - HOUR, END + HOUR], ids=["within the hours", "after the hours"])
def test_the_own_switch_is_no_way_around(house: House, back: int) -> None:
    """Whoever switches off while it waits, and on again, is cut off when the hours are over."""
    cut_off(house)
    house.wish(False, house.agent.time + 1)
    house.meet(house.agent.time + 2)
    assert house.agent.meter.relay is Relay.DISCONNECTED
    live(house, back)
    house.wish(True, house.agent.time + 1)
    house.meet(house.agent.time + 2)
    live(house, max(back, END) + 2 * MINUTE)
    assert (house.agent.meter.state, house.agent.meter.relay) == (MeterState.CUT_OFF, Relay.DISCONNECTED)
    assert agrees(house)


def test_without_credit_the_hours_hold_for_both_reasons(house: House) -> None:
    """Credit runs out while the cut-off waits: the relay opens once, at the end of the hours, as cut off."""
    cut_off(house)
    house.agent.minute(house.agent.time, 60_000 * 600)
    house.meet(house.agent.time + 1)
    state, relay = house.agent.meter.state, house.agent.meter.relay
    assert (state, relay) == (MeterState.OUT_OF_CREDIT, Relay.CONNECTED)
    live(house, END + 2 * MINUTE)
    assert house.agent.meter.relay is Relay.DISCONNECTED
    assert house.agent.meter.state is MeterState.CUT_OFF
    assert agrees(house)
