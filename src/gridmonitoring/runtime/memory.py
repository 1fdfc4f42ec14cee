"""The garbage collector of a process that keeps a large, mostly acyclic state in memory.

Rows, transactions and receipts hold no cycles, so walking all of them again and again finds
nothing: what stands after opening is left out, and the young generation is larger.
"""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 100_000
"""Allocations between collections of the young generation."""


def settle_memory() -> None:
    """Leave what exists out of collections and collect less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 50, 100)
