"""Lies about parties: joining, keys, governance."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Governance, Kind, Registration, ReplaceKey
from gridmonitoring.blockchain.genesis import FoundingParty, Parameters, Validator
from gridmonitoring.blockchain.transactions import party_id
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.registration.registrar import REGISTRATION_DOMAIN, registration_document
from gridmonitoring.runtime.entropy import new_keys
from gridmonitoring.runtime.offices import consumer_signer
from tests.support.acts import (
    confirmation,
    governance,
    new_vendor,
    proposal,
    replacement,
    revocation,
    rotation,
)
from tests.support.network import EASY
from tests.support.refusals.scene import Lies, Scene

SMALL_ORDER = bytes.fromhex("0100000000000000000000000000000000000000000000000000000000000000")
"""The neutral point of edwards25519."""


def registration(scene: Scene, *, proved: bool = True, **changes: Any) -> bytes:
    """Return the registration of a new consumer."""
    keys = new_keys()
    consumer = consumer_signer(scene.network, "new", keys)
    body = replace(
        Registration(int(Role.CONSUMER), consumer.id, keys.sign_key, keys.hpke_key, bytes(32), bytes(72)),
        **changes,
    )
    document = registration_document(body) if proved else b"something else"
    body = replace(body, proof=consumer.document(REGISTRATION_DOMAIN, document))
    return scene.signer("registrar").transaction(Kind.REGISTRATION, body, scene.now)


def registered_again(scene: Scene) -> bytes:
    keys = scene.guest.keys
    body = Registration(
        int(Role.CONSUMER), scene.guest.id, keys.sign_key, keys.hpke_key, bytes(32), bytes(72)
    )
    proof = scene.guest.document(REGISTRATION_DOMAIN, registration_document(body))
    return scene.signer("registrar").transaction(Kind.REGISTRATION, replace(body, proof=proof), scene.now)


def to_the_neutral_point(scene: Scene) -> bytes:
    weak = Registration(10, bytes(16), SMALL_ORDER, new_keys().hpke_key, bytes(32), bytes(72))
    return scene.signer("registrar").transaction(Kind.REGISTRATION, weak, scene.now)


def self_approved(scene: Scene) -> bytes:
    raw = replacement(scene.network, scene.guest.id, new_keys(), scene.now)
    body: ReplaceKey = scene.decoded(raw).payload.body
    return scene.altered(raw, "registrar", approval=body.proof)


def proposed(scene: Scene, nodes: int = 4, **changes: Any) -> bytes:
    """Return a proposal that this many nodes approve."""
    names = [validator.name for validator in scene.network.genesis.validators][:nodes]
    return governance(scene.network, proposal(scene.network, **changes), names, scene.now)


def approved_twice(scene: Scene) -> bytes:
    """Return a proposal with one approval many times."""
    nodes = ["node-01"] * 4
    return governance(scene.network, proposal(scene.network), nodes, scene.now)


def approval_of_another(scene: Scene) -> bytes:
    """Return a proposal with the approvals of another one."""
    said = governance(scene.network, proposal(scene.network), ["node-01", "node-02", "node-03"], scene.now)
    body: Governance = scene.decoded(said).payload.body
    other = governance(
        scene.network, proposal(scene.network, join=(new_vendor("x"),)), ["node-01"], scene.now
    )
    document = scene.decoded(other).payload.body.proposal
    return scene.signer("node-01").transaction(
        Kind.GOVERNANCE, Governance(document, body.approvals), scene.now
    )


def outsider() -> Validator:
    keys = new_keys()
    return Validator(party_id(Role.NODE, keys.sign_key), "node-99", keys.sign_key, 1)


def joining_consumer() -> FoundingParty:
    keys = new_keys()
    return FoundingParty(Role.CONSUMER, "consumer", keys.sign_key, keys.hpke_key)


LIES: Lies = {
    "a registration by a vendor": (
        "wrong_role",
        lambda scene: scene.signer("vendor").transaction(
            Kind.REGISTRATION, scene.decoded(registration(scene)).payload.body, scene.now
        ),
    ),
    "a utility registered as a consumer is": (
        "wrong_role",
        lambda scene: registration(scene, role=int(Role.UTILITY)),
    ),
    "a role that is none": ("wrong_role", lambda scene: registration(scene, role=40_000)),
    "an ID that is not the key's": ("wrong_party_id", lambda scene: registration(scene, party=bytes(16))),
    "a key of small order": ("bad_public_key", to_the_neutral_point),
    "an HPKE key of small order": ("bad_public_key", lambda scene: registration(scene, hpke_key=bytes(32))),
    "registered already": ("already_registered", registered_again),
    "a proof of possession of something else": (
        "document_mismatch",
        lambda scene: registration(scene, proved=False),
    ),
    "a rotation to a key of another": (
        "bad_signature",
        lambda scene: rotation(scene.network, scene.guest, new_keys(), scene.now, new_keys()),
    ),
    "another's key revoked": (
        "wrong_role",
        lambda scene: revocation(
            scene.signer("vendor"), Role.UTILITY, scene.signer("utility").id, bytes(32), scene.now
        ),
    ),
    "a key revoked that is not in force": (
        "revoked_key",
        lambda scene: revocation(
            scene.signer("registrar"), Role.CONSUMER, scene.guest.id, bytes(32), scene.now
        ),
    ),
    "the device of no meter revoked": (
        "unknown_meter",
        lambda scene: revocation(scene.signer("registrar"), Role.METER, bytes(16), bytes(32), scene.now),
    ),
    "a device's key revoked that is not its": (
        "revoked_key",
        lambda scene: revocation(
            scene.signer("registrar"), Role.METER, scene.meter.mid, bytes(32), scene.now
        ),
    ),
    "a key replaced of nobody": (
        "unknown_consumer",
        lambda scene: replacement(scene.network, bytes(16), new_keys(), scene.now),
    ),
    "a key replaced by the approval of before the last announcement": (
        "stale_approval",
        lambda scene: replacement(scene.network, scene.guest.id, new_keys(), scene.now, after=scene.approved),
    ),
    "a key replaced by the approval of another consumer's": (
        "document_mismatch",
        lambda scene: scene.altered(
            replacement(scene.network, scene.gone.id, new_keys(), scene.now),
            "registrar",
            party=scene.meter.consumer.id,
            after=scene.standing(scene.meter.consumer),
        ),
    ),
    "a key replaced by the approval of a new key's own proof": (
        "bad_signature",
        self_approved,
    ),
    "a key replaced by the one that was revoked": (
        "former_key",
        lambda scene: replacement(scene.network, scene.gone.id, scene.gone.keys, scene.now),
    ),
    "a key replaced by the one in force": (
        "former_key",
        lambda scene: replacement(scene.network, scene.guest.id, scene.guest.keys, scene.now),
    ),
    "a rotation to the key in force": (
        "former_key",
        lambda scene: rotation(scene.network, scene.guest, scene.guest.keys, scene.now, scene.guest.keys),
    ),
    "a rotation back to a former key": ("former_key", lambda scene: scene.back_to_an_old_key()),
    "a meter more than a consumer can have": ("too_many_meters", lambda scene: scene.one_meter_more()),
    "a key confirmed that was not announced": (
        "no_pending_key",
        lambda scene: confirmation(scene.network, scene.meter.consumer.id, new_keys(), scene.now),
    ),
    "a key confirmed before its notice is over": (
        "notice_not_over",
        lambda scene: confirmation(scene.network, scene.guest.id, scene.announced, scene.now),
    ),
    "half of the nodes": ("no_quorum", lambda scene: proposed(scene, nodes=2)),
    "one node four times": ("bad_proposal", approved_twice),
    "approvals of another proposal": ("document_mismatch", approval_of_another),
    "a proposal out of turn": ("bad_proposal", lambda scene: proposed(scene, number=9)),
    "a proposal that is none": (
        "bad_proposal",
        lambda scene: scene.signer("node-01").transaction(
            Kind.GOVERNANCE, Governance(b"\x80", ((bytes(16), bytes(72)),)), scene.now
        ),
    ),
    "a consumer by governance": ("bad_proposal", lambda scene: proposed(scene, join=(joining_consumer(),))),
    "a party twice": (
        "already_registered",
        lambda scene: proposed(scene, join=(scene.network.genesis.parties[0],)),
    ),
    "a stranger as validator": ("bad_proposal", lambda scene: proposed(scene, validators=(outsider(),))),
    "another number of buckets": (
        "bad_proposal",
        lambda scene: proposed(scene, parameters=Parameters(EASY, 16)),
    ),
    "a target that nothing meets": (
        "bad_proposal",
        lambda scene: proposed(scene, parameters=Parameters(bytes(4), 8)),
    ),
    "a notice that never ends": (
        "bad_proposal",
        lambda scene: proposed(scene, parameters=Parameters(EASY, 8, key_notice=2**63 - 1)),
    ),
    "keys without end": ("too_many_keys", lambda scene: scene.one_key_more()),
}
