"""Genesis: the one document that everything is verified against (docs/spec/genesis.md).

It names the chain, its parameters and every role's keys, in the ledger's encoding, identical
under both consensus engines. Its sha256d is the chain ID, so every signature is bound to it.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from gridmonitoring.blockchain.header import expand_target
from gridmonitoring.blockchain.transactions import party_id
from gridmonitoring.encoding.bounds import (
    Bytes4,
    Bytes16,
    Bytes32,
    ChainId,
    Currency,
    Millis,
    Name,
    Role,
    Unsigned,
)
from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, decode, encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import BlockError, Malformed
from gridmonitoring.keys.sealed_boxes import check_hpke_key
from gridmonitoring.keys.signatures import check_public_key

NoteName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9./-]*$")]
"""A name that can stand in a signed note: lower case, no spaces, no plus."""

LONGEST_MS = 10 * 366 * 86_400_000
"""Longest bound, notice or expiry of a chain, ms: ten years, so that no time of a row can pass 2^63-1."""
DEFAULT_TARGET = bytes.fromhex("1f0fffff")
"""Twelve leading zero bits in compact form: about 5 ms of work."""


class Parameters(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Numbers fixed for the chain; they change only by governance."""

    target: Bytes4 = DEFAULT_TARGET
    """Target of block headers, compact form (nBits), big-endian."""
    bucket_bits: Annotated[int, Meta(ge=4, le=24)] = 16
    """log2 of the number of state buckets; 20 for a million meters. Never changes."""
    future_bound: Millis = 15 * 60 * 1000
    """How far a signed time may be past block time, ms."""
    key_notice: Millis = 72 * 3600 * 1000
    """Delay before a replaced consumer key is in force, ms."""
    command_expiry: Millis = 30 * 24 * 3600 * 1000
    """How long a command to a meter is valid, ms."""


class FoundingParty(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A party that the chain starts with."""

    role: Role
    """Its role; consumers and meters register later."""
    name: NoteName
    """Its name."""
    sign_key: Bytes32
    """Ed25519 public key; for a node this is Nsig's."""
    hpke_key: Bytes32
    """X25519 public key."""

    def id(self) -> bytes:
        """Return its party ID."""
        return party_id(self.role, self.sign_key)


class Validator(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One voting node: its validator key is separate from its Nsig key."""

    node: Bytes16
    """Party ID of the node."""
    name: NoteName
    """Name in signed notes."""
    key: Bytes32
    """Ed25519 public key of its votes."""
    power: Annotated[int, Meta(ge=1, le=1_000_000)]
    """Voting power."""


class Genesis(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="genesis/1"):
    """The founding document of an area's chain."""

    name: NoteName
    """Name of the chain; the origin of its checkpoints is `gridmonitoring/<name>`."""
    area: Name
    """Area code of every meter on it."""
    created: Millis
    """When it was made, ms."""
    currency: Currency
    """ISO 4217 code of all money on it."""
    minor_digits: Annotated[int, Meta(ge=0, le=4)]
    """Decimals of the currency's minor unit (2 for EUR)."""
    parameters: Parameters
    """The chain's parameters."""
    suite: Unsigned
    """HPKE suite of the contract key (`keys.sealed_boxes.SuiteNumber`)."""
    contract_key: Bytes32
    """Authenticator contract key of the network: reports are sealed to it (II-B)."""
    parties: Annotated[tuple[FoundingParty, ...], Meta(max_length=1024)]
    """Every founding party."""
    validators: Annotated[tuple[Validator, ...], Meta(min_length=1, max_length=128)]
    """The first validator set, sorted by name."""

    def origin(self) -> str:
        """Return the origin line of this chain's checkpoints."""
        return f"gridmonitoring/{self.name}"


class ValidatorSet(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="validators/1"):
    """The validator set as a row of the state."""

    validators: Annotated[tuple[Validator, ...], Meta(min_length=1, max_length=128)]
    """Sorted by name."""

    def powers(self) -> list[tuple[str, bytes, int]]:
        """Return (name, key, power) of each, as checkpoints are verified against."""
        return [(validator.name, validator.key, validator.power) for validator in self.validators]


class Proposal(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="proposal/1"):
    """What nodes approve by governance: parties joining or leaving, validators, parameters."""

    number: Unsigned
    """Number of this proposal, one more than the last that passed."""
    join: tuple[FoundingParty, ...]
    """Parties that join."""
    revoke: tuple[tuple[Role, Bytes16], ...]
    """Parties whose keys end."""
    validators: tuple[Validator, ...]
    """The new validator set, or empty for no change."""
    parameters: Parameters | None
    """New parameters, or none for no change."""


class Successor(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="successor/1"):
    """What nodes approve to rotate the authenticator contract key (II-B)."""

    number: Unsigned
    """Number of the key, one more than the last announced; genesis' has number 1."""
    suite: Unsigned
    """HPKE suite of the key (`keys.sealed_boxes.SuiteNumber`)."""
    key: Bytes32
    """The key that reports will be sealed to."""
    since: Unsigned
    """Log size from which it is in force; one that the log has passed is at once."""
    ends: Millis
    """Block time after which no report sealed to an earlier key is taken, ms."""


def encode_genesis(genesis: Genesis) -> bytes:
    """Return the document's bytes."""
    return encode(genesis)


def decode_genesis(data: bytes) -> Genesis:
    """Read and check a genesis document; raises an `EncodingError` or `KeyMaterialError`."""
    genesis = decode(data, Genesis, PACKAGE_LIMIT)
    check_genesis(genesis)
    return genesis


def check_genesis(genesis: Genesis) -> None:
    """Check what the shape alone does not say; raises `Malformed` or `BadPublicKey`."""
    for party in genesis.parties:
        if party.role in (Role.CONSUMER, Role.METER, Role.RESEARCHER):
            raise Malformed(f"{party.name}: consumers, researchers and meters register after genesis")
        check_public_key(party.sign_key)
        check_hpke_key(party.hpke_key)
    if len({party.id() for party in genesis.parties}) != len(genesis.parties):
        raise Malformed("two founding parties have the same role and key")
    nodes = {party.id() for party in genesis.parties if party.role == Role.NODE}
    check_validators(genesis.validators, nodes)
    check_hpke_key(genesis.contract_key)
    check_parameters(genesis.parameters)


def check_parameters(parameters: Parameters) -> None:
    """Check that blocks can be made and rows written under these parameters; raises `Malformed`."""
    try:
        expand_target(parameters.target)
    except BlockError as error:
        raise Malformed(f"no block can be made: {error}") from error
    if max(parameters.future_bound, parameters.key_notice, parameters.command_expiry) > LONGEST_MS:
        raise Malformed(f"bounds, notices and expiries are at most {LONGEST_MS} ms")


def check_validators(validators: tuple[Validator, ...], nodes: set[bytes]) -> None:
    """Check that a validator set is sorted, distinct and made of known nodes; raises `Malformed`."""
    names = [validator.name for validator in validators]
    if names != sorted(set(names)):
        raise Malformed("validators are not distinct and sorted by name")
    if len({v.key for v in validators}) != len(names) or len({v.node for v in validators}) != len(names):
        raise Malformed("two validators share a key or a node")
    for validator in validators:
        check_public_key(validator.key)
        if validator.node not in nodes:
            raise Malformed(f"validator {validator.name} is not a node of the chain")


def chain_id(genesis_bytes: bytes) -> ChainId:
    """Return the chain ID: sha256d of the genesis document."""
    return ChainId(sha256d(genesis_bytes))
