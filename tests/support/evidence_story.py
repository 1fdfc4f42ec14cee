"""One meter's story on a small chain, for tests of evidence: installed, paid for, read, settled, locked."""

from __future__ import annotations

from typing import Any, NamedTuple

from gridmonitoring.blockchain.bodies import (
    PAYMENT_DOMAIN,
    REQUEST_DOMAIN,
    AppendSideBlock,
    Authenticate,
    Form,
    Kind,
    Lock,
    PaymentConfirmation,
    PurchaseRequest,
    Report,
    Settlement,
    SupplyPoint,
)
from gridmonitoring.blockchain.header import block_hash
from gridmonitoring.blockchain.merkle import CompactRange, leaf_hash, range_root
from gridmonitoring.blockchain.parent_block import (
    Data,
    LockReason,
    ParentBody,
    Timestamps,
    build_parent,
    decode_parent,
    parent_format,
)
from gridmonitoring.blockchain.readings import reading_commitment
from gridmonitoring.blockchain.side_block import (
    Entry,
    SideBody,
    build_side,
    decode_side,
    extended_range,
    first_previous,
)
from gridmonitoring.blockchain.state_rows import (
    BlockRow,
    CommandKind,
    CommandRow,
    ContractKeyDocument,
    DeviceRow,
    EntryKind,
    LotRow,
    MessageRow,
    PaymentRow,
    SideRow,
    Table,
    device_key,
    height_key,
)
from gridmonitoring.blockchain.transactions import party_id
from gridmonitoring.contracts.agreement import Agreement, CustomerClass, encode_agreement
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.energy_center.credit import Account, BillingTerms, add_lot, open_account, settle
from gridmonitoring.energy_center.tariffs import Tariff, energy_for
from gridmonitoring.keys.sealed_boxes import SuiteNumber, hpke_public_key
from gridmonitoring.keys.signatures import sign, signing_context
from gridmonitoring.processing.rows import AgreementRow, TariffRow
from tests.support.billing import CENT, DAY, MINUTE, UTILITY, flat, reading
from tests.support.mini_chain import EASY, START, MiniChain, founding_party, key, seed, small_genesis

MID = bytes(range(0x10, 0x20))
HOUSE = sha256d(b"house number and salt")
SCRIPT = sha256d(b"script")
SALT = bytes(range(16))
OPENING = reading(120_000)
HIDDEN = reading(120_250)
CLOSING = reading(133_337)
CONSUMER = party_id(Role.CONSUMER, key("consumer"))
NODE = founding_party(Role.NODE, "node-1").id()
VENDOR = founding_party(Role.VENDOR, "vendor").id()
TERMS = BillingTerms(5_000 * CENT, 100 * CENT, tax_ppm=196_000)
PAID = 2_000 * CENT
TARIFF = flat(standing=40 * CENT)
BOUGHT = START + 10 * MINUTE
SETTLED = START + 40 * DAY


class Story(NamedTuple):
    """Where things are in the log."""

    chain: MiniChain
    form: int
    hidden: int
    settled: int
    side: int
    installation: tuple[int, ...]


class Terms(NamedTuple):
    """What a story's bill depends on; each tariff follows the one before."""

    tariffs: tuple[Tariff, ...] = (TARIFF,)
    billing: BillingTerms = TERMS
    opening: tuple[tuple[bytes, int], ...] = OPENING
    closing: tuple[tuple[tuple[bytes, int], ...], ...] = (CLOSING,)


def tell(chain: MiniChain | None = None, terms: Terms | None = None) -> Story:
    """Return a chain on which everything happened but the lock of the form's block."""
    chain, terms = chain or MiniChain(small_genesis()), terms or Terms()
    _people(chain, terms)
    point = SupplyPoint(MID, CONSUMER, UTILITY, HOUSE, bytes(32))
    begun = _log(chain, "registrar", Role.REGISTRAR, START, Kind.SUPPLY_POINT, point)
    checked = _log(
        chain, "authenticator", Role.AUTHENTICATOR, START + 1, Kind.AUTHENTICATE, Authenticate(MID)
    )
    life = (begun, checked)
    lock_block(chain, 0, life, _body(chain, begun, START, 0, LockReason.INSTALLED))
    form = _pay(chain, terms.tariffs[0])
    hidden = report(chain, 1, START + 15 * MINUTE, reading_commitment(SALT, HIDDEN))
    settled = _settle(chain, terms)
    side = _append_side_block(chain)
    _order(chain, terms)
    return Story(chain, form, hidden, settled, side, life)


