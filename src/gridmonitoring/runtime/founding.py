"""Founding an embedded network: keys for every role, the genesis document, one file per validator.

Left out: networks of several operators, each of whom makes its own keys (CometBFT).
"""

from __future__ import annotations

from msgspec import Struct

from gridmonitoring.blockchain.genesis import (
    FoundingParty,
    Genesis,
    Parameters,
    Validator,
    check_genesis,
    encode_genesis,
)
from gridmonitoring.blockchain.state_tree import MAX_BITS
from gridmonitoring.blockchain.transactions import party_id
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.errors import UserError
from gridmonitoring.keys.sealed_boxes import SuiteNumber
from gridmonitoring.processing.state_transition import genesis_rows
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.entropy import KeyPair, new_keys
from gridmonitoring.runtime.key_files import write_keys
from gridmonitoring.runtime.storage.truth import Truth

FOUNDERS: tuple[tuple[str, Role], ...] = (
    ("registrar", Role.REGISTRAR),
    ("authenticator", Role.AUTHENTICATOR),
    ("utility", Role.UTILITY),
    ("vendor", Role.VENDOR),
    ("energy-center", Role.ENERGY_CENTER),
    ("operator-a", Role.OPERATOR),
    ("operator-b", Role.OPERATOR),
    ("auditor", Role.AUDITOR),
    ("custodian", Role.CUSTODIAN),
)
"""Names and roles of the parties of a new network, besides its nodes."""


ROWS_PER_METER = 6
"""Rows of the state that a supply point has, about."""
ROWS_PER_BUCKET = 8
"""With fewer buckets a block hashes more of each, with more it hashes more of the nodes above them."""


class Plan(Struct, frozen=True):
    """What a new network is to be."""

    name: str
    """Name of the chain."""
    area: str
    """Area code."""
    currency: str = "EUR"
    """ISO 4217 code."""
    minor_digits: int = 2
    """Decimals of its minor unit."""
    validators: int = 4
    """Number of validators, one node each."""
    parameters: Parameters = Parameters()
    """Parameters of the chain."""


def bucket_bits_for(meters: int) -> int:
    """Return the `bucket_bits` of a chain that is to hold about so many meters: 16 for 50,000."""
    return min(max((meters * ROWS_PER_METER // ROWS_PER_BUCKET).bit_length(), 4), MAX_BITS)


def found(directory: Directory, plan: Plan, now_ms: int) -> Genesis:
    """Make a network in an empty directory that the caller owns; raises `UserError`."""
    if directory.genesis.exists():
        raise UserError(f"{directory.root} holds a network already")
    if not 1 <= plan.validators <= 64:
        raise UserError("an embedded network has 1 to 64 validators")
    parties: list[FoundingParty] = []
    validators: list[Validator] = []
    for name, role in FOUNDERS:
        parties.append(_founder(directory, name, role, new_keys()))
    for number in range(1, plan.validators + 1):
        keys, votes = new_keys(), new_keys()
        name = f"node-{number:02d}"
        parties.append(_founder(directory, name, Role.NODE, keys))
        write_keys(directory.key_file(f"{name}.validator"), None, b"", votes)
        validators.append(Validator(party_id(Role.NODE, keys.sign_key), name, votes.sign_key, 1))
    contract = new_keys()
    write_keys(directory.key_file("contract"), None, b"", contract)
    genesis = Genesis(
        plan.name,
        plan.area,
        now_ms,
        plan.currency,
        plan.minor_digits,
        plan.parameters,
        SuiteNumber.X25519,
        contract.hpke_key,
        tuple(parties),
        tuple(validators),
    )
    check_genesis(genesis)
    document = encode_genesis(genesis)
    for validator in validators:
        create_truth(directory, validator.name, genesis, document)
    directory.genesis.write_bytes(document)
    return genesis


def create_truth(directory: Directory, name: str, genesis: Genesis, document: bytes) -> None:
    """Make a validator's file with the rows of genesis."""
    folder = directory.node(name)
    folder.mkdir(parents=True, exist_ok=True)
    truth = Truth(folder / "truth.db")
    rows = [(int(table), key, encode(value)) for table, key, value in genesis_rows(genesis)]
    truth.create(document, rows)
    truth.close()


def _founder(directory: Directory, name: str, role: Role, keys: KeyPair) -> FoundingParty:
    write_keys(directory.key_file(name), role, party_id(role, keys.sign_key), keys)
    return FoundingParty(role, name, keys.sign_key, keys.hpke_key)
