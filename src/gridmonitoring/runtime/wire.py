"""What travels between a command and a running node: frames, the closed table of methods, errors.

A frame is four bytes of length, big-endian, and that many bytes of deterministic CBOR. A request is
[id, method, arguments...]; its answer [id, true, result] or [id, false, [class, message, fields]], where
fields are [name, value] pairs of the error's attributes (for `Refused` the rule). A frame over its cap or not
of this form is answered with id 0, and one over its cap ends the connection, as the next cannot be found.

Left out: networks between machines; the socket is the owner's alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from msgspec import Meta

from gridmonitoring import errors
from gridmonitoring.contracts.effects import Effect
from gridmonitoring.encoding.bounds import Bytes16, Bytes32, Millis, Unsigned
from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, convert, encode, loads
from gridmonitoring.errors import GridMonitoringError, Malformed, NotCanonical, TooLarge
from gridmonitoring.runtime.consensus.application import Receipt
from gridmonitoring.runtime.network import Outcome

REQUEST_LIMIT = 2 * PACKAGE_LIMIT
"""Largest request, bytes."""
ANSWER_LIMIT = 80 * PACKAGE_LIMIT
"""Largest answer, bytes: an evidence bundle with all reports of a block's life."""
MAX_ITEMS = 4096
"""Most transactions or sealed reports of one request."""
LENGTH = 4
"""Bytes of a frame's length."""

_Items = Annotated[tuple[bytes, ...], Meta(max_length=MAX_ITEMS)]
_Key = Annotated[bytes, Meta(max_length=128)]
_Name = Annotated[str, Meta(max_length=32)]
_Field = tuple[_Name, Any]
_Position = Annotated[int, Meta(ge=-1, le=2**63 - 1)]

METHODS: Mapping[str, Any] = {
    "submit": tuple[_Items],
    "deliver": tuple[_Items],
    "wrap": tuple[tuple[tuple[Bytes16, Unsigned, Unsigned, Bytes32, bytes], ...]],
    "accuse": tuple[Bytes16, bytes],
    "process": tuple[bytes, bytes],
    "link": tuple[Bytes16, Bytes32],
    "row": tuple[Unsigned, _Key],
    "rows": tuple[Unsigned, _Key, _Key, Unsigned],
    "transaction": tuple[Unsigned],
    "find": tuple[Bytes32],
    "block": tuple[Unsigned],
    "note": tuple[()],
    "consistency": tuple[Unsigned, Unsigned],
    "status": tuple[()],
    "details": tuple[Bytes16, _Position, Unsigned],
    "wrapped": tuple[Bytes16, Bytes32],
    "challenge": tuple[()],
    "failures": tuple[bytes],
    "answer": tuple[bytes, Bytes16, Unsigned],
    "commands": tuple[Bytes16],
    "evidence": tuple[Unsigned, Bytes16, _Position],
    "recorded": tuple[bytes],
    "rebuild_views": tuple[()],
    "heal": tuple[_Name],
    "monitor": tuple[()],
    "watch": tuple[()],
    "time": tuple[()],
    "move_clock": tuple[Millis],
}
"""Method -> types of its arguments; anything else is refused."""

WRITES = frozenset({"submit", "deliver"})
"""Methods that are batched into one consensus block with those of other connections."""


class Request(NamedTuple):
    """A request, its arguments checked."""

    id: int
    """Number that the answer carries."""
    method: str
    """A key of `METHODS`."""
    arguments: tuple[Any, ...]
    """As `METHODS` has them."""


def frame(content: bytes) -> bytes:
    """Return the frame of an encoded message."""
    return len(content).to_bytes(LENGTH, "big") + content


def frame_size(head: bytes, limit: int) -> int:
    """Return the size of a frame's content from its first four bytes; raises `TooLarge`."""
    size = int.from_bytes(head, "big")
    if size > limit:
        raise TooLarge(size, limit)
    return size


