from __future__ import annotations

import pytest
from msgspec.structs import replace

from gridmonitoring.encoding.bounds import MAX_INT
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.energy_center.charges import cumulative_energy_charge
from gridmonitoring.energy_center.tariffs import (
    MAX_PRICE,
    Tariff,
    active_rate,
    check_succession,
    check_tariff,
    energy_for,
    next_rate_change_ms,
    price_at,
    tariff_hash,
)
from gridmonitoring.errors import TariffError
from tests.support.billing import (
    CENT,
    DAY,
    FIXED,
    HOUR,
    NIGHT_AND_DAY,
    PARIS,
    WEEKEND,
    WORKING_DAY,
    flat,
    ms,
    slabs,
    time_of_use,
)

PARIS_TARIFF = time_of_use(calendar=PARIS)
EVERY_KIND = [flat(), slabs(), time_of_use(), PARIS_TARIFF]


@pytest.mark.parametrize("tariff", EVERY_KIND)
def test_a_sound_tariff_is_accepted_and_named_by_the_hash_of_its_bytes(tariff: Tariff) -> None:
    check_tariff(tariff)
    data = encode(tariff)
    assert tariff_hash(tariff) == sha256d(data)
    assert tariff_hash(decode(data, Tariff)) == tariff_hash(tariff)
    assert tariff_hash(replace(tariff, name="Other")) != tariff_hash(tariff)


TOO_DEAR = ((1, MAX_PRICE + 1),)
LATE_START = ((WORKING_DAY, 60, 1), (WORKING_DAY, 90, 2), (WEEKEND, 0, 2))
NO_WEEKEND = ((WORKING_DAY, 0, 1), (WORKING_DAY, 90, 2))
UNKNOWN_TYPE = (*NIGHT_AND_DAY, (3, 0, 1))
UNKNOWN_RATE = (*NIGHT_AND_DAY, (WEEKEND, 60, 3))
SAME_TWICE = (*NIGHT_AND_DAY, (WEEKEND, 60, 2))
OUT_OF_ORDER = ((WORKING_DAY, 60, 2), (WORKING_DAY, 0, 1), (WEEKEND, 0, 2))


@pytest.mark.parametrize(
    ("tariff", "says"),
    [
        (replace(flat(), rates=TOO_DEAR), "cannot be encoded"),
        (replace(flat(), rates=((0, CENT),)), "cannot be encoded"),
        (replace(flat(), kind=4), "cannot be encoded"),
        (replace(flat(), currency="euro"), "cannot be encoded"),
        (replace(flat(), name="cafe\u0301"), "cannot be encoded"),
        (replace(flat(), calendar=replace(FIXED, transitions=((5, 0),))), "does not start at time 0"),
        (replace(flat(), rates=()), "exactly one rate"),
        (replace(flat(), rates=((1, CENT), (2, CENT))), "exactly one rate"),
        (replace(flat(), slabs=((None, CENT),)), "no slabs and no switching"),
        (replace(flat(), switching=NIGHT_AND_DAY), "no slabs and no switching"),
        (replace(slabs(), rates=((1, CENT),)), "no rates and no switching"),
        (slabs(()), "last slab is without limit"),
        (slabs(((100, CENT),)), "last slab is without limit"),
        (slabs(((None, CENT), (None, CENT))), "only the last slab"),
        (slabs(((0, CENT), (None, CENT))), "higher and higher"),
        (slabs(((200, CENT), (100, CENT), (None, CENT))), "higher and higher"),
        (replace(time_of_use(), slabs=((None, CENT),)), "has no slabs"),
        (time_of_use(((1, CENT),), ((1, 0, 1), (2, 0, 1))), "at least two rates"),
        (time_of_use(((2, CENT), (1, CENT))), "rates are in order"),
        (time_of_use(((1, CENT), (1, CENT))), "rates are in order"),
        (time_of_use(((1, CENT), (2, CENT), (3, CENT))), "uses the rates priced"),
        (time_of_use(switching=()), "covers the calendar's day types"),
        (time_of_use(switching=NO_WEEKEND), "covers the calendar's day types"),
        (time_of_use(switching=UNKNOWN_TYPE), "covers the calendar's day types"),
        (time_of_use(switching=LATE_START), "day type 1 starts at minute 0"),
        (time_of_use(switching=UNKNOWN_RATE), "uses the rates priced"),
        (time_of_use(switching=SAME_TWICE), "the rate it already has"),
        (time_of_use(switching=OUT_OF_ORDER), "in order of day type and minute"),
    ],
)
def test_a_tariff_with_a_gap_or_a_contradiction_is_refused(tariff: Tariff, says: str) -> None:
    with pytest.raises(TariffError, match=says):
        check_tariff(tariff)


def test_a_special_date_needs_its_own_day_type_in_the_table() -> None:
    calendar = replace(FIXED, specials=((2007, 12, 25, 3),))
    with pytest.raises(TariffError, match="covers the calendar's day types"):
        check_tariff(time_of_use(calendar=calendar))
    check_tariff(time_of_use(switching=UNKNOWN_TYPE, calendar=calendar))


