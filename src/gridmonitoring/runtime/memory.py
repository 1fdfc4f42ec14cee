"""The interpreter of a process that keeps a large, mostly acyclic state in memory and executes without pause.

Rows, transactions and receipts hold no cycles, so walking all of them again and again finds
nothing: what stands after opening is left out, and the young generation is larger. Threads that write
blocks and read from workers need the interpreter's lock for moments only, and get it sooner.
"""

from __future__ import annotations

import gc
import sys

YOUNG_OBJECTS = 100_000
"""Allocations between collections of the young generation."""


SWITCH_INTERVAL = 0.001
"""How long a thread may keep the interpreter's lock while another wants it, s."""


def settle_memory() -> None:
    """Leave what exists out of collections, collect less often, hand the lock over sooner."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 50, 100)
    sys.setswitchinterval(SWITCH_INTERVAL)
