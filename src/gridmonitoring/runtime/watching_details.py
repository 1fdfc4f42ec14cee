"""Reading a node's detail store again, against the log and the other nodes' stores (paper V-A, V-B).

Left out: details that no node has any more, which may have been erased.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from gridmonitoring.blockchain.bodies import Part
from gridmonitoring.keys.channels import channel_id
from gridmonitoring.runtime.detail_check import detail_fault
from gridmonitoring.runtime.erasure import Erasures
from gridmonitoring.runtime.findings import rank
from gridmonitoring.runtime.reference import Unit, claim_at, digest
from gridmonitoring.runtime.storage.tables import Values
from gridmonitoring.runtime.storage.truth import decode_body
from gridmonitoring.runtime.under_watch import ROWS_AT_ONCE, NodeUnderWatch, Slices, Suspicion


def watch_details(node: NodeUnderWatch, unit: Unit, blocks: Sequence[Values]) -> Slices:
    """Compare the details of a unit with those found good before; others are held against the log."""
    sql = "SELECT position, mid, time, ciphertext FROM detail WHERE position >= ? AND position < ?"
    rows = list(node.details.scan(f"{sql} ORDER BY position", unit.begin, unit.end))
    now = digest(_as_claimed(rows))
    if now == unit.expected() or now in unit.details:
        yield None
        return
    log = [raw for _, _, body, _ in blocks for raw in decode_body(body)]
    good = True
    for number, row in enumerate(rows):
        if fault := _detail_fault(log[row[0] - unit.begin], row):
            good = False
            yield Suspicion(node.name, Part.DETAIL, row[:1], fault)
        elif number % ROWS_AT_ONCE == ROWS_AT_ONCE - 1:
            yield None
    have = {row[0] for row in rows}
    erasures = Erasures.of(node.application.truth)
    for peer in node.peers:
        sql = "SELECT position, mid, time FROM detail WHERE position >= ? AND position < ?"
        for position, mid, time in list(peer.scan(sql, unit.begin, unit.end)):
            if position not in have and not (isinstance(time, int) and erasures.covers(position, mid, time)):
                good = False
                yield Suspicion(node.name, Part.DETAIL, (position,), "is missing; another node has it")
    if good:
        unit.details = {*list(unit.details)[:7], now}


def _detail_fault(raw: bytes, row: Values) -> str:
    """Return why a detail is not the one of a logged claim, or an empty text."""
    claim = claim_at(raw)
    return "the log has no such report" if claim is None else detail_fault(claim, *row[1:])


def _as_claimed(rows: Sequence[Values]) -> Sequence[Values]:
    """Return details with the SHA-256 of their ciphertexts, as claims have it, unless some is no bytes."""
    try:
        return [(position, mid, time, sha256(text).digest()) for position, mid, time, text in rows]
    except TypeError:
        return rows


def watch_channels(node: NodeUnderWatch) -> Slices:
    """Hold offers against their IDs; one that another node has and this one lacks is looked for twice."""
    place: Any = b""
    lacking: set[bytes] = set()
    while True:
        sql = "SELECT id, offer FROM channel WHERE id > ? ORDER BY id LIMIT ?"
        rows = list(node.details.scan(sql, place, ROWS_AT_ONCE))
        for identifier, offer in rows:
            if not isinstance(offer, bytes) or channel_id(offer) != identifier:
                yield Suspicion(node.name, Part.CHANNEL, (identifier,), "is not the hash of its offer")
        last = rows[-1][0] if len(rows) == ROWS_AT_ONCE else None
        have = {identifier for identifier, _ in rows}
        for peer in node.peers:
            if last is None:
                found = list(peer.scan("SELECT id FROM channel WHERE id > ?", place))
            else:
                found = list(peer.scan("SELECT id FROM channel WHERE id > ? AND id <= ?", place, last))
            lacking |= {identifier for (identifier,) in found} - have
        yield None
        if last is None:
            break
        place = last
    for identifier in sorted(lacking):
        if not list(node.details.scan("SELECT 1 FROM channel WHERE id = ?", identifier)):
            yield Suspicion(node.name, Part.CHANNEL, (identifier,), "is missing; another node has it")


def watch_wrapped(node: NodeUnderWatch) -> Slices:
    """Compare wrapped keys with those of the other nodes: what more than two thirds hold is right."""
    place: Values = ()
    columns = "SELECT mid, epoch, period, recipient, box FROM wrapped"
    order = "ORDER BY mid, epoch, period, recipient LIMIT ?"
    while True:
        where = "WHERE (mid, epoch, period, recipient) > (?, ?, ?, ?)" if place else ""
        held = [
            list(file.scan(f"{columns} {where} {order}", *place, ROWS_AT_ONCE))
            for file in (node.details, *node.peers)
        ]
        own = held[0]
        if any(rows != own for rows in held[1:]):
            yield from _vote(node, held)
        yield None
        fullest = max(held, key=len)
        if len(fullest) < ROWS_AT_ONCE:
            return
        place = min((rows[-1][:4] for rows in held if len(rows) == ROWS_AT_ONCE), key=rank)


def _vote(node: NodeUnderWatch, held: Sequence[list[Values]]) -> Slices:
    """Name rows of this node that more than two thirds of the nodes hold otherwise."""
    ends = [rank(rows[-1][:4]) for rows in held if len(rows) == ROWS_AT_ONCE]
    tables = [{row[:4]: row for row in rows if not ends or rank(row[:4]) <= min(ends)} for rows in held]
    sql = "SELECT mid, epoch, period, recipient, box FROM wrapped"
    where = "WHERE mid = ? AND epoch = ? AND period = ? AND recipient = ?"
    for key in sorted({key for table in tables for key in table}, key=rank):
        rows = [table.get(key) for table in tables]
        quorum = [row for row in rows if 3 * rows.count(row) > 2 * len(rows)]
        if not quorum or rows[0] == quorum[0]:
            continue
        if next(node.details.scan(f"{sql} {where}", *key), None) != quorum[0]:  # it may have come meanwhile
            yield Suspicion(node.name, Part.WRAPPED, key, "is not what two thirds of the nodes hold")
