"""A node under watch: its open files, what they are held against, and what is suspected (paper II-A).

Left out: the watching itself (`watching`, `watching_rows`, `watching_details`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from gridmonitoring.blockchain.bodies import Part
from gridmonitoring.blockchain.state_rows import MeterRow
from gridmonitoring.runtime.consensus.application import Application
from gridmonitoring.runtime.storage.tables import StoredFile, Values

ROWS_AT_ONCE = 256
"""Rows read in one slice."""


class Suspicion(Struct, frozen=True):
    """Something in a node's files that does not look as it should."""

    node: str
    """The validator."""
    part: Part
    """Part of its files."""
    key: Values
    """Table and key of a row of the state, else the key's columns; empty where the whole part is meant."""
    text: str
    """What is wrong, in a few words."""


class NodeUnderWatch(Struct):
    """One node's open files and what they are held against."""

    name: str
    """The validator."""
    application: Application
    """Its application: tree, height and log size in memory."""
    truth: StoredFile
    """Its truth, read live."""
    details: StoredFile
    """Its detail store, read live."""
    document: bytes
    """The genesis document."""
    peers: Sequence[StoredFile]
    """The other nodes' detail stores."""
    silent: Callable[[bytes, MeterRow], None]
    """Takes every meter's row as it passes."""
    rows: int = 0
    """Rows of the state that were looked at in this pass."""


Slices = Iterator[Suspicion | None]
"""Yields after each slice of work; a suspicion where there is one."""
