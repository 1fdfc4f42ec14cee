"""The protocol between a command and a running node: frames, the closed table, errors."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridmonitoring import errors
from gridmonitoring.contracts.effects import AlertConsumer, CutPower
from gridmonitoring.contracts.messages import Message
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.errors import (
    EncodingError,
    GridMonitoringError,
    Malformed,
    NotCanonical,
    Refused,
    RegisterError,
    TooLarge,
)
from gridmonitoring.runtime.consensus.application import Receipt
from gridmonitoring.runtime.wire import (
    ANSWER_LIMIT,
    LENGTH,
    MAX_ITEMS,
    REQUEST_LIMIT,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
    error_from_wire,
    error_to_wire,
    frame_size,
    outcome_from_wire,
    outcome_to_wire,
    receipt_from_wire,
    receipt_to_wire,
    request_number,
)


def test_a_request_reads_back() -> None:
    frame = encode_request(7, "row", (8, b"key"))
    assert frame_size(frame[:LENGTH], REQUEST_LIMIT) == len(frame) - LENGTH
    assert decode_request(frame[LENGTH:]) == (7, "row", (8, b"key"))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", Malformed),
        (b"\xff\xff", Malformed),
        (encode(7), Malformed),
        (encode([7]), Malformed),
        (encode(["row", 7]), Malformed),
        (encode([7, "no such method"]), Malformed),
        (encode([7, "row"]), Malformed),
        (encode([7, "row", 8]), Malformed),
        (encode([7, "row", "8", b"key"]), Malformed),
        (encode([7, "row", 8, b"key", 1]), Malformed),
        (encode([7, "row", -1, b"key"]), Malformed),
        (encode([7, "row", 8, bytes(200)]), Malformed),
        (encode([7, "find", bytes(31)]), Malformed),
        (encode([7, "submit", [b""] * (MAX_ITEMS + 1)]), Malformed),
        (encode([7, "submit", [[b""]]]), Malformed),
        (encode([7, "status"]) + b"\0", NotCanonical),
        (b"\x82\x18\x07" + encode("status"), NotCanonical),
    ],
)
def test_a_request_of_another_form_is_refused(content: bytes, error: type[EncodingError]) -> None:
    with pytest.raises(error):
        decode_request(content)


def test_the_number_of_a_malformed_request_is_found_where_there_is_one() -> None:
    assert request_number(encode([7, "no such method"])) == 7
    assert [
        request_number(content) for content in (b"", b"\xff", encode([]), encode(["x"]), encode([-1]))
    ] == [0] * 5


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_an_encoding_error(content: bytes) -> None:
    assert request_number(content) >= 0
    try:
        request = decode_request(content)
    except EncodingError:
        return
    assert encode([request.id, request.method, *request.arguments]) == content


def test_what_is_over_its_cap_is_refused_before_it_is_read_or_sent() -> None:
    with pytest.raises(TooLarge):
        frame_size((REQUEST_LIMIT + 1).to_bytes(LENGTH, "big"), REQUEST_LIMIT)
    with pytest.raises(TooLarge):
        encode_request(1, "submit", ([bytes(REQUEST_LIMIT)],))


def test_an_answer_over_its_cap_becomes_an_error() -> None:
    answer = encode_answer(3, bytes(ANSWER_LIMIT))
    with pytest.raises(TooLarge):
        decode_answer(answer[LENGTH:], 3)


def test_an_answer_is_the_result_or_raises_the_error() -> None:
    assert decode_answer(encode_answer(3, [1, b"x"])[LENGTH:], 3) == [1, b"x"]
    with pytest.raises(Refused, match=r"^replayed: nonce 1 is not past 2$") as caught:
        decode_answer(encode_answer(3, Refused("replayed", "nonce 1 is not past 2"))[LENGTH:], 3)
    assert caught.value.rule == "replayed"


@pytest.mark.parametrize(
    "content", [encode([4, True, 1]), encode([3, True]), encode(3), encode([3, False, 5])]
)
def test_an_answer_to_another_request_or_of_another_form_is_refused(content: bytes) -> None:
    with pytest.raises(Malformed):
        decode_answer(content, 3)


def _examples() -> list[GridMonitoringError]:
    """One error of every class, made by its own constructor."""
    made: list[GridMonitoringError] = []
    for kind in vars(errors).values():
        if not (isinstance(kind, type) and issubclass(kind, GridMonitoringError)):
            continue
        if kind.__init__ is Exception.__init__:
            made.append(kind("what happened"))
            continue
        values = {"int": 3, "str": "words", "bytes": b"\1\0\1\x08\0\xff"}
        parameters = list(inspect.signature(kind).parameters.values())
        needed = {p.name: p.annotation for p in parameters if p.default is inspect.Parameter.empty}
        made.append(kind(**{name: values[annotation] for name, annotation in needed.items()}))
    return made


@pytest.mark.parametrize("error", _examples(), ids=lambda error: type(error).__name__)
def test_an_error_keeps_class_message_and_fields(error: GridMonitoringError) -> None:
    back = error_from_wire(error_to_wire(error))
    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))


def test_there_are_errors_with_fields_among_them() -> None:
    assert {RegisterError, Refused, TooLarge} <= {type(error) for error in _examples() if vars(error)}


@pytest.mark.parametrize(
    "value", [5, ["Refused"], ["SystemExit", "no", []], ["Refused", "r", [["rule", [1]]]]]
)
def test_an_error_of_another_form_is_malformed(value: object) -> None:
    with pytest.raises(Malformed):
        error_from_wire(value)


def test_receipts_and_outcomes_read_back() -> None:
    accepted = Receipt(bytes(32), 5, None, (CutPower(), AlertConsumer(Message.NO_POWER)))
    assert receipt_from_wire(_plain(receipt_to_wire(accepted))) == accepted
    refused = receipt_from_wire(_plain(receipt_to_wire(Receipt(b"", -1, Refused("replayed", "again"), ()))))
    assert (refused.index, str(refused.error)) == (-1, "replayed: again")
    assert [outcome_from_wire(_plain(outcome_to_wire(outcome))) for outcome in (5, None)] == [5, None]
    failed = outcome_from_wire(_plain(outcome_to_wire(Refused("replayed", "again"))))
    assert isinstance(failed, Refused)


def _plain(value: object) -> object:
    return decode_answer(encode_answer(1, value)[LENGTH:], 1)
