"""Accusations as evidence: a node's own signature on what no quorum proves, and lies about that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Accuse, Kind
from gridmonitoring.blockchain.evidence_builders import build_command, build_statement
from gridmonitoring.blockchain.evidence_bundle import Bundle, EvidenceKind
from gridmonitoring.blockchain.state_rows import Table, party_key
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.energy_center.credit import Account
from gridmonitoring.keys.sealed_commands import DELIVERY_DOMAIN, Delivery
from gridmonitoring.keys.signatures import sign, signing_context
from tests.support.evidence_story import MID, NODE, SETTLED
from tests.support.mini_chain import MiniChain, founding_party, seed

ACCUSER = founding_party(Role.NODE, "node-2").id()
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


def lies(chain: MiniChain) -> Iterator[Lie]:
    """Log accusations that prove nothing."""
    forged = forged_statement(chain)
    yield Lie("an accusation of what a quorum signed", 9, (accuse(chain, build_statement(chain, MID)),))
    yield Lie("an accusation of a command that holds", 9, (accuse(chain, build_command(chain, MID, 1)),))
    yield Lie("an accusation about another meter", 9, (accuse(chain, forged, mid=bytes(16)),))
    yield Lie("an accusation of what another signed", 8, (accuse(chain, forged, signed_by="thief"),))
    yield Lie("two accusations", 7, (accuse(chain, forged), accuse(chain, b"")))