def lock_form(story: Story) -> int:
    """Lock the block of the form, with form and reports as its life; return the lock's index."""
    chain, life = story.chain, (story.form, story.hidden, story.settled)
    body = _body(chain, story.form, BOUGHT + MINUTE, PAID, LockReason.FINISHED)
    chain.put_value(Table.LOT, height_key(MID, 1), None)
    return lock_block(chain, 1, life, body)


def report(chain: MiniChain, sequence: int, time: int, what: bytes | Settlement) -> int:
    """Log a meter's report and return its index."""
    event = 5 if isinstance(what, Settlement) else 3
    body = Report(1, event, 0, 1, 0, sha256d(b"detail"), sha256d(b"period key"), what)
    return chain.append(chain.sign("meter", Role.METER, MID, sequence, time, Kind.REPORT, body))


def lock_block(chain: MiniChain, height: int, life: tuple[int, ...], body: ParentBody) -> int:
    """Build and lock a parent block; return the lock's index."""
    peaks = CompactRange()
    for index in life:
        peaks = peaks.append(leaf_hash(chain.raws[index], sha256d), sha256d)
    block_format = parent_format(chain.id, MID, height, chain.decoded(life[0]).id)
    previous = sha256d(b"block before") if height else chain.id
    block = build_parent(
        chain.id, seed("node-1"), block_format, previous, EASY, (peaks.size, peaks.peaks), body
    )
    index = _log(chain, "node-1", Role.NODE, body.blocklocktime, Kind.LOCK, Lock(MID, height, block))
    row = BlockRow(block_hash(decode_parent(block).header), block_format, index)
    chain.put(Table.BLOCK, height_key(MID, height), row)
    return index


def _people(chain: MiniChain, terms: Terms) -> None:
    chain.put_party(Role.CONSUMER, CONSUMER, key("consumer"))
    chain.put(
        Table.DEVICE, device_key(MID, 1), DeviceRow(key("meter"), hpke_public_key(seed("meter")), 2, ())
    )
    for tariff, after in zip(terms.tariffs, [*(t.digest for t in terms.tariffs[1:]), b""], strict=True):
        chain.put(Table.TARIFF, tariff.digest, TariffRow(tariff, after))
    chain.put(Table.AGREEMENT, MID, AgreementRow(agreement(terms), SCRIPT))


def agreement(terms: Terms) -> Agreement:
    """Return the agreement of a story."""
    home, billing = CustomerClass.HOME, terms.billing
    hours = (15 * MINUTE, DAY)
    return Agreement(
        *(
            UTILITY,
            CONSUMER,
            MID,
            home,
            terms.tariffs[0].digest,
            billing,
            *hours,
            0,
            False,
            "en",
            False,
            (),
            (),
            START,
        )
    )


def _log(chain: MiniChain, name: str, role: Role, time: int, kind: Kind, body: Any) -> int:
    signer = founding_party(role, name).id()
    return chain.append(chain.sign(name, role, signer, len(chain.raws) + 1, time, kind, body))


def _body(chain: MiniChain, begun: int, ttp: int, amount: int, reason: LockReason) -> ParentBody:
    """Return the body of a block as its form, or the beginning of its thread, has it."""
    said = chain.decoded(begun).payload
    form = said.body if isinstance(said.body, Form) else None
    energy, tariff, script, dispatch = (0, bytes(32), bytes(32), 0)
    if form is not None:
        energy, tariff, script, dispatch = form.energy, form.tariff, form.script, form.dispatch
    end = said.time + 5 * MINUTE
    return ParentBody(
        0,
        Timestamps(
            ttp if form is None else BOUGHT, said.time, said.time, None, None if form is None else end
        ),
        Data(MID, HOUSE, energy, NODE, b""),
        end,
        chain.founding.area,
        amount,
        tariff,
        script,
        dispatch,
        sha256d(b"log root"),
        begun,
        sha256d(b""),
        int(reason),
        b"",
    )


