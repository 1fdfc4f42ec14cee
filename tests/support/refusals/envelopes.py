"""Lies of the envelope: bytes, shapes, signatures, keys, roles, nonces and times."""

from __future__ import annotations

from typing import Any

import cbor2

from gridmonitoring.blockchain.bodies import Capacity, Kind, LinkMeter
from gridmonitoring.blockchain.transactions import sign_transaction, transaction_context
from gridmonitoring.encoding.bounds import MAX_INT, Role
from gridmonitoring.encoding.cbor import TRANSACTION_LIMIT
from gridmonitoring.keys.signatures import assemble, sign, split
from gridmonitoring.runtime.entropy import new_keys
from gridmonitoring.runtime.offices import offer_capacity
from tests.support.acts import revocation, rotation, wish
from tests.support.refusals.scene import Lies, Scene

FUTURE = 15 * 60 * 1000
"""How far a signed time may be past block time, ms."""


def nested(depth: int) -> Any:
    """Return arrays in arrays."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def center_says(scene: Scene, payload: bytes) -> bytes:
    """Return whatever bytes under the energy center's signature."""
    return sign(scene.signer("energy-center").keys.seed, transaction_context(scene.network.chain_id), payload)


def offer(
    scene: Scene, *, body: list[Any] | None = None, kind: int = Kind.CAPACITY, version: int = 1
) -> bytes:
    """Return a payload of the energy center, as plain CBOR."""
    center = scene.signer("energy-center")
    said = [scene.now * 2, scene.now * 2 + 1, 1] if body is None else body
    return cbor2.dumps([kind, version, int(center.role), center.id, 2**40, scene.now, said])


def long_integer(scene: Scene) -> bytes:
    """Return a payload in which the type takes two bytes where one is enough."""
    plain = offer(scene)
    assert plain[1:3] == b"\x15\x01"
    return b"\x87\x18\x15" + plain[2:]


def flipped(raw: bytes) -> bytes:
    """Return a transaction with one bit of its signature changed."""
    return raw[:-1] + bytes((raw[-1] ^ 1,))


def other_chain(scene: Scene) -> bytes:
    center = scene.signer("energy-center")
    body = Capacity(scene.now * 2, scene.now * 2 + 1, 1)
    return sign_transaction(
        center.keys.seed, bytes(32), center.role, center.id, 2**40, scene.now, Kind.CAPACITY, body
    )


def signed_by(scene: Scene, name: str, role: Role, kind: Kind, body: Any) -> bytes:
    """Return a transaction in which a party says that it has a role."""
    signer = scene.signer(name)
    chain = scene.network.chain_id
    return sign_transaction(signer.keys.seed, chain, role, signer.id, 2**40, scene.now, kind, body)


def earlier(scene: Scene) -> bytes:
    """Return a transaction signed before the signer's last."""
    center = scene.signer("energy-center")
    return offer_capacity(center, scene.now * 2, scene.now * 2 + 1, 1, scene.network.genesis.created - 1)


def ahead(scene: Scene) -> bytes:
    now = max(scene.now, scene.network.application.time + 1)
    return offer_capacity(scene.signer("energy-center"), now * 2, now * 2 + 1, 1, now + FUTURE + 1)


def by_the_revoked(scene: Scene) -> bytes:
    return rotation(scene.network, scene.gone, keys := new_keys(), scene.now, keys)


LIES: Lies = {
    "nothing at all": ("Malformed", lambda scene: b""),
    "no CBOR": ("Malformed", lambda scene: b"\xff\xff\xff"),
    "CBOR of another shape": ("Malformed", lambda scene: cbor2.dumps(["transaction", 1])),
    "no transaction in the frame": ("Malformed", lambda scene: center_says(scene, b"\x80")),
    "a map": ("Malformed", lambda scene: center_says(scene, cbor2.dumps({1: 2}))),
    "oversized": ("TooLarge", lambda scene: bytes(TRANSACTION_LIMIT + 1)),
    "a signed payload over the cap": (
        "TooLarge",
        lambda scene: center_says(scene, offer(scene, body=[bytes(TRANSACTION_LIMIT)])),
    ),
    "deeply nested": ("Malformed", lambda scene: center_says(scene, cbor2.dumps(nested(200)))),
    "a deeply nested body": ("Malformed", lambda scene: center_says(scene, offer(scene, body=nested(20)))),
    "an integer in a longer form": ("NotCanonical", lambda scene: center_says(scene, long_integer(scene))),
    "bytes after the payload": ("NotCanonical", lambda scene: center_says(scene, offer(scene) + b"\0")),
    "bytes after the frame": ("Malformed", lambda scene: scene.logged(Kind.CAPACITY) + b"\0"),
    "an unknown type": ("Malformed", lambda scene: center_says(scene, offer(scene, kind=99))),
    "an unknown version": ("Malformed", lambda scene: center_says(scene, offer(scene, version=2))),
    "a field too many": ("Malformed", lambda scene: center_says(scene, offer(scene, body=[1, 2, 3, 4]))),
    "a field too few": ("Malformed", lambda scene: center_says(scene, offer(scene, body=[1, 2]))),
    "a negative amount": ("Malformed", lambda scene: center_says(scene, offer(scene, body=[1, 2, -1]))),
    "past 2^63 - 1": ("Malformed", lambda scene: center_says(scene, offer(scene, body=[1, 2, MAX_INT + 1]))),
    "past 2^64": ("Malformed", lambda scene: center_says(scene, offer(scene, body=[1, 2, 2**64]))),
    "a float": ("Malformed", lambda scene: center_says(scene, offer(scene, body=[1, 2, 3.0]))),
    "a text for bytes": ("Malformed", lambda scene: center_says(scene, offer(scene, body=["1", 2, 3]))),
    "a bit of the signature": ("bad_signature", lambda scene: flipped(scene.logged(Kind.CAPACITY))),
    "another's signature": (
        "bad_signature",
        lambda scene: sign(
            scene.signer("vendor").keys.seed, transaction_context(scene.network.chain_id), offer(scene)
        ),
    ),
    "no signature": ("bad_signature", lambda scene: assemble(offer(scene), bytes(64))),
    "another chain": ("bad_signature", other_chain),
    "replayed": ("replayed", lambda scene: scene.logged(Kind.CAPACITY)),
    "a replayed form": ("replayed", lambda scene: scene.logged(Kind.FORM)),
    "signed before the last": ("time_not_monotonic", earlier),
    "a time in the future": ("time_in_future", ahead),
    "nobody's signature": (
        "unknown_signer",
        lambda scene: sign(
            new_keys().seed,
            transaction_context(scene.network.chain_id),
            split(wish(scene.meter, scene.now, on=True))[0].replace(scene.meter.consumer.id, bytes(16)),
        ),
    ),
    "a role that the signer has not": (
        "unknown_signer",
        lambda scene: signed_by(
            scene, "vendor", Role.NODE, Kind.LINK_METER, LinkMeter(bytes(16), "A1", bytes(32))
        ),
    ),
    "a revoked key": ("revoked_key", by_the_revoked),
    "a revoked key to revoke": (
        "revoked_key",
        lambda scene: revocation(
            scene.signer("registrar"), Role.CONSUMER, scene.gone.id, scene.gone.keys.sign_key, scene.now
        ),
    ),
}
