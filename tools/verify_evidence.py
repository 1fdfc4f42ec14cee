#!/usr/bin/env python3
"""Check an evidence bundle of a gridmonitoring chain, offline, against its genesis document.

    python3 verify_evidence.py BUNDLE [--genesis FILE] [--json]

Written from docs/spec alone: it needs the standard library, cbor2 and PyNaCl, and nothing of the
project whose claims it checks. Compare the genesis hash that it prints with the one you trust, then
read what is proven. Exit code 0: proven. 1: not proven, or a file that cannot be read.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from fractions import Fraction
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import cbor2
import nacl.bindings
import nacl.exceptions

MAX_BUNDLE = 64 * 1024 * 1024
MAX_TRANSACTION = 16 * 1024
MAX_DOCUMENT = 1024 * 1024
MAX_NOTE = 64 * 1024
MAX_INT = 2**63 - 1
DAY_MS = 86_400_000
LONGEST_MS = 10 * 366 * DAY_MS
MAX_PARTIES, MAX_VALIDATORS = 1024, 128

KINDS = {
    1: "reading",
    2: "purchase",
    3: "block",
    4: "message",
    5: "command",
    6: "statement",
    7: "bill",
    30: "accusation",
}
TYPES = {*range(1, 7), *range(10, 16), *range(20, 31), *range(40, 45), *range(50, 54), *range(60, 63)}
TYPES |= {70, 71, *range(75, 79)}
FORM, REPORT, LOCK, SIDE_BLOCK, ACCUSE = 22, 23, 24, 25, 53
ACCUSE_PROPOSER, EXHIBIT, ACCUSE_EXHIBIT = 75, 77, 78
VENDOR, NODE, CONSUMER, METER, RESEARCHER = 4, 9, 10, 11, 12
TYPE_ROLE = {
    FORM: NODE,
    REPORT: METER,
    **dict.fromkeys((LOCK, SIDE_BLOCK, ACCUSE, ACCUSE_PROPOSER, EXHIBIT, ACCUSE_EXHIBIT), NODE),
}
VALIDATORS, PARTY, DEVICE, AGREEMENT, ACCOUNT, LOT, TARIFF = 2, 3, 5, 7, 8, 9, 10
COMMAND, BLOCK, SIDE = 14, 15, 16
TABLES = {*range(1, 23), *range(30, 34), 35, 36, *range(40, 43), *range(45, 50)}
COMMANDS = {
    1: "credit",
    2: "message",
    3: "disconnect",
    4: "reconnect",
    5: "supply off",
    6: "supply on",
    7: "power limit",
    8: "clear tamper",
    9: "reversal",
    10: "script",
    11: "close",
    12: "contract key",
    20: "grants",
    30: "penalty",
    31: "compensation",
}
SCRIPT_COMMAND = 10
IMPORT_TOTAL = bytes((1, 0, 1, 8, 0, 255))

STEPS = {
    1: "the bundle is the one encoding of its structure",
    2: "the genesis document is whole and the one the bundle names",
    3: "each change of validators is signed by exactly a quorum of the set then in force",
    4: "the checkpoint is of this chain, so signed, and needs each of those changes",
    5: "every transaction is in the log under the checkpoint",
    6: "every row is in the state under the checkpoint",
    7: "the items are exactly those this kind of evidence needs",
    8: "every signature is by a key in force at its place in the log",
    9: "the items agree, and what can be recomputed comes to what they say",
}


class NotProven(Exception):
    """A bundle that does not prove what it says; names the first step that failed."""

    def __init__(self, step: int, reason: str) -> None:
        super().__init__(f"step {step} ({STEPS[step]}): {reason}")
        self.step = step
        """Number of the step, 1 to 9."""
        self.reason = reason
        """What is wrong."""


class _Wrong(Exception):
    """Something that is not as it must be, in whatever step runs."""


@contextmanager
def _step(number: int) -> Iterator[None]:
    try:
        yield
    except _Wrong as wrong:
        raise NotProven(number, str(wrong)) from wrong


def _need(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _Wrong(otherwise)


# --- encoding: deterministic CBOR of integers, byte strings, text, booleans, null and arrays


def _read(data: bytes, limit: int, shape: str, what: str) -> Any:
    """Return the value whose one encoding is `data`, if it has this shape."""
    _need(len(data) <= limit, f"{what}: {len(data)} bytes, at most {limit} are allowed")
    value, end = _item(data, 0, 24)
    _need(end == len(data), f"{what}: surplus bytes at the end")
    _need(_shape(shape)(value), f"{what}: has not the fields it must have")
    return value


def _item(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """Return the item that starts here, and where it ends; anything but its one encoding is refused."""
    major, number, at = _head(data, at)
    if major < 2:
        return (number if major == 0 else -1 - number), at
    if major < 4:
        end = at + number
        _need(end <= len(data), "a string that is cut off")
        return (data[at:end] if major == 2 else _read_text(data[at:end])), end
    if major == 4:
        _need(depth > 0, "arrays too deep in each other")
        items = []
        for _ in range(number):
            item, at = _item(data, at, depth - 1)
            items.append(item)
        return items, at
    _need(major == 7 and 20 <= number <= 22, "something that the encoding has no place for")
    return (False, True, None)[number - 20], at


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """Return major type and number of the item that starts here, and where its content starts."""
    _need(at < len(data), "an array that is cut off")
    major, number = data[at] >> 5, data[at] & 31
    if number < 24:
        return major, number, at + 1
    _need(number < 28 and major < 7, "something that the encoding has no place for")
    width = 1 << number - 24
    number = int.from_bytes(data[at + 1 : at + 1 + width], "big")
    _need(at + 1 + width <= len(data), "a number that is cut off")
    _need(number >= (24 if width == 1 else 1 << 4 * width), "a number with leading zeros")
    return major, number, at + 1 + width


def _read_text(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _Wrong("text that is not UTF-8") from error
    _need(unicodedata.is_normalized("NFC", text), "text that is not in normal form C")
    return text


# Shapes of arrays, as docs/spec lists their fields in order: `u` an integer 0 to 2^63-1, `u1-63` with bounds,
# `i` with a sign, `b32` and `b0-32` byte strings and `t1-64` text by length, `name` a name in a signed note,
# 'tag', [x y] an array of just these, [x ...] one that goes on, {x} any number of x, x/y one or the other.
SHAPES = {
    "key": "b0/b32",
    "id": "b0-32",
    "short": "u0-65535",
    "epoch": "u1-4294967295",
    "time": "u/null",
    "path": "{b32}",
    "document": "b0-12288",
    "signed": "b72-12288",
    "registers": "{[b6 u]}",
    "former": "{[b32 u u]}",
    "moment": "[u0-1099511627776 u0-999999999]",
    "comet-header": "[[u u] u moment [b32 u0-2147483647 b0-32] b0-32 b0-32 b32 b32 b32 b0-32 b0-32 b20]",
    "part-set": "[u0-2147483647 b32]",
    "precommits": "{[t1-64 moment b64]}",
    "light-block": "['light-block/1' t1-128 u b32 b32 comet-header u0-2147483647 part-set precommits]",
    "validators": "{[b16 name b32 u1-1000000]}",
    "bundle": "['evidence/1' u1-30 b32 {[b b b path]} b {[u b path]} {[u b b b path]} {[b16 registers]}]",
    "parameters": "[b4 u4-24 u u u]",
    "genesis": "['genesis/1' name t1-64 u t3 u0-4 parameters u b32 {[u1-12 name b32 b32]} validators]",
    "validator-set": "['validators/1' validators]",
    "payload": "[u u u1-12 b16 u u any]",
    "form": "[signed signed b16 b32 t1-64 b32 b32 u u id]",
    "report": "[epoch short short short u b32 b32 b32/[registers i]]",
    "lock": "[b16 u document]",
    "accuse": "[b16 signed]",
    "account-proof": "[document document path]",
    "accuse-proposer": "[b0-16 signed document {account-proof}]",
    "proposal": "['block-proposal/1' b16 u b32 u b32 b32]",
    "exhibit": "[b32 u0-87 b1-12288]",
    "accuse-exhibit": "[b16 b32 u1-88]",
    "delivery": "['delivery/1' b16 b16 u u u b]",
    "request": "['purchase-request/1' short b16 b16 u t3 b16 u]",
    "payment": "['payment/1' b16 b32 u t3 b1-64 u]",
    "parent-body": "[u [u u time time time] [b16 b32 u b16 b64] u t1-64 u b32 b32 u b32 u b32 short id]",
    "parent": "['parent-block/1' b16 b4 b88 parent-body]",
    "message": "[u u1-2 short short u u short {b32} u short u]",
    "side": "['side-block/1' b16 b4 b88 [u b16 b32 {[u message]} b16 b64 u]]",
    "party-row": "[key b32 u u u id null/[b32 b32 u u] former]",
    "device-row": "[key b32 u former]",
    "lot-row": "[b32 b16 u u time time time b16 b16 b0-16 u u b32 b32 u b32 u id u b u u short]",
    "block-row": "[b32 b16 u]",
    "side-row": "[b16 u b id u]",
    "command-row": "[u1-31 epoch b32 u u u u document]",
    "statement": "['statement/1' u u u u b32 {[b6 u u]} {[u1-63 u u]} u u u u u u u u u u u u u0-999999999]",
    "account-row": "['account/1' {[u u]} u u u u statement]",
    "agreement": "['agreement/1' b16 b16 b16 u b32 ['billing-terms/1' u u u u u] ...]",
    "agreement-row": "[agreement b32]",
    "calendar": "['calendar/1' t1-64 {[u i]} ...]",
    "tariff": "['tariff/1' b16 t1-64 t3 u u1-3 {[u1-63 u]} {[time u]} {[u u u]} u u calendar]",
    "tariff-row": "[tariff key]",
}
BODIES = {
    FORM: "form",
    REPORT: "report",
    LOCK: "lock",
    SIDE_BLOCK: "lock",
    ACCUSE: "accuse",
    ACCUSE_PROPOSER: "accuse-proposer",
    EXHIBIT: "exhibit",
    ACCUSE_EXHIBIT: "accuse-exhibit",
}
_TOKEN = re.compile(r"\.\.\.|'[^']*'|[\[\]{}/]|[^\s\[\]{}/]+")
_NAME = re.compile(r"[a-z0-9][a-z0-9./-]{0,63}")
_LEAF = re.compile(r"([uibt])(?:(\d+)(?:-(\d+))?)?")
Shape = Callable[[Any], bool]


@cache
def _shape(name: str) -> Shape:
    """Return the check of a named shape."""
    return _parse(_TOKEN.findall(SHAPES[name])[::-1])


def _parse(tokens: list[str]) -> Shape:
    """Return the check that the next tokens describe; takes them off the end."""
    word = tokens.pop()
    if word == "[":
        shape = _array(tokens)
    elif word == "{":
        item = _parse(tokens)
        tokens.pop()
        shape = _list_of(item)
    elif word[0] == "'":
        shape = partial(_same, word[1:-1])
    else:
        shape = _shape(word) if word in SHAPES else _leaf(word)
    if tokens and tokens[-1] == "/":
        tokens.pop()
        return _either(shape, _parse(tokens))
    return shape


def _array(tokens: list[str]) -> Shape:
    items, goes_on = [], False
    while tokens[-1] != "]":
        if tokens[-1] == "...":
            goes_on = bool(tokens.pop())
        else:
            items.append(_parse(tokens))
    tokens.pop()

    def fits(value: Any) -> bool:
        if type(value) is not list or len(value) < len(items) or (len(value) > len(items) and not goes_on):
            return False
        return all(item(part) for item, part in zip(items, value, strict=False))

    return fits


def _list_of(item: Shape) -> Shape:
    return lambda value: type(value) is list and all(map(item, value))


def _either(one: Shape, other: Shape) -> Shape:
    return lambda value: one(value) or other(value)


def _same(fixed: str, value: Any) -> bool:
    return bool(value == fixed)


def _leaf(word: str) -> Shape:
    if word == "null":
        return lambda value: value is None
    if word == "name":
        return lambda value: type(value) is str and _NAME.fullmatch(value) is not None
    if word == "any":
        return lambda value: type(value) is list
    parts = _LEAF.fullmatch(word)
    assert parts is not None, word
    kind, low, high = parts[1], parts[2], parts[3]
    if kind in "ui":
        least = int(low) if low else -MAX_INT if kind == "i" else 0
        most = int(high) if high else MAX_INT
        return lambda value: type(value) is int and least <= value <= most
    shortest = int(low) if low else 0
    longest = int(high) if high else shortest if low else MAX_INT
    type_ = bytes if kind == "b" else str
    return lambda value: type(value) is type_ and shortest <= len(value) <= longest


# --- hashes, signatures, Merkle trees


def _sha(data: bytes) -> bytes:
    return sha256(data).digest()


def _shad(data: bytes) -> bytes:
    return _sha(_sha(data))


def _inclusion_root(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Return the RFC 9162 root that a leaf hash and its path lead to (2.1.3.2)."""
    _need(index < size, f"there is no leaf {index} among {size}")
    place, last, node = index, size - 1, leaf
    for sibling in path:
        _need(last > 0, "a Merkle path is too long")
        if place & 1 or place == last:
            node = _sha(b"\x01" + sibling + node)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            node = _sha(b"\x01" + node + sibling)
        place, last = place >> 1, last >> 1
    _need(last == 0, "a Merkle path is too short")
    return node


