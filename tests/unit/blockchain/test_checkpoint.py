from __future__ import annotations

import base64
import hashlib

import pytest
from msgspec.structs import replace

from gridmonitoring.blockchain.checkpoint import (
    NOTE_LIMIT,
    SIGNATURE_LIMIT,
    app_hash,
    check_note_name,
    decode_note,
    encode_note,
    key_id,
)
from gridmonitoring.encoding.bounds import MAX_INT
from gridmonitoring.errors import CheckpointError
from gridmonitoring.keys.signatures import public_key_of, sign_raw, verify_signature
from tests.support.notes import BLOCK, CHECKPOINT, ROOT, SEEDS, STATE, signed

NOTE = signed("a", "b", "c")


def test_the_note_byte_by_byte() -> None:
    def text(data: bytes) -> str:
        return base64.b64encode(data).decode()

    body = (
        "grid/area-7\n"
        "300\n"
        f"{text(ROOT)}\n"
        f"app_hash {text(app_hash(ROOT, 300, STATE))}\n"
        f"state_root {text(STATE)}\n"
        f"block 12 1700000000000 {text(BLOCK)}\n"
    )
    assert CHECKPOINT.body() == body.encode()
    lines = ""
    for name in ("a", "b", "c"):
        key = public_key_of(SEEDS[name])
        content = key_id(name, key) + sign_raw(SEEDS[name], body.encode())
        lines += f"\N{EM DASH} {name} {text(content)}\n"
    assert (body + "\n" + lines).encode("utf-8") == NOTE
    assert signed("c", "a", "b") == NOTE


def test_app_hash_and_key_id() -> None:
    inner = hashlib.sha256(ROOT + bytes.fromhex("000000000000012c") + STATE).digest()
    assert app_hash(ROOT, 300, STATE) == hashlib.sha256(inner).digest()
    assert key_id("node-1", STATE) == hashlib.sha256(b"node-1\n\x01" + STATE).digest()[:4]


def test_a_note_is_read_as_it_was_written() -> None:
    note = decode_note(NOTE)
    assert note.checkpoint == CHECKPOINT
    assert [line.name for line in note.signatures] == ["a", "b", "c"]
    for line in note.signatures:
        key = public_key_of(SEEDS[line.name])
        assert line.key_id == key_id(line.name, key)
        verify_signature(key, CHECKPOINT.body(), line.signature)


@pytest.mark.parametrize("numbers", [(0, 0, 0), (MAX_INT, MAX_INT, MAX_INT)])
def test_the_smallest_and_the_largest_numbers(numbers: tuple[int, int, int]) -> None:
    size, height, time_ms = numbers
    checkpoint = replace(
        CHECKPOINT, size=size, height=height, time_ms=time_ms, app_hash=app_hash(ROOT, size, STATE)
    )
    assert decode_note(signed("a", checkpoint=checkpoint)).checkpoint == checkpoint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": -1}, "0 to 2"),
        ({"size": MAX_INT + 1}, "0 to 2"),
        ({"height": -1}, "0 to 2"),
        ({"height": MAX_INT + 1}, "0 to 2"),
        ({"time_ms": -1}, "0 to 2"),
        ({"time_ms": MAX_INT + 1}, "0 to 2"),
        ({"log_root": ROOT[:31]}, "32 bytes"),
        ({"state_root": STATE + b"\x00"}, "32 bytes"),
        ({"block_hash": b""}, "32 bytes"),
        ({"app_hash": ROOT}, "app_hash"),
        ({"size": 301}, "app_hash"),
        ({"log_root": BLOCK}, "app_hash"),
        ({"state_root": BLOCK}, "app_hash"),
        ({"app_hash": CHECKPOINT.app_hash[:31]}, "app_hash"),
        ({"origin": ""}, "name"),
        ({"origin": "grid\x07"}, "name"),
    ],
)
def test_a_checkpoint_out_of_bounds_or_against_itself_cannot_be_made(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        replace(CHECKPOINT, **changes)


@pytest.mark.parametrize("name", ["!", "~", "*,", "node-1", "gridmonitoring/area-7", "x" * 128])
def test_names(name: str) -> None:
    check_note_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "x" * 129, "a b", "a+b", "a\n", "\na", "a\tb", "a\x00", "\x1b[1m", "a\x7f", "é", "—", "a\u2028"],
)
def test_names_that_cannot_stand_in_a_note(name: str) -> None:
    with pytest.raises(CheckpointError, match="cannot be a name"):
        check_note_name(name)
    with pytest.raises(CheckpointError, match="cannot be a name"):
        encode_note(CHECKPOINT, [(name, bytes(32), bytes(64))])


def test_an_impossible_name_is_shown_cut_off() -> None:
    with pytest.raises(CheckpointError, match=f"^'{'x' * 80}' cannot"):
        check_note_name("x" * 129)


def test_signatures_that_make_no_note() -> None:
    with pytest.raises(CheckpointError, match="of 0 signatures"):
        encode_note(CHECKPOINT, [])
    with pytest.raises(CheckpointError, match="two signatures of one name"):
        encode_note(CHECKPOINT, [("a", bytes(32), bytes(64)), ("a", ROOT, bytes(64))])
    for size in (63, 65):
        with pytest.raises(CheckpointError, match=f"signature of {size} bytes"):
            encode_note(CHECKPOINT, [("a", bytes(32), bytes(size))])


