"""What parties of a small network can sign besides the everyday: keys, governance, swaps, closing, clearing.

Each function returns encoded transactions and sends nothing, so that a test can send them, alter them, or
send them at the wrong moment. `story` has one of every type decided, in a sensible order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import (
    Accuse,
    Answer,
    CloseAccount,
    ConfirmKey,
    CopyDiffers,
    CopyHealed,
    Erase,
    Governance,
    Grant,
    Kind,
    MeterSilent,
    Part,
    PayOut,
    Read,
    Registers,
    ReplaceKey,
    ReversePayment,
    RevokeGrant,
    RevokeKey,
    RotateKey,
    SwapDevice,
)
from gridmonitoring.blockchain.evidence_bundle import EvidenceKind
from gridmonitoring.blockchain.genesis import FoundingParty, Proposal
from gridmonitoring.blockchain.state_rows import (
    GovernanceRow,
    MeterRow,
    OpenFindingRow,
    PartyRow,
    Table,
    open_finding_key,
    party_key,
)
from gridmonitoring.contracts.consent import ALL_DATA
from gridmonitoring.contracts.meter_rule import Event, Relay, Status
from gridmonitoring.contracts.violations import ActionKind, AgreedAction, Violation
from gridmonitoring.encoding.bounds import IMPORT_TOTAL, Role
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.processing.closing import CLOSE_DOMAIN, PAYOUT_DOMAIN
from gridmonitoring.processing.governance import GOVERNANCE_DOMAIN
from gridmonitoring.processing.installations import SWAP_DOMAIN
from gridmonitoring.processing.rows import AgreementRow
from gridmonitoring.registration.installation_code import code_key
from gridmonitoring.registration.registrar import (
    NEW_KEY_DOMAIN,
    REPLACEMENT_DOMAIN,
    key_standing,
    new_key_document,
    replacement_document,
)
from gridmonitoring.runtime.accusing import delivery_bodies
from gridmonitoring.runtime.client import Client
from gridmonitoring.runtime.contract_offices import (
    clear_tamper,
    control_supply,
    decide_dispute,
    dispute,
    lift_cut_off,
)
from gridmonitoring.runtime.entropy import KeyPair, new_keys
from gridmonitoring.runtime.meter_port import sign_delivery
from gridmonitoring.runtime.network import Network
from gridmonitoring.runtime.offices import (
    agree,
    commitment,
    consumer_signer,
    form_body,
    make_form,
    offer_capacity,
    register,
)
from gridmonitoring.runtime.parties import Signer
from tests.support.contract_keys import announcing, successor
from tests.support.guilty_proposer import wrong_result
from tests.support.network import DAY_MS, INTERVAL_MS, START, MeterInHand, SmallNetwork, buy, report_wires

NEXT_CODE = bytes(range(32))
"""One-time installation code of a device that replaces another."""


def new_consumer(network: Network, name: str, time: int) -> tuple[Signer, bytes]:
    """Return a consumer and the transaction that registers it."""
    consumer = consumer_signer(network, name, new_keys())
    personal = commitment(name, bytes(32))
    return consumer, register(network.signer("registrar"), consumer, personal, time)


def new_researcher(network: Network, time: int) -> tuple[Signer, bytes]:
    """Return a researcher and the transaction that registers it."""
    reader = Signer("researcher", Role.RESEARCHER, new_keys(), network.chain_id)
    personal = commitment("researcher", bytes(32))
    return reader, register(network.signer("registrar"), reader, personal, time)


def rotation(network: Network, party: Signer, keys: KeyPair, time: int, proved_by: KeyPair) -> bytes:
    """Return a party's move to another pair of keys; `proved_by` should be that pair."""
    document = new_key_document(party.role, party.id, keys.sign_key, keys.hpke_key)
    proof = consumer_signer(network, "proof", proved_by).document(NEW_KEY_DOMAIN, document)
    return party.transaction(Kind.ROTATE_KEY, RotateKey(keys.sign_key, keys.hpke_key, proof), time)


def revocation(revoker: Signer, role: Role, party: bytes, sign_key: bytes, time: int) -> bytes:
    """Return the end of a key."""
    return revoker.transaction(Kind.REVOKE_KEY, RevokeKey(int(role), party, sign_key), time)