def _tree_root(leaves: Sequence[bytes], digest: Callable[[bytes], bytes] | None = None) -> bytes:
    """Return the root over leaf data: with sha256d as blocks have it, or with another hash."""
    digest = digest or _shad
    level = [digest(b"\x00" + leaf) for leaf in leaves]
    while len(level) > 1:
        joined = [digest(b"\x01" + a + b) for a, b in zip(level[::2], level[1::2], strict=False)]
        level = joined + level[len(joined) * 2 :]
    return level[0] if level else digest(b"")


def _peaks_root(count: int, peaks: bytes) -> bytes:
    """Return the root of a tree from the roots of its complete subtrees, largest first."""
    hashes = [peaks[at : at + 32] for at in range(0, len(peaks), 32)]
    _need(len(peaks) % 32 == 0 and len(hashes) == count.bit_count(), "the peaks are not those of the count")
    node = hashes.pop() if hashes else _shad(b"")
    while hashes:
        node = _shad(b"\x01" + hashes.pop() + node)
    return node


def _check_signature(key: bytes, message: bytes, signature: bytes, whose: str) -> None:
    try:
        nacl.bindings.crypto_sign_open(signature + message, key)
    except (nacl.exceptions.CryptoError, ValueError, TypeError) as error:
        raise _Wrong(f"the signature of {whose} does not verify") from error


