"""Attacks on registration, signatures, payments and commands: each is tried, and gets nothing.

Those on privacy, contracts and monitoring are beside what they attack.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import (
    REQUEST_DOMAIN,
    CloseAccount,
    Installation,
    Kind,
    PurchaseRequest,
    ReplaceKey,
    Report,
    Settlement,
    Supply,
)
from gridmonitoring.blockchain.evidence import verify
from gridmonitoring.blockchain.evidence_builders import build_command, build_reading
from gridmonitoring.blockchain.evidence_bundle import EvidenceKind
from gridmonitoring.blockchain.evidence_contents import key_at
from gridmonitoring.blockchain.side_block import decode_side
from gridmonitoring.blockchain.state_rows import (
    DeviceRow,
    MeterRow,
    PartyRow,
    Stage,
    Table,
    device_key,
    height_key,
    open_finding_key,
    party_key,
)
from gridmonitoring.blockchain.transactions import DOMAIN, decode_payload, sign_transaction
from gridmonitoring.contracts.meter_rule import Event, Relay
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.encoding.bounds import IMPORT_TOTAL, Role
from gridmonitoring.encoding.cbor import TRANSACTION_LIMIT, decode, encode, loads
from gridmonitoring.energy_center.credit import Account
from gridmonitoring.errors import BadSignature, Refused
from gridmonitoring.keys.signatures import split
from gridmonitoring.processing.closing import CLOSE_DOMAIN
from gridmonitoring.registration.installation_code import installation_document, prove_code
from gridmonitoring.runtime.consensus.application import Receipt
from gridmonitoring.runtime.entropy import KeyPair, new_keys, random_bytes
from gridmonitoring.runtime.evidence_source import ApplicationEvidence
from gridmonitoring.runtime.meter_port import seal_command, sign_delivery
from gridmonitoring.runtime.offices import confirm_payment, form_body, make_form, request_purchase
from gridmonitoring.runtime.parties import Signer
from tests.support.acts import (
    closing,
    new_consumer,
    paid_form,
    replacement,
    reversal,
    revocation,
    rotation,
)
from tests.support.home import Home, logged
from tests.support.mutations import leaves
from tests.support.network import INTERVAL_MS, SmallNetwork, small_network
from tests.support.told_story import DOMAINS
from tools import verify_evidence

CENTS = 10**8
"""What is paid here, 1 EUR."""


def decided(small: SmallNetwork, raws: Sequence[bytes], together: bool) -> list[Receipt]:
    """Have transactions decided, in one block or each in its own."""
    batches = [raws] if together else [[raw] for raw in raws]
    return [receipt for batch in batches for receipt in small.network.submit(batch)]


def broken(receipts: Sequence[Receipt]) -> list[str]:
    """Return the rule by which each transaction was refused; empty where it was accepted."""
    errors = [receipt.error for receipt in receipts]
    return [error.rule if isinstance(error, Refused) else str(error or "") for error in errors]


def rule_of(small: SmallNetwork, raw: bytes) -> str:
    """Return the rule by which a transaction is refused; the state stays as it was."""
    before = small.network.application.tree.root
    (rule,) = broken(decided(small, [raw], True))
    assert rule
    assert small.network.application.tree.root == before
    return rule


def events(home: Home) -> list[Event]:
    """Return the events that a home's meter reported, in order."""
    payloads = [payload for _, payload in logged(home.small) if payload.kind == Kind.REPORT]
    return [Event(payload.body.event) for payload in payloads if payload.signer == home.mid]


@pytest.fixture(scope="module")
def thieves(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallNetwork]:
    """A network of meters and consumers whose keys are stolen."""
    network = small_network(tmp_path_factory.mktemp("thieves") / "data", 1, 4)
    yield network
    network.close()


# registration