def replacement(network: Network, party: bytes, keys: KeyPair, time: int, after: int | None = None) -> bytes:
    """Return the announcement of a key for a consumer who lost the last; `after` is when it was approved."""
    row: PartyRow | None = network.row(Table.PARTY, party_key(Role.CONSUMER, party))
    if after is None:
        after = key_standing(row) if row else 0
    document = replacement_document(party, keys.sign_key, keys.hpke_key, after)
    authenticator = network.signer("authenticator")
    body = ReplaceKey(
        *(party, keys.sign_key, keys.hpke_key, after),
        consumer_signer(network, "proof", keys).document(REPLACEMENT_DOMAIN, document),
        authenticator.id,
        authenticator.document(REPLACEMENT_DOMAIN, document),
    )
    return network.signer("registrar").transaction(Kind.REPLACE_KEY, body, time)


def confirmation(network: Network, party: bytes, keys: KeyPair, time: int) -> bytes:
    """Return the confirmation of an announced key."""
    body = ConfirmKey(party, keys.sign_key)
    return network.signer("registrar").transaction(Kind.CONFIRM_KEY, body, time)


def proposal(network: Network | Client, number: int = 0, **changes: Any) -> Proposal:
    """Return the next proposal, which changes nothing but what is given."""
    last: GovernanceRow = network.row(Table.GOVERNANCE, b"")
    return replace(Proposal(number or last.number + 1, (), (), (), None), **changes)


def governance(network: Network | Client, wanted: Proposal, approving: Sequence[str], time: int) -> bytes:
    """Return a proposal with the approvals of these nodes, sent by the first node."""
    document = encode(wanted)
    signers = sorted((network.signer(name) for name in approving), key=lambda s: s.keys.sign_key)
    approvals = tuple((s.id, s.document(GOVERNANCE_DOMAIN, document)) for s in signers)
    return network.signer("node-01").transaction(Kind.GOVERNANCE, Governance(document, approvals), time)


def new_vendor(name: str) -> FoundingParty:
    """Return a vendor who could join."""
    keys = new_keys()
    return FoundingParty(Role.VENDOR, name, keys.sign_key, keys.hpke_key)


def reversal(network: Network, reference: bytes, time: int) -> bytes:
    """Return the vendor's reversal of a payment."""
    return network.signer("vendor").transaction(Kind.REVERSE_PAYMENT, ReversePayment(reference), time)


def closing(
    network: Network, meter: MeterInHand, time: int, *, move_to: bytes = b"", vendor: bytes = b""
) -> bytes:
    """Return the closing of an account, with the consumer's consent."""
    consent = meter.consumer.document(CLOSE_DOMAIN, encode([meter.mid, move_to, vendor]))
    body = CloseAccount(meter.mid, move_to, vendor, consent)
    return network.signer("utility").transaction(Kind.CLOSE_ACCOUNT, body, time)


def payout(
    network: Network, meter: MeterInHand, amount: int, time: int, *, move_to: bytes = b"", vendor: bytes = b""
) -> bytes:
    """Return the payout of a closed account, with the consumer's consent."""
    consent = meter.consumer.document(PAYOUT_DOMAIN, encode([meter.mid, amount, move_to, vendor]))
    body = PayOut(meter.mid, amount, move_to, vendor, consent)
    return network.signer("utility").transaction(Kind.PAYOUT, body, time)


def compensated(network: Network, meter: MeterInHand, amount: int, time: int) -> bytes:
    """Return an agreement by which an over-charge is compensated; all else stays."""
    row: AgreementRow = network.row(Table.AGREEMENT, meter.mid)
    paid = AgreedAction(Violation.OVERCHARGE, ActionKind.COMPENSATION, amount, cut_off=False, notice=False)
    fails = replace(paid, violation=Violation.INTEGRITY_FAILURE)
    terms = replace(row.agreement, actions=(fails, paid), valid_from_ms=row.agreement.valid_from_ms + 1)
    return agree(network.signer("utility"), meter.consumer, terms, time)


def swap(network: Network, mid: bytes, registers: Registers, time: int, *, epoch: int = 2) -> bytes:
    """Return the swap of a device, its last registers witnessed by an operator."""
    operator = network.signer("operator-a")
    code = code_key(NEXT_CODE)
    witness = operator.document(SWAP_DOMAIN, encode([mid, epoch, registers, code]))
    body = SwapDevice(mid, epoch, registers, code, operator.id, witness)
    return network.signer("registrar").transaction(Kind.SWAP_DEVICE, body, time)


def wish(meter: MeterInHand, time: int, *, on: bool, power_limit: int = 0) -> bytes:
    """Return the consumer's own control of the supply."""
    return control_supply(meter.consumer, meter.mid, time, on=on, power_limit=power_limit)


