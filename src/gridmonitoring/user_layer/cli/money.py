"""Amounts as people write them: decimal text, exact, without floats.

Money of the ledger is millionths of the currency's minor unit, so a currency with two decimals has eight
here. An amount to pay has the currency's own decimals, a price may have all of them.
"""

from __future__ import annotations

import re

from gridmonitoring.encoding.bounds import MAX_INT
from gridmonitoring.errors import UserError

MILLIONTHS = 6
"""Decimals of the ledger's money below the minor unit."""
MILLION = 1_000_000
"""Money of a minor unit."""

_DECIMAL = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,20}))?", re.ASCII)


def parse_decimal(text: str, decimals: int, option: str) -> int:
    """Return a decimal text times 10^decimals, exactly; raises `UserError`, which names the option."""
    found = _DECIMAL.fullmatch(text.strip())
    if found is None:
        raise UserError(f"{option}: {text!r} is not an amount like 20 or 20.50")
    whole, fraction = found[1], found[2] or ""
    if len(fraction.rstrip("0")) > decimals:
        raise UserError(f"{option}: {text} has more than {decimals} decimals")
    value = int(whole + fraction[:decimals].ljust(decimals, "0"))
    if value > MAX_INT:
        raise UserError(f"{option}: {text} is more than the ledger can count")
    return value


def parse_amount(text: str, minor_digits: int, option: str) -> int:
    """Return money of an amount with no more decimals than the currency has; raises `UserError`."""
    money = parse_decimal(text, minor_digits, option) * MILLION
    if money > MAX_INT:
        raise UserError(f"{option}: {text} is more than the ledger can count")
    return money


def parse_price(text: str, minor_digits: int, option: str) -> int:
    """Return money of a price, which may have decimals below the minor unit; raises `UserError`."""
    return parse_decimal(text, minor_digits + MILLIONTHS, option)


def money_text(money: int, minor_digits: int) -> str:
    """Return money as decimal text with at least the currency's decimals and no more than it needs."""
    decimals = minor_digits + MILLIONTHS
    sign, digits = "-" if money < 0 else "", str(abs(money)).rjust(decimals + 1, "0")
    fraction = digits[-decimals:].rstrip("0").ljust(minor_digits, "0")
    return f"{sign}{digits[:-decimals]}" + (f".{fraction}" if fraction else "")


def energy_text(watt_hours: int) -> str:
    """Return energy in kWh, exactly."""
    return f"{watt_hours // 1000}.{watt_hours % 1000:03d} kWh"