def installation_by(home: Home, keys: KeyPair, said: Installation, proof: bytes) -> bytes:
    """Return an installation of other keys, with what was said and this proof of the code."""
    body = replace(said, sign_key=keys.sign_key, hpke_key=keys.hpke_key, proof=proof, succeeded=True)
    return sign_transaction(
        *(keys.seed, home.network.chain_id, Role.METER, home.mid, 9, home.now, Kind.INSTALLATION, body)
    )


def test_enrolment_with_a_stolen_code(home: Home) -> None:
    """A thief sees a failed and, before the ledger does, a successful installation, and every transaction."""
    home.take_steps(5)
    home.wait()
    failed = home.agent.install(home.made.code, home.now, succeeded=False)
    home.network.require(failed)
    home.wait()
    succeeded = home.step("installation")
    thief = new_keys()
    seen = [failed, succeeded, *(raw for raw, _ in logged(home.small))]
    assert not any(home.made.code in raw for raw in seen)
    unproven: Installation = decode_payload(split(failed)[0]).body
    said: Installation = decode_payload(split(succeeded)[0]).body
    for proof in (unproven.proof, said.proof):
        assert rule_of(home.small, installation_by(home, thief, said, proof)) == "document_mismatch"
    document = installation_document(home.mid, 1, thief.sign_key, thief.hpke_key, True)
    words = {leaf for raw in seen for _, leaf in leaves(loads(split(raw)[0], TRANSACTION_LIMIT))}
    codes = [word for word in words if isinstance(word, bytes) and len(word) == 32]
    assert home.point().code_key in codes
    for code in codes:
        forged = installation_by(home, thief, said, prove_code(code, home.network.chain_id, document))
        assert rule_of(home.small, forged) == "wrong_code"
    # Nor can the failed device itself, with its own key, without the code.
    again = installation_by(home, home.keys, unproven, unproven.proof)
    assert rule_of(home.small, again) == "document_mismatch"
    home.network.require(succeeded)
    device: DeviceRow = home.network.row(Table.DEVICE, device_key(home.mid, 1))
    assert device.sign_key == home.keys.sign_key
    late = installation_by(home, thief, said, prove_code(home.made.code, home.network.chain_id, document))
    assert (rule_of(home.small, late), home.point().stage) == ("wrong_stage", Stage.INSTALLED)


# signatures


@pytest.mark.parametrize("domain", sorted(set(DOMAINS) - {DOMAIN}))
def test_wrong_context_reuse_of_a_signature(small: SmallNetwork, domain: str) -> None:
    """What somebody signed for one purpose, or another chain, says nothing for any other."""
    network, now = small.network, small.clock.now_ms()
    meter, vendor = small.meters[0], network.signer("vendor")
    wish = meter.consumer.transaction(Kind.SUPPLY, Supply(meter.mid, True, 0), now)
    assert rule_of(small, meter.consumer.document(domain, split(wish)[0])) == "bad_signature"
    consent = encode([meter.mid, b"", vendor.id])
    if domain != CLOSE_DOMAIN:
        body = CloseAccount(meter.mid, b"", vendor.id, meter.consumer.document(domain, consent))
        closing = network.signer("utility").transaction(Kind.CLOSE_ACCOUNT, body, now)
        assert rule_of(small, closing) == "bad_signature"


def test_wrong_chain_reuse_of_a_signature(small: SmallNetwork) -> None:
    """The same parties, keys and numbers on another chain: neither envelopes nor documents carry over."""
    network, now = small.network, small.clock.now_ms()
    meter = small.meters[0]
    elsewhere = Signer("elsewhere", Role.CONSUMER, meter.consumer.keys, bytes(32), meter.consumer.id)
    elsewhere.resume_after(10**6)
    assert rule_of(small, elsewhere.transaction(Kind.SUPPLY, Supply(meter.mid, False, 0), now)) == (
        "bad_signature"
    )
    request = request_purchase(elsewhere, meter.mid, CENTS, "EUR", bytes(16), now)
    paid = confirm_payment(network.signer("vendor"), request, CENTS, "EUR", b"elsewhere", now)
    assert rule_of(small, paid_form(network, "node-01", request, paid, meter.mid, now)) == "bad_signature"


