from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.energy_center.credit import BillingTerms, add_lot, open_account, settle
from gridmonitoring.energy_center.statements import Statement, check_statement
from gridmonitoring.errors import StatementDiffers
from tests.support.billing import CENT, DAY, ms, reading, time_of_use

TARIFF = time_of_use(standing=CENT)
TERMS = BillingTerms(0, 0, tax_ppm=100_000)
START = ms("2007-03-10T12:00")


def statement() -> Statement:
    """Return the statement of a day with both rates, made anew."""
    account = open_account(TARIFF, reading(0, (0, 0)), START, 1)
    account, _ = add_lot(account, 1, 1_000 * CENT, 1000)
    return settle(account, TARIFF, TERMS, reading(300, (100, 200)), START + DAY, 2)[1].statement


def test_the_same_registers_tariff_and_terms_give_the_same_statement() -> None:
    delivered = decode(encode(statement()), Statement)
    check_statement(delivered, statement())
    assert delivered == statement()


@pytest.mark.parametrize("field", Statement.__struct_fields__)
def test_a_unit_of_difference_in_any_field_is_named(field: str) -> None:
    def other(value: Any) -> Any:
        if isinstance(value, int):
            return value + 1
        return value[:-1] + (b"\0" if isinstance(value, bytes) else ((*value[-1][:-1], value[-1][-1] + 1),))

    ours = statement()
    theirs = replace(ours, **{field: other(getattr(ours, field))})
    with pytest.raises(StatementDiffers, match=f"the statement has {field} ") as caught:
        check_statement(theirs, ours)
    assert caught.value.field == field
    assert caught.value.ours != caught.value.theirs
    assert caught.value.overcharge == (1 if field == "charge" else 0)


def test_the_first_difference_is_named_with_both_values_in_words() -> None:
    ours = statement()
    theirs = replace(ours, lines=((1, 100, 2 * CENT), (2, 201, 2 * CENT)), charge=ours.charge + 5)
    with pytest.raises(StatementDiffers) as caught:
        check_statement(theirs, ours)
    assert str(caught.value) == (
        "the statement has lines ((1, 100, 2000000), (2, 201, 2000000)), "
        "the meter's own has ((1, 100, 2000000), (2, 200, 2000000))"
    )
    assert caught.value.overcharge == 5


def test_registers_are_named_by_their_code() -> None:
    ours = statement()
    with pytest.raises(StatementDiffers, match=r"\(1\.8\.0, 0, 300\)") as caught:
        check_statement(replace(ours, registers=()), ours)
    assert caught.value.theirs == "()"
