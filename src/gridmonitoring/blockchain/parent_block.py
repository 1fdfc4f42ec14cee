"""The parent block: one purchase from its form to its last watt-hour (paper V-B, figure 2).

`format | size | header | action counter | transactions | blocklocktime`. The Merkle root is over
the signed bytes of every transaction of the block's life, in order, then the encoded body as the
last leaf, so changing anything in the block changes its header. Nsig is made first, the nonce
last. Proof of work is kept as the paper has it, with an easy target; finality and safety come
from the quorum alone (docs/adr).

Left out: who may lock a block and when, which is a rule of `processing.blocks`.
"""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct
from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import OptionalId, Short
from gridmonitoring.blockchain.header import (
    Header,
    block_hash,
    check_header,
    decode_header,
    encode_header,
    find_nonce,
)
from gridmonitoring.blockchain.merkle import append_leaf, leaf_hash, range_root
from gridmonitoring.encoding.bounds import (
    Bytes4,
    Bytes16,
    Bytes32,
    Bytes88,
    Millis,
    Money,
    Name,
    Unsigned,
    WattHours,
)
from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, decode, encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import BlockError, EncodingError
from gridmonitoring.keys.signatures import CheckSignature, SecretSeed, sign_raw, signing_context, to_be_signed

NSIG_DOMAIN = "gridmon/nsig-parent/1"
"""Domain tag of Nsig in a parent block."""
RULES = 1
"""Version of the validation rules of blocks."""


class BlockKind(IntEnum):
    """Kind of data in a parent block; the last two bytes of its data version."""

    INSTALLATION = 1
    PURCHASE = 2


class LockReason(IntEnum):
    """Why a block is complete."""

    OPEN = 0
    FINISHED = 1
    """The credit is used up (TPF)."""
    CLOSED = 2
    """The account was closed."""
    INSTALLED = 3
    """Height 0: the meter reported its installation, after access was given."""
    REVERSED = 4
    """The payment was reversed."""