def test_strip_and_re_sign(small: SmallNetwork) -> None:
    """A signature is taken off and another put in its place: it is then another's word, or nobody's."""
    network, now = small.network, small.clock.now_ms()
    meter, node, thief = small.meters[0], network.signer("node-02"), new_keys()
    wish = meter.consumer.transaction(Kind.SUPPLY, Supply(meter.mid, False, 0), now)
    stranger = Signer("thief", Role.CONSUMER, thief, network.chain_id, meter.consumer.id)
    assert rule_of(small, stranger.document(DOMAIN, split(wish)[0])) == "bad_signature"
    own = Signer("thief", Role.CONSUMER, thief, network.chain_id)
    assert rule_of(small, own.transaction(Kind.SUPPLY, Supply(meter.mid, False, 0), now)) == "unknown_signer"
    # A report, by a node that carries it.
    meter.resume()
    report = meter.claim(Event.INTERVAL, Relay.CONNECTED, settles=True, time=meter.time + INTERVAL_MS)
    small.clock.move_to(meter.time)
    assert rule_of(small, node.document(DOMAIN, split(report)[0])) == "bad_signature"
    # A payer's request, by another consumer who would like the vendor's confirmation to be for it.
    request = request_purchase(meter.consumer, meter.mid, CENTS, "EUR", bytes(16), now)
    paid = confirm_payment(network.signer("vendor"), request, CENTS, "EUR", b"stripped", now)
    payer, joins = new_consumer(network, "thief", now)
    small.submit([joins])
    forged = payer.document(REQUEST_DOMAIN, split(request)[0])
    assert rule_of(small, paid_form(network, "node-01", forged, paid, meter.mid, now)) == "bad_signature"
    said = decode(split(request)[0], PurchaseRequest)
    mine = payer.document(REQUEST_DOMAIN, encode(replace(said, payer=payer.id)))
    assert rule_of(small, paid_form(network, "node-01", mine, paid, meter.mid, now)) == "wrong_payment"
    small.submit([report])


def require_end(row: PartyRow | DeviceRow, keys: KeyPair, revoked_at: int) -> None:
    """Require what evidence goes by: the key was in force before this place of the log, and none since."""
    assert key_at(row, revoked_at - 1) == keys.sign_key
    for place in (revoked_at, revoked_at + 1):
        with pytest.raises(BadSignature):
            key_at(row, place)


@pytest.mark.parametrize("together", [True, False])
def test_report_of_a_stolen_key_after_revocation(thieves: SmallNetwork, together: bool) -> None:
    """At h-1 the key is in force; at h it is revoked; at h+1 it is worth nothing, whatever is dated."""
    network, meter = thieves.network, thieves.meters[together]
    last = meter.claim(Event.INTERVAL, Relay.CONNECTED, settles=True, time=meter.time + INTERVAL_MS)
    thieves.clock.move_to(meter.time)
    now = thieves.clock.now_ms()
    end = revocation(network.signer("registrar"), Role.METER, meter.mid, meter.keys.sign_key, now)
    stolen = meter.claim(Event.INTERVAL, Relay.CONNECTED, settles=True, time=meter.time + 1)
    meter.sequence, meter.time = meter.sequence - 1, meter.time - 2
    earlier = meter.claim(Event.INTERVAL, Relay.CONNECTED, settles=False, time=0)
    raws = [last, end, stolen, earlier]
    receipts = decided(thieves, raws, together)
    assert broken(receipts) == ["", "", "revoked_key", "revoked_key"]
    revoked_at = receipts[1].index
    device: DeviceRow = network.row(Table.DEVICE, device_key(meter.mid, 1))
    require_end(device, meter.keys, revoked_at)
    # What was signed before stays proven; nobody can make evidence of what came after.
    source = ApplicationEvidence(network.application, network.document)
    bundle = build_reading(source, receipts[0].index)
    verify(bundle, network.document)
    verify_evidence.verify(bundle, network.document)


