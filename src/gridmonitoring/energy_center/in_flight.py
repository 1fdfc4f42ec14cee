"""Money on its way to a meter: what the meter has while the ledger is already further (paper IV-D).

The ledger moves money when it is ordered, the meter has it once the order is carried out. Both run the same
contract, so both look at the money that the meter has: this function takes from an account what is still on
its way. Lots are drawn in order, so what is left of the lots that have come is left on the meter too, and
what was taken from the others is still its debt. A lot that is to be taken back is still there.

Left out: which orders are on their way, which commands and reports tell; and how much is left of a lot
that is to be taken back, or that a penalty draws, while there is debt beside it: the ledger forgets that.
"""

from __future__ import annotations

from collections.abc import Collection

from gridmonitoring.energy_center.credit import Account, Projection


def without_orders(
    account: Account, coming: Collection[int], added: int, taken: int, given: int
) -> Projection:
    """Return credit and debt without orders that are on their way.

    `coming` are the heights of their lots, `added` the money of these, `taken` that of reversals, refunds and
    penalties, `given` that of compensations.
    """
    credit = max(sum([money for height, money in account.lots if height not in coming]) - given, 0)
    left = account.credit - account.debt - added - given + taken
    if taken:
        credit = max(credit, left)
    return Projection(credit, credit - left)
