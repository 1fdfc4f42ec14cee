"""The state as the transition sees it: rows read through, changes kept apart until they hold.

A transaction either changes all it should or nothing: its writes stay in their own layer until
`keep`. Where rows come from, and that each was checked against the state tree, is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gridmonitoring.blockchain.state_rows import Table

RowKey = tuple[Table, bytes]
"""(table, key)."""
ReadRow = Callable[[RowKey], Any]
"""Returns the committed struct of a row, or None."""


class View:
    """Rows of the state with the uncommitted changes of a block and of one transaction.

    `read` returns committed rows. Values are the frozen structs of `state_rows`.
    """

    __slots__ = ("_read", "_transaction", "effects", "rows")

    def __init__(self, read: ReadRow) -> None:
        self._read = read
        self.rows: dict[RowKey, Any] = {}
        """Changes of the transactions that held so far; None deletes."""
        self._transaction: dict[RowKey, Any] = {}
        self.effects: list[Any] = []
        """What the running transaction asks its caller to carry out."""

    def get(self, table: Table, key: bytes) -> Any:
        """Return the struct of a row as of this point, or None."""
        row_key = (table, key)
        value = self._transaction.get(row_key, self)  # the view itself stands for no entry
        if value is self:
            value = self.rows.get(row_key, self)
        return self._read(row_key) if value is self else value

    def put(self, table: Table, key: bytes, value: Any) -> None:
        """Write a row."""
        self._transaction[table, key] = value

    def delete(self, table: Table, key: bytes) -> None:
        """Delete a row."""
        self._transaction[table, key] = None

    def emit(self, effect: Any) -> None:
        """Ask the caller to carry out an effect once the block is final."""
        self.effects.append(effect)

    def keep(self) -> list[Any]:
        """Make the running transaction's changes part of the block; return its effects."""
        self.rows.update(self._transaction)
        self._transaction = {}
        effects, self.effects = self.effects, []
        return effects

    def drop(self) -> None:
        """Forget the running transaction's changes."""
        self._transaction = {}
        self.effects = []