def test_as_many_signatures_as_a_note_takes() -> None:
    many = [(f"node-{number:03}", bytes(32), bytes(64)) for number in range(SIGNATURE_LIMIT + 1)]
    note = encode_note(CHECKPOINT, many[:SIGNATURE_LIMIT])
    assert SIGNATURE_LIMIT == 256
    assert len(decode_note(note).signatures) == SIGNATURE_LIMIT
    with pytest.raises(CheckpointError, match="of 257 signatures"):
        encode_note(CHECKPOINT, many)
    with pytest.raises(CheckpointError, match="of 257 signatures"):
        decode_note(note + note.splitlines(keepends=True)[-1].replace(b"node-255", b"node-256"))


def test_a_note_over_the_size_limit_is_refused_before_it_is_read() -> None:
    assert NOTE_LIMIT == 65536
    with pytest.raises(CheckpointError, match="at most 65536"):
        decode_note(b"\xff" * (NOTE_LIMIT + 1))
    with pytest.raises(CheckpointError, match="UTF-8"):
        decode_note(b"\xff" * NOTE_LIMIT)


def test_the_longest_possible_note_stays_under_the_limit() -> None:
    names = [f"{number:0128}" for number in range(SIGNATURE_LIMIT)]
    assert len(encode_note(CHECKPOINT, [(name, bytes(32), bytes(64)) for name in names])) <= NOTE_LIMIT


LINES = NOTE.decode().split("\n")
"""origin, size, root, app_hash, state_root, block, blank, three signatures, nothing."""


def with_line(number: int, line: str) -> bytes:
    """Return the note with one line replaced."""
    return "\n".join([*LINES[:number], line, *LINES[number + 1 :]]).encode()


def loose_base64(text: str) -> str:
    """Return base64 of the same bytes with surplus bits set in its last character before `=`."""
    at = len(text.rstrip("=")) - 1
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = text[:at] + alphabet[alphabet.index(text[at]) + 1] + text[at + 1 :]
    assert base64.b64decode(other) == base64.b64decode(text)
    return other


ROOT_64 = LINES[2]
SIGNATURE_64 = LINES[7].split(" ")[2]


@pytest.mark.parametrize(
    ("note", "message"),
    [
        (b"", "blank line"),
        (NOTE[:-1], "blank line"),
        (CHECKPOINT.body(), "blank line"),
        (CHECKPOINT.body() + b"\n", "blank line"),
        (CHECKPOINT.body() + b"\n\n", "dash"),
        (NOTE + b"\n", "dash"),
        (b"\n" + NOTE, "words"),
        (NOTE.replace(b"\n", b"\r\n"), "blank line"),
        (b"\xef\xbb\xbf" + NOTE, "name"),
        (NOTE + NOTE, "dash"),
        (with_line(0, "grid area-7"), "name"),
        (with_line(0, "grid+area-7"), "name"),
        (with_line(0, "grid\x07area"), "name"),
        (with_line(1, "0300"), "decimal"),
        (with_line(1, "+300"), "decimal"),
        (with_line(1, "-300"), "decimal"),
        (with_line(1, "3_00"), "decimal"),
        (with_line(1, "300 "), "decimal"),
        (with_line(1, "٣٠٠"), "decimal"),
        (with_line(1, ""), "words"),
        (with_line(1, "1" + "0" * 19), "decimal"),
        (with_line(1, "9223372036854775808"), "0 to 2"),
        (with_line(1, "301"), "app_hash"),
        (with_line(2, ROOT_64[:-1]), "not base64"),
        (with_line(2, ROOT_64 + "="), "base64"),
        (with_line(2, "-" + ROOT_64[1:]), "not base64"),
        (with_line(2, "é" + ROOT_64[1:]), "not base64"),
        (with_line(2, loose_base64(ROOT_64)), "not canonical"),
        (with_line(2, base64.b64encode(ROOT[:31]).decode()), "hash of 31 bytes"),
        (with_line(2, base64.b64encode(ROOT + b"\x00").decode()), "hash of 33 bytes"),
        (with_line(2, base64.b64encode(BLOCK).decode()), "app_hash"),
        (with_line(3, LINES[4]), "in this order"),
        (with_line(3, LINES[3].replace("app_hash ", "app_hash  ")), "words"),
        (with_line(3, LINES[3].replace(" ", "\t")), "words"),
        (with_line(3, LINES[3].upper()), "in this order"),
        (with_line(4, LINES[4].replace("state_root", "state-root")), "in this order"),
        (with_line(4, LINES[4] + " "), "words"),
        (with_line(5, LINES[5].replace("block", "Block")), "in this order"),
        (with_line(5, LINES[5].replace(" 12 ", " 012 ")), "decimal"),
        (with_line(5, LINES[5].replace(" 17", " 017")), "decimal"),
        (with_line(5, LINES[5].replace(" 12 ", " ")), "words"),
        (with_line(5, LINES[5] + "\nwitness x"), "words"),
        (with_line(7, LINES[7].replace("—", "-")), "dash, its name"),
        (with_line(7, LINES[7].replace("— ", "—")), "dash"),
        (with_line(7, LINES[7].replace("— a", "— a+")), "cannot be a name"),
        (with_line(7, LINES[7].replace("— a", "— \x1b")), "cannot be a name"),
        (with_line(7, LINES[7].replace("— a", "— b")), "two signatures"),
        (with_line(7, LINES[7].replace("— a", "— d")), "one form"),
        (with_line(7, f"— a {loose_base64(SIGNATURE_64)}"), "not canonical"),
        (with_line(7, "— a " + base64.b64encode(bytes(67)).decode()), "68 bytes"),
        (with_line(7, "— a " + base64.b64encode(bytes(69)).decode()), "68 bytes"),
        (with_line(7, LINES[8] + "\n" + LINES[7]), "two signatures"),
        ("\n".join([*LINES[:7], LINES[8], LINES[7], LINES[9], ""]).encode(), "one form"),
    ],
)
def test_every_other_form_is_refused(note: bytes, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        decode_note(note)