@pytest.mark.parametrize("together", [True, False])
def test_word_of_a_stolen_key_after_revocation(thieves: SmallNetwork, together: bool) -> None:
    """As with a meter's key: envelopes, consents and requests for purchases signed with a party's."""
    network, meter = thieves.network, thieves.meters[2 + together]
    now, consumer = thieves.clock.now_ms(), meter.consumer
    last = consumer.transaction(Kind.SUPPLY, Supply(meter.mid, True, 3000), now)
    end = revocation(network.signer("registrar"), Role.CONSUMER, consumer.id, consumer.keys.sign_key, now)
    stolen = consumer.transaction(Kind.SUPPLY, Supply(meter.mid, False, 0), now)
    anew = new_keys()
    rescue = rotation(network, consumer, anew, now, anew)
    vendor = network.signer("vendor")
    consent = closing(network, meter, now, vendor=vendor.id)
    request = request_purchase(consumer, meter.mid, CENTS, "EUR", bytes(16), now)
    paid = confirm_payment(vendor, request, CENTS, "EUR", meter.mid, now)
    form = paid_form(network, "node-01", request, paid, meter.mid, now)
    raws = [last, end, stolen, rescue, consent, form]
    receipts = decided(thieves, raws, together)
    assert broken(receipts) == ["", "", *["revoked_key"] * 4]
    revoked_at = receipts[1].index
    row: PartyRow = network.row(Table.PARTY, party_key(Role.CONSUMER, consumer.id))
    require_end(row, consumer.keys, revoked_at)


def test_an_approval_of_a_key_used_twice(small: SmallNetwork) -> None:
    """A key that was approved, came in force and was revoked, and one whose owner objected, stay out."""
    network, now = small.network, small.clock.now_ms()
    owner, joins = new_consumer(network, "owner", now)
    small.submit([joins])
    lost, approved = new_keys(), now
    announced = replacement(network, owner.id, lost, approved)
    small.submit([announced])
    body: ReplaceKey = decode_payload(split(announced)[0]).body
    again = network.signer("registrar").transaction(Kind.REPLACE_KEY, body, now)
    assert rule_of(small, again) == "stale_approval"
    own = new_keys()
    small.submit([rotation(network, owner, own, now, own)])
    again = network.signer("registrar").transaction(Kind.REPLACE_KEY, body, now)
    assert rule_of(small, again) == "stale_approval"
    said = replace(body, after=network.application.log.log.size - 1)
    forged = network.signer("registrar").transaction(Kind.REPLACE_KEY, said, now)
    assert rule_of(small, forged) == "document_mismatch"
    assert rule_of(small, replacement(network, owner.id, owner.keys, now)) == "former_key"


# payments


def test_a_form_made_twice_from_one_request(small: SmallNetwork) -> None:
    """Two nodes make a form of it, in one block and later; a second confirmation does not help."""
    network, meter = small.network, small.meters[0]
    now, vendor = small.clock.now_ms(), network.signer("vendor")
    request = request_purchase(meter.consumer, meter.mid, CENTS, "EUR", b"made twice......", now)
    paid = confirm_payment(vendor, request, CENTS, "EUR", b"made once", now)
    more = confirm_payment(vendor, request, CENTS, "EUR", b"made more", now)
    before: Account = network.row(Table.ACCOUNT, meter.mid)
    forms = [
        paid_form(network, node, request, said, meter.mid, now)
        for node, said in (("node-01", paid), ("node-02", paid), ("node-03", more))
    ]
    assert broken(decided(small, forms, True)) == ["", "already_processed", "already_processed"]
    later = paid_form(network, "node-04", request, paid, meter.mid, now)
    assert rule_of(small, later) == "already_processed"
    assert rule_of(small, forms[0]) == "replayed"
    after: Account = network.row(Table.ACCOUNT, meter.mid)
    assert after.credit == before.credit + CENTS
    assert network.row(Table.PAYMENT, vendor.id + b"made more") is None


