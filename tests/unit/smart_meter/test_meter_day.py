"""What the in-home display tells: appliances, cost of the day, how long credit lasts, alarms, reasons."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gridmonitoring.blockchain.state_rows import CommandKind
from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.meter_rule import Event, MeterState, Relay, Status
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.energy_center.credit import BillingTerms
from gridmonitoring.energy_center.tariffs import Tariff
from gridmonitoring.smart_meter.channels import Channel
from gridmonitoring.smart_meter.day import DAY_MS, KEPT_DAYS, KEPT_MESSAGES, Day, DayState
from gridmonitoring.smart_meter.display import DisplayState, lock_reason, warnings
from gridmonitoring.smart_meter.meter import Meter
from tests.support.billing import CENT, HOUR, MINUTE, flat, slabs, time_of_use
from tests.support.meters import CHEAP, IDENTITY, NOON, Bench

EURO = 100 * CENT


def use(bench: Bench, minutes: int, **channels: int) -> None:
    """Use power by appliance, W."""
    for _ in range(minutes):
        bench.keep(bench.meter.minute(bench.now, sum(channels.values()), **channels))
        bench.now += MINUTE


def test_appliances_add_up_from_report_to_report_and_to_the_minute() -> None:
    bench = Bench().in_service(9 * EURO)
    use(bench, 50, kitchen=600, climate=1200, rest=300)
    shown = bench.meter.display()
    assert [(a.channel, a.energy) for a in shown.appliances] == [
        (Channel.KITCHEN, 500),
        (Channel.LAUNDRY, 0),
        (Channel.CLIMATE, 1000),
        (Channel.REST, 250),
    ]
    assert [a.cost for a in shown.appliances] == [30 * CENT, 0, 60 * CENT, 15 * CENT]
    assert shown.cost_today == sum(a.cost for a in shown.appliances)
    assert shown.energy_today == 1750


def test_costs_include_the_tax() -> None:
    bench = Bench(terms=BillingTerms(0, 10 * CENT, tax_ppm=200_000)).in_service(9 * EURO)
    use(bench, 60, kitchen=1000)
    shown = bench.meter.display()
    assert shown.price == 72 * CENT
    assert shown.appliances[0].cost == shown.cost_today == 72 * CENT


def test_at_midnight_the_day_begins_anew_and_its_spending_is_kept() -> None:
    bench = Bench().in_service(90 * EURO)
    use(bench, 12 * 60, rest=1000)
    (spent,) = bench.meter.contract.day.state().days
    assert spent == pytest.approx(2 * 12 * 60 * CENT, rel=1e-6), "half a day, told as a whole one"
    shown = bench.meter.display()
    assert (shown.energy_today, shown.cost_today) == (0, 0)
    assert not any(appliance.energy for appliance in shown.appliances)
    use(bench, 60, rest=2000)
    assert bench.meter.display().cost_today == 120 * CENT


def test_credit_lasts_as_long_as_at_the_pace_of_the_last_days() -> None:
    bench = Bench().in_service(90 * EURO)
    use(bench, 60, rest=1000)
    expected = (90 * EURO - 60 * CENT) * HOUR / (60 * CENT)
    assert bench.meter.display().lasts == pytest.approx(expected, rel=1e-4)
    use(bench, 11 * 60, rest=1000)
    use(bench, 60, rest=60_000)
    expected = bench.meter.display().credit * DAY_MS / (24 * 60 * CENT)
    assert bench.meter.display().lasts == pytest.approx(expected, rel=1e-6), "not the pace of the last hour"


def test_where_nothing_is_used_nothing_is_foretold() -> None:
    bench = Bench()
    assert bench.meter.display().lasts is None
    assert bench.in_service(EURO).meter.display().lasts is None


PRICES = [
    (flat(30 * CENT), [(0, 30 * CENT)]),
    (slabs(((2_000, 10 * CENT), (None, 40 * CENT))), [(0, 10 * CENT), (2_500, 40 * CENT)]),
]


@pytest.mark.parametrize(("tariff", "expected"), PRICES)
def test_the_price_is_that_of_the_next_unit(tariff: Tariff, expected: list[tuple[int, int]]) -> None:
    bench = Bench(tariff).in_service(90 * EURO)
    for used, price in expected:
        use(bench, (used - bench.meter.display().energy_today) * 60 // 1000, rest=1000)
        shown = bench.meter.display()
        assert (shown.energy_today, shown.price) == (used, price)
        assert shown.price_until is None


def test_slabs_are_counted_over_settlements_too() -> None:
    bench = Bench(slabs(((1_000, 10 * CENT), (None, 40 * CENT)))).in_service(90 * EURO)
    use(bench, 11 * 60 + 55, kitchen=60)
    bench.credit(EURO)
    assert bench.meter.display().price == 10 * CENT
    use(bench, 10, kitchen=60_000)
    shown = bench.meter.display()
    assert shown.price == 40 * CENT
    assert shown.appliances[0].energy == shown.energy_today == 5_000
    assert shown.appliances[0].cost == 5 * 40 * CENT


def test_the_clock_brings_the_next_price() -> None:
    tariff = time_of_use()
    bench = Bench(tariff).in_service(90 * EURO)
    shown = bench.meter.display()
    assert shown.tariff == tariff.name
    assert shown.price_until is not None
    before = shown.price
    use(bench, (shown.price_until - bench.now) // MINUTE + 1, rest=1000)
    assert bench.meter.display().price != before


def test_messages_are_kept_newest_first_and_only_the_last() -> None:
    bench = Bench().in_service(9 * EURO)
    for _ in range(KEPT_MESSAGES):
        bench.order(CommandKind.SUPPLY_OFF)
        bench.order(CommandKind.SUPPLY_ON)
    bench.now += MINUTE
    bench.credit(CENT)
    bench.now += MINUTE
    bench.credit(CENT)
    shown = bench.meter.display()
    assert shown.messages[0] == (shown.message, shown.message_time) == (Message.CREDIT_ADDED, bench.now)
    assert [message for message, _ in shown.messages[:4]] == [
        *(Message.CREDIT_ADDED, Message.POWER_ON, Message.SWITCHED_OFF, Message.POWER_ON)
    ]
    assert len(shown.messages) == KEPT_MESSAGES


def test_the_reason_of_the_dark_is_told() -> None:
    bench = Bench().in_service(9 * EURO)
    assert lock_reason(bench.meter.display()) is None
    bench.order(CommandKind.SUPPLY_OFF)
    assert lock_reason(bench.meter.display()) is Message.SWITCHED_OFF
    bench.order(CommandKind.SUPPLY_ON)
    bench.keep(bench.meter.sense(Status.METER_COVER, bench.now))
    shown = bench.meter.display()
    assert (lock_reason(shown), shown.tamper) == (Message.TAMPERED, Status.METER_COVER)


@pytest.mark.parametrize("state", sorted(set(MeterState) - {MeterState.NEW, MeterState.ACTIVE}))
def test_every_state_without_power_has_its_reason(state: MeterState) -> None:
    dark = replace(Bench().meter.display(), state=state, relay=Relay.DISCONNECTED)
    assert (lock_reason(dark) is None) == (state is MeterState.LOW_CREDIT), "which always has power"


def test_warnings_come_with_the_gravest_first_and_go() -> None:
    shown: DisplayState = replace(Bench().meter.display(), relay=Relay.CONNECTED, time=NOON)
    assert warnings(shown) == ()
    assert warnings(replace(shown, state=MeterState.LOW_CREDIT)) == (Message.LOW_CREDIT,)
    assert warnings(replace(shown, state=MeterState.OUT_OF_CREDIT)) == (Message.SUPPLY_STAYS_ON,)
    both = replace(shown, state=MeterState.TAMPERED, overcharged=NOON - 1)
    assert warnings(both) == (Message.OVERCHARGED, Message.TAMPERED)
    assert warnings(replace(shown, overcharged=NOON - DAY_MS)) == ()


def test_an_over_charge_outlives_the_messages_after_it() -> None:
    bench = Bench().in_service(9 * EURO)
    bench.keep(bench.meter.distrust(bench.now))
    for _ in range(KEPT_MESSAGES):
        bench.order(CommandKind.SUPPLY_OFF)
        bench.order(CommandKind.SUPPLY_ON)
    shown = bench.meter.display()
    assert Message.OVERCHARGED not in [message for message, _ in shown.messages]
    assert warnings(shown) == (Message.OVERCHARGED,)
    assert bench.events.count(Event.INTEGRITY_FAILURE) == 1


def test_the_display_outlives_a_power_cut() -> None:
    bench = Bench(terms=CHEAP).in_service(90 * EURO)
    use(bench, 13 * 60, kitchen=500, rest=500)
    again = Meter(IDENTITY, bench.meter.memory())
    assert again.display() == bench.meter.display()


@given(
    st.lists(
        st.tuples(st.integers(0, 3 * DAY_MS), st.integers(0, 2**40), st.sampled_from(Message)), max_size=20
    )
)
def test_what_is_kept_stays_within_its_bounds(acts: list[tuple[int, int, Message]]) -> None:
    day, time = Day(DayState()), NOON
    for lasted, money, message in acts:
        time += lasted
        day.charge(money)
        day.count([(Channel.REST, money)], money)
        day.show(message, time)
        day.begin(time)
        day.charge(money)
    state = day.state()
    assert decode(encode(state), DayState) == state
    assert len(state.days) <= KEPT_DAYS
    assert Day(state).state() == state
