"""Light blocks: CometBFT's proof that a quorum stands behind an app_hash (docs/spec/light_block.md).

Under CometBFT the validators sign blocks, not checkpoints: the header of block H+1 carries the app_hash after
block H, and its commit holds the precommits that made it final. A light block is that header, a minimal
quorum of those precommits, and what the app_hash is made of. It stands wherever a signed checkpoint does
(`checkpoint.decode_note` reads both).

Header hash and signed bytes are CometBFT v0.38's: fields in protocol buffers, the header's leaves in the
RFC 9162 tree of SHA-256. Left out: its validator set, which genesis and handovers give, and votes for nil.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated

from msgspec import Meta, Struct

from gridmonitoring.encoding import hashes
from gridmonitoring.encoding.bounds import Bytes32, Unsigned
from gridmonitoring.encoding.hashes import sha256d

MAX_SIGNATURES = 256
"""Most precommits of a light block."""

Address = Annotated[bytes, Meta(min_length=20, max_length=20)]
Hash = Annotated[bytes, Meta(max_length=32)]
_Nanos = Annotated[int, Meta(ge=0, le=999_999_999)]
_Seconds = Annotated[int, Meta(ge=0, le=2**40)]
_Small = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class CometHeader(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A header of CometBFT v0.38; its chain ID follows from the origin, its app_hash from log and state."""

    version: tuple[Unsigned, Unsigned]
    """Version of the block protocol and of the application."""
    height: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    """Height of the block."""
    time: tuple[_Seconds, _Nanos]
    """Its time, seconds and nanoseconds since 1970 UTC."""
    last_block: tuple[Hash, _Small, Hash]
    """Hash of the block before, and number of parts and root of its part set; empty, 0 and empty for none."""
    last_commit: Hash
    """Root of the commit of the block before."""
    data: Hash
    """Root of the block's packages."""
    validators: Bytes32
    """Hash of the validator set that signs it."""
    next_validators: Bytes32
    """Hash of the set that signs the next."""
    consensus: Bytes32
    """Hash of the consensus parameters."""
    last_results: Hash
    """Root of the results of the block before."""
    evidence: Hash
    """Root of the block's evidence of misbehaviour."""
    proposer: Address
    """Address of the validator that proposed it."""


class Precommit(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One validator's vote for the block."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    """The validator's name in genesis or the handover."""
    time: tuple[_Seconds, _Nanos]
    """When it voted, seconds and nanoseconds since 1970 UTC."""
    signature: Annotated[bytes, Meta(min_length=64, max_length=64)]
    """Ed25519 over `signed_bytes`."""


class LightBlock(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="light-block/1"):
    """A header with its quorum, and the log and state that its app_hash is of."""

    origin: Annotated[str, Meta(min_length=1, max_length=128)]
    """Name of the log: the chain's."""
    size: Unsigned
    """Transactions in the log."""
    log_root: Bytes32
    """Root of the log."""
    state_root: Bytes32
    """Root of the state tree."""
    header: CometHeader
    """The header that carries their app_hash: of the block after."""
    round: _Small
    """Round in which the block was decided."""
    parts: tuple[_Small, Bytes32]
    """Number of parts and root of the block's part set, which are signed with its hash."""
    precommits: Annotated[tuple[Precommit, ...], Meta(min_length=1, max_length=MAX_SIGNATURES)]
    """A quorum's votes, sorted by name."""


def comet_chain_id(origin: str) -> str:
    """Return CometBFT's name of the chain with an origin: at most 50 characters are possible there."""
    return f"gridmon-{sha256(origin.encode()).hexdigest()[:40]}"


def comet_address(public_key: bytes) -> bytes:
    """Return CometBFT's address of an Ed25519 key, 20 bytes."""
    return sha256(public_key).digest()[:20]


def header_hash(block: LightBlock) -> bytes:
    """Return the hash of a light block's header: what its precommits are for."""
    header = block.header
    app = sha256d(block.log_root + block.size.to_bytes(8, "big") + block.state_root)
    leaves = [
        _varint(1, header.version[0]) + _varint(2, header.version[1]),
        _bytes(1, comet_chain_id(block.origin).encode()),
        _varint(1, header.height),
        _time(*header.time),
        _block_id(*header.last_block),
        _bytes(1, header.last_commit),
        _bytes(1, header.data),
        _bytes(1, header.validators),
        _bytes(1, header.next_validators),
        _bytes(1, header.consensus),
        _bytes(1, app),
        _bytes(1, header.last_results),
        _bytes(1, header.evidence),
        _bytes(1, header.proposer),
    ]
    return _root([hashes.sha256(b"\x00" + leaf) for leaf in leaves])


def signed_bytes(block: LightBlock, precommit: Precommit, block_hash: bytes) -> bytes:
    """Return what a validator signs to vote for a block: the canonical vote, with its length before it."""
    parts, root = block.parts
    vote = (
        _varint(1, 2)
        + _fixed(2, block.header.height)
        + _fixed(3, block.round)
        + _message(4, _bytes(1, block_hash) + _message(2, _varint(1, parts) + _bytes(2, root)))
        + _message(5, _time(*precommit.time))
        + _bytes(6, comet_chain_id(block.origin).encode())
    )
    return _number(len(vote)) + vote


# protocol buffers: a field that is zero or empty is left out, but a message is not


def _number(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes(encoded) + bytes([value])


def _varint(field: int, value: int) -> bytes:
    return bytes([field << 3]) + _number(value) if value else b""


def _fixed(field: int, value: int) -> bytes:
    return bytes([field << 3 | 1]) + value.to_bytes(8, "little") if value else b""


def _message(field: int, content: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _number(len(content)) + content


def _bytes(field: int, content: bytes) -> bytes:
    return _message(field, content) if content else b""


def _time(seconds: int, nanos: int) -> bytes:
    return _varint(1, seconds) + _varint(2, nanos)


def _block_id(block_hash: bytes, parts: int, root: bytes) -> bytes:
    return _bytes(1, block_hash) + _message(2, _varint(1, parts) + _bytes(2, root))


def _root(level: Iterable[bytes]) -> bytes:
    """Return the RFC 9162 root over leaf hashes: pairs are joined, an odd one goes up as it is."""
    nodes = list(level)
    while len(nodes) > 1:
        pairs = zip(nodes[::2], nodes[1::2], strict=False)
        joined = [hashes.sha256(b"\x01" + left + right) for left, right in pairs]
        nodes = joined + nodes[len(nodes) & ~1 :]
    return nodes[0]
