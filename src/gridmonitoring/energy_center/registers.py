"""Registers from one settlement to the next (paper IV-B; COSEM 1.8.0, 1.8.x and 2.8.0).

Registers count up from a device's first day. Here two readings become energy per tariff rate, or a typed
error that names the register; a device's first reading after a swap starts anew.

Left out: energy given to the grid (2.8.0), which is counted and shown but has no price.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from gridmonitoring.encoding.bounds import IMPORT_TOTAL, obis_text
from gridmonitoring.energy_center.tariffs import Tariff
from gridmonitoring.errors import RegisterError

MAX_STEP = 2**32
"""Energy in Wh that no supply point uses between two settlements (4.3 GWh)."""

Counted = tuple[tuple[bytes, int, int], ...]
"""(OBIS code, Wh before, Wh after) in order of code."""


def opening(registers: Sequence[tuple[bytes, int]]) -> Counted:
    """Return a device's first registers; raises `RegisterError` unless they are in order of code."""
    _require_order(registers)
    return tuple([(code, now, now) for code, now in registers])


def count(last: Counted, registers: Sequence[tuple[bytes, int]]) -> Counted:
    """Return the registers before and after a settlement; one that is new started at 0.

    Raises `RegisterError` where one went down, leapt, or is missing, or they are not in order of code.
    """
    if [code for code, _, _ in last] == [code for code, _ in registers]:
        counted = tuple([(code, old[2], now) for old, (code, now) in zip(last, registers, strict=True)])
    else:
        counted = _count_changed(last, registers)
    for code, before, now in counted:
        if not 0 <= now - before <= MAX_STEP:
            raise RegisterError(code, "went down" if now < before else "leapt", before, now)
    return counted


def used_by_rate(tariff: Tariff, counted: Counted) -> list[tuple[int, int]]:
    """Return (rate, Wh) of each rate of the tariff; of a flat or slab tariff (its rate or 1, total).

    Raises `RegisterError` where a register of the tariff is missing, or those of its rates do not add up to
    the total.
    """
    energy = {code: now - before for code, before, now in counted}
    total = energy.get(IMPORT_TOTAL)
    if total is None:
        raise RegisterError(IMPORT_TOTAL, "is missing", 0, 0)
    if not tariff.rate_registers:
        return [(tariff.single_rate, total)]
    used, rest = [], total
    for code, rate in tariff.rate_registers:
        wh = energy.get(code)
        if wh is None:
            raise RegisterError(code, "is missing", 0, 0)
        used.append((rate, wh))
        rest -= wh
    if rest:
        raise RegisterError(IMPORT_TOTAL, "is not the sum of the rates", total - rest, total)
    return used


def _count_changed(last: Counted, registers: Sequence[tuple[bytes, int]]) -> Counted:
    _require_order(registers)
    before = {code: reading for code, _, reading in last}
    missing = before.keys() - {code for code, _ in registers}
    if missing:
        code = min(missing)
        raise RegisterError(code, "is missing", before[code], 0)
    return tuple([(code, before.get(code, 0), now) for code, now in registers])


def _require_order(registers: Sequence[tuple[bytes, int]]) -> None:
    for (code, before), (later, now) in pairwise(registers):
        if later <= code:
            raise RegisterError(later, f"does not come after {obis_text(code)}", before, now)