def _to_be_signed(domain: str, chain: bytes, payload: bytes) -> bytes:
    protected = bytes.fromhex("a10127")
    return cbor2.dumps(["Signature1", protected, cbor2.dumps([domain, chain]), payload])


def _split(message: bytes) -> tuple[bytes, bytes]:
    """Return payload and signature of a COSE_Sign1; everything around them is fixed."""
    _need(message[:6] == bytes.fromhex("8443a10127a0"), "no COSE_Sign1 with EdDSA")
    payload, at = _item(message, 6, 0)
    signature, end = _item(message, at, 0)
    fits = type(payload) is bytes and type(signature) is bytes and len(signature) == 64
    _need(fits and end == len(message), "no COSE_Sign1 of a payload and 64 bytes of signature")
    return payload, signature


# --- checkpoints


class Checkpoint(NamedTuple):
    """What validators signed."""

    origin: str
    size: int
    log_root: bytes
    state_root: bytes
    height: int
    time: int
    block: bytes
    signed_at: int
    """Height whose validators sign it."""
    signatures: list[tuple[str, bytes | None, bytes, bytes]]
    """(name, key ID if it is said, signed bytes, signature)."""


def _unbase64(text: str, size: int) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _Wrong("a word of the note is not base64") from error
    _need(len(data) == size and base64.b64encode(data) == text.encode(), "a word of another form in the note")
    return data


def _number(text: str) -> int:
    plain = re.fullmatch("0|[1-9][0-9]{0,18}", text) is not None
    _need(plain and int(text) <= MAX_INT, "a number of another form in the note")
    return int(text)


def _note(note: bytes) -> Checkpoint:
    """Read a signed note of a checkpoint, or the light block that stands for one."""
    _need(len(note) <= MAX_NOTE, "the note is too large")
    if note[:1] == b"\x89":
        return _light(note)
    try:
        body, blank, signed = note.decode("utf-8").partition("\n\n")
    except UnicodeDecodeError as error:
        raise _Wrong("the note is no text") from error
    _need(blank == "\n\n" and signed.endswith("\n"), "the note has no signatures")
    lines = [line.split(" ") for line in body.split("\n")]
    _need([len(line) for line in lines] == [1, 1, 1, 2, 2, 4], "the checkpoint has not its six lines")
    (origin,), (size,), (root,), (*words, app), (word, state), (last, height, time, block) = lines
    _need([*words, word, last] == ["app_hash", "state_root", "block"], "other lines than a checkpoint's")
    log_root, state_root = _unbase64(root, 32), _unbase64(state, 32)
    committed = _shad(log_root + _number(size).to_bytes(8, "big") + state_root)
    _need(_unbase64(app, 32) == committed, "app_hash is not that of this log and state")
    lines = [line.split(" ") for line in signed[:-1].split("\n")]
    _need(all(len(line) == 3 and line[0] == "—" for line in lines), "a signature line of another form")
    signatures = [(name, _unbase64(data, 68)) for _, name, data in lines]
    names = [name for name, _ in signatures]
    _need(names == sorted(set(names)) and len(names) <= 256, "signatures are not in order of name, each once")
    text = (body + "\n").encode()
    votes: list[tuple[str, bytes | None, bytes, bytes]] = []
    votes += [(name, data[:4], text, data[4:]) for name, data in signatures]
    at = _number(height)
    place = (origin, _number(size), log_root, state_root, at, _number(time), _unbase64(block, 32))
    return Checkpoint(*place, at, votes)


# --- light blocks: CometBFT's header and precommits, in protocol buffers


def _varint(value: int) -> bytes:
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + _varint(rest) if rest else bytes([low])


def _field(number: int, content: bytes | int) -> bytes:
    """Return a field, nothing where it is zero or empty."""
    if isinstance(content, int):
        return bytes([number << 3]) + _varint(content) if content else b""
    return _nested(number, content) if content else b""


