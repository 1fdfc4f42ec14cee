"""Amounts: decimal text to exact money and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridmonitoring.encoding.bounds import MAX_INT
from gridmonitoring.errors import UserError
from gridmonitoring.user_layer.cli.money import (
    energy_text,
    money_text,
    parse_amount,
    parse_decimal,
    parse_price,
)


@pytest.mark.parametrize(
    ("text", "digits", "money"),
    [
        ("20", 2, 2_000_000_000),
        ("20.00", 2, 2_000_000_000),
        ("0.01", 2, 1_000_000),
        ("20.5", 2, 2_050_000_000),
        ("20.500", 2, 2_050_000_000),
        (" 20.5 ", 2, 2_050_000_000),
        ("7", 0, 7_000_000),
        ("7.000", 0, 7_000_000),
        ("0.1", 1, 1_000_000),
        ("1234567.89", 2, 123_456_789_000_000),
    ],
)
def test_an_amount_is_exact(text: str, digits: int, money: int) -> None:
    assert parse_amount(text, digits, "--amount") == money


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1,50",
        "1.",
        ".5",
        "1e3",
        "0x10",
        "1_000",
        "20.001",
        "nan",
        "inf",
        "1.2.3",
        "\u0663",
        "1 0",
    ],
)
def test_what_is_no_amount_is_refused_with_its_option(text: str) -> None:
    with pytest.raises(UserError, match=r"^--amount: "):
        parse_amount(text, 2, "--amount")


@pytest.mark.parametrize("text", ["92233720368.55", "99999999999999999999"])
def test_an_amount_past_what_the_ledger_counts_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="more than the ledger can count"):
        parse_amount(text, 4, "--amount")


def test_a_price_may_be_finer_than_the_minor_unit() -> None:
    assert parse_price("0.22761234", 2, "--price") == 22_761_234
    with pytest.raises(UserError, match=r"--price: 0\.227612345 has more than 8 decimals"):
        parse_price("0.227612345", 2, "--price")


@given(st.integers(-MAX_INT, MAX_INT), st.integers(0, 4))
def test_printed_money_reads_back_exactly(money: int, digits: int) -> None:
    text = money_text(money, digits)
    sign = -1 if text.startswith("-") else 1
    assert sign * parse_decimal(text.removeprefix("-"), digits + 6, "--price") == money


@pytest.mark.parametrize(
    ("money", "digits", "text"),
    [
        (0, 2, "0.00"),
        (2_000_000_000, 2, "20.00"),
        (-1, 2, "-0.00000001"),
        (1_500_000, 0, "1.5"),
        (3_000_000, 0, "3"),
        (22_760_000, 2, "0.2276"),
    ],
)
def test_money_is_printed_with_the_currencys_decimals_or_as_many_as_it_needs(
    money: int, digits: int, text: str
) -> None:
    assert money_text(money, digits) == text


def test_energy_is_printed_in_kilowatt_hours() -> None:
    assert [energy_text(0), energy_text(80_000), energy_text(1_005)] == [
        "0.000 kWh",
        "80.000 kWh",
        "1.005 kWh",
    ]
