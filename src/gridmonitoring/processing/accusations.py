"""Accusations: a node that told a meter what no quorum proves is named on the ledger (paper V-A, III-A-4).

A node signs what it delivers to a meter. Where the proof inside does not hold, the signature is the evidence:
every node checks the same bytes by the same steps, and so does any third party. Nobody can be accused of what
a quorum signed, nor of what another signed.

Left out: how the meter finds out (`smart_meter`), and what a quorum that lies together does.
"""

from __future__ import annotations

from gridmonitoring.blockchain.bodies import Accuse
from gridmonitoring.blockchain.evidence import holds
from gridmonitoring.blockchain.evidence_bundle import EvidenceKind
from gridmonitoring.blockchain.ledger import Ledger, open_by, party_in_force, refuse
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.errors import EncodingError, Refused
from gridmonitoring.keys.sealed_commands import DELIVERY_DOMAIN, read_delivery
from gridmonitoring.processing.findings import violate
from gridmonitoring.processing.threads import live_on, meter_of

STATEMENTS = (EvidenceKind.STATEMENT, EvidenceKind.BILL)
"""Deliveries that are about money."""


def accuse(ledger: Ledger, transaction: Transaction) -> None:
    """Check an accusation: 1 who signed, 2 for which meter, 3 that the proof does not hold; record it.

    Raises `Refused` (malformed_delivery, unknown_signer, revoked_key, bad_signature, unknown_meter,
    wrong_meter, no_case).
    """
    body: Accuse = transaction.payload.body
    # 1
    try:
        delivery = read_delivery(body.delivery)
    except EncodingError as error:
        raise Refused("malformed_delivery", str(error)) from error
    node = party_in_force(ledger, Role.NODE, delivery.node)
    open_by(ledger, node.sign_key, DELIVERY_DOMAIN, body.delivery)
    # 2
    meter_of(ledger, body.mid)
    if delivery.mid != body.mid:
        refuse("wrong_meter", "the delivery is for another meter")
    # 3
    if holds(delivery.bundle, encode(ledger.chain.genesis)):
        refuse("no_case", "a quorum signed what this node delivered")
    violation = Violation.OVERCHARGE if delivery.kind in STATEMENTS else Violation.INTEGRITY_FAILURE
    meter = live_on(ledger, body.mid, transaction)
    meter = violate(ledger, transaction, body.mid, meter, violation, node=delivery.node)
    ledger.view.put(Table.METER, body.mid, meter)
