"""Accusations as evidence: a node's signature on what no quorum proves, or on a wrong result, and lies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import (
    AccountProof,
    Accuse,
    AccuseExhibit,
    AccuseProposer,
    Exhibit,
    Kind,
)
from gridmonitoring.blockchain.checkpoint import decode_note
from gridmonitoring.blockchain.evidence_builders import build_command, build_statement
from gridmonitoring.blockchain.evidence_bundle import Bundle, EvidenceKind
from gridmonitoring.blockchain.proposals import BlockProposal, proposal_of, sign_proposal
from gridmonitoring.blockchain.state_rows import Table, party_key
from gridmonitoring.blockchain.state_tree import row_key_hash, row_value_hash
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.energy_center.credit import Account
from gridmonitoring.keys.sealed_commands import DELIVERY_DOMAIN, Delivery
from gridmonitoring.keys.signatures import sign, signing_context, split
from tests.support.evidence_story import MID, NODE, SETTLED
from tests.support.mini_chain import MiniChain, founding_party, seed

ACCUSER = founding_party(Role.NODE, "node-2").id()
ACCUSER_ROW = [(Table.PARTY, party_key(Role.NODE, ACCUSER))]
ROWS = [(Table.PARTY, party_key(Role.NODE, node)) for node in (NODE, ACCUSER)]


class Lie(NamedTuple):
    """An accusation that proves nothing."""

    name: str
    step: int
    """The first step that fails."""
    indices: tuple[int, ...]
    """What is in the bundle."""


def forged_statement(chain: MiniChain) -> bytes:
    """Return a statement with a unit too much, under the proof of the true one."""
    true = decode(build_statement(chain, MID), Bundle, 1 << 20)
    account = decode(true.rows[0].value, Account)
    statement = replace(account.statement, charge=account.statement.charge + 1)
    row = replace(true.rows[0], value=encode(replace(account, statement=statement)))
    return encode(replace(true, rows=(row,)))


def accuse(chain: MiniChain, bundle: bytes, *, mid: bytes = MID, signed_by: str = "node-1") -> int:
    """Log an accusation of node 1 and return its index."""
    delivery = encode(Delivery(NODE, MID, 1, int(EvidenceKind.STATEMENT), 1, bundle))
    signed = sign(seed(signed_by), signing_context(DELIVERY_DOMAIN, chain.id), delivery)
    nonce = len(chain.raws) + 1
    raw = chain.sign("node-2", Role.NODE, ACCUSER, nonce, SETTLED, Kind.ACCUSE, Accuse(mid, signed))
    return chain.append(raw)


def accuse_in_parts(chain: MiniChain, bundle: bytes, size: int = 700) -> int:
    """Log an accusation of node 1 whose delivery goes in parts of this size, and return its index."""
    delivery = encode(Delivery(NODE, MID, 1, int(EvidenceKind.STATEMENT), 1, bundle))
    signed = sign(seed("node-1"), signing_context(DELIVERY_DOMAIN, chain.id), delivery)
    digest = sha256d(signed)
    parts = [signed[at : at + size] for at in range(0, len(signed), size)]
    for number, part in enumerate(parts):
        _log(chain, Kind.EXHIBIT, Exhibit(digest, number, part))
    return _log(chain, Kind.ACCUSE_EXHIBIT, AccuseExhibit(MID, digest, len(parts)))


def _log(chain: MiniChain, kind: Kind, body: object) -> int:
    raw = chain.sign("node-2", Role.NODE, ACCUSER, len(chain.raws) + 1, SETTLED, kind, body)
    return chain.append(raw)


def part_lies(chain: MiniChain) -> Iterator[Lie]:
    """Log accusations in parts that prove nothing."""
    index = accuse_in_parts(chain, forged_statement(chain))
    count = chain.decoded(index).payload.body.count
    parts = tuple(range(index - count, index))
    yield Lie("an accusation without its last part", 7, (*parts[:-1], index))
    yield Lie("an accusation without its first part", 7, (*parts[1:], index))
    yield Lie("parts without an accusation", 7, parts)
    yield Lie("an accusation in parts without any", 7, (index,))
    whole = accuse_in_parts(chain, build_statement(chain, MID))
    count = chain.decoded(whole).payload.body.count
    yield Lie("an accusation in parts of what holds", 9, tuple(range(whole - count, whole + 1)))
    wrong = [_log(chain, Kind.EXHIBIT, Exhibit(bytes(32), n, b"part")) for n in range(2)]
    last = _log(chain, Kind.ACCUSE_EXHIBIT, AccuseExhibit(MID, bytes(32), 2))
    yield Lie("parts that are not what their hash says", 7, (*wrong, last))


def a_unit_more(value: bytes) -> bytes:
    """Return an account that was charged a unit too much."""
    account = decode(value, Account)
    charged = replace(account.statement, charge=account.statement.charge + 1)
    return encode(replace(account, statement=charged))


def proven(chain: MiniChain, value: bytes) -> AccountProof:
    """Return an account with its proof under the chain's present state."""
    proof = chain.tree.prove(row_key_hash(Table.ACCOUNT, MID))
    return AccountProof(value, proof.bucket, proof.path)


