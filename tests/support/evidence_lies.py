"""Bundles under good proofs that still prove nothing: a conspiring quorum can log and write what it likes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import AppendSideBlock, Form, Kind, Lock, Report, Settlement
from gridmonitoring.blockchain.evidence_builders import (
    build_bill,
    build_block,
    build_message,
    build_purchase,
    build_reading,
)
from gridmonitoring.blockchain.evidence_bundle import EvidenceKind, Opening
from gridmonitoring.blockchain.header import Header, block_hash, decode_header, encode_header
from gridmonitoring.blockchain.parent_block import decode_parent
from gridmonitoring.blockchain.side_block import decode_side
from gridmonitoring.blockchain.state_rows import (
    BlockRow,
    DeviceRow,
    LotRow,
    PartyRow,
    SideRow,
    Table,
    device_key,
    height_key,
    party_key,
)
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.energy_center.credit import Account
from tests.support import evidence_accusations as accusations
from tests.support.billing import reading
from tests.support.evidence_cases import OPENED, Refused, bundle_of, changed, parts
from tests.support.evidence_story import (
    CLOSING,
    CONSUMER,
    HIDDEN,
    MID,
    NODE,
    SALT,
    SETTLED,
    VENDOR,
    Story,
    lock_form,
    tell,
)
from tests.support.mini_chain import MiniChain, key

Row = tuple[Table, bytes]
DEVICE: Row = (Table.DEVICE, device_key(MID, 1))
NODE_ROW: Row = (Table.PARTY, party_key(Role.NODE, NODE))
ACCOUNT: Row = (Table.ACCOUNT, MID)
LOT: Row = (Table.LOT, height_key(MID, 1))
INSTALLATION: Row = (Table.BLOCK, height_key(MID, 0))
SIDE: Row = (Table.SIDE, height_key(MID, 0))
COMMANDS: list[Row] = [(Table.COMMAND, height_key(MID, number)) for number in (1, 2)]


def lying_bundles() -> Iterator[Refused]:
    """Return bundles that fail at steps 7 to 9."""
    yield from _wrong_items()
    yield from _wrong_signatures()
    yield from _wrong_openings()
    yield from _wrong_rows()
    yield from _wrong_blocks()
    yield from _wrong_forms()
    yield from _wrong_lives()
    story = tell()
    for lie in (*accusations.lies(story.chain), *accusations.part_lies(story.chain)):
        bundle = bundle_of(story.chain, EvidenceKind.ACCUSATION, lie.indices, accusations.ROWS)
        yield Refused(lie.name, lie.step, bundle, story.chain.genesis())
    for lie in accusations.proposer_lies(story.chain):
        bundle = bundle_of(story.chain, EvidenceKind.ACCUSATION, lie.indices, accusations.ACCUSER_ROW)
        yield Refused(lie.name, lie.step, bundle, story.chain.genesis())
    wrong = accusations.accuse_proposer(story.chain, accusations.wrong_result(story.chain))
    bundle = bundle_of(story.chain, EvidenceKind.ACCUSATION, (wrong,), accusations.ROWS)
    yield Refused("a proposer with a row too many", 7, bundle, story.chain.genesis())


def _wrong_items() -> Iterator[Refused]:
    story = tell()
    chain, genesis = story.chain, story.chain.genesis()
    kind = EvidenceKind
    several: dict[str, tuple[EvidenceKind, tuple[int, ...], list[Row]]] = {
        "a reading without its device": (kind.READING, (story.hidden,), []),
        "a reading with a row too many": (kind.READING, (story.hidden,), [DEVICE, ACCOUNT]),
        "a reading with another too many": (kind.READING, (story.hidden, story.settled), [DEVICE]),
        "a reading that is a form": (kind.READING, (story.form,), [DEVICE]),
        "a reading of nothing": (kind.READING, (), [DEVICE]),
        "a statement with a reading": (kind.STATEMENT, (story.hidden,), [ACCOUNT]),
        "two commands": (kind.COMMAND, (), COMMANDS),
        "a script without its tariff": (kind.COMMAND, (), COMMANDS[1:]),
        "a bill without its agreement": (kind.BILL, (story.settled,), [DEVICE, ACCOUNT]),
        "a block without its life": (kind.BLOCK, (2,), [NODE_ROW, INSTALLATION]),
        "a purchase without its vendor": (kind.PURCHASE, (story.form,), [NODE_ROW, LOT]),
        "a message without its parent": (kind.MESSAGE, (story.side,), [NODE_ROW]),
    }
    for name, (what, indices, rows) in several.items():
        yield Refused(name, 7, bundle_of(chain, what, indices, rows), genesis)
    settled, opened = build_reading(chain, story.settled), build_reading(chain, story.hidden, OPENED)
    yield Refused("a settlement with an opening", 7, changed(settled, openings=(OPENED,)), genesis)
    yield Refused("a reading that calls itself a bill", 7, changed(opened, kind=kind.BILL), genesis)
    body = chain.decoded(story.hidden).payload.body
    index = chain.append(chain.sign("node-1", Role.NODE, NODE, 99, SETTLED, Kind.REPORT, body))
    by_node = bundle_of(chain, kind.READING, (index,), [NODE_ROW])
    yield Refused("a report signed by a node", 7, by_node, genesis)


def _wrong_signatures() -> Iterator[Refused]:
    story = tell()
    chain, genesis = story.chain, story.chain.genesis()
    body = chain.decoded(story.hidden).payload.body
    index = chain.append(chain.sign("thief", Role.METER, MID, 99, SETTLED, Kind.REPORT, body))
    stolen = bundle_of(chain, EvidenceKind.READING, (index,), [DEVICE])
    yield Refused("a report signed by a thief", 8, stolen, genesis)
    for name, sign_key, since in (
        ("a key that came later", key("meter"), story.hidden + 1),
        ("a key that was revoked before", b"", story.hidden),
    ):
        chain.put(*DEVICE, DeviceRow(sign_key, bytes(32), since, ()))
        without = bundle_of(chain, EvidenceKind.READING, (story.hidden,), [DEVICE])
        yield Refused(name, 8, without, genesis)
    for name, role, party in (
        ("a request that the payer did not sign", Role.CONSUMER, CONSUMER),
        ("a payment that the vendor did not confirm", Role.VENDOR, VENDOR),
        ("a form that the node did not sign", Role.NODE, NODE),
    ):
        yield _with_row(
            name,
            lambda story: build_purchase(story.chain, story.form),
            ((Table.PARTY, party_key(role, party)), PartyRow),
            lambda row: replace(row, sign_key=key("thief")),
            step=8,
        )


def _wrong_openings() -> Iterator[Refused]:
    story = tell()
    opened = build_reading(story.chain, story.hidden, OPENED)
    for name, opening in (
        ("an opening to other registers", Opening(SALT, CLOSING)),
        ("an opening with another salt", Opening(bytes(16), HIDDEN)),
    ):
        yield Refused(name, 9, changed(opened, openings=(opening,)), story.chain.genesis())


def _wrong_rows() -> Iterator[Refused]:
    def statement(**by: int) -> Callable[[Account], Account]:
        def change(account: Account) -> Account:
            now = account.statement
            return replace(account, statement=replace(now, **{k: getattr(now, k) + n for k, n in by.items()}))

        return change

    def purchase(story: Story) -> bytes:
        return build_purchase(story.chain, story.form)

    def message(story: Story) -> bytes:
        return build_message(story.chain, story.side)

    def block(story: Story) -> bytes:
        return build_block(story.chain, MID, 0, story.installation)

    def bill(story: Story) -> bytes:
        return build_bill(story.chain, story.settled)

    lot, account = (LOT, LotRow), (ACCOUNT, Account)
    yield _with_row("a lot of another amount", purchase, lot, lambda row: replace(row, amount=row.amount + 1))
    yield _with_row("a lot of another form", purchase, lot, lambda row: replace(row, form=bytes(32)))
    yield _with_row("a lot of another tariff", purchase, lot, lambda row: replace(row, tariff=bytes(32)))
    locked = (INSTALLATION, BlockRow)
    yield _with_row("another block's hash", block, locked, lambda row: replace(row, block_hash=bytes(32)))
    yield _with_row("another lock's index", block, locked, lambda row: replace(row, index=row.index + 1))
    side = (SIDE, SideRow)
    yield _with_row(
        "side blocks of another parent", message, side, lambda row: replace(row, format=bytes(16))
    )
    yield _with_row("side blocks with other peaks", message, side, lambda row: replace(row, peaks=bytes(32)))
    yield _with_row("a bill that does not add up", bill, account, statement(charge=1))
    yield _with_row("a bill of a unit of tax more", bill, account, statement(charge=1, tax=1))
    yield _with_row("a bill of a day more", bill, account, statement(charge=1, standing=1))
    yield _with_row("a bill of another month", bill, account, statement(subscription=-1, tax=1))
    yield _with_row("a bill of another report", bill, account, statement(sequence=1))
    yield _with_row("a bill that carries something else", bill, account, statement(carry=1))


class _Forged(NamedTuple):
    """A header with something wrong in it, and whether the rest is made to fit."""

    name: str
    change: Callable[[Header], Header]


def _wrong_blocks() -> Iterator[Refused]:
    for forged in (
        _Forged("with a nonce that is not the lowest", _next_nonce),
        _Forged("with a nonce that does not do", lambda header: _another_nonce(header, valid=False)),
        _Forged("of another time", lambda header: replace(header, timestamp=header.timestamp + 1)),
        _Forged("of another kind", lambda header: replace(header, version=bytes.fromhex("00010007"))),
        _Forged("with another Merkle root", lambda header: replace(header, merkle_root=bytes(32))),
    ):
        yield from _forged_parent(forged)
        if forged.name != "with another Merkle root":  # only first and last of a parent show the whole tree
            yield _forged_side(forged)


def _forged_parent(forged: _Forged) -> Iterator[Refused]:
    story = tell()
    chain = story.chain
    lock = chain.decoded(2).payload
    block = decode_parent(lock.body.block)
    header = encode_header(_until_valid(forged, decode_header(block.header)))
    body = Lock(MID, 0, encode(replace(block, header=header)))
    index = chain.append(chain.sign("node-1", Role.NODE, NODE, 99, SETTLED, Kind.LOCK, body))
    chain.put(*INSTALLATION, BlockRow(block_hash(header), block.format, index))
    bundle = bundle_of(chain, EvidenceKind.BLOCK, (*story.installation, index), [NODE_ROW, INSTALLATION])
    yield Refused(f"a block {forged.name}", 9, bundle, chain.genesis())


def _forged_side(forged: _Forged) -> Refused:
    story = tell()
    chain = story.chain
    block = decode_side(chain.decoded(story.side).payload.body.block)
    header = encode_header(_until_valid(forged, decode_header(block.header)))
    body = AppendSideBlock(MID, 0, encode(replace(block, header=header)))
    index = chain.append(chain.sign("node-1", Role.NODE, NODE, 99, SETTLED, Kind.SIDE_BLOCK, body))
    bundle = bundle_of(chain, EvidenceKind.MESSAGE, (index,), [NODE_ROW, SIDE])
    return Refused(f"a side block {forged.name}", 9, bundle, chain.genesis())


def _until_valid(forged: _Forged, header: Header) -> Header:
    """Return the forged header, with the lowest nonce unless the nonce is what is forged."""
    changed_header = forged.change(header)
    if changed_header.nonce != header.nonce:
        return changed_header
    return _another_nonce(replace(changed_header, nonce=-1), valid=True)


def _next_nonce(header: Header) -> Header:
    return _another_nonce(header, valid=True)


def _another_nonce(header: Header, *, valid: bool) -> Header:
    """Return the header with the next nonce above its own that is, or is not, valid under the easy target."""
    nonce = header.nonce + 1
    while (block_hash(encode_header(replace(header, nonce=nonce)))[0] < 0x80) != valid:
        nonce += 1
    return replace(header, nonce=nonce)


def _wrong_forms() -> Iterator[Refused]:
    for name, fields in (
        ("a form for another meter", {"mid": bytes(16)}),
        ("a form for another area", {"area": "Area 8"}),
        ("a form with another payment", {}),
        ("a form before its request", {}),
    ):
        story = tell()
        chain = story.chain
        said = chain.decoded(story.form).payload
        time = 1 if "before" in name else said.time
        body: Form = replace(said.body, **fields)
        if "payment" in name:
            other = tell(MiniChain(replace(chain.founding, created=1)))
            paid = other.chain.decoded(other.form).payload.body.confirmation
            body = replace(body, confirmation=paid)
        index = chain.append(chain.sign("node-1", Role.NODE, NODE, 99, time, Kind.FORM, body))
        rows = [(Table(row.table), row.key) for row in parts(build_purchase(chain, story.form)).rows]
        step = 8 if "payment" in name else 9
        yield Refused(name, step, bundle_of(chain, EvidenceKind.PURCHASE, (index,), rows), chain.genesis())


def _wrong_lives() -> Iterator[Refused]:
    story = tell()
    lock = lock_form(story)
    chain, genesis = story.chain, story.chain.genesis()
    rows = [NODE_ROW, (Table.BLOCK, height_key(MID, 1))]
    for name, life in (
        ("a block with a report left out", (story.form, story.settled)),
        ("a block with another's transaction", (0, story.form, story.hidden, story.settled)),
        ("a block without its form", (story.hidden, story.settled)),
    ):
        yield Refused(name, 9, bundle_of(chain, EvidenceKind.BLOCK, (*life, lock), rows), genesis)
    body = chain.decoded(story.settled).payload.body
    assert isinstance(body, Report)
    more = replace(body, reading=Settlement(reading(999_999), 0))
    index = chain.append(chain.sign("meter", Role.METER, MID, 2, SETTLED, Kind.REPORT, more))
    rows = [(Table(row.table), row.key) for row in parts(build_bill(chain, story.settled)).rows]
    wrong = bundle_of(chain, EvidenceKind.BILL, (index,), rows)
    yield Refused("a bill with other registers than the meter's", 9, wrong, genesis)
    hidden = bundle_of(chain, EvidenceKind.BILL, (story.hidden,), rows)
    yield Refused("a bill of a report that does not settle", 9, hidden, genesis)


def _with_row(
    name: str,
    build: Callable[[Story], bytes],
    where: tuple[Row, type[Any]],
    change: Callable[[Any], Any],
    step: int = 9,
) -> Refused:
    """Return the bundle of a story in whose state one row says something else."""
    story = tell()
    whole = parts(build(story))
    row, kind = where
    story.chain.put(*row, change(decode(story.chain.values[row], kind)))
    indices = tuple(entry.index for entry in whole.transactions)
    rows = [(Table(item.table), item.key) for item in whole.rows]
    return Refused(name, step, bundle_of(story.chain, whole.kind, indices, rows), story.chain.genesis())
