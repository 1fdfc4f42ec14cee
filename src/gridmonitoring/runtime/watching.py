"""Reading one node's files again, slice by slice, and naming what is not as it should be (paper II-A, V-B).

Files are read through connections of their own that hold no lock and no snapshot between slices, while the
node goes on. What never changes is compared by digest with `reference`; rows of the state with the
application's tree. A suspicion is no verdict: a row may be on its way to disk. Whoever confirms it
(`incidents`) looks again when everything is.

Left out: rows of the state (`watching_rows`) and details (`watching_details`).
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from gridmonitoring.blockchain.bodies import Part
from gridmonitoring.errors import StorageError, Tampered
from gridmonitoring.runtime.reference import Reference, block_digest
from gridmonitoring.runtime.storage.tables import Values
from gridmonitoring.runtime.under_watch import NodeUnderWatch, Slices, Suspicion
from gridmonitoring.runtime.watching_details import watch_channels, watch_details, watch_wrapped
from gridmonitoring.runtime.watching_rows import watch_rows


def watch(node: NodeUnderWatch, reference: Reference) -> Slices:
    """Look at everything that one node stores, once."""
    try:
        yield from _schema(node)
        yield from _blocks(node, reference)
        yield from _derived(node, reference)
        yield from watch_rows(node)
        yield from watch_channels(node)
        yield from watch_wrapped(node)
    except StorageError as error:
        yield Suspicion(node.name, Part.FILE, (), str(error))


def extend(node: NodeUnderWatch, reference: Reference, height: int) -> Slices:
    """Follow the blocks that the reference does not know yet, as this node has them, up to a height."""
    while reference.height < height:
        sql = "SELECT height, header, body, note FROM block WHERE height > ? ORDER BY height LIMIT 1"
        rows = list(node.truth.scan(sql, reference.height))
        if not rows:
            return
        try:
            reference.extend(rows[0])
        except Tampered as error:
            yield Suspicion(node.name, Part.BLOCK, (rows[0][0],), str(error))
            return
        yield None


def _schema(node: NodeUnderWatch) -> Slices:
    for file in (node.truth, node.details):
        for name in file.surplus():
            yield Suspicion(node.name, Part.FILE, (), f"{name} is not as in the schema")
    if list(node.truth.scan("SELECT name, value FROM meta")) != [("genesis", node.document)]:
        yield Suspicion(node.name, Part.META, ("genesis",), "is not the genesis document")
    yield None


# blocks, their places, details


def _blocks(node: NodeUnderWatch, reference: Reference) -> Slices:
    """Compare unit by unit; past the reference nothing may be but blocks that are being written now."""
    for unit in list(reference.units):
        rows = list(
            node.truth.scan(
                "SELECT height, header, body, note FROM block WHERE height BETWEEN ? AND ? ORDER BY height",
                *(unit.first, unit.last),
            )
        )
        found = sha256()
        for row in rows:
            found.update(block_digest(row))
        same = found.digest() == unit.blocks.digest()
        if not same:
            yield Suspicion(node.name, Part.BLOCK, (unit.first,), f"differs up to block {unit.last}")
        sql = "SELECT first, height FROM start WHERE first >= ? AND first < ? ORDER BY first"
        if list(node.truth.scan(sql, unit.begin, unit.end)) != unit.starts:
            yield Suspicion(node.name, Part.START, (unit.begin,), f"differs up to log entry {unit.end}")
        yield None
        if same:
            yield from watch_details(node, unit, rows)
    low, high = next(node.truth.scan("SELECT min(height), max(height) FROM block"))
    if high is not None and (low < 1 or high > node.application.height):
        yield Suspicion(node.name, Part.BLOCK, (high,), "a block that follows no other")
    low, high = next(node.truth.scan("SELECT min(first), max(first) FROM start"))
    if high is not None and (low < 0 or high >= node.application.log.log.size):
        yield Suspicion(node.name, Part.START, (high,), "a place past the log")
    low, high = next(node.details.scan("SELECT min(position), max(position) FROM detail"))
    if high is not None and (low < 0 or high >= node.application.log.log.size):
        yield Suspicion(node.name, Part.DETAIL, (high,), "a detail past the log")


# what follows from the blocks

_TILES = (
    "SELECT number, hashes FROM tile WHERE level = ? AND number >= ? AND number < ?",
    "SELECT number FROM tile WHERE level = ? AND (number < 0 OR number >= ?)",
    64,
)
_SEGMENTS = (
    "SELECT number, ids FROM segment WHERE number >= ? AND number < ?",
    "SELECT number FROM segment WHERE number < 0 OR number >= ?",
    1,
)
"""How numbered rows are read, how those outside are found, and how many are read at once."""


def _derived(node: NodeUnderWatch, reference: Reference) -> Slices:
    size = node.application.log.log.size
    for level, tiles in list(reference.tiles.items()):
        yield from _numbered(node, Part.TILE, (level,), list(tiles), size // 256 ** (level + 1))
    yield from _numbered(node, Part.SEGMENT, (), list(reference.segments), size // 65536)
    for (level,) in list(node.truth.scan("SELECT DISTINCT level FROM tile")):
        if level not in range(8) or 256 ** (level + 1) > node.application.log.log.size:
            yield Suspicion(node.name, Part.TILE, (level,), "a level that the log does not have")
    known = dict(reference.handovers)
    for height, value in list(node.truth.scan("SELECT height, value FROM handover")):
        if known.pop(height, value) != value or height > node.application.height or height < 1:
            yield Suspicion(node.name, Part.HANDOVER, (height,), "is not what the quorum signed")
        elif height <= reference.height and height not in reference.handovers:
            yield Suspicion(node.name, Part.HANDOVER, (height,), "is of a block that changed no validators")
    for height in known:
        yield Suspicion(node.name, Part.HANDOVER, (height,), "is missing")
    yield None


def _numbered(node: NodeUnderWatch, part: Part, key: Values, digests: list[bytes], end: int) -> Slices:
    """Compare rows that are numbered from 0; past those known there may be some up to `end`."""
    sql, outside, step = _TILES if key else _SEGMENTS
    for number in range(0, len(digests), step):
        found: dict[Any, Any] = dict(node.truth.scan(sql, *key, number, number + step))
        for at, expected in enumerate(digests[number : number + step], number):
            stored = found.get(at)
            if not isinstance(stored, bytes) or sha256(stored).digest() != expected:
                yield Suspicion(node.name, part, (*key, at), "is not what follows from the log")
        yield None
    for (surplus,) in list(node.truth.scan(outside, *key, max(end, len(digests)))):
        yield Suspicion(node.name, part, (*key, surplus), "is past the log")
