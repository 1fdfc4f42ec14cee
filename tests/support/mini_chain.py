"""A small real chain for tests of evidence: genesis, keys, a log, a state tree and signed notes.

Rows are put and transactions logged by hand, as a state transition would have left them; everything
below (encodings, signatures, trees, notes) is the project's own. All keys come from fixed seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gridmonitoring.blockchain import merkle
from gridmonitoring.blockchain.bodies import Kind
from gridmonitoring.blockchain.checkpoint import Checkpoint, app_hash, encode_note, minimal_quorum
from gridmonitoring.blockchain.evidence_bundle import Handover
from gridmonitoring.blockchain.genesis import (
    FoundingParty,
    Genesis,
    Parameters,
    Validator,
    ValidatorSet,
    chain_id,
    encode_genesis,
)
from gridmonitoring.blockchain.log import TransactionLog
from gridmonitoring.blockchain.state_rows import PartyRow, Table, party_key
from gridmonitoring.blockchain.state_tree import RowProof, StateTree, row_key_hash, row_value_hash
from gridmonitoring.blockchain.transactions import (
    Transaction,
    decode_transaction,
    sign_transaction,
    transaction_context,
)
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.encoding.hashes import sha256, sha256d
from gridmonitoring.keys.sealed_boxes import SuiteNumber, hpke_public_key
from gridmonitoring.keys.signatures import PublicKey, SecretSeed, public_key_of, sign_raw

EASY = bytes.fromhex("207fffff")
"""A target that every second hash meets."""
START = 1_700_000_000_000
"""Time of genesis, ms."""


def seed(name: str) -> SecretSeed:
    """Return the secret seed of a name."""
    return SecretSeed(sha256(b"a fixed seed of " + name.encode()))


def key(name: str) -> PublicKey:
    """Return the public key of a name."""
    return public_key_of(seed(name))


def founding_party(role: Role, name: str) -> FoundingParty:
    """Return a founding party whose keys are of its name."""
    return FoundingParty(role, name, key(name), hpke_public_key(seed(name)))


def validator(number: int, power: int = 1) -> Validator:
    """Return the validator of a node."""
    node = founding_party(Role.NODE, f"node-{number}")
    return Validator(node.id(), f"validator-{number}", key(f"validator-{number}"), power)


def small_genesis(bits: int = 6, powers: Sequence[int] = (1, 1, 1, 1)) -> Genesis:
    """Return the genesis of a chain with one validator for each power."""
    parties = [founding_party(Role.NODE, f"node-{number}") for number in range(1, 7)]
    parties += [founding_party(role, role.name.lower().replace("_", "-")) for role in list(Role)[:8]]
    return Genesis(
        "tests",
        "Area 7",
        START,
        "EUR",
        2,
        Parameters(EASY, bits),
        SuiteNumber.X25519,
        hpke_public_key(seed("contract")),
        tuple(parties),
        tuple(validator(number, power) for number, power in enumerate(powers, 1)),
    )


class MiniChain:
    """Log, state and checkpoint, as `evidence_builders.EvidenceSource` has them."""

    def __init__(self, genesis: Genesis) -> None:
        self.founding = genesis
        self.id = chain_id(encode_genesis(genesis))
        self.validators = genesis.validators
        self.raws: list[bytes] = []
        self.values: dict[tuple[Table, bytes], bytes] = {}
        self.handovers: list[Handover] = []
        self.log = TransactionLog()
        self.tree = StateTree(genesis.parameters.bucket_bits)
        self.height = 1
        self.put(Table.PARAMETERS, b"", genesis.parameters)
        self.put(Table.VALIDATORS, b"", ValidatorSet(genesis.validators))
        for party in genesis.parties:
            self.put_party(party.role, party.id(), party.sign_key)

    def put(self, table: Table, row_key: bytes, row: Any) -> None:
        """Write a row."""
        self.put_value(table, row_key, encode(row))

    def put_value(self, table: Table, row_key: bytes, value: bytes | None) -> None:
        """Write the encoded value of a row, or delete it."""
        if value is None:
            del self.values[table, row_key]
        else:
            self.values[table, row_key] = value
        change = None if value is None else row_value_hash(value)
        self.tree.update([(row_key_hash(table, row_key), change)])

    def put_party(self, role: Role, party: bytes, sign_key: bytes, since: int = 0) -> None:
        """Write a party without a history."""
        row = PartyRow(sign_key, hpke_public_key(sha256(sign_key)), since, 0, 0, b"", None, ())
        self.put(Table.PARTY, party_key(role, party), row)

    def sign(
        self, name: str, role: Role, signer: bytes, sequence: int, time: int, kind: Kind, body: Any
    ) -> bytes:
        """Return a transaction signed with the key of a name."""
        return sign_transaction(seed(name), self.id, role, signer, sequence, time, kind, body)

    def append(self, raw: bytes) -> int:
        """Log a transaction and return its index."""
        self.raws.append(raw)
        self.log.append(merkle.leaf_hash(raw, sha256))
        return len(self.raws) - 1

    def decoded(self, index: int) -> Transaction:
        """Return a logged transaction."""
        return decode_transaction(self.raws[index], transaction_context(self.id))

    def change_validators(self, validators: tuple[Validator, ...]) -> None:
        """Put another validator set in force, vouched for by the one before."""
        self.put(Table.VALIDATORS, b"", ValidatorSet(validators))
        value, proof = self.row(Table.VALIDATORS, b"")
        assert value is not None
        self.handovers.append(Handover(self.note(), value, proof.bucket, proof.path))
        self.validators = validators
        self.height += 2

    def checkpoint(self) -> Checkpoint:
        """Return the checkpoint of what is logged and written so far."""
        log_root, state_root, size = self.log.root(), self.tree.root, len(self.raws)
        return Checkpoint(
            self.founding.origin(),
            size,
            log_root,
            app_hash(log_root, size, state_root),
            state_root,
            self.height,
            START + 60_000 * self.height,
            sha256d(self.height.to_bytes(8, "big")),
        )

    def full_note(self) -> bytes:
        """Return the checkpoint signed by every validator."""
        checkpoint = self.checkpoint()
        signed = [(v.name, v.key, sign_raw(seed(v.name), checkpoint.body())) for v in self.validators]
        return encode_note(checkpoint, signed)

    def genesis(self) -> bytes:
        """Return the genesis document."""
        return encode_genesis(self.founding)

    def note(self) -> bytes:
        """Return the checkpoint with a minimal quorum."""
        return minimal_quorum(self.full_note(), ValidatorSet(self.validators).powers())

    def history(self) -> Sequence[Handover]:
        """Return every change of the validator set."""
        return self.handovers

    def transaction(self, index: int) -> bytes:
        """Return a logged transaction's bytes."""
        return self.raws[index]

    def inclusion(self, index: int, size: int) -> Sequence[bytes]:
        """Return an inclusion proof."""
        leaves = [merkle.leaf_hash(raw, sha256) for raw in self.raws[:size]]

        def get_node(level: int, place: int) -> bytes:
            return merkle.root(leaves[place << level : place + 1 << level], sha256)

        return merkle.inclusion_proof(index, size, get_node, sha256)

    def row(self, table: Table, row_key: bytes) -> tuple[bytes | None, RowProof]:
        """Return a row and its proof."""
        return self.values.get((table, row_key)), self.tree.prove(row_key_hash(table, row_key))
