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

Under CometBFT the validators sign blocks instead: a light block (`light_block`) stands where a note does, and
every function here reads both.

Left out: witness cosignatures, which witnesses keep beside the note; other signature algorithms;
names beyond printable ASCII.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from gridmonitoring.blockchain.light_block import LightBlock, header_hash, signed_bytes
from gridmonitoring.encoding.bounds import MAX_INT, Bytes32, Millis, Unsigned
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import BadSignature, CheckpointError, EncodingError
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
    """What was signed; of a light block, time and block hash are CometBFT's."""
    signatures: tuple[NoteSignature, ...]
    """Sorted by name, one for each."""
    light: LightBlock | None = None
    """The light block, where it is one."""

    @property
    def signed_at(self) -> int:
        """Height whose validators sign it: its own, or that of the light block's header."""
        return self.light.header.height if self.light else self.checkpoint.height

    def is_of(
        self, origin: str, height: int, time_ms: int, block_hash: bytes, *, empty: bool = False
    ) -> bool:
        """Tell whether it is of a consensus block; a light block says of which height alone.

        An `empty` block may have the light block of the one before, as it leads to the same log and state.
        """
        found = self.checkpoint
        if self.light is not None:
            before = empty and found.height == height - 1
            return found.origin == origin and (found.height == height or before)
        return (found.origin, found.height, found.time_ms, found.block_hash) == (
            *(origin, height, time_ms, block_hash),
        )


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


def is_light(note: bytes) -> bool:
    """Tell whether a note is a light block: an array of nine in CBOR, which no text begins like."""
    return note[:1] == b"\x89"


def decode_note(note: bytes) -> Note:
    """Read a signed checkpoint in its one form; raises `CheckpointError`.

    Signatures are not verified: `verify_quorum` does.
    """
    if is_light(note):
        return _read_light(note)
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
    if decoded.light is not None:
        return _verify_light(decoded.light, keys, validators, verify)
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
    if decoded.light is not None:
        votes = tuple(vote for vote in decoded.light.precommits if vote.name in kept)
        return encode(replace(decoded.light, precommits=votes))
    return _assemble(decoded.checkpoint, [line for line in decoded.signatures if line.name in kept])


def require_minimal_quorum(note: bytes, validators: Validators) -> None:
    """Check that the note carries no signature that its quorum does not need.

    So no signature can be dropped from it unnoticed. Raises `CheckpointError`.
    """
    if minimal_quorum(note, validators) != note:
        raise CheckpointError("the note carries more signatures than its quorum needs")


def _read_light(note: bytes) -> Note:
    """Read a light block in its one form; raises `CheckpointError`."""
    if len(note) > NOTE_LIMIT:
        raise CheckpointError(f"a light block of {len(note)} bytes, at most {NOTE_LIMIT} are allowed")
    try:
        light = decode(note, LightBlock, NOTE_LIMIT)
    except EncodingError as error:
        raise CheckpointError(f"not a light block: {error}") from error
    names = [vote.name for vote in light.precommits]
    if names != sorted(set(names)):
        raise CheckpointError("the precommits of a light block are not distinct and sorted by name")
    if len(light.header.last_block[0]) != 32:
        raise CheckpointError("a light block follows a block")
    checkpoint = Checkpoint(
        origin=light.origin,
        size=light.size,
        log_root=light.log_root,
        app_hash=app_hash(light.log_root, light.size, light.state_root),
        state_root=light.state_root,
        height=light.header.height - 1,
        time_ms=light.header.time[0] * 1000 + light.header.time[1] // 1_000_000,
        block_hash=light.header.last_block[0],
    )
    return Note(checkpoint, tuple(NoteSignature(v.name, b"", v.signature) for v in light.precommits), light)


def _verify_light(
    light: LightBlock, keys: Mapping[str, bytes], validators: Validators, verify: CheckSignature
) -> list[str]:
    """As `verify_quorum`, of a light block's precommits over its header."""
    # 1
    signers = [vote.name for vote in light.precommits]
    for name in signers:
        if name not in keys:
            raise CheckpointError(f"{name} signed, but is no validator")
    # 2
    _smallest_quorum(signers, validators)
    # 3
    block = header_hash(light)
    for vote in light.precommits:
        try:
            verify(keys[vote.name], signed_bytes(light, vote, block), vote.signature)
        except BadSignature as error:
            raise CheckpointError(f"the precommit of {vote.name} does not verify") from error
    return signers


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
