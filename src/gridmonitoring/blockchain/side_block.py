"""The side block: contract messages and violations, hung off their parent (paper V-C, figure 3).

Its format joins a section of the parent's ID with an ID of its own; its Merkle root is over all
side blocks of the parent so far, this one included. Side blocks of one parent chain among
themselves and can be appended at any time, also after the parent's lock.

Left out: which messages exist, and penalties for them, which are rules of `processing`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from gridmonitoring.blockchain.header import (
    Header,
    block_hash,
    check_header,
    decode_header,
    encode_header,
    find_nonce,
)
from gridmonitoring.blockchain.merkle import append_leaf, leaf_hash, range_root
from gridmonitoring.blockchain.state_rows import MessageRow
from gridmonitoring.encoding.bounds import Bytes4, Bytes16, Bytes32, Bytes88, Millis, Unsigned
from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, decode, encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import BlockError, EncodingError
from gridmonitoring.keys.signatures import CheckSignature, SecretSeed, sign_raw, signing_context, to_be_signed

NSIG_DOMAIN = "gridmon/nsig-side/1"
"""Domain tag of Nsig in a side block."""
RULES = 1
"""Version of the validation rules; the first two bytes of the version."""
MAX_ENTRIES = 32
"""Most entries of one side block."""


class ReportKinds(IntEnum):
    """Kinds of report in a side block; the last two bytes of its version."""

    STATES = 1
    VIOLATIONS = 2
    BOTH = 3


class Entry(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One contract message (TSV, TSM and TVLN are in `message`)."""

    number: Unsigned
    """Number of the message in its thread."""
    message: MessageRow
    """Kind, code, TVLN, TSV, TSM, evidence, count, agreed action and its receipt."""


class SideBody(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Everything but format, size and header."""

    action_counter: Unsigned
    """Violations on this parent in side blocks, this one included."""
    mid: Bytes16
    """Meter ID."""
    house: Bytes32
    """HN: commitment to the house number."""
    entries: Annotated[tuple[Entry, ...], Meta(min_length=1, max_length=MAX_ENTRIES)]
    """In order of their numbers."""
    node: Bytes16
    """NID: the node that built the block."""
    nsig: bytes
    """Nsig: its 64-byte signature; empty while signing."""
    blocklocktime: Millis
    """Time of the last entry."""


class SideBlock(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="side-block/1"):
    """A whole side block."""

    format: Bytes16
    """Section of the parent's ID, then an ID over its evidence."""
    size: Bytes4
    """Bytes of the whole encoded block, big-endian."""
    header: Bytes88
    """`header.Header`."""
    body: SideBody
    """The rest."""


def side_format(parent: bytes, entries: tuple[Entry, ...]) -> bytes:
    """Return parent ID[:8] || sha256d(parent ID, numbers and evidence IDs)[:8]."""
    evidence = [[entry.number, list(entry.message.evidence)] for entry in entries]
    return parent[:8] + sha256d(encode([parent, evidence]))[:8]


def side_kinds(entries: tuple[Entry, ...]) -> ReportKinds:
    """Return which kinds of report the entries are."""
    kinds = {int(entry.message.kind) for entry in entries}
    return ReportKinds(sum(kinds))


def first_previous(parent: bytes) -> bytes:
    """Return the previous hash of a parent's first side block: its ID, zero-padded."""
    return parent.ljust(32, b"\0")


def extended_range(count: int, peaks: bytes, block_format: bytes, body: SideBody) -> bytes:
    """Return the peaks over all side blocks of the parent, this one included."""
    return append_leaf(count, peaks, leaf_hash(block_format + encode(body), sha256d), sha256d)


def nsig_message(chain_id: bytes, block_format: bytes, previous: bytes, body: SideBody) -> bytes:
    """Return the bytes that Nsig is over: format, previous hash, body without Nsig."""
    document = encode(["nsig-side/1", block_format, previous, replace(body, nsig=b"")])
    return to_be_signed(signing_context(NSIG_DOMAIN, chain_id), document)


def build_side(
    chain_id: bytes,
    seed: SecretSeed,
    parent: bytes,
    previous: bytes,
    target: bytes,
    siblings: tuple[int, bytes],
    body: SideBody,
) -> bytes:
    """Sign, find the nonce and return the encoded side block.

    `siblings` is (count, peaks) of the parent's side blocks so far; `body` comes without Nsig.
    """
    block_format = side_format(parent, body.entries)
    signed = replace(body, nsig=sign_raw(seed, nsig_message(chain_id, block_format, previous, body)))
    root = range_root(siblings[0] + 1, extended_range(*siblings, block_format, signed), sha256d)
    header = Header(
        version=RULES.to_bytes(2, "big") + side_kinds(body.entries).to_bytes(2, "big"),
        previous=previous,
        merkle_root=root,
        timestamp=body.blocklocktime,
        target=target,
        nonce=0,
    )
    header = replace(header, nonce=find_nonce(header))
    return encode(with_size(SideBlock(block_format, bytes(4), encode_header(header), signed)))


def with_size(block: SideBlock) -> SideBlock:
    """Return the block with its size filled in."""
    return replace(block, size=len(encode(block)).to_bytes(4, "big"))


def decode_side(data: bytes) -> SideBlock:
    """Read a side block; raises `BlockError`."""
    try:
        return decode(data, SideBlock, PACKAGE_LIMIT)
    except EncodingError as error:
        raise BlockError(f"not a side block: {error}") from error


def check_side(
    chain_id: bytes,
    block: SideBlock,
    parent: bytes,
    previous: bytes,
    target: bytes,
    siblings: tuple[int, bytes],
    node_key: bytes,
    check: CheckSignature,
) -> bytes:
    """Check a side block against its parent and siblings; return its block hash.

    1 format and size, 2 header fields, 3 Merkle root, 4 Nsig, 5 nonce. Raises `BlockError` or
    `BadSignature`.
    """
    body = block.body
    # 1
    if block.format != side_format(parent, body.entries) or block.size != with_size(block).size:
        raise BlockError("format or size is not that of this side block")
    # 2
    header = decode_header(block.header)
    if header.version != RULES.to_bytes(2, "big") + side_kinds(body.entries).to_bytes(2, "big"):
        raise BlockError("the version does not name these rules and kinds of report")
    if header.previous != previous:
        raise BlockError("the previous hash is not that of the parent's last side block")
    if header.timestamp != body.blocklocktime or header.target != target:
        raise BlockError("timestamp or target of the header is wrong")
    # 3
    root = range_root(siblings[0] + 1, extended_range(*siblings, block.format, body), sha256d)
    if header.merkle_root != root:
        raise BlockError("the Merkle root does not commit to the parent's side blocks")
    # 4
    check(node_key, nsig_message(chain_id, block.format, previous, body), body.nsig)
    # 5
    check_header(header)
    return block_hash(block.header)
