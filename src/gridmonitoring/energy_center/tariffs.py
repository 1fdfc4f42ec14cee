"""Tariffs: what a kilowatt-hour costs, when, and from when on (paper III-A-6, IV-C).

A tariff is flat, in slabs of the billing month's energy, or by time of use, with a standing charge per day.
It is published in a signed transaction with notice, named everywhere by its hash, and carries its calendar
as data. `check_tariff` is called once, where a tariff enters the ledger or the meter; everything else takes
a checked one. What is looked up at each settlement is worked out once per object, so keep the object, not
its bytes.

Left out: slabs by time of use, prices for export, and demand (kW) charges.
"""

from __future__ import annotations

from bisect import bisect_right
from enum import IntEnum
from functools import cached_property
from itertools import pairwise
from typing import Annotated

from msgspec import Meta, Struct

from gridmonitoring.encoding.bounds import (
    MAX_INT,
    Bytes16,
    Currency,
    Millis,
    Name,
    ObisCode,
    WattHours,
    import_rate,
)
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.energy_center.calendar import (
    DAY_MINUTES,
    DAY_MS,
    MINUTE_MS,
    Calendar,
    check_calendar,
    type_of_day,
    wall_clock,
)
from gridmonitoring.errors import EncodingError, TariffError

MAX_PRICE = 10**12
"""Highest price of a kWh: a million minor units."""
MAX_PER_DAY = 10**14
"""Highest standing charge of a day: a hundred million minor units."""
TARIFF_LIMIT = 12 * 1024
"""Largest encoded tariff, bytes; it travels as a document in a transaction."""
TAX_WHOLE = 1_000_000
"""A tax of 100 %, in parts per million."""

Price = Annotated[int, Meta(ge=0, le=MAX_PRICE)]
"""Price of a kWh in millionths of the minor unit."""
RateNumber = Annotated[int, Meta(ge=1, le=63)]
"""Number x of a tariff rate, counted in register 1.8.x."""
Minute = Annotated[int, Meta(ge=0, lt=DAY_MINUTES)]
"""Minute of the wall clock's day."""
Kind = Annotated[int, Meta(ge=1, le=3)]
"""A `TariffKind`."""
Switch = tuple[Annotated[int, Meta(ge=0, le=15)], Minute, RateNumber]
"""(day type, from minute of the day, rate)."""


class TariffKind(IntEnum):
    """How energy is priced; the number is part of the encoding."""

    FLAT = 1
    """One price."""
    SLAB = 2
    """Prices by the energy used so far in the billing month."""
    TIME_OF_USE = 3
    """A price for each rate, switched by day type and time of day."""


