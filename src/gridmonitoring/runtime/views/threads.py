"""Which log entries make up the life of a parent block (paper V-B), from the log alone.

Rebuilt by reading the log: entries about a meter in order, cut where a block's last entry is. Used
for showing a thread and for evidence of a whole block; the header's Merkle root tells whether the
cut is right.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gridmonitoring.blockchain.bodies import (
    CopyDiffers,
    CopyHealed,
    Form,
    Kind,
    Lock,
    Part,
    ReversePayment,
)
from gridmonitoring.blockchain.parent_block import LockReason, decode_parent
from gridmonitoring.blockchain.state_rows import BlockRow, LotRow, PaymentRow, Table, height_key
from gridmonitoring.blockchain.transactions import Payload, decode_payload
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.errors import UserError
from gridmonitoring.keys.signatures import split
from gridmonitoring.runtime.consensus.application import Application
from gridmonitoring.runtime.storage.truth import decode_body

NOT_IN_A_LIFE = frozenset({Kind.LOCK, Kind.SIDE_BLOCK})
"""Types about a meter that come after a block's life."""


def entries_of(application: Application, mid: bytes) -> Iterator[tuple[int, Payload[Any]]]:
    """Yield (log index, payload) of every transaction about a meter, in order."""
    copies: set[tuple[bytes, int, int, bytes]] = set()
    for block in application.truth.blocks():
        for offset, raw in enumerate(decode_body(block.body)):
            if mid not in raw and not _may_be_about(raw):
                continue
            payload = decode_payload(split(raw)[0])
            if isinstance(payload.body, CopyDiffers | CopyHealed):
                about = _copy_about(payload, mid, copies)
            else:
                about = _about(application, payload, mid)
            if about:
                yield block.header.first + offset, payload


def _copy_about(payload: Payload[Any], mid: bytes, copies: set[tuple[bytes, int, int, bytes]]) -> bool:
    """Tell whether a copy that differed, or was healed, is of a meter's data; `copies` gathers which are."""
    body: CopyDiffers | CopyHealed = payload.body
    if isinstance(body, CopyHealed):
        return (payload.signer, body.part, body.table, body.place) in copies
    if mid not in (body.mid, body.place[:16] if body.part is Part.ROW else b""):
        return False
    copies.add((body.node, body.part, body.table, body.place))
    return True


def _may_be_about(raw: bytes) -> bool:
    return len(raw) < 256  # a reversal names its payment, a healed copy its place; neither the meter


def _about(application: Application, payload: Payload[Any], mid: bytes) -> bool:
    body = payload.body
    if payload.role == Role.METER:
        return payload.signer == mid
    if isinstance(body, ReversePayment):
        paid: PaymentRow | None = application.read((Table.PAYMENT, payload.signer + body.reference))
        return paid is not None and paid.mid == mid
    return getattr(body, "mid", None) == mid or getattr(body, "move_to", None) == mid


def block_life(application: Application, mid: bytes, height: int) -> list[int]:
    """Return the log indices of the transactions of a block's life; raises `UserError`.

    Lots wait with their form until the one before is used up; everything else joins the running block.
    """
    ends = _ends(application, mid)
    if height not in ends:
        raise UserError(f"the thread of {mid.hex()} has no block {height}")
    lives: dict[int, list[int]] = {number: [] for number in ends}
    running, forms = 0, 0
    for index, payload in entries_of(application, mid):
        if payload.kind in NOT_IN_A_LIFE:
            continue
        if isinstance(payload.body, Form) or getattr(payload.body, "move_to", None) == mid:
            forms += 1
            lives.setdefault(forms, []).append(index)
            continue
        lives.setdefault(running, []).append(index)
        while _ends_at(payload, ends.get(running)):
            running = _following(running, forms, ends)
    return lives[height]


def _following(running: int, forms: int, ends: dict[int, tuple[int, int]]) -> int:
    """Return the height that runs next: a lot that waits and was not reversed, else the next form's."""
    for height in range(running + 1, forms + 1):
        if ends.get(height, (0, 0))[1] != LockReason.REVERSED:
            return height
    return forms + 1


def _ends_at(payload: Payload[Any], end: tuple[int, int] | None) -> bool:
    return end is not None and end[1] != LockReason.OPEN and payload.time == end[0]


def _ends(application: Application, mid: bytes) -> dict[int, tuple[int, int]]:
    """Return height -> (time of the last entry, `LockReason`) of every block of a thread."""
    ends: dict[int, tuple[int, int]] = {}
    height = 0
    while True:
        key = height_key(mid, height)
        lot: LotRow | None = application.read((Table.LOT, key))
        locked: BlockRow | None = application.read((Table.BLOCK, key))
        if lot is not None:
            ends[height] = (lot.last_time, lot.reason)
        elif locked is not None:
            lock: Lock = decode_payload(split(application.truth.transaction(locked.index))[0]).body
            body = decode_parent(lock.block).body
            ends[height] = (body.blocklocktime, body.reason)
        else:
            return ends
        height += 1
