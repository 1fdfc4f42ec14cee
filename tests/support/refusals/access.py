"""Lies about access to data: grants, requests, answers, erasure."""

from __future__ import annotations

from typing import Any

from gridmonitoring.encoding.bounds import Role
from tests.support.acts import answering, asking, erasing, granting
from tests.support.network import DAY_MS
from tests.support.refusals.scene import Lies, Scene


def grant(scene: Scene, **changes: Any) -> bytes:
    return granting(scene.meter, scene.reader, scene.now, **changes)


def answer(scene: Scene, number: int) -> bytes:
    return answering(scene.network, scene.meter.mid, number, scene.now)


def by_another(scene: Scene, raw: bytes) -> bytes:
    """Return what the owner signed, signed by the neighbour."""
    return scene.altered(raw, scene.neighbour.consumer)


LIES: Lies = {
    "another's data granted": ("wrong_consumer", lambda scene: by_another(scene, grant(scene))),
    "the data of no meter granted": ("unknown_meter", lambda scene: grant(scene, mid=bytes(16))),
    "a grant to a vendor": ("bad_grant", lambda scene: grant(scene, role=int(Role.VENDOR))),
    "a grant to a role that is none": ("bad_grant", lambda scene: grant(scene, role=40_000)),
    "a grant to nobody": ("unknown_signer", lambda scene: grant(scene, reader=bytes(16))),
    "a grant to one whose key was revoked": (
        "revoked_key",
        lambda scene: grant(scene, role=int(Role.CONSUMER), reader=scene.gone.id),
    ),
    "a grant to the owner": (
        "bad_grant",
        lambda scene: grant(scene, role=int(Role.CONSUMER), reader=scene.meter.consumer.id),
    ),
    "a grant of nothing": ("bad_scope", lambda scene: grant(scene, data=0)),
    "a grant of data that there is not": ("bad_scope", lambda scene: grant(scene, data=8)),
    "a grant of days in the wrong order": ("bad_scope", lambda scene: grant(scene, first=9, last=8)),
    "a grant that has expired": ("bad_grant", lambda scene: grant(scene, expires=scene.now)),
    "a grant too many": (
        "too_many_grants",
        lambda scene: granting(scene.neighbour, scene.reader, scene.now),
    ),
    "the end of no grant": ("unknown_grant", lambda scene: scene.grant_ended(9)),
    "the end of a grant that ended": ("unknown_grant", lambda scene: scene.grant_ended(2)),
    "another's grant ended": ("wrong_consumer", lambda scene: by_another(scene, scene.grant_ended(1))),
    "a request for nothing": (
        "bad_scope",
        lambda scene: asking(scene.reader, scene.meter.mid, scene.now, data=0),
    ),
    "a request about no meter": (
        "unknown_meter",
        lambda scene: asking(scene.reader, bytes(16), scene.now),
    ),
    "a request by the vendor": (
        "wrong_role",
        lambda scene: asking(scene.signer("vendor"), scene.meter.mid, scene.now),
    ),
    "an answer to no request": ("unknown_request", lambda scene: answer(scene, 99)),
    "a second answer": ("already_answered", lambda scene: answer(scene, 1)),
    "an answer to what is for another purpose": ("not_allowed", lambda scene: answer(scene, 2)),
    "an answer after the grant has ended": ("not_allowed", lambda scene: answer(scene, 3)),
    "another's details erased": (
        "wrong_consumer",
        lambda scene: by_another(scene, erasing(scene.meter, scene.now)),
    ),
    "a day erased that has not ended": (
        "bad_erasure",
        lambda scene: erasing(scene.meter, scene.now, last=scene.now // DAY_MS),
    ),
    "days erased in the wrong order": (
        "bad_erasure",
        lambda scene: erasing(scene.meter, scene.now, first=9, last=8),
    ),
}
