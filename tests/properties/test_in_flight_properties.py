"""Money on its way to a meter: whatever is ordered and used, what the meter has is known to the unit.

Two accounts go through the same charges: the ledger's, which has the orders at once, and the meter's, which
has none of them yet. What is worked out of the ledger's is held against the meter's, credit and debt apart.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gridmonitoring.energy_center.credit import (
    Account,
    add_lot,
    close_account,
    collect,
    compensate,
    open_account,
    reverse_lot,
)
from gridmonitoring.energy_center.in_flight import without_orders
from gridmonitoring.energy_center.lots import draw, heights
from tests.support.billing import flat, reading

BOUGHT = 100
"""What each lot cost."""
TARIFF = flat(1_000)
MANY = settings(max_examples=5 * settings().max_examples)

shares = st.sampled_from((1000, 400, 0))
amounts = st.integers(1, 250)
steps = st.lists(
    st.tuples(st.sampled_from(("use", "buy", "penalty", "compensation", "bounce", "close")), amounts, shares),
    max_size=12,
)


def charged(account: Account, amount: int) -> Account:
    """Return an account after a settlement, as far as its money goes."""
    lots, _, debt = draw(account.lots, amount)
    return replace(account, lots=lots, debt=account.debt + debt)


def ordered(account: Account, what: str, amount: int, share: int, height: int) -> tuple[Account, int]:
    """Return the ledger's account after an order, and what it gave, or took as less than 0."""
    if what == "buy":
        return add_lot(account, height, BOUGHT, share)[0], BOUGHT
    if what == "penalty":
        return collect(account, amount)[0], -amount
    if what == "compensation":
        return compensate(account, amount), amount
    if what == "bounce" and heights(account.lots):
        return reverse_lot(account, heights(account.lots)[-1], BOUGHT)[0], -BOUGHT
    if what == "close":
        closed, refund = close_account(account)
        return closed, -refund
    return account, 0


@given(st.integers(0, 3), st.integers(0, 350), st.integers(0, 3), steps)
@MANY
def test_what_a_meter_has_is_known_to_the_unit(
    before: int, used: int, after: int, told: list[tuple[str, int, int]]
) -> None:
    """Lots bought, used into debt, and more lots bought beside the debt; then orders and use in any order."""
    account = open_account(TARIFF, reading(0), 0, 1)
    for height in range(1, before + 1):
        account, _ = add_lot(account, height, BOUGHT, 1000)
    account = charged(account, used)
    for height in range(before + 1, before + after + 1):
        account, _ = add_lot(account, height, BOUGHT, 0)
    ledger, meter, moved = account, account, 0
    owed: int | None = None
    for number, (what, amount, share) in enumerate(told, before + after + 1):
        if what == "use":
            ledger, meter = charged(ledger, amount), charged(meter, amount)
            continue
        owed = ledger.debt if owed is None else owed
        ledger, by = ordered(ledger, what, amount, share, number)
        moved += by
    found = without_orders(ledger, moved, meter.debt if owed is None else owed)
    assert (found.credit, found.debt) == (meter.credit, meter.debt)