def _nested(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _fixed(number: int, value: int) -> bytes:
    return bytes([number << 3 | 1]) + value.to_bytes(8, "little") if value else b""


def _light(note: bytes) -> Checkpoint:
    """Read a light block: its header carries the app_hash of the height before."""
    read = _read(note, MAX_NOTE, "light-block", "the light block")
    _, origin, size, log_root, state_root, header, round_, (parts, parts_root), votes = read
    version, height, time, (last, count, last_root), *hashes = header
    app = _shad(log_root + size.to_bytes(8, "big") + state_root)
    chain = f"gridmon-{_sha(origin.encode()).hex()[:40]}".encode()
    commit, data, validators, following, consensus, results, evidence, proposer = hashes
    moment = _field(1, time[0]) + _field(2, time[1])
    before = _field(1, last) + _nested(2, _field(1, count) + _field(2, last_root))
    leaves = [
        _field(1, version[0]) + _field(2, version[1]),
        _field(1, chain),
        _field(1, height),
        moment,
        before,
    ]
    rest = (commit, data, validators, following, consensus, app, results, evidence, proposer)
    leaves += [_field(1, item) for item in rest]
    block = _tree_root(leaves, _sha)
    part_set = _nested(2, _field(1, parts) + _field(2, parts_root))
    what = _nested(4, _field(1, block) + part_set)
    signatures: list[tuple[str, bytes | None, bytes, bytes]] = []
    for name, when, signature in votes:
        said = _nested(5, _field(1, when[0]) + _field(2, when[1]))
        vote = _field(1, 2) + _fixed(2, height) + _fixed(3, round_) + what + said + _field(6, chain)
        signatures.append((name, None, _varint(len(vote)) + vote, signature))
    names = [name for name, *_ in votes]
    _need(names == sorted(set(names)) and len(names) <= 256, "precommits are not in order of name, each once")
    time_ms = time[0] * 1000 + time[1] // 1_000_000
    return Checkpoint(origin, size, log_root, state_root, height - 1, time_ms, last, height, signatures)


def _check_quorum(point: Checkpoint, origin: str, validators: list[Any], *, minimal: bool = True) -> None:
    """Require a quorum's signatures, and exactly a minimal one's: the most powerful first, then by name."""
    _need(point.origin == origin, f"the checkpoint is of {point.origin[:80]!r}")
    known = {name: (key, power) for _, name, key, power in validators}
    _need(all(name in known for name, *_ in point.signatures), "a signature of nobody in the validator set")
    total = sum(power for _, power in known.values())
    signed = 0
    for power, _ in sorted((-known[name][1], name) for name, *_ in point.signatures):
        _need(not minimal or 3 * signed <= 2 * total, "more signatures than a quorum needs")
        signed -= power
    _need(3 * signed > 2 * total, f"{signed} of {total} power signed, more than two thirds are needed")
    for name, key_id, signed_bytes, signature in point.signatures:
        key = known[name][0]
        named = _sha(name.encode() + b"\n\x01" + key)[:4]
        _need(key_id in (None, named), f"{name} signed with another key")
        _check_signature(key, signed_bytes, signature, name)


def _check_founding(founding: list[Any]) -> None:
    """Check what the shape of a genesis document does not say."""
    parameters, parties, validators = founding[6], founding[9], founding[10]
    _need(re.fullmatch("[A-Z]{3}", founding[4]) is not None, "the currency is not three capital letters")
    _need(len(parties) <= MAX_PARTIES, "too many founding parties")
    later = (CONSUMER, METER, RESEARCHER)
    _need(all(role not in later for role, _, _, _ in parties), "a founding party that registers later")
    ids = [_shad(cbor2.dumps(["party/1", role, key]))[:16] for role, _, key, _ in parties]
    _need(len(set(ids)) == len(ids), "two founding parties have the same role and key")
    _check_set(validators)
    nodes = {name for name, party in zip(ids, parties, strict=True) if party[0] == NODE}
    _need(all(node in nodes for node, _, _, _ in validators), "a validator that is not a node of the chain")
    signing = [key for _, _, key, _ in parties] + [key for _, _, key, _ in validators]
    _need(all(map(nacl.bindings.crypto_core_ed25519_is_valid_point, signing)), "no valid Ed25519 key")
    _need(all(map(_is_box_key, [founding[8], *(key for _, _, _, key in parties)])), "no valid X25519 key")
    _expand(parameters[0])
    _need(max(parameters[2:]) <= LONGEST_MS, "a bound, notice or expiry is longer than ten years")


def _is_box_key(key: bytes) -> bool:
    """Tell whether an X25519 key is of no small order (RFC 7748 6.1: the shared secret is not zero)."""
    try:
        nacl.bindings.crypto_scalarmult(b"\x77" * 32, key)
    except nacl.exceptions.RuntimeError:
        return False
    return True


def _check_set(validators: list[Any]) -> None:
    names = [name for _, name, _, _ in validators]
    _need(1 <= len(names) <= MAX_VALIDATORS, "no validators, or too many")
    _need(names == sorted(set(names)), "validators are not in order of name, each once")
    keys, nodes = {key for _, _, key, _ in validators}, {node for node, _, _, _ in validators}
    _need(len(keys) == len(nodes) == len(names), "two validators share a key or a node")


class Sets:
    """The validator sets along a bundle's history; a new set signs from the second block after its change."""

    def __init__(self, founding: list[Any]) -> None:
        self.origin, self.bits = f"gridmonitoring/{founding[1]}", founding[6][1]
        self.known: list[tuple[int, list[Any]]] = [(0, founding[10])]
        self.last: Checkpoint | None = None
        self.needed = {0}

    def check(self, note: bytes) -> Checkpoint:
        """Return a note's checkpoint after checking that the set in force at its height signed it."""
        point, _ = self.decided(note, minimal=True)
        _need(self.last is None or point.size >= self.last.size, "the log was longer before")
        return point

    def decided(self, note: bytes, *, minimal: bool = False) -> tuple[Checkpoint, list[Any]]:
        """Return the checkpoint of a note of any height, and the set whose quorum signed it."""
        point = _note(note)
        at = max(number for number, (height, _) in enumerate(self.known) if height <= point.signed_at)
        _check_quorum(point, self.origin, self.known[at][1], minimal=minimal)
        if at not in self.needed:
            try:
                _check_quorum(point, self.origin, self.known[at - 1][1], minimal=minimal)
            except _Wrong:
                self.needed.add(at)
        return point, self.known[at][1]

    def add(self, note: bytes, value: bytes, bucket: bytes, path: list[bytes]) -> None:
        """Follow one change of the set."""
        point, last = self.check(note), self.last
        grown = last is None or (point.size > last.size and point.height > last.height)
        _need(grown, "the log does not grow from one change of validators to the next")
        _check_row(VALIDATORS, b"", value, bucket, path, point.state_root, self.bits)
        validators = _read(value, MAX_DOCUMENT, "validator-set", "the validator set")[1]
        _check_set(validators)
        self.known.append((point.height + 2, validators))
        self.last = point


# --- log and state


class Logged(NamedTuple):
    """A transaction that is in the log."""

    place: int
    raw: bytes
    id: bytes
    kind: int
    role: int
    signer: bytes
    sequence: int
    time: int
    body: list[Any]
    signed: bytes
    signature: bytes


def _logged(chain: bytes, item: list[Any], point: Checkpoint) -> Logged:
    index, raw, path = item
    root = _inclusion_root(_sha(b"\x00" + raw), index, point.size, path)
    _need(root == point.log_root, f"transaction {index} does not lead to the log's root")
    _need(len(raw) <= MAX_TRANSACTION, f"transaction {index} is too large")
    encoded, signature = _split(raw)
    payload = _read(encoded, MAX_TRANSACTION, "payload", f"transaction {index}")
    kind, version, role, signer, sequence, time, body = payload
    _need(
        version == 1 and kind in TYPES and (kind not in BODIES or _shape(BODIES[kind])(body)),
        f"transaction {index} has another form",
    )
    signed = _to_be_signed("gridmon/transaction/1", chain, encoded)
    return Logged(index, raw, _shad(encoded), kind, role, signer, sequence, time, body, signed, signature)


def _check_row(
    table: int, key: bytes, value: bytes, bucket: bytes, path: list[bytes], root: bytes, bits: int
) -> None:
    key_hash = _sha(cbor2.dumps([table, key]))
    rows = [bucket[at : at + 64] for at in range(0, len(bucket), 64)]
    keys = [row[:32] for row in rows]
    where = int.from_bytes(key_hash, "big") >> 256 - bits
    _need(len(bucket) % 64 == 0 and keys == sorted(set(keys)), "a bucket is not whole rows in order")
    _need(all(int.from_bytes(k, "big") >> 256 - bits == where for k in keys), "a row in another's bucket")
    _need(key_hash + _sha(value) in rows, f"the state has not this row in table {table}")
    _need(len(path) == bits, "a path of another length than the state tree's")
    found = _inclusion_root(_sha(b"\x00" + bucket), where, 1 << bits, path)
    _need(found == root, f"a row of table {table} does not lead to the state root")


# --- what each kind of evidence needs


class Case(NamedTuple):
    """Everything that is proved to be in log and state."""

    chain: bytes
    genesis: list[Any]
    transactions: list[Logged]
    rows: dict[tuple[int, bytes], bytes]
    openings: list[Any]
    decided: list[tuple[Checkpoint, list[Any]]]

    def get(self, table: int, key: bytes, shape: str) -> Any:
        """Return a row's value."""
        _need((table, key) in self.rows, f"the row of table {table} is missing")
        return _read(self.rows[table, key], MAX_DOCUMENT, shape, f"the row of table {table}")

    def one(self, table: int) -> bytes:
        """Return the key of the only row of a table."""
        keys = [key for number, key in self.rows if number == table]
        _need(len(keys) == 1, f"there must be one row of table {table}")
        return keys[0]

    def first(self, kind: int) -> Logged:
        """Return the first transaction, which must be of this type."""
        _need(bool(self.transactions) and self.transactions[0].kind == kind, "other transactions than needed")
        return self.transactions[0]

    def exactly(
        self, signed: list[Logged], kinds: list[int], rows: set[tuple[int, bytes]], openings: int = 0
    ) -> None:
        """Require these types in their roles, these rows and no more openings than that."""
        _need([logged.kind for logged in signed] == kinds, "other transactions than needed")
        _need(
            all(logged.role == TYPE_ROLE[logged.kind] for logged in signed),
            "signed in another role than its type's",
        )
        _need(set(self.rows) == rows, "other rows than needed")
        _need(len(self.openings) <= openings, "an opening that there is no hash for")


def _key_at(keys: list[Any], former: list[Any], index: int) -> bytes:
    for key, since, until in former:
        if since <= index < until:
            return bytes(key)
    _need(bool(keys[0]) and keys[2] <= index, f"no key was in force at log entry {index}")
    return bytes(keys[0])


def _party_key(case: Case, role: int, party: bytes, index: int) -> bytes:
    row = case.get(PARTY, bytes((role,)) + party, "party-row")
    return _key_at(row, row[7], index)


def _party_row(logged: Logged) -> tuple[int, bytes]:
    return PARTY, bytes((logged.role,)) + logged.signer


def _device_row(logged: Logged) -> tuple[int, bytes]:
    return DEVICE, logged.signer + logged.body[0].to_bytes(4, "big")


def _check_signer(case: Case, logged: Logged) -> None:
    if logged.role == METER:
        row = case.get(*_device_row(logged), "device-row")
        key = _key_at(row, row[3], logged.place)
    else:
        key = _party_key(case, logged.role, logged.signer, logged.place)
    _check_signature(key, logged.signed, logged.signature, f"log entry {logged.place}")


def _numbered(mid: bytes, number: int) -> bytes:
    return mid + number.to_bytes(8, "big")


def _reading(case: Case) -> dict[str, Any]:
    with _step(7):
        report = case.first(REPORT)
        reading = report.body[7]
        case.exactly(case.transactions, [REPORT], {_device_row(report)}, int(type(reading) is bytes))
    with _step(8):
        _check_signer(case, report)
    with _step(9):
        for salt, registers in case.openings:
            commitment = _shad(cbor2.dumps(["reading/1", salt, registers]))
            _need(commitment == reading, "salt and registers are not what the claim commits to")
    shown = case.openings[0][1] if case.openings else reading[0] if type(reading) is list else None
    return {**_claim(report), "registers": _registers(shown), "settles": type(reading) is list}


def _purchase(case: Case) -> dict[str, Any]:
    with _step(7):
        form = case.first(FORM)
        (request_bytes, request_signature), (payment_bytes, payment_signature) = map(_split, form.body[:2])
        request = _read(request_bytes, MAX_TRANSACTION, "request", "the purchase request")
        payment = _read(payment_bytes, MAX_TRANSACTION, "payment", "the payment")
        _need(1 <= request[1] <= 12, "the payer has no role")
        payer, vendor = (request[1], request[2]), (VENDOR, payment[1])
        locked = len(case.transactions) > 1
        table = BLOCK if locked else LOT
        credit = case.one(table)
        rows = {_party_row(logged) for logged in case.transactions} | {(table, credit)}
        rows |= {(PARTY, bytes((role,)) + party) for role, party in (payer, vendor)}
        case.exactly(case.transactions, [FORM, LOCK] if locked else [FORM], rows)
    with _step(8):
        for logged in case.transactions:
            _check_signer(case, logged)
        message = _to_be_signed("gridmon/purchase-request/1", case.chain, request_bytes)
        _check_signature(_party_key(case, *payer, form.place), message, request_signature, "the payer")
        message = _to_be_signed("gridmon/payment/1", case.chain, payment_bytes)
        _check_signature(_party_key(case, *vendor, form.place), message, payment_signature, "the vendor")
    with _step(9):
        _need(payment[2] == _shad(request_bytes), "the vendor confirmed another request")
        _need(payment[3:5] == request[4:6], "the vendor confirmed another amount or currency")
        _need(request[5] == case.genesis[4], "the money is not this chain's")
        _need(request[3] == form.body[2], "the form is for another meter than the request")
        _need(form.body[4] == case.genesis[2], "the form is for another area")
        _need(max(request[7], payment[6]) <= form.time, "request or payment is signed after the form")
        if locked:
            _check_locked_form(case, form, request)
        else:
            _check_lot(case, form, request, payment)
    return {
        "meter": form.body[2].hex(),
        "payer": request[2].hex(),
        "vendor": payment[1].hex(),
        "money": request[4],
        "energy_wh": form.body[7],
        "time": form.time,
        "locked": locked,
    }


def _check_lot(case: Case, form: Logged, request: list[Any], payment: list[Any]) -> None:
    key = case.one(LOT)
    lot = case.get(LOT, key, "lot-row")
    _need(key[:16] == form.body[2] and len(key) == 24, "the lot is another meter's")
    made = _parent_id(case.chain, key[:16], int.from_bytes(key[16:], "big"), form)
    _, _, _, _, _, tariff, script, energy, dispatch, replaces = form.body
    said = [form.id, made, request[7], form.time, form.signer, request[2], payment[1], energy]
    said += [request[4], tariff, script, dispatch, form.place, replaces]
    there = lot[:4] + lot[7:15] + lot[16:18]
    _need(said == there, "the lot says something else of the purchase")


def _parent_id(chain: bytes, mid: bytes, height: int, begun: Logged) -> bytes:
    return _shad(cbor2.dumps([chain, mid, height, begun.id]))[:16]


def _expand(compact: bytes) -> int:
    """Return the number of a target's four bytes, which must be its one compact form."""
    exponent, mantissa = compact[0], int.from_bytes(compact[1:], "big")
    target = mantissa << 8 * (exponent - 3) if exponent > 3 else mantissa >> 8 * (3 - exponent)
    _need(0 < mantissa < 2**23 and 0 < target < 2**256, "the target is no number")
    shift = 8 * abs(exponent - 3)
    whole = mantissa == (target >> shift if exponent > 3 else target << shift)
    _need(whole and exponent == (target.bit_length() + 8) // 8, "the target has another form")
    return target


def _check_nonce(header: bytes) -> None:
    """Require the lowest nonce that puts the header's hash below its target."""
    target = _expand(header[76:80])
    nonce = int.from_bytes(header[80:], "big")
    _need(int.from_bytes(_shad(header), "big") < target, "the block hash is not below the target")
    for lower in range(nonce):
        found = _shad(header[:80] + lower.to_bytes(8, "big"))
        _need(int.from_bytes(found, "big") >= target, "the nonce is not the lowest")


def _locked_block(case: Case) -> tuple[Logged, list[Any]]:
    """Return the lock and its parent block, as the BLOCK row has them."""
    lock = case.transactions[-1]
    mid, height, encoded = lock.body
    block = _read(encoded, MAX_DOCUMENT, "parent", "the parent block")
    _, block_id, size, header, body = block
    row = case.get(BLOCK, _numbered(mid, height), "block-row")
    _need(row == [_shad(header), block_id, lock.place], "the row is of another block")
    _need(int.from_bytes(size, "big") == len(encoded), "the block's size is wrong")
    _need(body[2][0] == mid and body[2][3] == lock.signer, "the block is another meter's or node's")
    _need(body[4] == case.genesis[2], "the block is of another area")
    _need(int.from_bytes(header[68:76], "big") == body[1][1], "the header is of another time")
    _check_nonce(header)
    return lock, block


def _check_locked_form(case: Case, form: Logged, request: list[Any]) -> None:
    lock, (_, block_id, _, _, body) = _locked_block(case)
    _need(block_id == _parent_id(case.chain, lock.body[0], lock.body[1], form), "the block is another form's")
    _, _, mid, house, _, tariff, script, energy, dispatch, replaces = form.body
    said = [request[7], form.time, mid, house, energy, request[4], tariff, script, dispatch, form.place]
    there = [*body[1][:2], *body[2][:3], *body[5:9], body[10]]
    _need(said == there and replaces == body[13], "the block says something else of the purchase")


def _block(case: Case) -> dict[str, Any]:
    with _step(7):
        _need(len(case.transactions) > 1, "a block needs the transactions of its life, and its lock")
        *life, lock = case.transactions
        case.exactly([lock], [LOCK], {_party_row(lock), (BLOCK, case.one(BLOCK))})
    with _step(8):
        _check_signer(case, lock)
    with _step(9):
        lock, (_, block_id, _, header, body) = _locked_block(case)
        mid, height, _ = lock.body
        kind = 1 if body[12] == 3 else 2
        _need(header[:4] == bytes((0, 1, 0, kind)), "the data version is wrong")
        _need(height > 0 or header[4:36] == case.chain, "the first block does not point at genesis")
        raws = [logged.raw for logged in life]
        _need(
            _tree_root([*raws, cbor2.dumps(body)]) == header[36:68],
            "the Merkle root is not over life and body",
        )
        data = body[2]
        bare = [*body[:2], [*data[:4], b""], *body[3:]]
        document = cbor2.dumps(["nsig-parent/1", block_id, header[4:36], _tree_root(raws), bare])
        message = _to_be_signed("gridmon/nsig-parent/1", case.chain, document)
        key = _party_key(case, NODE, lock.signer, lock.place)
        _check_signature(key, message, data[4], "the block's node")
        begun = [logged.place for logged in life if _parent_id(case.chain, mid, height, logged) == block_id]
        _need(begun == [body[10]], "no transaction of the life began this block there")
    return {
        "meter": mid.hex(),
        "height": height,
        "block_hash": _shad(header).hex(),
        "transactions": len(life),
        "money": body[5],
        "energy_wh": data[2],
        "violations": body[0],
        "time": body[3],
    }


def _message(case: Case) -> dict[str, Any]:
    with _step(7):
        appended = case.first(SIDE_BLOCK)
        mid, height, encoded = appended.body
        parent = (SIDE, _numbered(mid, height))
        case.exactly(case.transactions, [SIDE_BLOCK], {_party_row(appended), parent})
    with _step(8):
        _check_signer(case, appended)
    with _step(9):
        parent_id, count, peaks, last, actions = case.get(*parent, "side-row")
        _, block_id, size, header, body = _read(encoded, MAX_DOCUMENT, "side", "the side block")
        _need(int.from_bytes(size, "big") == len(encoded), "the side block's size is wrong")
        _need(body[1] == mid and body[4] == appended.signer, "the side block is another meter's or node's")
        evidence = cbor2.dumps([parent_id, [[number, message[7]] for number, message in body[3]]])
        _need(block_id == parent_id[:8] + _shad(evidence)[:8], "the side block's ID is not of this parent")
        kinds = {message[1] for _, message in body[3]}
        _need(header[:4] == bytes((0, 1, 0, sum(kinds))), "the version does not name the kinds of report")
        _need(int.from_bytes(header[68:76], "big") == body[6], "the header is of another time")
        document = cbor2.dumps(["nsig-side/1", block_id, header[4:36], [*body[:5], b"", body[6]]])
        message = _to_be_signed("gridmon/nsig-side/1", case.chain, document)
        key = _party_key(case, NODE, appended.signer, appended.place)
        _check_signature(key, message, body[5], "the side block's node")
        _check_nonce(header)
        if header[4:36] == parent_id + bytes(16):
            own = _tree_root([block_id + cbor2.dumps(body)])
            _need(own == header[36:68], "the Merkle root is not over the first side block")
        if last == _shad(header):
            _need(_peaks_root(count, peaks) == header[36:68], "the Merkle root is not that of the row")
            _need(actions == body[0], "the action counter is not that of the row")
    messages = [
        {"kind": ("state", "violation")[m[1] - 1], "code": m[2], "violation": m[3]} for _, m in body[3]
    ]
    return {"meter": mid.hex(), "height": height, "messages": messages, "time": body[6]}


def _command(case: Case) -> dict[str, Any]:
    with _step(7):
        key = case.one(COMMAND)
        row = case.get(COMMAND, key, "command-row")
        _need(row[0] in COMMANDS, "a command of no known kind")
        rows = {(COMMAND, key)}
        if row[0] == SCRIPT_COMMAND:
            agreement = _read(row[7], MAX_DOCUMENT, "agreement", "the agreement")
            _need(agreement[3] == key[:16], "the agreement is another meter's")
            rows |= {(TARIFF, digest) for digest, _ in _tariffs(case, agreement[5])}
        case.exactly(case.transactions, [], rows)
    return {
        "meter": key[:16].hex(),
        "number": int.from_bytes(key[16:], "big"),
        "command": COMMANDS[row[0]],
        "money": row[6] if row[0] in (1, 9, 30, 31) else 0,
        "time": row[3],
        "expires": row[4],
    }


def _account(case: Case) -> dict[str, Any]:
    with _step(7):
        key = case.one(ACCOUNT)
        case.exactly(case.transactions, [], {(ACCOUNT, key)})
    with _step(9):
        account = case.get(ACCOUNT, key, "account-row")
    return _stated(key, account[6])


def _bill(case: Case) -> dict[str, Any]:
    with _step(7):
        report = case.first(REPORT)
        mid = report.signer
        agreement = case.get(AGREEMENT, mid, "agreement-row")[0]
        tariffs = _tariffs(case, agreement[5])
        rows = {_device_row(report), (ACCOUNT, mid), (AGREEMENT, mid)}
        case.exactly(case.transactions, [REPORT], rows | {(TARIFF, digest) for digest, _ in tariffs})
    with _step(8):
        _check_signer(case, report)
    with _step(9):
        _need(type(report.body[7]) is list, "the report does not settle")
        statement = case.get(ACCOUNT, mid, "account-row")[6]
        _check_bill(report, statement, agreement[6], tariffs)
    return {**_claim(report), **_stated(mid, statement)}


def _tariffs(case: Case, digest: bytes) -> list[tuple[bytes, list[Any]]]:
    """Return (hash, tariff) of the tariff that an agreement names and all that followed it."""
    found: list[tuple[bytes, list[Any]]] = []
    while digest:
        _need(len(found) < len(case.rows), "tariffs follow each other in a circle")
        tariff, successor = case.get(TARIFF, digest, "tariff-row")
        _need(_shad(cbor2.dumps(tariff)) == digest, "a tariff's hash is not the key of its row")
        found.append((digest, tariff))
        digest = successor
    return found


def _check_bill(
    report: Logged, statement: list[Any], terms: list[Any], tariffs: list[tuple[bytes, list[Any]]]
) -> None:
    _, _, sequence, since, until, tariff_hash, counted, lines, standing, subscription, tax, charge = (
        statement[:12]
    )
    _need((sequence, until) == (report.sequence, report.time), "the statement is of another report")
    _need([[code, now] for code, _, now in counted] == report.body[7][0], "it closes with other registers")
    _need(sum(line[2] for line in lines) + standing + subscription + tax == charge, "it does not add up")
    digest, tariff = [entry for number, entry in enumerate(tariffs) if not number or entry[1][4] < until][-1]
    _need(digest == tariff_hash, "it is by another tariff than the one agreed and in force")
    energy = _energy(tariff, {code: now - before for code, before, now in counted}, statement[18])
    _need([line[:2] for line in lines] == [[number, wh] for number, wh, _ in energy], "it has other energy")
    _need(bool(tariff[11][2]), "its tariff has no calendar")
    (days_before, month_before), (days, month) = (
        billing_days(tariff[11][2], time) for time in (since, until)
    )
    _need(standing == (days - days_before) * tariff[9], "it has another standing charge")
    _need(subscription == (month - month_before) * terms[1], "it has another subscription")
    net = [Fraction(wh * price, 1000) for _, wh, price in energy]
    due = (sum(net) + standing + subscription) * (1 + Fraction(terms[5], 10**6))
    carried = charge + Fraction(statement[20], 10**9) - due
    _need(0 <= carried < 1, "it charges another amount than energy, time charges and tax come to")
    first = statement[19] == charge and statement[18] == sum(wh for _, wh, _ in energy)
    _need(first or statement[17] <= since, "it begins a period with another sum")
    _need(carried == 0 or not first, "it carries a remainder into a period's first charge")
    for number, line in enumerate(lines):
        steps = [(carried + sum(net[:count])) // 1 for count in (number, number + 1)]
        _need(line[2] == steps[1] - steps[0], "a line is not its energy at the tariff's price")


def _energy(tariff: list[Any], used: dict[bytes, int], period: int) -> list[tuple[int, int, int]]:
    """Return (rate or slab, Wh, price per kWh) of what was used; `period` is the period's energy with it."""
    _need(IMPORT_TOTAL in used and min(used.values()) >= 0, "a register is missing or went down")
    total, found = used[IMPORT_TOTAL], []
    if tariff[5] == 1:
        _need(len(tariff[6]) == 1, "a flat tariff has one rate")
        found = [(tariff[6][0][0], total, tariff[6][0][1])]
    elif tariff[5] == 2:
        lower = 0
        for number, (limit, price) in enumerate(tariff[7], 1):
            upper = max(period, lower) if limit is None else limit
            inside = min(upper, period) - max(lower, period - total)
            found.append((number, max(inside, 0), price))
            lower = upper
    else:
        codes = [(rate, bytes((1, 0, 1, 8, rate, 255)), price) for rate, price in tariff[6]]
        _need(all(code in used for _, code, _ in codes), "the register of a rate is missing")
        found = [(rate, used[code], price) for rate, code, price in codes]
        _need(sum(wh for _, wh, _ in found) == total, "the rates do not add up to the total")
    return [line for line in found if line[1]]


def billing_days(transitions: list[list[int]], time: int) -> tuple[int, int]:
    """Return how many billing days have begun by a time, and the month of the last as 12 * year + month."""
    day, begun = transitions[0][1] * 60_000 // DAY_MS, 0
    for number, (start, minutes) in enumerate(transitions):
        if start <= time:
            end = time if number + 1 == len(transitions) else min(time, transitions[number + 1][0] - 1)
            opens, closes = ((at + minutes * 60_000) // DAY_MS for at in (start, end))
            if opens > day:  # a transition that skips midnight begins one day, however many it skips
                day, begun = opens, begun + 1
            if closes > day:
                day, begun = closes, begun + closes - day
    try:
        reached = date.fromordinal(date(1970, 1, 1).toordinal() + day)
    except (ValueError, OverflowError) as error:
        raise _Wrong("a time that is in no calendar") from error
    return begun, 12 * reached.year + reached.month


# --- the one entry point


def _accusation(case: Case) -> dict[str, Any]:
    if case.decided:
        return _wrong_proposal(case)
    with _step(7):
        mid, signed, kinds = _accused(case)
        accusation = case.transactions[-1]
        payload, signature = _split(signed)
        delivery = _read(payload, MAX_DOCUMENT, "delivery", "the delivery")
        accused = (PARTY, bytes((NODE,)) + delivery[1])
        case.exactly(case.transactions, kinds, {*map(_party_row, case.transactions), accused})
    with _step(8):
        for one in case.transactions:
            _check_signer(case, one)
        key = _party_key(case, NODE, delivery[1], accusation.place)
        message = _to_be_signed("gridmon/delivery/1", case.chain, payload)
        _check_signature(key, message, signature, "the accused node")
    with _step(9):
        _need(delivery[2] == mid, "the delivery is for another meter")
        _need(not _holds(delivery[6], cbor2.dumps(case.genesis)), "a quorum signed what this node delivered")
    return {
        "meter": mid.hex(),
        "node": delivery[1].hex(),
        "told": KINDS.get(delivery[4], "nothing known"),
        "number": delivery[5],
        "time": accusation.time,
        "log_index": accusation.place,
    }


def _accused(case: Case) -> tuple[bytes, bytes, list[int]]:
    """Return meter and signed delivery of an accusation, whole or in parts, and the types that it takes."""
    if len(case.transactions) == 1:
        mid, signed = case.first(ACCUSE).body
        return mid, signed, [ACCUSE]
    case.first(EXHIBIT)
    *parts, last = case.transactions
    kinds = [*[EXHIBIT] * len(parts), ACCUSE_EXHIBIT]
    _need([one.kind for one in case.transactions] == kinds, "other transactions than needed")
    mid, digest, count = last.body
    named = [(one.signer, one.body[0], one.body[1]) for one in parts]
    _need(named == [(last.signer, digest, n) for n in range(count)], "other parts than the accusation's")
    signed = b"".join(one.body[2] for one in parts)
    _need(_shad(signed) == digest, "the parts are not the delivery")
    return mid, signed, kinds


def _wrong_proposal(case: Case) -> dict[str, Any]:
    with _step(7):
        accusation = case.transactions[0]
        case.exactly(case.transactions, [ACCUSE_PROPOSER], {_party_row(accusation)})
        mid, signed, _, accounts = accusation.body
        payload, signature = _split(signed)
        proposal = _read(payload, MAX_DOCUMENT, "proposal", "the proposal")
    _, node, height, _, size, log_root, state_root = proposal
    point, validators = case.decided[0]
    with _step(8):
        _check_signer(case, accusation)
        keys = [key for validator, _, key, _ in validators if validator == node]
        _need(bool(keys), "who signed the proposal is no validator")
        message = _to_be_signed("gridmon/block-proposal/1", case.chain, payload)
        _check_signature(keys[0], message, signature, "the proposer")
    with _step(9):
        _need((size, log_root) == (point.size, point.log_root), "what was proposed was not decided")
        _need(state_root != point.state_root, "the quorum came to the same state as the proposer")
        taken = _overcharge(mid, accounts, (state_root, point.state_root), case.genesis[6][1])
    return {
        "meter": mid.hex() or None,
        "node": node.hex(),
        "proposed": height,
        "taken_too_much": taken,
        "time": accusation.time,
        "log_index": accusation.place,
    }


def _overcharge(mid: bytes, accounts: list[Any], roots: tuple[bytes, bytes], bits: int) -> int | None:
    """Return how much more a proposer took of a meter than the quorum, by both accounts."""
    _need((len(mid), len(accounts)) in ((0, 0), (16, 2)), "a meter goes with two accounts")
    if not mid:
        return None
    for (value, bucket, path), root in zip(accounts, roots, strict=True):
        _check_row(ACCOUNT, mid, value, bucket, path, root, bits)
    said, true = (_read(value, MAX_DOCUMENT, "account-row", "an account") for value, _, _ in accounts)
    left_said, left_true = (sum(lot[1] for lot in account[1]) - account[2] for account in (said, true))
    more = said[6][11] - true[6][11]
    _need(left_said < left_true or more > 0, "the proposer took no more than the quorum")
    return int(max(left_true - left_said, more))


def _holds(bundle: bytes, genesis: bytes) -> bool:
    """Tell whether a bundle proves something that a meter may be told."""
    try:
        return verify(bundle, genesis)["kind"] in ("command", "statement", "bill")
    except NotProven:
        return False


CHECKS: dict[int, Callable[[Case], dict[str, Any]]] = {
    1: _reading,
    2: _purchase,
    3: _block,
    4: _message,
    5: _command,
    6: _account,
    7: _bill,
    30: _accusation,
}


def verify(bundle: bytes, genesis: bytes) -> dict[str, Any]:
    """Return what a bundle proves, as values that JSON can hold; raises `NotProven`."""
    with _step(1):
        _, kind, named, history, note, logged, listed, openings = _read(
            bundle, MAX_BUNDLE, "bundle", "the bundle"
        )
        _need(kind in CHECKS, "a bundle of no known kind")
    with _step(2):
        founding = _read(genesis, MAX_DOCUMENT, "genesis", "the genesis document")
        chain = _shad(genesis)
        _need(named == chain, f"the bundle is of another chain, {named.hex()}")
        _check_founding(founding)
    with _step(3):
        sets = Sets(founding)
        for handover in history:
            sets.add(*handover)
    with _step(4):
        point = sets.check(note)
    with _step(5):
        transactions = [_logged(chain, item, point) for item in logged]
        indices = [item.place for item in transactions]
        _need(indices == sorted(set(indices)), "transactions are not in order of the log")
    with _step(4):
        carried = [one.body[2] for one in transactions if one.kind == ACCUSE_PROPOSER]
        decided = [sets.decided(inside) for inside in carried] if KINDS[kind] == "accusation" else []
        _need(len(sets.needed) == len(sets.known), "a change of validators that nothing needs")
    with _step(6):
        keys = [(row[0], row[1]) for row in listed]
        _need(keys == sorted(set(keys)), "rows are not in order of table and key")
        _need(all(table in TABLES for table, _ in keys), "a row of no known table")
        for row in listed:
            table, key, value, bucket, path = row
            _check_row(table, key, value, bucket, path, point.state_root, sets.bits)
    rows = {(row[0], row[1]): row[2] for row in listed}
    facts = CHECKS[kind](Case(chain, founding, transactions, rows, openings, decided))
    return {
        "genesis": chain.hex(),
        "chain": founding[1],
        "area": founding[2],
        "kind": KINDS[kind],
        "checkpoint": {
            "log_size": point.size,
            "log_root": point.log_root.hex(),
            "state_root": point.state_root.hex(),
            "height": point.height,
            "time": point.time,
            "signers": [name for name, *_ in point.signatures],
        },
        "currency": founding[4],
        "minor_digits": founding[5],
        "facts": facts,
        "steps": list(STEPS.values()),
    }


# --- in plain words


def _claim(report: Logged) -> dict[str, Any]:
    epoch, event, status, relay = report.body[:4]
    where = {"meter": report.signer.hex(), "epoch": epoch, "sequence": report.sequence, "time": report.time}
    return {**where, "event": event, "status": status, "relay": relay, "log_index": report.place}


def _registers(pairs: list[Any] | None) -> dict[str, int] | None:
    return None if pairs is None else {f"{code[2]}.{code[3]}.{code[4]}": wh for code, wh in pairs}


def _stated(mid: bytes, statement: list[Any]) -> dict[str, Any]:
    return {
        "meter": mid.hex(),
        "statement": statement[1],
        "from": statement[3],
        "time": statement[4],
        "registers": _registers([[code, now] for code, _, now in statement[6]]),
        "charge": statement[11],
        "credit": statement[15],
        "debt": statement[16],
    }


def _when(time: int) -> str:
    if time >= 253_402_300_800_000:
        return f"{time} ms"
    moment = datetime.fromtimestamp(time // 1000, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{time % 1000:03} UTC"


def _money(proven: dict[str, Any], amount: int) -> str:
    digits = proven["minor_digits"]
    whole, rest = divmod(amount, 10 ** (6 + digits))
    return f"{whole}.{rest:0{6 + digits}} {proven['currency']}"


def sentence(proven: dict[str, Any]) -> str:
    """Return in one plain sentence what was proven."""
    facts = proven["facts"]
    who, when = f"meter {facts['meter']}", _when(facts["time"])
    if "proposed" in facts:
        taken = f", which took {_money(proven, facts['taken_too_much'])} too much of {who}"
        said = f"Node {facts['node']} signed a wrong result of block {facts['proposed']}"
        return f"{said}{taken if facts['meter'] else ''}; accused on {when}."
    if proven["kind"] == "reading":
        shown = facts["registers"]
        values = (
            ", ".join(f"{code} = {wh} Wh" for code, wh in shown.items()) if shown else "registers not shown"
        )
        return f"On {when} {who} signed report {facts['sequence']} (event {facts['event']}): {values}."
    if proven["kind"] == "purchase":
        state = "its block is locked" if facts["locked"] else "its lot is open"
        money = _money(proven, facts["money"])
        return f"On {when} {who} was credited {money}, a quote of {facts['energy_wh']} Wh; {state}."
    if proven["kind"] == "block":
        of = f"{facts['transactions']} transactions, {facts['violations']} violations"
        return f"Block {facts['height']} of {who} is locked, last entry {when}: {of}."
    if proven["kind"] == "message":
        count = len(facts["messages"])
        return f"A side block of block {facts['height']} of {who}, {when}, holds {count} messages."
    if proven["kind"] == "command":
        until = _when(facts["expires"])
        return f"Command {facts['number']} ({facts['command']}) to {who} of {when} is valid until {until}."
    if proven["kind"] == "accusation":
        told = f"{facts['told']} {facts['number']}"
        return f"Node {facts['node']} signed, for {who}, a {told} that no quorum proves; accused on {when}."
    charge, credit, debt = (_money(proven, facts[name]) for name in ("charge", "credit", "debt"))
    left = f"charged {charge}, left {credit} of credit and {debt} of debt"
    by = ", recomputed by the agreed tariff" if proven["kind"] == "bill" else ""
    return f"Statement {facts['statement']} of {who}, {when}, {left}{by}."


def _print(proven: dict[str, Any]) -> None:
    tick = "\u2713" if (sys.stdout.encoding or "").lower().replace("-", "") == "utf8" else "ok"
    print(f"genesis  {proven['genesis']}")
    print(f"kind     {proven['kind']}")
    for number, text in STEPS.items():
        print(f"  {tick} {number}. {text}")
    point = proven["checkpoint"]
    print(
        f"signed by {', '.join(point['signers'])}: block {point['height']}, {point['log_size']} log entries"
    )
    print(f"PROVEN   {sentence(proven)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the bundle that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(
        description="Check an evidence bundle offline, against its genesis document."
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="the evidence bundle")
    parser.add_argument(
        "--genesis", type=Path, help="the genesis document (default: genesis.cbor beside the bundle)"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    options = parser.parse_args(arguments)
    try:
        genesis = (options.genesis or options.bundle.parent / "genesis.cbor").read_bytes()
        proven = verify(options.bundle.read_bytes(), genesis)
    except (NotProven, OSError) as error:
        if options.json:
            print(json.dumps({"proven": False, "error": str(error), "step": getattr(error, "step", None)}))
        print(f"NOT PROVEN: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({"proven": True, **proven, "sentence": sentence(proven)}))
    else:
        _print(proven)
    return 0


if __name__ == "__main__":
    sys.exit(main())
