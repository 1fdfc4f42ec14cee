"""What a rule of the state may look at: the view, the chain's constants, the log so far.

Block time serves one bound only (signed times too far ahead of it); everything else depends on
the order of transactions, never on how they were cut into blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from msgspec import Struct
from msgspec.structs import replace

from gridmonitoring.blockchain.genesis import Genesis, Parameters
from gridmonitoring.blockchain.state import View
from gridmonitoring.blockchain.state_rows import PartyRow, Table, party_key
from gridmonitoring.blockchain.transactions import Transaction, transaction_context
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.errors import BadSignature, EncodingError, Refused
from gridmonitoring.keys.signatures import CheckSignature, open_signed, signing_context


class Chain(Struct, frozen=True):
    """Constants of one chain."""

    id: bytes
    """Chain ID."""
    genesis: Genesis
    """The founding document."""
    context: bytes
    """COSE external_aad of its transactions."""


def make_chain(identifier: bytes, genesis: Genesis) -> Chain:
    """Return the constants of the chain with this ID and genesis."""
    return Chain(identifier, genesis, transaction_context(identifier))


class Ledger:
    """The view a transaction is applied to, with all it may depend on.

    `log_root` returns the root of the first `log_size` leaves; `check` verifies a signature or
    remembers having done so.
    """

    __slots__ = ("block_time", "chain", "check", "log_root", "log_size", "view")

    def __init__(
        self,
        view: View,
        chain: Chain,
        check: CheckSignature,
        block_time: int,
        log_size: int,
        log_root: Callable[[], bytes],
    ) -> None:
        self.view = view
        self.chain = chain
        self.check = check
        self.block_time = block_time
        self.log_size = log_size
        self.log_root = log_root

    def parameters(self) -> Parameters:
        """Return the parameters in force."""
        parameters: Parameters = self.view.get(Table.PARAMETERS, b"")
        return parameters


def refuse(rule: str, message: str) -> NoReturn:
    """Raise `Refused` with a rule of docs/spec/rules.md."""
    raise Refused(rule, message)


def party_in_force(ledger: Ledger, role: int, party: bytes) -> PartyRow:
    """Return a party whose key is in force; raises `Refused` (unknown_signer, revoked_key)."""
    row: PartyRow | None = ledger.view.get(Table.PARTY, party_key(role, party))
    if row is None:
        refuse("unknown_signer", f"no {Role(role).name.lower()} {party.hex()[:8]} is registered")
    if not row.sign_key:
        refuse("revoked_key", f"the key of {Role(role).name.lower()} {party.hex()[:8]} was revoked")
    return row


def check_signed(ledger: Ledger, key: bytes, signed: bytes, signature: bytes) -> None:
    """Check a signature; raises `Refused` (bad_signature)."""
    try:
        ledger.check(key, signed, signature)
    except BadSignature as error:
        raise Refused("bad_signature", str(error)) from error


def open_by(ledger: Ledger, key: bytes, domain: str, message: bytes) -> bytes:
    """Return the payload of another party's COSE_Sign1 in a body; raises `Refused` (bad_signature)."""
    try:
        return open_signed(message, key, signing_context(domain, ledger.chain.id), ledger.check)
    except (BadSignature, EncodingError) as error:
        raise Refused("bad_signature", f"{domain}: {error}") from error


def require_document(expected: bytes, opened: bytes, what: str) -> None:
    """Require that a party signed exactly the document the body states; raises `Refused`."""
    if opened != expected:
        refuse("document_mismatch", f"the {what} was signed over other content")


def authenticate_party(ledger: Ledger, transaction: Transaction) -> None:
    """Verify a party's envelope and move its nonce and time on (IV-C: authenticating every action).

    Raises `Refused` (unknown_signer, revoked_key, bad_signature, replayed, time_not_monotonic).
    """
    payload = transaction.payload
    row = party_in_force(ledger, payload.role, payload.signer)
    check_signed(ledger, row.sign_key, transaction.signed, transaction.signature)
    if payload.sequence <= row.nonce:
        refuse("replayed", f"nonce {payload.sequence} is not past {row.nonce}")
    if payload.time < row.time:
        refuse("time_not_monotonic", "signed before this signer's last transaction")
    key = party_key(payload.role, payload.signer)
    ledger.view.put(Table.PARTY, key, replace(row, nonce=payload.sequence, time=payload.time))
