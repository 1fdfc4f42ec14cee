"""Governance: what more than two thirds of the nodes' power approve (parties, validators, parameters).

The validator set changes two consensus blocks after the transaction, which is the engine's to do;
the row is the new set.
"""

from __future__ import annotations

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Approvals, Governance
from gridmonitoring.blockchain.genesis import Proposal, ValidatorSet, check_parameters, check_validators
from gridmonitoring.blockchain.ledger import Ledger, open_by, party_in_force, refuse, require_document
from gridmonitoring.blockchain.state_rows import GovernanceRow, PartyRow, Table, party_key
from gridmonitoring.blockchain.transactions import Transaction, party_id
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import decode
from gridmonitoring.errors import EncodingError, KeyMaterialError, Refused
from gridmonitoring.registration.registrar import require_keys, with_new_key

GOVERNANCE_DOMAIN = "gridmon/governance/1"
"""Domain tag of a node's approval."""


def govern(ledger: Ledger, transaction: Transaction) -> None:
    """Carry out a proposal: 1 read, 2 quorum of approvals, 3 parties, 4 validators, 5 parameters."""
    body: Governance = transaction.payload.body
    # 1
    try:
        proposal = decode(body.proposal, Proposal)
    except EncodingError as error:
        raise Refused("bad_proposal", str(error)) from error
    progress: GovernanceRow = ledger.view.get(Table.GOVERNANCE, b"")
    if proposal.number != progress.number + 1:
        refuse("bad_proposal", f"the next proposal has number {progress.number + 1}")
    # 2
    require_quorum(ledger, GOVERNANCE_DOMAIN, body.proposal, body.approvals)
    ledger.view.put(Table.GOVERNANCE, b"", GovernanceRow(proposal.number))
    # 3
    _change_parties(ledger, proposal)
    # 4
    if proposal.validators:
        _change_validators(ledger, proposal)
    # 5
    if proposal.parameters is not None:
        if proposal.parameters.bucket_bits != ledger.parameters().bucket_bits:
            refuse("bad_proposal", "the number of state buckets never changes")
        try:
            check_parameters(proposal.parameters)
        except EncodingError as error:
            raise Refused("bad_proposal", str(error)) from error
        ledger.view.put(Table.PARAMETERS, b"", proposal.parameters)


def require_quorum(ledger: Ledger, domain: str, document: bytes, approvals: Approvals) -> None:
    """Require that more than two thirds of the nodes' power signed a document under a domain tag.

    Raises `Refused` (bad_proposal, bad_signature, document_mismatch, no_quorum, revoked_key, unknown_signer).
    """
    current: ValidatorSet = ledger.view.get(Table.VALIDATORS, b"")
    power = {validator.node: validator.power for validator in current.validators}
    approved = 0
    last_key = b""
    for node, approval in approvals:
        row = party_in_force(ledger, Role.NODE, node)
        if row.sign_key <= last_key:
            refuse("bad_proposal", "approvals are not distinct and sorted by key")
        last_key = row.sign_key
        signed = open_by(ledger, row.sign_key, domain, approval)
        require_document(document, signed, "approval")
        approved += power.get(node, 0)
    if 3 * approved <= 2 * sum(power.values()):
        refuse("no_quorum", f"{approved} of {sum(power.values())} power approved; more than two thirds must")


def _change_parties(ledger: Ledger, proposal: Proposal) -> None:
    for party in proposal.join:
        if party.role in (Role.CONSUMER, Role.METER, Role.RESEARCHER):
            refuse("bad_proposal", "consumers, researchers and meters register with the registrar")
        require_keys(party.sign_key, party.hpke_key)
        key = party_key(party.role, party_id(party.role, party.sign_key))
        if ledger.view.get(Table.PARTY, key) is not None:
            refuse("already_registered", f"{party.name} is registered already")
        row = PartyRow(party.sign_key, party.hpke_key, ledger.log_size, 0, 0, b"", None, ())
        ledger.view.put(Table.PARTY, key, row)
    for role, identifier in proposal.revoke:
        row = party_in_force(ledger, role, identifier)
        gone = with_new_key(row, b"", row.hpke_key, ledger.log_size)
        ledger.view.put(Table.PARTY, party_key(role, identifier), gone)


def _change_validators(ledger: Ledger, proposal: Proposal) -> None:
    nodes = {
        validator.node
        for validator in proposal.validators
        if (row := ledger.view.get(Table.PARTY, party_key(Role.NODE, validator.node))) is not None
        and row.sign_key
    }
    try:
        check_validators(proposal.validators, nodes)
    except (EncodingError, KeyMaterialError) as error:
        raise Refused("bad_proposal", str(error)) from error
    current: ValidatorSet = ledger.view.get(Table.VALIDATORS, b"")
    ledger.view.put(Table.VALIDATORS, b"", replace(current, validators=proposal.validators))
