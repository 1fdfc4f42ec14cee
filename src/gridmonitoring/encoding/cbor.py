"""Deterministic CBOR (RFC 8949 section 4.2.1), the only encoding of the ledger.

Integers, byte strings, NFC text, booleans, null and arrays; no maps, floats, tags or
indefinite lengths (the fixed COSE header is handled in `keys.signatures`). Decoding is: cap
the size, decode, convert to the typed structure, encode that again and require the same
bytes. Whatever the parser is lax about (long integers, bignum tags, duplicate keys, base64
text for bytes, trailing bytes) fails that comparison.

Left out: streaming and diagnostic notation.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable
from functools import lru_cache
from typing import Any, NoReturn, TypeVar, cast

import cbor2
import msgspec

from gridmonitoring.errors import Malformed, NotCanonical, TooLarge

TRANSACTION_LIMIT = 16 * 1024
"""Largest encoded transaction, bytes."""

PACKAGE_LIMIT = 1024 * 1024
"""Largest encoded package or document, bytes."""

MAX_DEPTH = 24
"""Deepest nesting of arrays that is decoded."""

UNSIGNED = 0
"""Major type of an unsigned integer (RFC 8949 section 3.1)."""

BYTE_STRING = 2
"""Major type of a byte string."""

_LONG_HEADS = {24: (1, 24), 25: (2, 2**8), 26: (4, 2**16), 27: (8, 2**32)}
# additional information -> (bytes of the argument, least argument that needs them)

T = TypeVar("T")

_BUILTIN = (bytes,)


def encode(value: Any) -> bytes:
    """Return the deterministic encoding of a structure or of plain arrays of its kind.

    Raises `Malformed` where the value holds something the ledger has no encoding for.
    """
    try:
        return cbor2.dumps(msgspec.to_builtins(value, builtin_types=_BUILTIN))
    except (TypeError, ValueError, cbor2.CBOREncodeError) as error:
        raise Malformed(f"cannot be encoded: {error}") from error


def decode(data: bytes, kind: type[T], limit: int = TRANSACTION_LIMIT) -> T:
    """Return the structure of type `kind` whose one canonical encoding is `data`.

    `limit` is the cap in bytes. Raises `TooLarge`, `Malformed` or `NotCanonical`.
    """
    value = convert(loads(data, limit), kind)
    if encode(value) != data:
        raise NotCanonical(f"not the canonical encoding of a {kind_name(kind)}")
    if _holds_text(cast(Hashable, kind)):
        _require_nfc(msgspec.to_builtins(value, builtin_types=_BUILTIN))
    return value


def _refuse_tag(*_: object) -> NoReturn:
    raise cbor2.CBORDecodeError("a tag")


# Shared references (28, 29) and string references (25, 256) would let a small input grow without bound
# before anything is compared; the ledger has no tags at all.
_NO_TAGS = dict.fromkeys((25, 28, 29, 256), _refuse_tag)


def loads(data: bytes, limit: int) -> Any:
    """Parse capped bytes into plain Python values, canonical or not.

    For callers that look at an array's first elements before they know its type; they compare
    with `encode` afterwards. Raises `TooLarge` or `Malformed`.
    """
    if len(data) > limit:
        raise TooLarge(len(data), limit)
    try:
        return cbor2.loads(data, max_depth=MAX_DEPTH, allow_indefinite=False, semantic_decoders=_NO_TAGS)
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise Malformed(f"not CBOR of the ledger: {error}") from error


def read_head(data: bytes, at: int, major: int) -> tuple[int, int]:
    """Return the argument of the item head at `at`, and where the head ends; nothing is copied.

    For frames that are read a million times: no parser, no second encoding. Only the major type (`UNSIGNED`
    or `BYTE_STRING`) and the shortest form are accepted; raises `Malformed` or `NotCanonical`.
    """
    short = data[at] - (major << 5) if at < len(data) else -1
    if 0 <= short < 24:
        return short, at + 1
    if short not in _LONG_HEADS:
        raise Malformed(f"no item of major type {major} at byte {at}")
    size, least = _LONG_HEADS[short]
    end = at + 1 + size
    argument = int.from_bytes(data[at + 1 : end], "big")
    if end > len(data):
        raise Malformed(f"the item at byte {at} is cut off")
    if argument < least:
        raise NotCanonical(f"the head at byte {at} is longer than it has to be")
    return argument, end


def convert(value: Any, kind: type[T]) -> T:
    """Return plain values as the structure `kind`, checking shape, types and bounds.

    Raises `Malformed`.
    """
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, TypeError, ValueError, OverflowError) as error:
        raise Malformed(f"not a {kind_name(kind)}: {error}") from error


def kind_name(kind: Any) -> str:
    """Return a printable name of a type, parametrised ones included."""
    return getattr(kind, "__name__", str(kind))


def _require_nfc(value: Any) -> None:
    if isinstance(value, str):
        if not unicodedata.is_normalized("NFC", value):
            raise NotCanonical("text is not in Unicode normalisation form C")
    elif isinstance(value, list | tuple):
        for item in value:
            _require_nfc(item)


@lru_cache(maxsize=1024)
def _holds_text(kind: Hashable) -> bool:
    """Tell whether a value of this type can hold text, so that claims skip the walk."""
    return "StrType" in str(msgspec.inspect.type_info(kind))
