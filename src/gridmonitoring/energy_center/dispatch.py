"""Supply and dispatch on request, by the status of the subscription (paper III-A-6, IV-C).

The energy center offers generation capacity in windows of time. A form books the energy that was bought
(APP) in the window that holds its TPT, or is refused. A window holds one count of what is booked, never
over its capacity, and booking returns the next window: two forms that book the same energy are two changes
of one row, in order.

Left out: where the energy flows; a window is for the whole area of a chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from msgspec import Struct
from msgspec.structs import replace

from gridmonitoring.encoding.bounds import Millis, WattHours
from gridmonitoring.errors import CapacityError

RESERVED_PERMILLE = 200
"""Share of each window, in thousandths, that only clients without arrears can book."""


class SubscriptionStatus(IntEnum):
    """How a client stands with the agreed subscription."""

    PAID = 1
    """Nothing is owed once the purchase has paid its share of the debt."""
    IN_ARREARS = 2
    """Something is still owed then."""
    ENDED = 3
    """The account is closed; there is no agreement to supply by."""


class CapacityWindow(
    Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="capacity/1", gc=False
):
    """Energy that can be dispatched in a window of time: a row of the state."""

    from_ms: Millis
    """Start, ms, inclusive."""
    to_ms: Millis
    """End, ms, exclusive."""
    energy: WattHours
    """What the energy center generates in the window, Wh."""
    booked: WattHours = 0
    """What forms have booked of it, Wh."""


def open_window(
    from_ms: int, to_ms: int, energy: int, neighbours: Sequence[CapacityWindow]
) -> CapacityWindow:
    """Return a new window; raises `CapacityError` where it is empty of time or overlaps a neighbour."""
    if to_ms <= from_ms:
        raise CapacityError("the window ends before it starts", energy, 0)
    for other in neighbours:
        if from_ms < other.to_ms and other.from_ms < to_ms:
            raise CapacityError(f"the window overlaps the one from {other.from_ms} ms", energy, 0)
    return CapacityWindow(from_ms, to_ms, energy)


def revise(window: CapacityWindow, energy: int) -> CapacityWindow:
    """Return the window with another capacity; raises `CapacityError` where more than that is booked."""
    if energy < window.booked:
        raise CapacityError(f"{window.booked} Wh of the window are booked", energy, window.booked)
    return replace(window, energy=energy)


def subscription_status(debt_left: int, closed: bool) -> SubscriptionStatus:
    """Return how a client stands, from the debt that the purchase leaves and whether the account closed."""
    if closed:
        return SubscriptionStatus.ENDED
    return SubscriptionStatus.IN_ARREARS if debt_left else SubscriptionStatus.PAID


def left_for(window: CapacityWindow, status: SubscriptionStatus) -> int:
    """Return the energy in Wh that a client of this status can still book."""
    if status is SubscriptionStatus.ENDED:
        return 0
    kept = 0
    if status is SubscriptionStatus.IN_ARREARS:
        kept = window.energy * RESERVED_PERMILLE // 1000
    return max(window.energy - kept - window.booked, 0)


def dispatch(window: CapacityWindow, energy: int, time_ms: int, status: SubscriptionStatus) -> CapacityWindow:
    """Return the window after the energy center dispatched what a form asks for at TPT.

    Raises `CapacityError` where the window does not hold the time, the subscription has ended, or less is
    left for clients of this status.
    """
    if not window.from_ms <= time_ms < window.to_ms:
        raise CapacityError("the window does not hold the time", energy, 0)
    if status is SubscriptionStatus.ENDED:
        raise CapacityError("the subscription has ended", energy, 0)
    left = left_for(window, status)
    if energy > left:
        raise CapacityError("the energy center has less than that", energy, left)
    return book(window, energy)


def book(window: CapacityWindow, energy: int) -> CapacityWindow:
    """Return the window with more energy booked; raises `CapacityError` where less is left."""
    left = window.energy - window.booked
    if not 0 <= energy <= left:
        raise CapacityError("the energy center has less than that", energy, left)
    return replace(window, booked=window.booked + energy)


def release(window: CapacityWindow, energy: int) -> CapacityWindow:
    """Return the window with energy free again that was booked and will not be used.

    Raises `CapacityError` where less is booked.
    """
    if not 0 <= energy <= window.booked:
        raise CapacityError("more is released than was booked", energy, window.booked)
    return replace(window, booked=window.booked - energy)
