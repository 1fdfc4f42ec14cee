from __future__ import annotations

import tracemalloc

import cbor2
import pytest

from gridmonitoring.encoding.cbor import loads
from gridmonitoring.errors import Malformed

SHARED, REFERENCE = b"\xd8\x1c", b"\xd8\x1d\x00"


@pytest.mark.parametrize(
    "data",
    [
        SHARED + b"\x81" + REFERENCE,
        b"\x82" + SHARED + b"\x41x" + REFERENCE,
        b"\xd9\x01\x00\x82\x44xxxx\xd8\x19\x00",
    ],
    ids=["an array that holds itself", "a shared string", "a string reference"],
)
def test_references_are_refused(data: bytes) -> None:
    assert cbor2.loads(data)
    with pytest.raises(Malformed):
        loads(data, 1024)


def test_a_small_input_stays_small_in_memory() -> None:
    wide = b"\x82" + SHARED + b"\x9a\x00\x00\x27\x10" + bytes(10_000) + REFERENCE
    tracemalloc.start()
    with pytest.raises(Malformed):
        loads(wide, 1 << 20)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