class Tariff(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="tariff/1", dict=True):
    """What a utility charges, from a time on."""

    utility: Bytes16
    """Who charges."""
    name: Name
    """What people call it."""
    currency: Currency
    """ISO 4217 code of every price."""
    valid_from_ms: Millis
    """From when on it can be charged, ms."""
    kind: Kind
    """A `TariffKind`."""
    rates: Annotated[tuple[tuple[RateNumber, Price], ...], Meta(max_length=63)]
    """(rate, price per kWh) in order of rates; one if flat, none if in slabs."""
    slabs: Annotated[tuple[tuple[WattHours | None, Price], ...], Meta(max_length=32)]
    """(up to this energy of the billing month in Wh, price per kWh) in order; the last up to None."""
    switching: Annotated[tuple[Switch, ...], Meta(max_length=400)]
    """Which rate is active from when on, in order of day type and minute; each type from minute 0."""
    standing_per_day: Annotated[int, Meta(ge=0, le=MAX_PER_DAY)]
    """Standing charge for each billing day that begins, millionths of the minor unit."""
    notice_ms: Millis
    """How long before it is valid its successor has to be published, ms."""
    calendar: Calendar
    """Local time, day types and billing boundaries."""

    @cached_property
    def digest(self) -> bytes:
        """Hash that names this tariff, 32 bytes."""
        return sha256d(encode(self))

    @cached_property
    def rate_registers(self) -> tuple[tuple[ObisCode, int], ...]:
        """(register, rate) of each rate of a time-of-use tariff; the others count the total only."""
        if self.kind != TariffKind.TIME_OF_USE:
            return ()
        return tuple((import_rate(rate), rate) for rate, _ in self.rates)

    @cached_property
    def single_rate(self) -> int:
        """Rate that the total register counts under a tariff with one price at a time; 1 for slabs."""
        return self.rates[0][0] if self.kind == TariffKind.FLAT else 1

    @cached_property
    def prices(self) -> dict[int, int]:
        """Rate, or number of a slab from 1, -> price per kWh."""
        if self.kind == TariffKind.SLAB:
            return {number: price for number, (_, price) in enumerate(self.slabs, 1)}
        return dict(self.rates)

    @cached_property
    def switches(self) -> dict[int, tuple[tuple[int, ...], tuple[int, ...]]]:
        """Day type -> (minutes, rates) of its switching rows."""
        rows: dict[int, list[tuple[int, int]]] = {}
        for day_type, minute, rate in self.switching:
            rows.setdefault(day_type, []).append((minute, rate))
        return {kind: (tuple(m for m, _ in day), tuple(r for _, r in day)) for kind, day in rows.items()}


def tariff_hash(tariff: Tariff) -> bytes:
    """Return sha256d of the encoded tariff, 32 bytes; worked out once per object."""
    return tariff.digest


def check_tariff(tariff: Tariff) -> None:
    """Raise `TariffError`, saying what is wrong, unless every energy at every time has one price.

    Fields are within their bounds, lists in order without gaps or repeats, and the switching table covers the
    whole day of each day type that the calendar has, and no other.
    """
    try:
        decode(encode(tariff), Tariff, TARIFF_LIMIT)
    except EncodingError as error:
        raise TariffError(f"the tariff cannot be encoded: {error}") from error
    check_calendar(tariff.calendar)
    if tariff.kind == TariffKind.FLAT:
        _require(len(tariff.rates) == 1, "a flat tariff has exactly one rate")
        _require(
            not tariff.slabs and not tariff.switching, "a flat tariff has no slabs and no switching table"
        )
    elif tariff.kind == TariffKind.SLAB:
        _require(
            not tariff.rates and not tariff.switching, "a slab tariff has no rates and no switching table"
        )
        _check_slabs(tariff)
    else:
        _require(not tariff.slabs, "a time-of-use tariff has no slabs")
        _check_switching(tariff)


def check_succession(old: Tariff, new: Tariff, published_ms: int) -> None:
    """Raise `TariffError` unless `new`, published at that time, may follow `old` for agreements on `old`."""
    _require(new.utility == old.utility, "a tariff is followed by one of the same utility")
    _require(new.currency == old.currency, "a tariff is followed by one in the same currency")
    _require(new.valid_from_ms > old.valid_from_ms, "a tariff is followed by one that is valid later")
    _require(
        new.valid_from_ms >= published_ms + old.notice_ms,
        f"the tariff asks for a notice of {old.notice_ms} ms before its successor is valid",
    )


def active_rate(tariff: Tariff, time_ms: int) -> int:
    """Return the rate whose register counts at a time; 1 for a slab tariff, which counts the total only."""
    if tariff.kind == TariffKind.TIME_OF_USE:
        day, minute = wall_clock(tariff.calendar, time_ms)
        minutes, rates = tariff.switches[type_of_day(tariff.calendar, day)]
        return rates[bisect_right(minutes, minute) - 1]
    return tariff.single_rate