class _Part(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Base of the parts of a block."""


class Timestamps(_Part, frozen=True):
    """The five timestamps, ms; null where never reached."""

    ttp: Millis
    """Time to purchase power."""
    tpt: Millis
    """Time to process the transaction."""
    tpr: Millis | None
    """Time power starts reading."""
    tprt: Millis | None
    """Time power reaches the threshold value."""
    tpf: Millis | None
    """Time power gets finished."""


class Data(_Part, frozen=True):
    """The data part of the transactions."""

    mid: Bytes16
    """Meter ID."""
    house: Bytes32
    """HN: commitment to the house number."""
    energy: WattHours
    """APP: amount of power purchased, Wh quoted at TPT's price."""
    node: Bytes16
    """NID: the node that built the block."""
    nsig: bytes
    """Nsig: its 64-byte signature; empty while signing."""


class ParentBody(_Part, frozen=True):
    """Everything but format, size and header."""

    action_counter: Unsigned
    """Violations recorded on this block up to the lock."""
    timestamps: Timestamps
    """First group of the transactions."""
    data: Data
    """Second group."""
    blocklocktime: Millis
    """Time of the last entry; with it the block is complete."""
    area: Name
    """Area code."""
    amount: Money
    """Amount paid."""
    tariff: Bytes32
    """Hash of the tariff at TPT."""
    script: Bytes32
    """Hash of the contract's script at TPT."""
    dispatch: Millis
    """Start of the capacity window the energy was booked in; 0 for none."""
    log_root: Bytes32
    """Root of the transaction log just before the form."""
    log_size: Unsigned
    """Its size."""
    side_root: Bytes32
    """Root over the side blocks at the lock."""
    reason: Short
    """`LockReason`."""
    replaces: OptionalId
    """The refused form that this one replaces, or empty."""


class ParentBlock(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="parent-block/1"):
    """A whole parent block."""

    format: Bytes16
    """ID of the block, known as soon as its form exists."""
    size: Bytes4
    """Bytes of the whole encoded block, these four included, big-endian."""
    header: Bytes88
    """`header.Header`."""
    body: ParentBody
    """The rest."""


def parent_format(chain_id: bytes, mid: bytes, height: int, form: bytes) -> bytes:
    """Return the ID of a parent block: 16 bytes over chain, thread, height and form."""
    return sha256d(encode([chain_id, mid, height, form]))[:16]


def life_root(size: int, peaks: bytes) -> bytes:
    """Return the Merkle root over the transactions of a block's life."""
    return range_root(size, peaks, sha256d)


def parent_root(size: int, peaks: bytes, body: ParentBody) -> bytes:
    """Return the Merkle root of the header: the life's transactions, then the body as last leaf."""
    whole = append_leaf(size, peaks, leaf_hash(encode(body), sha256d), sha256d)
    return range_root(size + 1, whole, sha256d)


def nsig_message(
    chain_id: bytes, block_format: bytes, previous: bytes, life: bytes, body: ParentBody
) -> bytes:
    """Return the bytes that Nsig is over: format, previous hash, life's root, body without Nsig."""
    bare = replace(body, data=replace(body.data, nsig=b""))
    document = encode(["nsig-parent/1", block_format, previous, life, bare])
    return to_be_signed(signing_context(NSIG_DOMAIN, chain_id), document)


def build_parent(
    chain_id: bytes,
    seed: SecretSeed,
    block_format: bytes,
    previous: bytes,
    target: bytes,
    life: tuple[int, bytes],
    body: ParentBody,
) -> bytes:
    """Sign, find the nonce and return the encoded parent block.

    `body` comes without Nsig, `life` is (size, peaks) of the life's transactions.
    """
    message = nsig_message(chain_id, block_format, previous, life_root(*life), body)
    signed = replace(body, data=replace(body.data, nsig=sign_raw(seed, message)))
    kind = BlockKind.INSTALLATION if signed.reason == LockReason.INSTALLED else BlockKind.PURCHASE
    header = Header(
        version=RULES.to_bytes(2, "big") + kind.to_bytes(2, "big"),
        previous=previous,
        merkle_root=parent_root(*life, signed),
        timestamp=signed.timestamps.tpt,
        target=target,
        nonce=0,
    )
    header = replace(header, nonce=find_nonce(header))
    return encode(with_size(ParentBlock(block_format, bytes(4), encode_header(header), signed)))


def with_size(block: ParentBlock) -> ParentBlock:
    """Return the block with its size filled in."""
    return replace(block, size=len(encode(block)).to_bytes(4, "big"))


def decode_parent(data: bytes) -> ParentBlock:
    """Read a parent block; raises `BlockError`."""
    try:
        return decode(data, ParentBlock, PACKAGE_LIMIT)
    except EncodingError as error:
        raise BlockError(f"not a parent block: {error}") from error


def check_parent(
    chain_id: bytes,
    block: ParentBlock,
    previous: bytes,
    target: bytes,
    life: tuple[int, bytes],
    node_key: bytes,
    check: CheckSignature,
) -> bytes:
    """Check a parent block against its life and place in the thread; return its block hash.

    1 size, 2 header fields, 3 Merkle root, 4 Nsig, 5 nonce. Raises `BlockError` or `BadSignature`.
    """
    # 1
    if block.size != with_size(block).size:
        raise BlockError("the size is not that of the encoded block")
    # 2
    header = decode_header(block.header)
    reason = block.body.reason
    kind = BlockKind.INSTALLATION if reason == LockReason.INSTALLED else BlockKind.PURCHASE
    if header.version != RULES.to_bytes(2, "big") + kind.to_bytes(2, "big"):
        raise BlockError("the data version does not name these rules and this kind of data")
    if header.previous != previous:
        raise BlockError("the previous block hash is not that of the thread")
    if header.timestamp != block.body.timestamps.tpt or header.target != target:
        raise BlockError("timestamp or target of the header is wrong")
    # 3
    if header.merkle_root != parent_root(*life, block.body):
        raise BlockError("the Merkle root does not commit to the block's life and body")
    # 4
    message = nsig_message(chain_id, block.format, previous, life_root(*life), block.body)
    check(node_key, message, block.body.data.nsig)
    # 5
    check_header(header)
    return block_hash(block.header)
