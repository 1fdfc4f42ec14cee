"""What a check of stored files found: node, table, key, what is there and what should be.

Tables are compared as sorted streams, so that a check needs no memory for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from gridmonitoring.encoding.hashes import sha256
from gridmonitoring.errors import StorageError
from gridmonitoring.runtime.storage.tables import Values

MISSING = "missing"
"""What is there where nothing is, and what should be where something is too much."""
BEHIND = "blocks that a quorum signed"
"""What should be where a file ends before others do."""
SHOWN = 60
"""Longest value that is shown in full, characters."""


class Finding(Struct, frozen=True):
    """One thing in a file that is not what it should be."""

    node: str
    """The validator whose file it is."""
    table: str
    """Table of the file; of the state `row.<table>`; the file's name where it cannot be read."""
    key: str
    """Key within the table, printable; empty where the whole table is meant."""
    found: str
    """What is there."""
    expected: str
    """What should be."""
    place: Values = ()
    """Key as stored, for healing."""
    content: Values | None = None
    """Whole row as it should be stored, for healing; None where none should be or it is not known."""
    mendable: bool = False
    """Whether `place` and `content` say how to mend it."""

    @property
    def behind(self) -> bool:
        """Whether the file is only older than others."""
        return self.expected == BEHIND

    def __str__(self) -> str:
        name = " ".join(part for part in (self.table, self.key) if part)
        return f"{self.node}: {name}: is {self.found}, should be {self.expected}"


Report = Callable[[Finding], None]
"""Takes findings as they come."""


def show(values: Values | None) -> str:
    """Return stored values in a few characters: long bytes by their length and hash."""
    if values is None:
        return MISSING
    return ", ".join(_show(value) for value in values)


def _show(value: Any) -> str:
    if isinstance(value, bytes):
        if 2 * len(value) <= SHOWN:
            return value.hex() or "empty"
        return f"{len(value)} bytes of hash {sha256(value).hex()[:16]}"
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def show_key(key: Values) -> str:
    """Return a key, printable in full."""
    return "/".join(part.hex() if isinstance(part, bytes) else str(part) for part in key)


def rank(key: Values) -> tuple[tuple[int, Any], ...]:
    """Return what sorts keys of any types as SQLite does: null, numbers, text, bytes."""
    return tuple(_rank(part) for part in key)


def _rank(part: Any) -> tuple[int, Any]:
    if part is None:
        return (0, 0)
    if isinstance(part, int | float):
        return (1, part)
    if isinstance(part, str):
        return (2, part.encode("utf-8", "surrogatepass"))
    return (3, bytes(part))


class Stream:
    """A table read in order of its key; a place that cannot be read ends it and is a finding."""

    def __init__(self, rows: Iterator[Values], key: int, node: str, table: str, report: Report) -> None:
        self.node = node
        self.table = table
        self.report = report
        self._rows = rows
        self._key = key
        self.partial = False
        """Whether rows that it lacks are no findings: it could not be read, or its node is behind."""
        self.head: Values | None = None
        """The row it stands at, None at its end."""
        self.next()

    def next(self) -> None:
        """Go to the next row."""
        try:
            self.head = next(self._rows, None)
        except StorageError as error:
            self.head, self.partial = None, True
            self.report(Finding(self.node, self.table, "", f"unreadable ({error})", "readable"))

    @property
    def key(self) -> Values | None:
        """Key of the row it stands at, None at its end."""
        return None if self.head is None else self.head[: self._key]


class TableCheck:
    """Holds a stored table against what it should be, given row by row in order of the key."""

    def __init__(self, stream: Stream, *, mend: bool = True) -> None:
        self._stream = stream
        self._mend = mend
        self.matched = 0
        """Rows that are as they should be."""

    def expect(self, key: Values, content: Values) -> None:
        """Require the row of this key to be `content`, and none between it and the last one."""
        stream, order = self._stream, rank(key)
        while stream.key is not None and rank(stream.key) < order:
            self._surplus()
        if stream.key is not None and rank(stream.key) == order:
            if stream.head == content:
                self.matched += 1
            else:
                self._differs(key, stream.head, content)
            stream.next()
        elif not stream.partial:
            self._differs(key, None, content)

    def finish(self) -> None:
        """Require nothing more."""
        while self._stream.key is not None:
            self._surplus()

    def _surplus(self) -> None:
        assert self._stream.key is not None
        self._differs(self._stream.key, self._stream.head, None)
        self._stream.next()

    def _differs(self, key: Values, found: Values | None, content: Values | None) -> None:
        count = len(key)
        self._stream.report(
            Finding(
                self._stream.node,
                self._stream.table,
                show_key(key),
                show(None if found is None else found[count:]),
                show(None if content is None else content[count:]),
                key,
                content if self._mend else None,
                self._mend,
            )
        )


def merged(streams: Sequence[Stream]) -> Iterator[tuple[Values, list[Values | None]]]:
    """Yield (key, row of each stream or None) over several tables of one shape, in order of the key."""
    if len(streams) == 1:
        (alone,) = streams
        while (only := alone.key) is not None:
            found = alone.head
            alone.next()
            yield only, [found]
        return
    while True:
        keys = [stream.key for stream in streams if stream.key is not None]
        if not keys:
            return
        key = min(keys, key=rank)
        order = rank(key)
        row: list[Values | None] = []
        for stream in streams:
            here = stream.key is not None and rank(stream.key) == order
            row.append(stream.head if here else None)
            if here:
                stream.next()
        yield key, row