def next_rate_change_ms(tariff: Tariff, time_ms: int) -> int | None:
    """Return the first time after `time_ms` at which another rate is active, or None if there is none.

    Offset transitions count: where the clock is set back over a switch, the rate changes back, and again.
    """
    if tariff.kind != TariffKind.TIME_OF_USE:
        return None
    rate = active_rate(tariff, time_ms)
    # Past the last special date and transition weeks repeat: what 8 days do not bring never comes.
    last_special = (max(tariff.calendar.special_types, default=0) + 2) * DAY_MS
    horizon = max(time_ms, tariff.calendar.segments.starts[-1], last_special) + 8 * DAY_MS
    at = time_ms
    while at < horizon:
        at = _next_candidate_ms(tariff, at)
        if active_rate(tariff, at) != rate:
            return at
    return None


def price_at(tariff: Tariff, time_ms: int) -> int:
    """Return the price of a kWh at a time, millionths of the minor unit; for slabs, that of the first."""
    return tariff.prices[active_rate(tariff, time_ms)]


def energy_for(tariff: Tariff, money: int, time_ms: int, tax_ppm: int = 0) -> int:
    """Return the energy in Wh that `money` buys at a time's price (the paper's APP): a quote, not a promise.

    It is the largest energy whose exact price, tax included, is not more than the money; of a slab tariff
    from an empty month; without standing charge, subscription and debt; at most 2^63-1, which free energy
    comes to.
    """
    budget = money * 1000 * TAX_WHOLE // (TAX_WHOLE + tax_ppm)
    if tariff.kind != TariffKind.SLAB:
        price = price_at(tariff, time_ms)
        return min(budget // price, MAX_INT) if price else MAX_INT
    energy = 0
    for limit, price in tariff.slabs:
        room = MAX_INT - energy if limit is None else limit - energy
        bought = min(budget // price, room) if price else room
        energy += bought
        if bought < room:
            break
        budget -= bought * price
    return energy


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise TariffError(otherwise)


def _check_slabs(tariff: Tariff) -> None:
    limits = [limit for limit, _ in tariff.slabs]
    _require(bool(limits) and limits[-1] is None, "the last slab is without limit")
    finite = [limit for limit in limits[:-1] if limit is not None]
    _require(len(finite) == len(limits) - 1, "only the last slab is without limit")
    _require(all(low < high for low, high in pairwise([0, *finite])), "slabs reach higher and higher from 0")


def _check_switching(tariff: Tariff) -> None:
    numbers = [rate for rate, _ in tariff.rates]
    _require(len(numbers) > 1, "a time-of-use tariff has at least two rates")
    _require(all(a < b for a, b in pairwise(numbers)), "rates are in order, each once")
    rows = [(day_type, minute) for day_type, minute, _ in tariff.switching]
    _require(all(a < b for a, b in pairwise(rows)), "switching is in order of day type and minute, each once")
    _require(
        set(tariff.switches) == tariff.calendar.day_types,
        "switching covers the calendar's day types, no other",
    )
    for day_type, (minutes, rates) in tariff.switches.items():
        _require(minutes[0] == 0, f"switching of day type {day_type} starts at minute 0")
        _require(
            all(a != b for a, b in pairwise(rates)),
            f"day type {day_type} switches to the rate it already has",
        )
    _require(
        {rate for _, _, rate in tariff.switching} == set(numbers), "switching uses the rates priced, no other"
    )


def _next_candidate_ms(tariff: Tariff, time_ms: int) -> int:
    """Return the next switching time, wall-clock midnight or offset transition after a time."""
    day, minute = wall_clock(tariff.calendar, time_ms)
    minutes, _ = tariff.switches[type_of_day(tariff.calendar, day)]
    later = bisect_right(minutes, minute)
    ahead = (minutes[later] if later < len(minutes) else DAY_MINUTES) - minute
    # Offsets are whole minutes, so minutes of the wall clock start with those of UTC.
    candidate = (time_ms // MINUTE_MS + ahead) * MINUTE_MS
    starts = tariff.calendar.segments.starts
    segment = bisect_right(starts, time_ms)
    return min(candidate, starts[segment]) if segment < len(starts) else candidate