def wrong_result(chain: MiniChain, node: bytes = NODE, validator: str = "validator-1") -> AccuseProposer:
    """Return what shows that a node proposed the last block with a unit too much in the account."""
    true = chain.values[Table.ACCOUNT, MID]
    false, decided = a_unit_more(true), proven(chain, true)
    undo = chain.tree.update([(row_key_hash(Table.ACCOUNT, MID), row_value_hash(false))])
    claimed, root = proven(chain, false), chain.tree.root
    chain.tree.undo(undo)
    said = replace(proposal_of(node, chain.checkpoint()), state_root=root)
    signed = sign_proposal(seed(validator), chain.id, said)
    return AccuseProposer(MID, signed, chain.full_note(), (claimed, decided))


def accuse_proposer(chain: MiniChain, body: AccuseProposer) -> int:
    """Log an accusation of a proposer and return its index."""
    nonce = len(chain.raws) + 1
    raw = chain.sign("node-2", Role.NODE, ACCUSER, nonce, SETTLED, Kind.ACCUSE_PROPOSER, body)
    return chain.append(raw)


def proposer_lies(chain: MiniChain) -> Iterator[Lie]:
    """Log accusations of a proposer that prove nothing."""
    wrong = wrong_result(chain)

    def lie(name: str, step: int, **changes: object) -> Lie:
        return Lie(name, step, (accuse_proposer(chain, replace(wrong, **changes)),))

    def signed(by: str = "validator-1", **said: object) -> bytes:
        proposal = decode(split(wrong.proposal)[0], BlockProposal)
        return sign_proposal(seed(by), chain.id, replace(proposal, **said))

    few = "\n".join([*wrong.note.decode().splitlines()[:8], ""]).encode()
    yield lie("a proposal held against what no quorum signed", 4, note=few)
    yield lie("a proposal held against no note", 4, note=b"")
    yield lie("a proposal that another signed", 8, proposal=signed("validator-2"))
    yield lie("a proposal by no validator", 8, proposal=signed(node=bytes(16)))
    yield lie("a proposal of another log", 9, proposal=signed(log_root=bytes(32)))
    yield lie("a proposal of a longer log", 9, proposal=signed(size=len(chain.raws) + 9))
    honest = decode_note(wrong.note).checkpoint.state_root
    yield lie("a proposal of the quorum's own state", 9, proposal=signed(state_root=honest))
    yield lie("a proposal without the accounts of its meter", 9, accounts=())
    yield lie("accounts that are another meter's", 9, mid=bytes(16))
    yield lie("accounts the other way round", 9, accounts=wrong.accounts[::-1])
    twice = (accuse_proposer(chain, wrong), accuse_proposer(chain, wrong))
    yield Lie("two accusations of a proposer", 7, twice)


def lies(chain: MiniChain) -> Iterator[Lie]:
    """Log accusations that prove nothing."""
    forged = forged_statement(chain)
    yield Lie("an accusation of what a quorum signed", 9, (accuse(chain, build_statement(chain, MID)),))
    yield Lie("an accusation of a command that holds", 9, (accuse(chain, build_command(chain, MID, 1)),))
    yield Lie("an accusation about another meter", 9, (accuse(chain, forged, mid=bytes(16)),))
    yield Lie("an accusation of what another signed", 8, (accuse(chain, forged, signed_by="thief"),))
    yield Lie("two accusations", 7, (accuse(chain, forged), accuse(chain, b"")))