def test_a_payment_reference_reused(small: SmallNetwork) -> None:
    """One payment for two requests, in one block and later, also after it bounced."""
    network, meter = small.network, small.meters[0]
    now, vendor, reference = small.clock.now_ms(), network.signer("vendor"), b"paid once"
    before: Account = network.row(Table.ACCOUNT, meter.mid)
    forms = []
    for number, node in enumerate(("node-01", "node-02", "node-03")):
        key = b"another request" + bytes((number,))
        request = request_purchase(meter.consumer, meter.mid, CENTS, "EUR", key, now)
        paid = confirm_payment(vendor, request, CENTS, "EUR", reference, now)
        forms.append(paid_form(network, node, request, paid, meter.mid, now))
    assert broken(decided(small, forms[:2], True)) == ["", "payment_reference_used"]
    after: Account = network.row(Table.ACCOUNT, meter.mid)
    assert after.credit == before.credit + CENTS
    small.submit([reversal(network, reference, now)])
    assert rule_of(small, forms[2]) == "payment_reference_used"
    assert rule_of(small, reversal(network, reference, now)) == "unknown_payment"


def test_capacity_booked_twice(small: SmallNetwork) -> None:
    """Two nodes each find room for their form, and book it in one block: the energy goes out once."""
    network, meter = small.network, small.meters[0]
    now, vendor = small.clock.now_ms(), network.signer("vendor")
    window = network.row(Table.CAPACITY, b"").windows[0]
    amount = (window.energy - window.booked) * 6 // 10 * 25_000  # most of it, at 25,000 a Wh
    forms = []
    for node in ("node-01", "node-02"):
        request = request_purchase(meter.consumer, meter.mid, amount, "EUR", random_bytes(16), now)
        paid = confirm_payment(vendor, request, amount, "EUR", random_bytes(8), now)
        body = form_body(network, request, paid, meter.mid, amount, now)
        forms.append(make_form(network.signer(node), body, now))
    assert broken(decided(small, forms, True)) == ["", "no_capacity"]
    booked = network.row(Table.CAPACITY, b"").windows[0].booked
    energies = {decode_payload(split(form)[0]).body.energy for form in forms}
    assert {booked - window.booked} == energies
    assert broken(decided(small, [forms[0]], True)) == ["replayed"]
    assert network.row(Table.CAPACITY, b"").windows[0].booked == booked


def violations(small: SmallNetwork, mid: bytes) -> list[Violation]:
    """Return the violations of a meter that side blocks hold, in order."""
    bodies = [payload.body for _, payload in logged(small) if payload.kind == Kind.SIDE_BLOCK]
    blocks = [decode_side(body.block) for body in bodies if body.mid == mid]
    entries = sorted((e.number, e.message.violation) for block in blocks for e in block.body.entries)
    return [Violation(number) for _, number in entries if number]


def faults(small: SmallNetwork, mid: bytes) -> int:
    """Return how often a register of a meter was found at fault on the running block."""
    last = small.network.row(Table.OPEN_FINDING, open_finding_key(mid, Violation.REGISTER_FAULT))
    return small.network.row(Table.FINDING, height_key(mid, last.number)).count if last else 0


