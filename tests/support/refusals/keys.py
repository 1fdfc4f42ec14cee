"""Lies about the contract key: no quorum, keys that are none, meters told at the wrong time."""

from __future__ import annotations

from typing import Any

from gridmonitoring.blockchain.bodies import Governance, Kind, RotateContractKey
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.processing.governance import GOVERNANCE_DOMAIN
from gridmonitoring.runtime.entropy import new_keys
from tests.support.contract_keys import announcing, successor, telling
from tests.support.refusals.scene import Lies, Scene
from tests.support.tampering import NODES


def announced(scene: Scene, nodes: int = 4, **changes: Any) -> bytes:
    """Return the announcement of a key by this many nodes."""
    return announcing(scene.network, successor(scene.network, **changes), NODES[:nodes])


def twice_approved(scene: Scene) -> bytes:
    return announcing(scene.network, successor(scene.network), ["node-01"] * 4)


def approved_as_a_proposal(scene: Scene) -> bytes:
    """Return a successor with signatures of all nodes, made for governance's other documents."""
    document = encode(successor(scene.network))
    nodes = sorted((scene.signer(name) for name in NODES), key=lambda node: node.keys.sign_key)
    approvals = tuple((node.id, node.document(GOVERNANCE_DOMAIN, document)) for node in nodes)
    body = RotateContractKey(document, approvals)
    return scene.signer("node-01").transaction(Kind.ROTATE_CONTRACT_KEY, body, scene.now)


def successor_as_a_proposal(scene: Scene) -> bytes:
    body: RotateContractKey = scene.decoded(announced(scene)).payload.body
    said = Governance(body.successor, body.approvals)
    return scene.signer("node-01").transaction(Kind.GOVERNANCE, said, scene.now)


def approved_for_another_key(scene: Scene) -> bytes:
    """Return a thief's key with what the nodes signed for theirs."""
    body: RotateContractKey = scene.decoded(announced(scene)).payload.body
    thiefs = encode(successor(scene.network, key=new_keys().hpke_key))
    said = RotateContractKey(thiefs, body.approvals)
    return scene.signer("node-01").transaction(Kind.ROTATE_CONTRACT_KEY, said, scene.now)


def no_successor(scene: Scene) -> bytes:
    body = RotateContractKey(b"\x80", ((bytes(16), bytes(72)),))
    return scene.signer("node-01").transaction(Kind.ROTATE_CONTRACT_KEY, body, scene.now)


LIES: Lies = {
    "a contract key by half of the nodes": ("no_quorum", lambda scene: announced(scene, nodes=2)),
    "a contract key by one node four times": ("bad_proposal", twice_approved),
    "a contract key approved as something else": ("bad_signature", approved_as_a_proposal),
    "a proposal approved as a contract key": ("bad_proposal", successor_as_a_proposal),
    "a contract key in the place of the approved one": ("document_mismatch", approved_for_another_key),
    "a contract key out of turn": ("bad_proposal", lambda scene: announced(scene, number=3)),
    "a contract key that is none": ("bad_proposal", no_successor),
    "a contract key of another suite": ("bad_proposal", lambda scene: announced(scene, suite=2)),
    "a contract key of small order": ("bad_public_key", lambda scene: announced(scene, key=bytes(32))),
    "the contract key of before": (
        "former_key",
        lambda scene: announced(scene, key=scene.network.genesis.contract_key),
    ),
    "a meter told of the key that it has": (
        "already_told",
        lambda scene: telling(scene.network, scene.meter.mid, 1),
    ),
    "a meter told of a key to come": (
        "not_in_force",
        lambda scene: telling(scene.network, scene.meter.mid, 2),
    ),
    "no meter told of a key": ("unknown_meter", lambda scene: telling(scene.network, bytes(16), 1)),
    "a closed meter told of a key": (
        "wrong_stage",
        lambda scene: telling(scene.network, scene.closed.mid, 1),
    ),
}
