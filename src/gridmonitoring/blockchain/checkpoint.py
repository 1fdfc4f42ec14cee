"""Checkpoints: log, state and block at one height, signed by the validators (docs/spec/log.md).

The format is the C2SP tlog-checkpoint, a C2SP signed note: lines of origin, tree size and base64
root, here followed by exactly three extension lines, then a blank line and one signature line for
each validator::

    gridmonitoring/area-7
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
    app_hash <base64>
    state_root <base64>
    block <height> <time, ms> <base64 block hash>

    — <name> <base64 of key ID (4 bytes) and Ed25519 signature (64 bytes)>

A block is final when more than two thirds of the voting power signed its checkpoint (paper IV-D:
the majority). Signatures are sorted by name; a note has one form, so nothing in it can be changed
without breaking a signature or this form.

Left out: witness cosignatures, which witnesses keep beside the note; other signature algorithms;
names beyond printable ASCII.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from hashlib import sha256

from msgspec import Struct

from gridmonitoring.encoding.bounds import MAX_INT, Bytes32, Millis, Unsigned
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import BadSignature, CheckpointError
from gridmonitoring.keys.signatures import CheckSignature

NOTE_LIMIT = 64 * 1024
"""Largest signed note, bytes."""
SIGNATURE_LIMIT = 256
"""Most signatures of a note."""

Validators = Sequence[tuple[str, bytes, int]]
"""(name, Ed25519 public key, voting power) of each validator; names differ, powers are positive."""

_NAME = re.compile(r"[!-*,-~]{1,128}")  # printable ASCII without space and plus
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


class Checkpoint(Struct, frozen=True, forbid_unknown_fields=True):
    """What validators sign after each block; a checkpoint that contradicts itself cannot be made.

    Raises `CheckpointError` for a field out of its bounds or an app_hash of another log or state.
    """

    origin: str
    """Name of the log: the chain's."""
    size: Unsigned
    """Transactions in the log."""
    log_root: Bytes32
    """Root of the log."""
    app_hash: Bytes32
    """`app_hash(log_root, size, state_root)`."""
    state_root: Bytes32
    """Root of the state tree."""
    height: Unsigned
    """Height of the consensus block."""
    time_ms: Millis
    """Time of the consensus block, ms since 1970."""
    block_hash: Bytes32
    """Hash of the consensus block."""

    def __post_init__(self) -> None:
        """Check bounds and the app_hash."""
        check_note_name(self.origin)
        if not all(0 <= number <= MAX_INT for number in (self.size, self.height, self.time_ms)):
            raise CheckpointError("size, height and time of a checkpoint are 0 to 2^63 - 1")
        if not all(len(item) == 32 for item in (self.log_root, self.state_root, self.block_hash)):
            raise CheckpointError("a hash in a checkpoint has not 32 bytes")
        if self.app_hash != app_hash(self.log_root, self.size, self.state_root):
            raise CheckpointError("the app_hash is not that of this log and state")

    def body(self) -> bytes:
        """Return the text that is signed, ending in a newline."""
        lines = (
            self.origin,
            str(self.size),
            _base64(self.log_root),
            f"app_hash {_base64(self.app_hash)}",
            f"state_root {_base64(self.state_root)}",
            f"block {self.height} {self.time_ms} {_base64(self.block_hash)}",
            "",
        )
        return "\n".join(lines).encode("ascii")


class NoteSignature(Struct, frozen=True, forbid_unknown_fields=True):
    """One signature line."""

    name: str
    """Name of the signer."""
    key_id: bytes
    """`key_id(name, public_key)`, 4 bytes: which key of that name signed."""
    signature: bytes
    """Ed25519 signature over the body, 64 bytes."""


class Note(Struct, frozen=True, forbid_unknown_fields=True):
    """A signed checkpoint as read; its signatures are not verified by reading."""

    checkpoint: Checkpoint
    """What was signed."""
    signatures: tuple[NoteSignature, ...]
    """Sorted by name, one for each."""


def app_hash(log_root: bytes, size: int, state_root: bytes) -> bytes:
    """Return sha256d(log root || log size, 8 bytes big-endian || state root)."""
    return sha256d(log_root + size.to_bytes(8, "big") + state_root)


def key_id(name: str, public_key: bytes) -> bytes:
    """Return the 4 bytes that name an Ed25519 key (signature type 1) in a signed note."""
    return sha256(name.encode("ascii") + b"\n\x01" + public_key).digest()[:4]


def check_note_name(name: str) -> None:
    """Check an origin or signer's name: 1 to 128 printable ASCII characters without space and plus.

    Raises `CheckpointError`.
    """
    if _NAME.fullmatch(name) is None:
        raise CheckpointError(f"{name[:80]!r} cannot be a name in a signed note")


def encode_note(checkpoint: Checkpoint, signatures: Iterable[tuple[str, bytes, bytes]]) -> bytes:
    """Return the signed note of (name, public key, signature over `checkpoint.body()`), in any order.

    Raises `CheckpointError` for a name that occurs twice or cannot be one, or no signature at all.
    """
    lines = []
    for name, public_key, signature in signatures:
        check_note_name(name)
        lines.append(NoteSignature(name, key_id(name, public_key), signature))
    return _assemble(checkpoint, lines)


def decode_note(note: bytes) -> Note:
    """Read a signed checkpoint in its one form; raises `CheckpointError`.

    Signatures are not verified: `verify_quorum` does.
    """
    if len(note) > NOTE_LIMIT:
        raise CheckpointError(f"a note of {len(note)} bytes, at most {NOTE_LIMIT} are allowed")
    try:
        text = note.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"a note that is not UTF-8: {error}") from error
    body, blank, tail = text.partition("\n\n")
    if not blank or not tail.endswith("\n"):
        raise CheckpointError("a note is a text, a blank line and lines of signatures")
    checkpoint = _read_body(body.split("\n"))
    signatures = [_read_signature(line) for line in tail[:-1].split("\n")]
    if _assemble(checkpoint, signatures) != note:
        raise CheckpointError("a note that is not in the one form of its content")
    return Note(checkpoint, tuple(signatures))


