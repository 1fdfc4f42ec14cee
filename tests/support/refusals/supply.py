"""Lies about supply points, agreements, devices, clearing and closing (paper IV-A, V-A)."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Access, Agree, Authenticate, Kind, LinkMeter, SupplyPoint
from gridmonitoring.contracts.agreement import Agreement
from gridmonitoring.encoding.bounds import IMPORT_TOTAL, obis
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.registration.installation_code import code_key
from gridmonitoring.runtime.entropy import new_keys
from gridmonitoring.runtime.offices import agree
from gridmonitoring.runtime.parties import Signer
from tests.support.acts import clearing, closing, swap, wish
from tests.support.network import MeterInHand
from tests.support.refusals.scene import Lies, Scene

STRANGER = bytes(range(16))
"""A meter ID that no registrar made."""
SMALL_ORDER = bytes((1,)) + bytes(31)
"""The neutral point of edwards25519."""


def point(scene: Scene, **changes: Any) -> bytes:
    """Return the registrar's next supply point."""
    key = code_key(bytes(32))
    body = SupplyPoint(STRANGER, scene.guest.id, scene.signer("utility").id, bytes(32), key)
    return scene.signer("registrar").transaction(Kind.SUPPLY_POINT, replace(body, **changes), scene.now)


def verified(scene: Scene, mid: bytes) -> bytes:
    return scene.signer("authenticator").transaction(Kind.AUTHENTICATE, Authenticate(mid), scene.now)


def linked(scene: Scene, mid: bytes, area: str = "A1") -> bytes:
    return scene.signer("node-01").transaction(Kind.LINK_METER, LinkMeter(mid, area, bytes(32)), scene.now)


def given(scene: Scene, mid: bytes, epoch: int = 1) -> bytes:
    return scene.signer("authenticator").transaction(Kind.ACCESS, Access(mid, epoch), scene.now)


def agreed(
    scene: Scene,
    *,
    utility: str = "utility",
    consumer: Signer | None = None,
    mid: bytes = b"",
    **changes: Any,
) -> bytes:
    """Return an agreement for the supply point that has none yet."""
    where = scene.points["linked"]
    agreement: Agreement = scene.agreed(where, **changes)
    raw = agree(scene.signer(utility), consumer or scene.guest, agreement, scene.now)
    body: Agree = scene.decoded(raw).payload.body
    return scene.signer(utility).transaction(Kind.AGREEMENT, replace(body, mid=mid or where.mid), scene.now)


def other_terms(scene: Scene) -> bytes:
    """Return an agreement of which the consumer signed another one."""
    body: Agree = scene.decoded(agreed(scene)).payload.body
    other: Agree = scene.decoded(agreed(scene, power_limit=5)).payload.body
    return scene.signer("utility").transaction(
        Kind.AGREEMENT, replace(body, agreement=other.agreement), scene.now
    )


def old_terms(scene: Scene) -> bytes:
    """Return the agreement in force once more: both have signed it, one of them sends it again."""
    body: Agree = scene.decoded(scene.logged(Kind.AGREEMENT)).payload.body
    return scene.signer("utility").transaction(Kind.AGREEMENT, body, scene.now)


def swapped(
    scene: Scene, energy: int | None = None, epoch: int = 2, meter: MeterInHand | None = None
) -> bytes:
    device = meter or scene.meter
    registers = ((bytes(IMPORT_TOTAL), device.register if energy is None else energy),)
    return swap(scene.network, device.mid, registers, scene.now, epoch=epoch)


def closed(scene: Scene, meter: MeterInHand | None = None, **how: bytes) -> bytes:
    return closing(scene.network, meter or scene.meter, scene.now, **how)