def test_a_tariff_that_does_not_fit_its_document_is_refused() -> None:
    specials = tuple((year, month, 28, WEEKEND) for year in range(2000, 2066) for month in range(1, 13))
    transitions = tuple((number * DAY, number % 60) for number in range(400))
    calendar = replace(FIXED, specials=specials, transitions=transitions)
    switching = tuple((kind, minute, 1 + minute % 2) for kind in (1, 2) for minute in range(1000, 1200))
    with pytest.raises(TariffError, match="at most 12288 are allowed"):
        check_tariff(time_of_use(switching=switching, calendar=calendar))


@pytest.mark.parametrize(
    ("time", "rate"),
    [
        ("2007-03-23T05:59:59.999", 2),
        ("2007-03-23T06:00", 1),
        ("2007-03-23T21:59", 1),
        ("2007-03-23T22:00", 2),
        ("2007-03-24T12:00", 2),
        ("2007-03-25T12:00", 2),
        ("2007-03-26T05:59", 2),
        ("2007-03-26T06:00", 1),
        ("2007-12-25T12:00", 2),
    ],
)
def test_the_active_rate_follows_local_time_and_day_type(time: str, rate: int) -> None:
    at = ms(time, "Europe/Paris")
    assert active_rate(PARIS_TARIFF, at) == rate
    assert price_at(PARIS_TARIFF, at) == {1: 20 * CENT, 2: 10 * CENT}[rate]


@pytest.mark.parametrize(
    ("after", "change"),
    [
        ("2007-03-23T06:00", "2007-03-23T22:00"),
        ("2007-03-23T21:59:59.999", "2007-03-23T22:00"),
        ("2007-03-23T22:00", "2007-03-26T06:00"),
        ("2007-12-24T22:00", "2007-12-26T06:00"),
        ("2006-12-29T22:00", "2007-01-02T06:00"),
    ],
)
def test_the_next_rate_change_skips_midnights_weekends_and_holidays(after: str, change: str) -> None:
    assert next_rate_change_ms(PARIS_TARIFF, ms(after, "Europe/Paris")) == ms(change, "Europe/Paris")


def test_a_rate_that_never_changes_again_has_no_next_change() -> None:
    all_week = ((1, 0, 1), (2, 0, 1), (3, 0, 2))
    tariff = time_of_use(switching=all_week, calendar=replace(FIXED, specials=((2030, 5, 1, 3),)))
    check_tariff(tariff)
    holiday = ms("2030-04-30T23:00")
    assert next_rate_change_ms(tariff, 0) == holiday
    assert next_rate_change_ms(tariff, holiday) == holiday + 24 * HOUR
    assert next_rate_change_ms(tariff, holiday + 24 * HOUR) is None
    assert next_rate_change_ms(flat(), 0) is None
    assert next_rate_change_ms(slabs(), 0) is None


def test_flat_and_slab_tariffs_count_one_register() -> None:
    seventh = replace(flat(), rates=((7, CENT),))
    assert (active_rate(seventh, 0), price_at(seventh, 0)) == (7, CENT)
    assert (active_rate(slabs(), 0), price_at(slabs(), 0)) == (1, 5 * CENT)


@pytest.mark.parametrize("tax", [0, 196_000, 1_000_000])
@pytest.mark.parametrize("money", [0, 1, 14, 15_000, 499_999_999, 500_000_000, 500_000_001, 10**12 + 7])
@pytest.mark.parametrize("tariff", [flat(), flat(7), slabs(), slabs(((5, 0), (9, 3), (None, 1_001)))])
def test_a_quote_is_the_most_energy_that_the_money_pays_for(tariff: Tariff, money: int, tax: int) -> None:
    def thousandths(energy: int) -> int:
        # Prices times a thousand: the charge is then exact, and its floor is no rounding.
        finer = replace(
            tariff,
            rates=tuple((rate, price * 1000) for rate, price in tariff.rates),
            slabs=tuple((limit, price * 1000) for limit, price in tariff.slabs),
        )
        return cumulative_energy_charge(finer, [(1, energy)])

    energy = energy_for(tariff, money, 0, tax)
    assert thousandths(energy) * (1_000_000 + tax) <= money * 10**9
    assert thousandths(energy + 1) * (1_000_000 + tax) > money * 10**9


def test_a_quote_is_at_the_price_of_its_time() -> None:
    assert energy_for(PARIS_TARIFF, 20 * CENT, ms("2007-03-23T12:00", "Europe/Paris")) == 1000
    assert energy_for(PARIS_TARIFF, 20 * CENT, ms("2007-03-23T23:00", "Europe/Paris")) == 2000


def test_free_energy_has_no_end() -> None:
    assert energy_for(flat(0), 0, 0) == MAX_INT
    assert energy_for(slabs(((1000, 0), (None, CENT))), 0, 0) == 1000
    assert energy_for(slabs(((1000, CENT), (None, 0))), CENT, 0) == MAX_INT
    assert energy_for(slabs(((1000, CENT), (None, 0))), CENT - 1, 0) == 999


def test_a_successor_needs_notice_and_the_same_utility_and_currency() -> None:
    old = replace(flat(), valid_from_ms=DAY)
    new = replace(old, valid_from_ms=40 * DAY)
    check_succession(old, new, 10 * DAY)
    for other, published, says in [
        (new, 10 * DAY + 1, "notice of 2592000000 ms"),
        (replace(new, utility=b"another utility!"), 0, "same utility"),
        (replace(new, currency="GHS"), 0, "same currency"),
        (replace(new, valid_from_ms=DAY), 0, "valid later"),
    ]:
        with pytest.raises(TariffError, match=says):
            check_succession(old, other, published)
