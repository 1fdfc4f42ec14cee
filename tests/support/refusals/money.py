"""Lies about money and energy: tariffs, capacity, purchases, reversals (paper III-A-6, IV-C)."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.encoding.bounds import MAX_INT, Role
from gridmonitoring.energy_center.tariffs import Tariff
from gridmonitoring.processing.rows import TariffRow
from gridmonitoring.runtime.offices import offer_capacity, publish
from tests.support.acts import payout, reversal
from tests.support.refusals.scene import USED_KEY, USED_REFERENCE, Lies, Scene
from tests.support.refusals.supply import STRANGER


def tariff(scene: Scene) -> Tariff:
    """Return the tariff in force."""
    row: TariffRow = scene.network.row(Table.TARIFF, scene.agreement(scene.meter).tariff)
    return row.tariff


def published(scene: Scene, utility: str = "utility", **changes: Any) -> bytes:
    return publish(scene.signer(utility), replace(tariff(scene), **changes), scene.now)


def offered(scene: Scene, start: int, end: int) -> bytes:
    return offer_capacity(scene.signer("energy-center"), start, end, 1, scene.now)


def by_a_research_agency(scene: Scene) -> bytes:
    return scene.form(request={"payer_role": int(Role.OPERATOR), "payer": scene.signer("operator-a").id})


LIES: Lies = {
    "a payout of an account that is open": (
        "wrong_stage",
        lambda scene: payout(scene.network, scene.meter, 5, scene.now, vendor=scene.signer("vendor").id),
    ),
    "a payout of what is not there": (
        "wrong_payout",
        lambda scene: payout(scene.network, scene.closed, 5, scene.now, vendor=scene.signer("vendor").id),
    ),
    "a payout of nothing": (
        "wrong_payout",
        lambda scene: payout(scene.network, scene.closed, 0, scene.now, vendor=scene.signer("vendor").id),
    ),
    "a payout to nobody": ("bad_closing", lambda scene: payout(scene.network, scene.closed, 5, scene.now)),
    "a payout that the consumer did not sign": (
        "document_mismatch",
        lambda scene: scene.altered(
            payout(scene.network, scene.closed, 5, scene.now, vendor=scene.signer("vendor").id),
            "utility",
            amount=6,
        ),
    ),
    "a payout of no meter": (
        "unknown_meter",
        lambda scene: scene.altered(
            payout(scene.network, scene.closed, 5, scene.now, vendor=scene.signer("vendor").id),
            "utility",
            mid=bytes(range(16)),
        ),
    ),
    "another utility's tariff": ("wrong_utility", lambda scene: published(scene, "utility-2", name="x")),
    "a tariff in another currency": ("wrong_currency", lambda scene: published(scene, currency="USD")),
    "a tariff published twice": ("already_published", published),
    "a tariff without notice": (
        "bad_tariff",
        lambda scene: publish(
            scene.signer("utility-2"), replace(scene.noticed, valid_from_ms=scene.now + 1), scene.now
        ),
    ),
    "a tariff that comes before the last": ("bad_tariff", lambda scene: published(scene, valid_from_ms=1)),
    "a tariff without a price": ("bad_tariff", lambda scene: published(scene, rates=())),
    "a tariff that is none": (
        "bad_tariff",
        lambda scene: scene.altered(published(scene, name="x"), "utility", tariff=b"\x80"),
    ),
    "capacity offered twice": (
        "bad_window",
        lambda scene: offered(scene, scene.window().from_ms, scene.window().from_ms + 1),
    ),
    "capacity for no time": ("bad_window", lambda scene: offered(scene, 5, 5)),
    "capacity that ends before it starts": ("bad_window", lambda scene: offered(scene, 5, 4)),
    "a request that is none": (
        "malformed_request",
        lambda scene: scene.altered(scene.form(), "node-01", request=bytes(72)),
    ),
    "a confirmation that is none": (
        "malformed_payment",
        lambda scene: scene.altered(scene.form(), "node-01", confirmation=bytes(72)),
    ),
    "a payer who may not pay": ("wrong_role", by_a_research_agency),
    "a payer's role that is none": ("wrong_role", lambda scene: scene.form(request={"payer_role": 40_000})),
    "a request in a neighbour's name": (
        "bad_signature",
        lambda scene: scene.form(payer=scene.guest, request={"payer": scene.meter.consumer.id}),
    ),
    "a request of one whose key was revoked": ("revoked_key", lambda scene: scene.form(payer=scene.gone)),
    "a request for another meter": ("wrong_meter", lambda scene: scene.form(request={"mid": STRANGER})),
    "a form for an unknown meter": (
        "unknown_meter",
        lambda scene: scene.form(request={"mid": STRANGER}, mid=STRANGER),
    ),
    "a form for a closed account": (
        "wrong_stage",
        lambda scene: scene.form(request={"mid": scene.closed.mid}, mid=scene.closed.mid),
    ),
    "a request in another currency": (
        "wrong_currency",
        lambda scene: scene.form(request={"currency": "USD"}),
    ),
    "a purchase of nothing": ("no_amount", lambda scene: scene.form(request={"amount": 0})),
    "a vendor who is none": ("unknown_signer", lambda scene: scene.form(payment={"vendor": bytes(16)})),
    "a confirmation in another vendor's name": (
        "bad_signature",
        lambda scene: scene.form(payment={"vendor": scene.signer("vendor-2").id}),
    ),
    "a confirmation of another request": (
        "wrong_payment",
        lambda scene: scene.form(payment={"request": bytes(32)}),
    ),
    "a confirmation of less": ("wrong_payment", lambda scene: scene.form(payment={"amount": 10**8 - 1})),
    "a confirmation in another currency": (
        "wrong_payment",
        lambda scene: scene.form(payment={"currency": "USD"}),
    ),
    "a purchase processed already": ("already_processed", lambda scene: scene.again()),
    "an idempotency key with other content": (
        "idempotency_conflict",
        lambda scene: scene.form(key=USED_KEY, request={"amount": 5 * 10**8}),
    ),
    "a payment reference used before": (
        "payment_reference_used",
        lambda scene: scene.form(reference=USED_REFERENCE),
    ),
    "a wrong house number": ("wrong_house_number", lambda scene: scene.form(house=bytes(32))),
    "a wrong area": ("wrong_area", lambda scene: scene.form(area="A2")),
    "a wrong script": ("wrong_script", lambda scene: scene.form(script=bytes(32))),
    "a wrong tariff": ("wrong_tariff", lambda scene: scene.form(tariff=bytes(32))),
    "a request signed after its form": (
        "time_not_monotonic",
        lambda scene: scene.form(request={"time": scene.now + 1}),
    ),
    "a payment signed after its form": (
        "time_not_monotonic",
        lambda scene: scene.form(payment={"time": scene.now + 1}),
    ),
    "a Wh more than the money buys": ("wrong_energy", lambda scene: scene.form(energy=4_001)),
    "a window that nobody offered": ("no_capacity", lambda scene: scene.form(dispatch=7)),
    "more than the energy center has": (
        "no_capacity",
        lambda scene: scene.form(request={"amount": 25_000_000 * (10**12 // 1000)}),
    ),
    "all the money there is": ("no_capacity", lambda scene: scene.form(request={"amount": MAX_INT})),
    "one lot too many": (
        "credit_refused",
        lambda scene: scene.form(
            payer=scene.neighbour.consumer,
            request={"mid": scene.neighbour.mid},
            mid=scene.neighbour.mid,
            house=scene.house(scene.neighbour),
        ),
    ),
    "a payment reversed that never came": (
        "unknown_payment",
        lambda scene: reversal(scene.network, b"no such payment", scene.now),
    ),
    "a payment reversed twice": (
        "unknown_payment",
        lambda scene: reversal(scene.network, b"bounced", scene.now),
    ),
    "another vendor's payment reversed": (
        "unknown_payment",
        lambda scene: scene.altered(
            reversal(scene.network, b"x", scene.now), "vendor-2", reference=USED_REFERENCE
        ),
    ),
}
