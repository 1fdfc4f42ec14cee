"""The one envelope of every transaction (docs/spec/transactions.md).

COSE_Sign1 over [type, version, signer's role, signer, nonce or sequence, time, body]. The ID is
sha256d of that payload: it names its signer, and leaves the signature out. The log's leaf is the
whole COSE_Sign1.

Left out: rules of the state, which are in `processing.state_transition`.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from gridmonitoring.blockchain.bodies import BODIES
from gridmonitoring.encoding.bounds import (
    Bytes16,
    Millis,
    Role,
    TransactionId,
    Unsigned,
)
from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, TRANSACTION_LIMIT, convert, decode, encode, loads
from gridmonitoring.encoding.hashes import sha256, sha256d
from gridmonitoring.errors import Malformed, NotCanonical, TooLarge
from gridmonitoring.keys.signatures import (
    SecretSeed,
    assemble,
    sign_raw,
    signing_context,
    split,
    to_be_signed,
)

DOMAIN = "gridmon/transaction/1"
"""Domain tag of a transaction's signature."""

MAX_PER_PACKAGE = 4096
"""Most transactions in one package."""

B = TypeVar("B")


class Payload(Struct, Generic[B], array_like=True, frozen=True, forbid_unknown_fields=True, gc=False):
    """What the signer signs."""

    kind: Unsigned
    """`bodies.Kind`."""
    version: Unsigned
    """Version of the body's shape."""
    role: Role
    """Role in which the signer signs."""
    signer: Bytes16
    """Party ID; a MID for meters."""
    sequence: Unsigned
    """A report's sequence, else a nonce that grows per signer."""
    time: Millis
    """When it was signed; grows per signer."""
    body: B
    """The body of this type."""


_PAYLOAD: Any = Payload
_PAYLOADS: dict[tuple[int, int], Any] = {key: _PAYLOAD[body] for key, body in BODIES.items()}


class Transaction(Struct, frozen=True, gc=False):
    """A decoded transaction; its signature is not yet verified."""

    raw: bytes
    """The COSE_Sign1, as logged."""
    payload: Payload[Any]
    """What was signed, typed."""
    signed: bytes
    """The bytes that the signature is over."""
    signature: bytes
    """64 bytes."""
    id: TransactionId
    """sha256d of the encoded payload."""
    leaf: bytes
    """Leaf hash in the log: SHA-256(0x00 || raw)."""


class Package(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="package/1"):
    """The unit of gossip (paper IV-D): a node's ID and transactions. Never logged."""

    node: Bytes16
    """Who made the package."""
    transactions: tuple[bytes, ...]
    """Encoded transactions, in order."""


def transaction_context(chain_id: bytes) -> bytes:
    """Return the COSE external_aad of transactions on a chain."""
    return signing_context(DOMAIN, chain_id)


def make_payload(role: Role, signer: bytes, sequence: int, time: int, kind: int, body: Any) -> bytes:
    """Return the encoded payload of a transaction of version 1."""
    return encode([int(kind), 1, int(role), signer, sequence, time, body])


def sign_transaction(
    seed: SecretSeed,
    chain_id: bytes,
    role: Role,
    signer: bytes,
    sequence: int,
    time: int,
    kind: int,
    body: Any,
) -> bytes:
    """Return a signed transaction, ready to send."""
    payload = make_payload(role, signer, sequence, time, kind, body)
    return assemble(payload, sign_raw(seed, to_be_signed(transaction_context(chain_id), payload)))


def decode_transaction(raw: bytes, context: bytes) -> Transaction:
    """Decode a transaction strictly; `context` is `transaction_context(chain_id)`.

    Raises `TooLarge`, `Malformed` or `NotCanonical`. Verifies no signature.
    """
    if len(raw) > TRANSACTION_LIMIT:
        raise TooLarge(len(raw), TRANSACTION_LIMIT)
    encoded, signature = split(raw)
    payload = decode_payload(encoded)
    signed, identifier = to_be_signed(context, encoded), TransactionId(sha256d(encoded))
    return Transaction(raw, payload, signed, signature, identifier, sha256(b"\0" + raw))


def decode_payload(encoded: bytes) -> Payload[Any]:
    """Decode a payload of any type in the closed table; raises an `EncodingError`."""
    values = loads(encoded, TRANSACTION_LIMIT)
    try:
        kind = _PAYLOADS[values[0], values[1]]
    except (KeyError, IndexError, TypeError) as error:
        raise Malformed("not a transaction of a known type and version") from error
    payload: Payload[Any] = convert(values, kind)
    if encode(payload) != encoded:
        raise NotCanonical("not the canonical encoding of a transaction")
    return payload


def decode_package(raw: bytes) -> Package:
    """Decode a package; raises an `EncodingError`. Its transactions are still encoded."""
    package = decode(raw, Package, PACKAGE_LIMIT)
    if len(package.transactions) > MAX_PER_PACKAGE:
        raise Malformed(f"more than {MAX_PER_PACKAGE} transactions in a package")
    return package


def party_id(role: Role, sign_key: bytes) -> bytes:
    """Return the ID of a party: 16 bytes of sha256d over its role and first key."""
    return sha256d(encode(["party/1", int(role), sign_key]))[:16]


def to_plain(value: Any) -> Any:
    """Return a structure as plain lists, for printing and for signing parts of it."""
    return msgspec.to_builtins(value, builtin_types=(bytes,))