def clearing(network: Network, mid: bytes, time: int, *, second: str = "operator-b") -> bytes:
    """Return the clear of a meter's last tamper by two operators."""
    meter: MeterRow = network.row(Table.METER, mid)
    first, other = network.signer("operator-a"), network.signer(second)
    return clear_tamper(first, other, mid, meter.epoch, meter.tampered, time)


def decision(
    network: Network, mid: bytes, number: int, time: int, *, upheld: bool = False, second: str = "operator-b"
) -> bytes:
    """Return the decision of a dispute by two operators."""
    first, other = network.signer("operator-a"), network.signer(second)
    return decide_dispute(first, other, mid, number, time, upheld=upheld)


def accusation(network: Network, mid: bytes, bundle: bytes, time: int, by: str = "node-01") -> bytes:
    """Return the accusation of the first node for a delivery that it signed."""
    accused = network.signer("node-01")
    signed = sign_delivery(accused, mid, 1, int(EvidenceKind.STATEMENT), 1, bundle)
    return network.signer(by).transaction(Kind.ACCUSE, Accuse(mid, signed), time)


def exhibits(network: Network, mid: bytes, bundle: bytes, time: int) -> list[bytes]:
    """Return the accusation of the first node for a large delivery, in parts."""
    node = network.signer("node-01")
    signed = sign_delivery(node, mid, 1, int(EvidenceKind.STATEMENT), 1, bundle)
    return [node.transaction(kind, body, time) for kind, body in delivery_bodies(mid, signed)]


def tamper(meter: MeterInHand) -> bytes:
    """Return a meter's report that it was tampered with."""
    time = meter.time + INTERVAL_MS
    return meter.claim(
        Event.TAMPER, Relay.DISCONNECTED, settles=True, time=time, status=Status.TERMINAL_COVER
    )


def differing(network: Network, node: str, time: int, **changes: Any) -> bytes:
    """Return a node's report that its own copy of the genesis document differs, or what is given instead."""
    signer = network.signer(node)
    body = CopyDiffers(signer.id, Part.META, 0, b"genesis", bytes(32), b"\1" * 32, b"", 0, None)
    return signer.transaction(Kind.COPY_DIFFERS, replace(body, **changes), time)


def mended(network: Network, node: str, time: int) -> bytes:
    """Return a node's report that it put that copy right."""
    return network.signer(node).transaction(Kind.COPY_HEALED, CopyHealed(Part.META, 0, b"genesis"), time)


def silence(network: Network, node: str, mid: bytes, time: int, **changes: Any) -> bytes:
    """Return a node's report that a meter has been silent since its last report."""
    meter: MeterRow = network.row(Table.METER, mid)
    body = replace(MeterSilent(mid, meter.epoch, meter.sequence), **changes)
    return network.signer(node).transaction(Kind.SILENCE, body, time)


def paid_form(network: Network, node: str, request: bytes, paid: bytes, mid: bytes, time: int) -> bytes:
    """Return a node's form of a purchase of 1 EUR that others signed."""
    return make_form(network.signer(node), form_body(network, request, paid, mid, 10**8, time), time)


def granting(meter: MeterInHand, reader: Signer, time: int, /, **changes: Any) -> bytes:
    """Return the owner's grant to a reader: all data of yesterday, today and tomorrow for a year."""
    today = time // DAY_MS
    said = Grant(
        *(meter.mid, int(reader.role), reader.id, int(ALL_DATA), today - 1, today + 1),
        *("research", time + 365 * DAY_MS),
    )
    return meter.consumer.transaction(Kind.GRANT, replace(said, **changes), time)


def asking(reader: Signer, mid: bytes, time: int, /, **changes: Any) -> bytes:
    """Return a reader's request for all data of today, under the first grant."""
    today = time // DAY_MS
    said = Read(mid, 1, int(ALL_DATA), today, today, "research")
    return reader.transaction(Kind.READ, replace(said, **changes), time)


def answering(network: Network, mid: bytes, number: int, time: int) -> bytes:
    """Return a node's record of an answer."""
    return network.signer("node-01").transaction(Kind.ANSWER, Answer(mid, number, bytes(32)), time)


def erasing(meter: MeterInHand, time: int, /, **changes: Any) -> bytes:
    """Return the owner's erasure of yesterday's details."""
    yesterday = time // DAY_MS - 1
    said = Erase(meter.mid, yesterday, yesterday, personal=False)
    return meter.consumer.transaction(Kind.ERASE, replace(said, **changes), time)


