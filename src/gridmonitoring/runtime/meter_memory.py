"""A meter's memory as it is stored: in parts, so that a report writes what changed and no more (paper IV-B).

Left out: keys, which `meter_keys` has.
"""

from __future__ import annotations

from collections.abc import Mapping

from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, decode, encode
from gridmonitoring.smart_meter.books import BooksState
from gridmonitoring.smart_meter.memory import Memory, Standing
from gridmonitoring.smart_meter.terms import TermsState


def changed_parts(memory: Memory, kept: Memory | None) -> dict[str, bytes]:
    """Return the encoded parts that are not those last stored."""
    parts = {"standing": encode(memory.standing)}
    if kept is None or kept.terms is not memory.terms:
        parts["terms"] = encode(memory.terms)
    if memory.books is not None and (kept is None or kept.books is not memory.books):
        parts["books"] = encode(memory.books)
    if memory.readers != (b"" if kept is None else kept.readers):
        parts["readers"] = memory.readers
    return parts


def recall(stored: Mapping[str, bytes]) -> Memory:
    """Return a meter's memory from its stored parts; raises an `EncodingError`."""
    books = decode(stored["books"], BooksState, PACKAGE_LIMIT) if "books" in stored else None
    terms = decode(stored["terms"], TermsState, PACKAGE_LIMIT)
    standing = decode(stored["standing"], Standing, PACKAGE_LIMIT)
    return Memory(standing, terms, books, stored.get("readers", b""))