@pytest.mark.parametrize("energy", [2**62, 2**63 - 1])
def test_a_register_that_leaps_past_all_money(small: SmallNetwork, energy: int) -> None:
    """A bent meter says so much that no account holds the price: the register is at fault, not the clock."""
    meter = small.meters[0]
    account = small.network.row(Table.ACCOUNT, meter.mid)
    before = faults(small, meter.mid)
    meter.sequence, meter.time = meter.sequence + 1, meter.time + INTERVAL_MS
    small.clock.move_to(meter.time)
    leap = Settlement(((bytes(IMPORT_TOTAL), energy),), 0)
    said = (1, Event.INTERVAL, 0, Relay.CONNECTED, meter.carried_out, bytes(32), bytes(32), leap)
    small.submit([meter.sign(Kind.REPORT, Report(*said))])
    assert small.network.row(Table.ACCOUNT, meter.mid) == account
    assert Violation.REGISTER_FAULT in violations(small, meter.mid)
    assert faults(small, meter.mid) == before + 1
    meter.resume()
    small.submit([meter.claim(Event.INTERVAL, Relay.CONNECTED, settles=True, time=meter.time + INTERVAL_MS)])
    small.clock.move_to(meter.time)
    assert faults(small, meter.mid) == before + 1
    assert small.network.row(Table.ACCOUNT, meter.mid).statement.number == account.statement.number + 1


# commands


def test_stale_and_reordered_commands(living: Home) -> None:
    """Proven commands, but late, again, out of order or with one left out: none opens or closes a relay."""
    for on in (False, True):
        living.wait()
        wish = Supply(living.mid, on, 0)
        living.network.require(living.consumer.transaction(Kind.SUPPLY, wish, living.now))
    off, switch_on = living.line.commands(living.mid)
    carried_out = living.agent.meter.contract.carried_out
    living.line.instead = [switch_on]  # the first is held back
    living.agent.poll(living.now)
    assert living.agent.meter.contract.carried_out == carried_out
    assert living.relay() is Relay.CONNECTED
    living.line.instead = [switch_on, off]  # in the wrong order: they are carried out in the right one
    living.agent.poll(living.now)
    assert living.agent.meter.contract.carried_out == carried_out + 2
    living.line.instead = None
    living.meet()
    assert living.relay() is Relay.CONNECTED
    living.line.instead = [off]  # once more
    before = living.meter().sequence
    living.wait()
    living.agent.poll(living.now)
    assert living.relay() is Relay.CONNECTED
    living.line.instead = None
    living.agent.flush()
    assert living.meter().sequence == before + 1
    assert events(living)[-1] is Event.COMMAND_IGNORED


def test_a_command_after_its_expiry(living: Home) -> None:
    """An order to open the relay that was held back for a month is not carried out, and said to be old."""
    living.network.require(living.consumer.transaction(Kind.SUPPLY, Supply(living.mid, False, 0), living.now))
    living.wait(living.network.genesis.parameters.command_expiry + 1)
    living.meet()
    assert living.relay() is Relay.CONNECTED
    assert events(living)[-1] is Event.COMMAND_IGNORED
    assert living.agent.meter.contract.carried_out == living.meter().commands


def test_a_command_of_another_meter(living: Home) -> None:
    """Sealed to this meter by whoever likes, but proven for a neighbour."""
    neighbour = living.small.meters[0]
    now = living.now
    living.network.require(neighbour.consumer.transaction(Kind.SUPPLY, Supply(neighbour.mid, False, 0), now))
    row: MeterRow = living.network.row(Table.METER, neighbour.mid)
    source = ApplicationEvidence(living.network.application, living.network.document)
    bundle = build_command(source, neighbour.mid, row.commands)
    key = living.keys.hpke_key
    kind, number = int(EvidenceKind.COMMAND), living.agent.meter.contract.carried_out + 1
    told = sign_delivery(living.network.signer("node-01"), living.mid, 1, kind, number, bundle)
    living.line.instead = [seal_command(living.network.chain_id, living.mid, 1, kind, number, key, told)]
    living.wait()
    living.agent.poll(living.now)
    assert living.relay() is Relay.CONNECTED
    living.line.instead = None
    living.agent.flush()
    assert events(living)[-1] is Event.COMMAND_IGNORED
    back = Supply(neighbour.mid, True, 0)
    living.network.require(neighbour.consumer.transaction(Kind.SUPPLY, back, living.now))
    neighbour.resume()