def _pay(chain: MiniChain, tariff: Tariff) -> int:
    currency = chain.founding.currency
    wanted = PurchaseRequest(Role.CONSUMER, CONSUMER, MID, PAID, currency, bytes(16), BOUGHT)
    request = sign(seed("consumer"), signing_context(REQUEST_DOMAIN, chain.id), encode(wanted))
    arrived = PaymentConfirmation(VENDOR, sha256d(encode(wanted)), PAID, currency, b"reference", BOUGHT + 1)
    confirmation = sign(seed("vendor"), signing_context(PAYMENT_DOMAIN, chain.id), encode(arrived))
    time = BOUGHT + MINUTE
    energy = energy_for(tariff, PAID, time, TERMS.tax_ppm)
    form = Form(
        request, confirmation, MID, HOUSE, chain.founding.area, tariff.digest, SCRIPT, energy, START, b""
    )
    index = _log(chain, "node-1", Role.NODE, time, Kind.FORM, form)
    identifier = chain.decoded(index).id
    lot = LotRow(
        form=identifier,
        format=parent_format(chain.id, MID, 1, identifier),
        ttp=BOUGHT,
        tpt=time,
        tpr=None,
        tprt=None,
        tpf=None,
        node=NODE,
        payer=CONSUMER,
        vendor=VENDOR,
        energy=energy,
        amount=PAID,
        tariff=tariff.digest,
        script=SCRIPT,
        dispatch=START,
        log_root=sha256d(b"log root"),
        log_size=index,
        replaces=b"",
        life_size=1,
        life_peaks=bytes(32),
        actions=0,
        last_time=time,
        reason=0,
    )
    chain.put(Table.LOT, height_key(MID, 1), lot)
    chain.put(Table.PAYMENT, VENDOR + b"reference", PaymentRow(identifier, MID, 1, PAID, reversed=False))
    return index


def _settle(chain: MiniChain, terms: Terms) -> int:
    """Settle once a day from the purchase on; the last report is the one a bill is made of."""
    account: Account = open_account(terms.tariffs[0], terms.opening, START, 0)
    account, _ = add_lot(account, 1, PAID, 1000)
    index = 0
    for number, closing in enumerate(terms.closing):
        sequence, time = 2 + number, SETTLED + number * DAY
        tariff = [tariff for tariff in terms.tariffs if tariff.valid_from_ms < time][-1]
        account, done = settle(account, tariff, terms.billing, closing, time, sequence)
        left = done.statement.credit - done.statement.debt
        index = report(chain, sequence, time, Settlement(closing, left))
    chain.put(Table.ACCOUNT, MID, account)
    return index


def _append_side_block(chain: MiniChain) -> int:
    """Append two side blocks to block 0; return the index of the second."""
    parent = parent_format(chain.id, MID, 0, chain.decoded(0).id)
    siblings, previous, index = (0, b""), first_previous(parent), 0
    for number in (1, 2):
        evidence = (chain.decoded(number).id,)
        row = MessageRow(0, EntryKind.VIOLATION, 17, 7, START, START, 1, evidence, 1, 0, 0)
        entries = (Entry(number, row),)
        body = SideBody(number, MID, HOUSE, entries, NODE, b"", START)
        encoded = build_side(chain.id, seed("node-1"), parent, previous, EASY, siblings, body)
        block = decode_side(encoded)
        siblings = (number, extended_range(*siblings, block.format, block.body))
        assert range_root(*siblings, sha256d)
        previous = block_hash(block.header)
        index = _log(chain, "node-1", Role.NODE, SETTLED, Kind.SIDE_BLOCK, AppendSideBlock(MID, 0, encoded))
        chain.put(Table.SIDE, height_key(MID, 0), SideRow(parent, *siblings, previous, number))
    return index


def _order(chain: MiniChain, terms: Terms) -> None:
    cause = chain.decoded(len(chain.raws) - 1).id
    credit = CommandRow(CommandKind.CREDIT, 1, cause, BOUGHT, BOUGHT + 30 * DAY, 1, PAID, b"")
    document = encode_agreement(agreement(terms))
    script = CommandRow(CommandKind.SCRIPT, 1, cause, BOUGHT, BOUGHT + 30 * DAY, 0, 0, document)
    chain.put(Table.COMMAND, height_key(MID, 1), credit)
    chain.put(Table.COMMAND, height_key(MID, 2), script)
    document = encode(ContractKeyDocument(SuiteNumber.X25519, hpke_public_key(seed("contract 2"))))
    rotation = CommandRow(CommandKind.CONTRACT_KEY, 1, cause, BOUGHT, BOUGHT + 30 * DAY, 2, 0, document)
    chain.put(Table.COMMAND, height_key(MID, 3), rotation)