def verify_quorum(note: bytes, validators: Validators, verify: CheckSignature) -> list[str]:
    """Check that validators with more than two thirds of the power signed; return their names.

    1. Each signature is of a validator, under its key.
    2. The signers have more than two thirds of the voting power.
    3. Each signature verifies.

    Surplus signatures are allowed, unknown ones are not. Raises `CheckpointError`.
    """
    decoded = decode_note(note)
    # 1
    keys = {name: public_key for name, public_key, _ in validators}
    for line in decoded.signatures:
        if line.name not in keys or line.key_id != key_id(line.name, keys[line.name]):
            raise CheckpointError(f"{line.name} signed, but is no validator with that key")
    # 2
    signers = [line.name for line in decoded.signatures]
    _smallest_quorum(signers, validators)
    # 3
    body = decoded.checkpoint.body()
    for line in decoded.signatures:
        try:
            verify(keys[line.name], body, line.signature)
        except BadSignature as error:
            raise CheckpointError(f"the signature of {line.name} does not verify") from error
    return signers


def minimal_quorum(note: bytes, validators: Validators) -> bytes:
    """Return the note with no more signatures than a quorum needs: the most powerful, then by name.

    Raises `CheckpointError` where there is no quorum; verifies no signature.
    """
    decoded = decode_note(note)
    kept = _smallest_quorum([line.name for line in decoded.signatures], validators)
    return _assemble(decoded.checkpoint, [line for line in decoded.signatures if line.name in kept])


def require_minimal_quorum(note: bytes, validators: Validators) -> None:
    """Check that the note carries no signature that its quorum does not need.

    So no signature can be dropped from it unnoticed. Raises `CheckpointError`.
    """
    if minimal_quorum(note, validators) != note:
        raise CheckpointError("the note carries more signatures than its quorum needs")


def _smallest_quorum(signers: Iterable[str], validators: Validators) -> set[str]:
    """Return the fewest of the signers that are a quorum; raises `CheckpointError` where none are."""
    powers = {name: power for name, _, power in validators}
    if len(powers) != len(validators) or any(power <= 0 for power in powers.values()):
        raise CheckpointError("validators need names of their own and positive powers")
    total, signed = sum(powers.values()), 0
    kept = set()
    for name in sorted(set(signers) & powers.keys(), key=lambda name: (-powers[name], name)):
        kept.add(name)
        signed += powers[name]
        if 3 * signed > 2 * total:
            return kept
    raise CheckpointError(f"{signed} of {total} voting power signed, more than two thirds are needed")


def _assemble(checkpoint: Checkpoint, signatures: Sequence[NoteSignature]) -> bytes:
    """Return the note with its signatures sorted by name; raises `CheckpointError`."""
    if not 0 < len(signatures) <= SIGNATURE_LIMIT:
        raise CheckpointError(f"a note of {len(signatures)} signatures, 1 to {SIGNATURE_LIMIT} are possible")
    if len({line.name for line in signatures}) != len(signatures):
        raise CheckpointError("a note with two signatures of one name")
    lines = [checkpoint.body().decode("ascii")]
    for line in sorted(signatures, key=lambda line: line.name):
        if len(line.signature) != 64:
            raise CheckpointError(f"a signature of {len(line.signature)} bytes, not 64")
        lines.append(f"— {line.name} {_base64(line.key_id + line.signature)}")
    return ("\n".join(lines) + "\n").encode("utf-8")


def _read_body(lines: list[str]) -> Checkpoint:
    try:
        origin, size, log_root, app_line, state_line, block_line = lines
        app_word, app = app_line.split(" ")
        state_word, state = state_line.split(" ")
        block_word, height, time_ms, block = block_line.split(" ")
    except ValueError as error:
        raise CheckpointError("a checkpoint has six lines of one, two or four words") from error
    if (app_word, state_word, block_word) != ("app_hash", "state_root", "block"):
        raise CheckpointError("the extension lines are app_hash, state_root and block, in this order")
    return Checkpoint(
        origin=origin,
        size=_number(size),
        log_root=_hash(log_root),
        app_hash=_hash(app),
        state_root=_hash(state),
        height=_number(height),
        time_ms=_number(time_ms),
        block_hash=_hash(block),
    )


def _read_signature(line: str) -> NoteSignature:
    try:
        dash, name, data = line.split(" ")
    except ValueError as error:
        raise CheckpointError("a signature line is a dash, a name and base64") from error
    check_note_name(name)
    content = _from_base64(data)
    if dash != "—" or len(content) != 68:
        raise CheckpointError(f"the signature line of {name} is not a dash, its name and 68 bytes")
    return NoteSignature(name, content[:4], content[4:])


def _number(text: str) -> int:
    if _DECIMAL.fullmatch(text) is None:
        raise CheckpointError(f"{text[:30]!r} is not a decimal number")
    return int(text)


def _hash(text: str) -> bytes:
    content = _from_base64(text)
    if len(content) != 32:
        raise CheckpointError(f"a hash of {len(content)} bytes in a checkpoint")
    return content


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _from_base64(text: str) -> bytes:
    """Return what canonical base64 stands for; raises `CheckpointError`."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CheckpointError("a word of a note is not base64") from error
    if _base64(data) != text:
        raise CheckpointError("a word of a note is not canonical base64")
    return data