LIES: Lies = {
    "a meter ID given twice": ("already_registered", lambda scene: point(scene, mid=scene.meter.mid)),
    "a supply point of nobody": ("unknown_signer", lambda scene: point(scene, consumer=bytes(16))),
    "a supply point of one who left": ("revoked_key", lambda scene: point(scene, consumer=scene.gone.id)),
    "an unknown meter verified": ("unknown_meter", lambda scene: verified(scene, STRANGER)),
    "verified twice": ("wrong_stage", lambda scene: verified(scene, scene.points["verified"].mid)),
    "linked before it is verified": (
        "wrong_stage",
        lambda scene: linked(scene, scene.points["registered"].mid),
    ),
    "another area's node": (
        "wrong_area",
        lambda scene: linked(scene, scene.points["verified"].mid, area="A2"),
    ),
    "installed before it is linked": (
        "wrong_stage",
        lambda scene: scene.installation(scene.points["verified"]),
    ),
    "installed where there is nothing": (
        "unknown_meter",
        lambda scene: scene.installation(replace(scene.points["agreed"], mid=STRANGER)),
    ),
    "installed without an agreement": (
        "no_agreement",
        lambda scene: scene.installation(scene.points["linked"]),
    ),
    "a stolen code of another supply point": (
        "wrong_code",
        lambda scene: scene.installation(replace(scene.points["agreed"], code=scene.points["linked"].code)),
    ),
    "a code that was used": (
        "wrong_stage",
        lambda scene: scene.installation(replace(scene.points["agreed"], mid=scene.meter.mid)),
    ),
    "another script than the agreement's": (
        "wrong_script",
        lambda scene: scene.installation(scene.points["agreed"], script=bytes(32)),
    ),
    "a device without possession of its key": (
        "bad_signature",
        lambda scene: scene.installation(scene.points["agreed"], sign_key=new_keys().sign_key),
    ),
    "a device with a key of small order": (
        "bad_public_key",
        lambda scene: scene.installation(scene.points["agreed"], sign_key=SMALL_ORDER),
    ),
    "a device of another epoch": (
        "wrong_epoch",
        lambda scene: scene.installation(scene.points["agreed"], epoch=2),
    ),
    "a device without the total register": (
        "bad_registers",
        lambda scene: scene.installation(scene.points["agreed"], registers=()),
    ),
    "registers out of order": (
        "bad_registers",
        lambda scene: scene.installation(
            scene.points["agreed"],
            registers=((bytes(obis("2.8.0")), 0), (bytes(IMPORT_TOTAL), 0)),
        ),
    ),
    "access before the installation": (
        "wrong_stage",
        lambda scene: given(scene, scene.points["agreed"].mid),
    ),
    "access twice": ("wrong_stage", lambda scene: given(scene, scene.meter.mid)),
    "an agreement for no meter": ("unknown_meter", lambda scene: agreed(scene, mid=STRANGER)),
    "an agreement for a closed account": (
        "account_closed",
        lambda scene: agreed(scene, mid=scene.closed.mid),
    ),
    "an agreement with another utility": (
        "wrong_utility",
        lambda scene: agreed(scene, utility="utility-2"),
    ),
    "an agreement on another utility's tariff": (
        "wrong_utility",
        lambda scene: agreed(scene, tariff=scene.noticed.digest),
    ),
    "an agreement that a neighbour signed": (
        "bad_signature",
        lambda scene: agreed(scene, consumer=scene.meter.consumer),
    ),
    "an agreement that the consumer did not sign": ("document_mismatch", other_terms),
    "an agreement that was replaced or is in force": ("bad_agreement", old_terms),
    "an agreement about another meter": (
        "bad_agreement",
        lambda scene: agreed(scene, mid=scene.points["registered"].mid),
    ),
    "an agreement that makes no sense": (
        "bad_agreement",
        lambda scene: agreed(scene, reporting_interval_ms=7 * 60_000 + 1),
    ),
    "an agreement on a tariff that nobody published": (
        "unknown_tariff",
        lambda scene: agreed(scene, tariff=bytes(32)),
    ),
    "a swap of what is not installed": (
        "wrong_stage",
        lambda scene: swap(scene.network, scene.points["agreed"].mid, (), scene.now),
    ),
    "a swap that skips an epoch": ("wrong_epoch", lambda scene: swapped(scene, epoch=3)),
    "a swap with a code of small order": (
        "bad_public_key",
        lambda scene: scene.altered(swapped(scene), "registrar", code_key=SMALL_ORDER),
    ),
    "a swap whose last register went down": (
        "bad_registers",
        lambda scene: swapped(scene, energy=scene.waiting.register - 1, meter=scene.waiting),
    ),
    "a clear of what was not tampered with": (
        "nothing_to_clear",
        lambda scene: clearing(scene.network, scene.meter.mid, scene.now),
    ),
    "a clear by one operator alone": (
        "same_operator",
        lambda scene: clearing(scene.network, scene.tampered.mid, scene.now, second="operator-a"),
    ),
    "a clear of no meter": (
        "unknown_meter",
        lambda scene: scene.altered(
            clearing(scene.network, scene.tampered.mid, scene.now), "operator-a", mid=STRANGER
        ),
    ),
    "a neighbour's supply": (
        "wrong_consumer",
        lambda scene: wish(scene.of_another(scene.meter, scene.guest), scene.now, on=False),
    ),
    "the supply of a closed account": ("wrong_stage", lambda scene: wish(scene.closed, scene.now, on=True)),
    "the supply of no meter": (
        "unknown_meter",
        lambda scene: scene.altered(
            wish(scene.meter, scene.now, on=False), scene.meter.consumer, mid=STRANGER
        ),
    ),
    "closed by nobody's choice of where the credit goes": ("bad_closing", closed),
    "closed with the credit both ways": (
        "bad_closing",
        lambda scene: closed(scene, move_to=scene.neighbour.mid, vendor=scene.signer("vendor").id),
    ),
    "credit moved to the meter that closes": (
        "bad_closing",
        lambda scene: closed(scene, move_to=scene.meter.mid),
    ),
    "credit moved to a neighbour": (
        "wrong_consumer",
        lambda scene: closed(scene, move_to=scene.neighbour.mid),
    ),
    "credit refunded by nobody": ("unknown_signer", lambda scene: closed(scene, vendor=bytes(16))),
    "closed twice": (
        "wrong_stage",
        lambda scene: closed(scene, scene.closed, vendor=scene.signer("vendor").id),
    ),
    "closed by another utility": (
        "wrong_utility",
        lambda scene: scene.altered(
            closed(scene, vendor=scene.signer("vendor").id), "utility-2", mid=scene.meter.mid
        ),
    ),
    "closed without the consumer's consent": (
        "document_mismatch",
        lambda scene: scene.altered(
            closed(scene, vendor=scene.signer("vendor").id), "utility", vendor=scene.signer("vendor-2").id
        ),
    ),
    "a code that was guessed": (
        "wrong_code",
        lambda scene: scene.installation(replace(scene.points["agreed"], code=sha256d(b"guess"))),
    ),
    "a code's proof that was seen, for another device": (
        "document_mismatch",
        lambda scene: scene.installation(scene.points["agreed"], proof_of={"sign_key": new_keys().sign_key}),
    ),
    "a code's proof that was seen, for another device's box": (
        "document_mismatch",
        lambda scene: scene.installation(scene.points["agreed"], proof_of={"hpke_key": new_keys().hpke_key}),
    ),
    "a failed installation that says it succeeded": (
        "document_mismatch",
        lambda scene: scene.installation(scene.points["agreed"], proof_of={"succeeded": False}),
    ),
    "a supply point with a code of small order": (
        "bad_public_key",
        lambda scene: point(scene, code_key=SMALL_ORDER),
    ),
}
