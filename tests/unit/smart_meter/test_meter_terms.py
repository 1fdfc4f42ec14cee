"""Terms: the tariff in force at a time, and tariffs that follow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gridmonitoring.contracts.script import generate_script, script_hash
from gridmonitoring.energy_center.credit import BillingTerms, open_account, settle
from gridmonitoring.energy_center.tariffs import Tariff
from gridmonitoring.errors import ContractError, MeterError, TariffError
from gridmonitoring.smart_meter.registers import NEVER
from gridmonitoring.smart_meter.terms import Terms
from tests.support.agreements import HOME
from tests.support.billing import CENT, DAY, flat, reading, slabs, time_of_use

FIRST = flat(10 * CENT)
SECOND = flat(20 * CENT, valid_from=5 * DAY)
THIRD = flat(30 * CENT, valid_from=9 * DAY)


def terms_of(*tariffs: Tariff, **billing: int) -> Terms:
    agreement = replace(HOME, tariff=tariffs[0].digest, billing=BillingTerms(0, 0, **billing))
    return Terms(agreement, tariffs, b"key")


def test_a_tariff_is_in_force_from_just_after_its_time_as_the_grid_settles() -> None:
    terms = terms_of(FIRST, SECOND, THIRD)
    found = [terms.tariff_at(time) for time in (1, 5 * DAY, 5 * DAY + 1, 9 * DAY, 9 * DAY + 1)]
    assert found == [FIRST, FIRST, SECOND, SECOND, THIRD]
    assert [terms.next_tariff_ms(time) for time in (0, 5 * DAY - 1, 5 * DAY, 9 * DAY)] == [
        *(5 * DAY, 5 * DAY, 9 * DAY, NEVER)
    ]


def test_the_script_is_the_one_that_the_grid_generates() -> None:
    terms = terms_of(FIRST)
    assert terms.script == script_hash(generate_script(terms.agreement, b"key"))


def test_only_what_goes_on_from_the_known_is_learnt() -> None:
    terms = terms_of(FIRST, SECOND)
    before = terms.state()
    assert not terms.learn((FIRST,))
    assert not terms.learn((FIRST, SECOND))
    assert not terms.learn((FIRST, THIRD, flat(valid_from=11 * DAY)))
    assert terms.state() is before
    assert terms.learn((FIRST, SECOND, THIRD))
    assert terms.tariffs == terms.state().tariffs == (FIRST, SECOND, THIRD)


def test_terms_that_cannot_be_run_are_refused() -> None:
    with pytest.raises(MeterError, match="not the one that the agreement names"):
        Terms(HOME, (FIRST,), b"")
    with pytest.raises(MeterError, match="not the one that the agreement names"):
        Terms(HOME, (), b"")
    with pytest.raises(MeterError, match="not in order"):
        terms_of(SECOND, FIRST)
    with pytest.raises(MeterError, match="not in order"):
        terms_of(FIRST).learn((FIRST, THIRD, SECOND))
    broken = replace(FIRST, rates=())
    with pytest.raises(TariffError):
        terms_of(broken)
    with pytest.raises(ContractError):
        Terms(replace(HOME, tariff=FIRST.digest, reporting_interval_ms=7 * 60_000), (FIRST,), b"")


@given(
    tariff=st.sampled_from(
        (FIRST, flat(0), time_of_use(((1, 31 * CENT), (2, 7))), slabs(((9, 3), (700, 12 * CENT), (None, 8))))
    ),
    tax=st.sampled_from((0, 196_000, 1_000_000)),
    money=st.integers(1, 10**9),
    used=st.integers(0, 5_000),
    left=st.integers(0, 59),
)
def test_the_energy_that_is_safe_never_costs_the_money(
    tariff: Tariff, tax: int, money: int, used: int, left: int
) -> None:
    terms = terms_of(tariff, tax_ppm=tax)
    rates = len(tariff.rate_registers)
    account = open_account(tariff, reading(0, (0,) * rates), DAY, 1)
    first = reading(used, (used, 0)[:rates])
    account, _ = settle(account, tariff, terms.agreement.billing, first, DAY + 1, 2)
    safe = min(terms.safe_watt_minutes(money, DAY + 1), 10**9)
    if safe < 0:
        return
    total = used + (left + safe) // 60
    _, settled = settle(
        account, tariff, terms.agreement.billing, reading(total, (total, 0)[:rates]), DAY + 2, 3
    )
    assert settled.charge < money
