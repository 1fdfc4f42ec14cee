"""What owners had erased, and that it stays so (paper II-B; docs/spec/access.md).

An ERASURE row of the state names days of a meter. Each node erases them when the row is decided, and again
when it opens its files, in case it was down; nothing of them is taken over from another node.

Left out: copies that an operator made of a node's files; the guide says what to do about those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

from gridmonitoring.blockchain.state_rows import ErasureRow, Table
from gridmonitoring.encoding.cbor import decode
from gridmonitoring.keys.detail_keys import day_of
from gridmonitoring.runtime.storage.details import DAY_MS, Detail, DetailStore, WrappedKey
from gridmonitoring.runtime.storage.truth import Truth


class Erasures:
    """The erasures of all meters."""

    def __init__(self) -> None:
        self._rows: dict[bytes, list[tuple[int, int, int]]] = {}

    @classmethod
    def of(cls, truth: Truth, mid: bytes = b"") -> Self:
        """Return those in a state, of all meters or one; raises `StorageError` or an `EncodingError`."""
        found = cls()
        for key, value in truth.rows_of(Table.ERASURE, mid):
            row = decode(value, ErasureRow)
            found.add(key[:16], row.first, row.last, row.index)
        return found

    def add(self, mid: bytes, first: int, last: int, index: int) -> None:
        """Add one: days of a meter, and the log index below which it holds."""
        self._rows.setdefault(mid, []).append((first, last, index))

    def covers(self, position: int, mid: bytes, time: int) -> bool:
        """Tell whether the detail of a claim is erased."""
        rows = self._rows.get(mid, ())
        return any(first <= time // DAY_MS <= last and position < index for first, last, index in rows)

    def kept(self, details: Iterable[Detail]) -> Iterator[Detail]:
        """Yield the details that are not erased."""
        return (detail for detail in details if not self.covers(*detail[:3]))

    def kept_keys(self, keys: Iterable[WrappedKey]) -> Iterator[WrappedKey]:
        """Yield the wrapped keys of days that are not erased."""
        for key in keys:
            if not self.shuts(key[0], key[2]):
                yield key

    def shuts(self, mid: bytes, period: int) -> bool:
        """Tell whether the wrapped keys of a key period are erased, with its day."""
        return any(first <= day_of(period) <= last for first, last, _ in self._rows.get(mid, ()))

    def carry_out(self, details: DetailStore) -> None:
        """Erase from a store; raises `StorageError`."""
        for mid, rows in self._rows.items():
            for first, last, index in rows:
                details.erase(mid, first, last, index)