def grants_and_reads(small: SmallNetwork, meter: MeterInHand) -> KeyPair:
    """An owner lets a researcher read, who asks, is answered, and is let in no more; details are erased.

    Returns the researcher's keys.
    """
    network, now = small.network, small.clock.now_ms()
    reader, joins = new_researcher(network, now)
    small.submit([joins])
    small.submit([granting(meter, reader, now), asking(reader, meter.mid, now)])
    small.submit([answering(network, meter.mid, 1, now)])
    small.submit([meter.consumer.transaction(Kind.REVOKE_GRANT, RevokeGrant(meter.mid, 1), now)])
    small.submit([asking(reader, meter.mid, now), erasing(meter, now, first=1, last=1)])
    return reader.keys


def story(small: SmallNetwork) -> list[KeyPair]:
    """Have at least one transaction of every type decided; needs three meters in credit.

    Returns the keys that are in no file.
    """
    network, clock = small.network, small.clock
    first, second, third = small.meters
    small.deliver(report_wires(small, 5, settle_every=2))
    keys = _keys(small)
    nodes = [validator.name for validator in network.genesis.validators]
    small.submit([governance(network, proposal(network, join=(new_vendor("shop"),)), nodes, clock.now_ms())])
    small.submit([offer_capacity(network.signer("energy-center"), START - 9, START - 2, 5, clock.now_ms())])
    buy(small, first, 10**9, b"to be reversed")
    small.submit([reversal(network, b"to be reversed", clock.now_ms())])
    small.submit([wish(first, clock.now_ms(), on=False, power_limit=2000)])
    keys.append(grants_and_reads(small, first))
    small.submit([tamper(second)])
    clock.move_to(second.time)
    found: OpenFindingRow = network.row(Table.OPEN_FINDING, open_finding_key(second.mid, Violation.TAMPER))
    small.submit([dispute(second.consumer, second.mid, found.number, clock.now_ms())])
    small.submit([decision(network, second.mid, found.number, clock.now_ms())])
    first.resume()
    cut = first.claim(Event.CUT_OFF, Relay.DISCONNECTED, settles=True, time=clock.now_ms())
    small.submit([cut, lift_cut_off(network.signer("utility"), first.mid, clock.now_ms())])
    small.submit([accusation(network, second.mid, b"no proof at all", clock.now_ms())])
    small.submit(exhibits(network, second.mid, bytes(30_000), clock.now_ms()))
    wrong = wrong_result(network, "node-01", second.mid)
    small.submit([network.signer("node-01").transaction(Kind.ACCUSE_PROPOSER, wrong, clock.now_ms())])
    small.submit([clearing(network, second.mid, clock.now_ms())])
    small.submit([swap(network, second.mid, ((bytes(IMPORT_TOTAL), second.register),), clock.now_ms())])
    vendor = network.signer("vendor")
    small.submit([compensated(network, third, 77, clock.now_ms())])
    third.resume()
    clock.move_to(max(clock.now_ms(), third.time + 1))
    small.submit([third.claim(Event.SCRIPT_CHANGED, Relay.CONNECTED, settles=True, time=clock.now_ms())])
    small.submit([closing(network, third, clock.now_ms(), vendor=vendor.id)])
    small.submit([accusation(network, third.mid, b"no proof at all", clock.now_ms())])
    small.submit([payout(network, third, 77, clock.now_ms(), vendor=vendor.id)])
    small.submit([differing(network, "node-01", clock.now_ms(), mid=first.mid)])
    small.submit([mended(network, "node-01", clock.now_ms())])
    clock.move_to(first.time + DAY_MS)
    small.submit([silence(network, "node-01", first.mid, clock.now_ms())])
    small.submit([announcing(network, successor(network, ends=2**62))])
    return keys


def _keys(small: SmallNetwork) -> list[KeyPair]:
    """A consumer joins, changes keys, loses them, gets others, and leaves."""
    network, clock = small.network, small.clock
    consumer, joins = new_consumer(network, "of many keys", clock.now_ms())
    small.submit([joins])
    second, third = new_keys(), new_keys()
    small.submit([rotation(network, consumer, second, clock.now_ms(), second)])
    small.submit([replacement(network, consumer.id, third, clock.now_ms())])
    clock.move_to(clock.now_ms() + 3 * DAY_MS)
    small.submit([confirmation(network, consumer.id, third, clock.now_ms())])
    registrar = network.signer("registrar")
    small.submit([revocation(registrar, Role.CONSUMER, consumer.id, third.sign_key, clock.now_ms())])
    return [consumer.keys, second, third]
