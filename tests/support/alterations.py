"""Any change of a signed structure, as hypothesis draws it: of a field, a document inside, or the shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cbor2
from hypothesis import strategies as st

from gridmonitoring.encoding.bounds import MAX_INT
from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, loads
from gridmonitoring.errors import EncodingError
from gridmonitoring.keys.signatures import split

SignAgain = Callable[[bytes, bytes], bytes]
"""(COSE_Sign1, another payload) -> the payload under a signature by the same signer."""

NUMBERS = st.one_of(
    st.sampled_from([0, 1, -1, 2**16, 2**32, MAX_INT - 1, MAX_INT, MAX_INT + 1, 2**64 - 1, 2**64]),
    st.integers(-(2**65), 2**65),
    st.integers(0, 64),
)
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.binary(max_size=40), st.text(max_size=8), st.floats()),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)


@st.composite
def altered(draw: st.DrawFn, message: bytes, known: tuple[bytes, ...], sign_again: SignAgain) -> bytes:
    """Draw a COSE_Sign1 that says something else (or, by chance, the same), signed as the first was.

    `known` are IDs and hashes that mean something somewhere: they stand in for each other now and then.
    """
    payload, _ = split(message)
    return sign_again(message, cbor2.dumps(_Alteration(draw, known, sign_again).of(cbor2.loads(payload))))


class _Alteration:
    """One change, mostly of one field, mostly to something of its type."""

    def __init__(self, draw: st.DrawFn, known: tuple[bytes, ...], sign_again: SignAgain) -> None:
        self._draw = draw
        self._known = known
        self._sign_again = sign_again

    def _rarely(self) -> bool:
        return self._draw(st.integers(0, 39)) == 39

    def of(self, value: Any) -> Any:
        """Return a value that is altered."""
        if self._rarely():
            return self._draw(ANYTHING)
        if isinstance(value, list):
            return self._list(value)
        if isinstance(value, bool):
            return not value
        if isinstance(value, int):
            steps = st.integers(-1000, 1000).map(lambda step: value + step)
            return self._draw(st.one_of(steps, steps, NUMBERS))
        if isinstance(value, bytes):
            return self._bytes(value)
        return self._draw(ANYTHING)

    def _list(self, value: list[Any]) -> list[Any]:
        if not value:
            return [self._draw(ANYTHING)]
        # The last element of a transaction is its body, in which there is most to alter.
        places = [*range(len(value)), *[len(value) - 1] * (len(value) if isinstance(value[-1], list) else 0)]
        place = self._draw(st.sampled_from(places))
        if self._rarely():
            return value[:place] + value[place + 1 :]
        if self._rarely():
            return [*value[:place], value[place], *value[place:]]
        return [*value[:place], self.of(value[place]), *value[place + 1 :]]

    def _bytes(self, value: bytes) -> bytes:
        """Alter what a document inside says, signed or not; put an ID or hash for another; or flip a bit."""
        inside = self._document(value)
        if inside is not None and not self._rarely():
            return inside
        alike = [other for other in self._known if len(other) == len(value)]
        exchanged: bool = self._draw(st.booleans())
        if alike and exchanged:
            return self._draw(st.sampled_from(alike))
        if not value or self._rarely():
            return self._draw(st.binary(max_size=70))
        place = self._draw(st.integers(0, 8 * len(value) - 1))
        flipped = value[place // 8] ^ 1 << place % 8
        return value[: place // 8] + bytes((flipped,)) + value[place // 8 + 1 :]

    def _document(self, value: bytes) -> bytes | None:
        if len(value) <= 32:
            return None
        try:
            payload, _ = split(value)
        except EncodingError:
            return self._unsigned(value)
        return self._sign_again(value, cbor2.dumps(self.of(cbor2.loads(payload))))

    def _unsigned(self, value: bytes) -> bytes | None:
        try:
            inside = loads(value, PACKAGE_LIMIT)
        except EncodingError:
            return None
        return cbor2.dumps(self.of(inside)) if isinstance(inside, list) else None