def encode_request(number: int, method: str, arguments: tuple[Any, ...]) -> bytes:
    """Return a request's frame; raises `TooLarge` where the node would not take it."""
    content = encode([number, method, *arguments])
    if len(content) > REQUEST_LIMIT:
        raise TooLarge(len(content), REQUEST_LIMIT)
    return frame(content)


def request_number(content: bytes) -> int:
    """Return the number of a request however malformed, 0 where it has none."""
    try:
        values = loads(content, REQUEST_LIMIT)
    except errors.EncodingError:
        return 0
    if isinstance(values, list) and values and type(values[0]) is int and 0 <= values[0] < 2**63:
        return int(values[0])
    return 0


def decode_request(content: bytes) -> Request:
    """Read a request of the closed table; raises an `EncodingError`."""
    values = loads(content, REQUEST_LIMIT)
    if not isinstance(values, list) or len(values) < 2:
        raise Malformed("a request is an array of a number, a method and its arguments")
    if encode(values) != content:
        raise NotCanonical("not the canonical encoding of a request")
    number, method = convert(values[0], int), convert(values[1], str)
    if method not in METHODS:
        raise Malformed(f"no method {method[:32]!r}; there are {', '.join(METHODS)}")
    return Request(number, method, convert(values[2:], METHODS[method]))


def encode_answer(number: int, result: Any) -> bytes:
    """Return the frame of a result, or of the error that stands for it."""
    failed = isinstance(result, GridMonitoringError)
    content = encode([number, not failed, error_to_wire(result) if failed else result])
    if len(content) > ANSWER_LIMIT:
        return encode_answer(number, TooLarge(len(content), ANSWER_LIMIT))
    return frame(content)


def decode_answer(content: bytes, number: int) -> Any:
    """Return the result in an answer, or raise the error; raises `Malformed` for another's answer."""
    values = loads(content, ANSWER_LIMIT)
    if not isinstance(values, list) or len(values) != 3 or values[0] not in (number, 0):
        raise Malformed("the node's answer is not one to this request")
    if values[1] is not True:
        raise error_from_wire(values[2])
    return values[2]


# errors

_CLASSES: Mapping[str, type[GridMonitoringError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, GridMonitoringError)
}


def error_to_wire(error: GridMonitoringError) -> list[Any]:
    """Return [class, message, fields] of an error."""
    return [type(error).__name__, str(error), [[name, value] for name, value in sorted(vars(error).items())]]


def error_from_wire(value: Any) -> GridMonitoringError:
    """Return the error with its class, message and fields; raises `Malformed`."""
    name, message, fields = convert(value, tuple[str, str, tuple[_Field, ...]])
    if not all(isinstance(content, int | str | bytes | None) for _, content in fields):
        raise Malformed("the node answered with an error whose fields are not plain")
    if name not in _CLASSES:
        raise Malformed(f"the node answered with an unknown error {name[:32]!r}: {message}")
    error = _CLASSES[name].__new__(_CLASSES[name])
    error.args = (message,)
    for field, content in fields:
        setattr(error, field, content)
    return error


# results with structure


def receipt_to_wire(receipt: Receipt) -> list[Any]:
    """Return a receipt as plain arrays."""
    error = None if receipt.error is None else error_to_wire(receipt.error)
    return [receipt.id, receipt.index, error, list(receipt.effects)]


def receipt_from_wire(value: Any) -> Receipt:
    """Return a receipt; raises `Malformed`."""
    identifier, index, error, effects = convert(value, tuple[bytes, int, Any, tuple[Effect, ...]])
    return Receipt(identifier, index, None if error is None else error_from_wire(error), effects)


def outcome_to_wire(outcome: Outcome) -> Any:
    """Return an outcome as plain values."""
    return error_to_wire(outcome) if isinstance(outcome, GridMonitoringError) else outcome


def outcome_from_wire(value: Any) -> Outcome:
    """Return an outcome; raises `Malformed`."""
    if isinstance(value, list):
        return error_from_wire(value)
    return None if value is None else convert(value, int)
