from __future__ import annotations

import pytest

from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.energy_center.dispatch import (
    CapacityWindow,
    SubscriptionStatus,
    book,
    dispatch,
    left_for,
    open_window,
    release,
    revise,
    subscription_status,
)
from gridmonitoring.errors import CapacityError

PAID, IN_ARREARS, ENDED = SubscriptionStatus
WINDOW = CapacityWindow(1_000, 2_000, 10_000)


def test_a_window_survives_its_encoding() -> None:
    assert decode(encode(WINDOW), CapacityWindow) == WINDOW


def test_what_is_booked_is_gone_and_never_more_than_there_is() -> None:
    window = book(WINDOW, 6_000)
    assert (WINDOW.booked, window.booked) == (0, 6_000)
    with pytest.raises(CapacityError, match="4001 Wh asked for, 4000 Wh left") as caught:
        book(window, 4_001)
    assert (caught.value.asked, caught.value.left) == (4_001, 4_000)
    full = book(window, 4_000)
    assert book(full, 0) == full
    with pytest.raises(CapacityError, match="0 Wh left"):
        book(full, 1)


def test_a_negative_booking_is_refused() -> None:
    with pytest.raises(CapacityError, match="less than that"):
        book(book(WINDOW, 5), -1)
    with pytest.raises(CapacityError, match="more is released"):
        release(WINDOW, -1)


def test_what_is_released_can_be_booked_again() -> None:
    full = book(WINDOW, 10_000)
    assert book(release(full, 3_000), 3_000) == full
    with pytest.raises(CapacityError, match="more is released than was booked"):
        release(full, 10_001)


def test_dispatch_follows_the_status_of_the_subscription() -> None:
    window = dispatch(WINDOW, 7_000, 1_500, IN_ARREARS)
    assert [left_for(window, status) for status in (PAID, IN_ARREARS, ENDED)] == [3_000, 1_000, 0]
    with pytest.raises(CapacityError, match="1001 Wh asked for, 1000 Wh left"):
        dispatch(window, 1_001, 1_500, IN_ARREARS)
    with pytest.raises(CapacityError, match="the subscription has ended"):
        dispatch(window, 0, 1_500, ENDED)
    window = dispatch(window, 2_500, 1_500, PAID)
    assert [left_for(window, status) for status in (PAID, IN_ARREARS)] == [500, 0]


@pytest.mark.parametrize(("time", "held"), [(999, False), (1_000, True), (1_999, True), (2_000, False)])
def test_a_window_dispatches_in_its_time_only(time: int, held: bool) -> None:
    if held:
        assert dispatch(WINDOW, 1, time, PAID).booked == 1
    else:
        with pytest.raises(CapacityError, match="does not hold the time"):
            dispatch(WINDOW, 1, time, PAID)


def test_the_status_is_that_after_the_purchase_has_paid_its_share() -> None:
    assert subscription_status(0, closed=False) is PAID
    assert subscription_status(1, closed=False) is IN_ARREARS
    assert subscription_status(0, closed=True) is ENDED


def test_windows_do_not_overlap() -> None:
    before, after = open_window(0, 1_000, 5, [WINDOW]), open_window(2_000, 3_000, 5, [WINDOW])
    assert (before.booked, after.energy) == (0, 5)
    for start, end in [(0, 1_001), (1_999, 2_000), (1_100, 1_200), (0, 2_000), (1_000, 2_000)]:
        with pytest.raises(CapacityError, match="overlaps the one from 1000 ms"):
            open_window(start, end, 5, [after, WINDOW])
    with pytest.raises(CapacityError, match="ends before it starts"):
        open_window(5_000, 5_000, 5, [])


def test_a_window_can_be_revised_down_to_what_is_booked() -> None:
    window = book(WINDOW, 6_000)
    assert revise(window, 6_000).energy == 6_000
    assert revise(window, 20_000).booked == 6_000
    with pytest.raises(CapacityError, match="6000 Wh of the window are booked"):
        revise(window, 5_999)
