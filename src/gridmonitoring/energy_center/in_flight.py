"""Money on its way to a meter: what the meter has while the ledger is already further (paper IV-D).

The ledger moves money when it is ordered, the meter has it once the order is carried out. Both run the same
contract, so both look at the money that the meter has: this function takes from an account what is still on
its way. An order says what was owed just before it. Of what is on its way the meter has nothing, so since the
oldest of these orders it was only charged: its debt is what it was then, or what the charges come to.

Left out: which orders are on their way, which commands and reports tell.
"""

from __future__ import annotations

from gridmonitoring.encoding.cbor import encode, loads
from gridmonitoring.energy_center.credit import Account, Projection
from gridmonitoring.errors import Malformed

_LIMIT = 16
"""Largest encoding of an amount, bytes."""


def debt_document(debt: int) -> bytes:
    """Return what an order about money says of the debt just before it; nothing where there was none."""
    return encode(debt) if debt else b""


def read_debt(document: bytes) -> int:
    """Return the debt just before an order; raises an `EncodingError`."""
    debt = loads(document, _LIMIT) if document else 0
    if type(debt) is not int or debt < 0:
        raise Malformed("what was owed before an order is an amount")
    return debt


def without_orders(account: Account, moved: int, debt: int) -> Projection:
    """Return credit and debt without the orders that are on their way.

    `moved` is what these orders gave less what they took, `debt` what was owed just before the oldest.
    """
    left = account.credit - account.debt - moved
    owed = max(debt, -left)
    return Projection(left + owed, owed)
