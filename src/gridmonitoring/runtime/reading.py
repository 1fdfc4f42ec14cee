"""Reading data: ask, log on, open what comes, and believe none of it unchecked (paper II-B, IV-C).

Everybody reads in this way, the owner too. Each request is in the owner's thread before anything is
answered; what is beyond a grant comes back as `AccessDenied`, and is on record all the same.

Left out: choosing what to read (`user_layer`).
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from gridmonitoring.blockchain.bodies import Kind, Read, Report, Settlement
from gridmonitoring.blockchain.state_rows import PartyRow, ReadRow, Table, height_key, party_key
from gridmonitoring.blockchain.transactions import decode_payload
from gridmonitoring.contracts.consent import DAY_MS, Data, Verdict
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import decode
from gridmonitoring.encoding.hashes import sha256, sha256d
from gridmonitoring.errors import AccessDenied, BadSignature, CannotOpen, EncodingError, Tampered
from gridmonitoring.keys.detail_keys import DetailKeys, KeyPlace, OfDay, Part, committed, open_keys
from gridmonitoring.keys.sealed_boxes import SuiteNumber, open_box, report_nonce
from gridmonitoring.keys.signatures import open_signed, signing_context, split, verify_signature
from gridmonitoring.processing.access import access_of
from gridmonitoring.runtime.answer_desk import failures_info
from gridmonitoring.runtime.answers import (
    ANSWER_LIMIT,
    TAGS_DOMAIN,
    AnswerDocument,
    DetailItem,
    SettlementItem,
    Tags,
    answer_info,
)
from gridmonitoring.runtime.grid_port import Grid
from gridmonitoring.runtime.log_on import sign_log_on
from gridmonitoring.runtime.parties import Signer
from gridmonitoring.runtime.storage.failures import Entry
from gridmonitoring.smart_meter.channels import Appliances, LoadProfile, open_part


class Wanted(Struct, frozen=True):
    """What somebody wants to read."""

    mid: bytes
    """Whose data."""
    data: Data
    """What."""
    first: int
    """First day, days since 1970."""
    last: int
    """Last day."""
    purpose: str
    """What for."""
    grant: int = 0
    """Number of the grant; 0 for the owner, and for the custodian by agreement."""


class ReadDetail(Struct, frozen=True):
    """A detail as far as the reader may open it."""

    item: DetailItem
    """The claim it belongs to."""
    load: LoadProfile | None
    """Load profile, where asked for."""
    appliances: Appliances | None
    """Appliance channels, where asked for."""


class Reading(Struct, frozen=True):
    """An answer, opened and checked."""

    number: int
    """Number of the request in the owner's thread."""
    tags: Tags
    """What was computed from what, by which node."""
    settlements: list[SettlementItem]
    """Settlements, in order."""
    details: list[ReadDetail]
    """Details that opened, in order."""
    shut: tuple[int, ...]
    """Days of which there are details that this reader has no key for."""


def read(grid: Grid, reader: Signer, wanted: Wanted) -> Reading:
    """Ask for data and return what is answered; raises `AccessDenied`, or as `open_answer` does."""
    number = ask(grid, reader, wanted)
    return open_answer(grid, reader, wanted, number, fetch(grid, reader, wanted.mid, number))


def ask(grid: Grid, reader: Signer, wanted: Wanted) -> int:
    """Have a request decided; return its number in the owner's thread.

    Raises `AccessDenied` where it is beyond what was granted: then it is a violation on record.
    """
    body = Read(wanted.mid, wanted.grant, int(wanted.data), wanted.first, wanted.last, wanted.purpose)
    receipt = grid.require(reader.transaction(Kind.READ, body, grid.clock.now_ms()))
    number = access_of(grid.row, wanted.mid).reads
    row: ReadRow = grid.row(Table.READ, height_key(wanted.mid, number))
    while row.request != receipt.id:  # others asked meanwhile
        number -= 1
        row = grid.row(Table.READ, height_key(wanted.mid, number))
    if row.verdict != Verdict.ALLOWED:
        verdict = Verdict(row.verdict)
        raise AccessDenied(
            verdict.name.lower(),
            f"{REASONS[verdict]}; request {number} and the violation data_use are in the owner's thread",
        )
    return number


REASONS = {
    Verdict.NOT_GRANTED: "nothing was granted to you under this number",
    Verdict.ENDED: "the grant was revoked or has expired",
    Verdict.OTHER_DATA: "more kinds of data than were granted",
    Verdict.OTHER_DAYS: "days that were not granted",
    Verdict.OTHER_PURPOSE: "another purpose than was granted",
}
"""Why a request is not allowed, for people."""


def fetch(grid: Grid, reader: Signer, mid: bytes, number: int) -> bytes:
    """Log on and return the sealed answer to a request; asked again, it comes again."""
    return grid.answer(sign_log_on(reader, grid.challenge()), mid, number)


def read_failures(grid: Grid, auditor: Signer) -> dict[str, list[Entry]]:
    """Return node -> failed signatures and openings, for an auditor; raises `AccessDenied`."""
    box = grid.failures(sign_log_on(auditor, grid.challenge()))
    own = auditor.keys
    plain = open_box(SuiteNumber.X25519, own.hpke_secret, failures_info(grid.chain_id, own.hpke_key), box)
    return dict(decode(plain, tuple[tuple[str, list[Entry]], ...], ANSWER_LIMIT))


def open_answer(grid: Grid, reader: Signer, wanted: Wanted, number: int, box: bytes) -> Reading:
    """Open a sealed answer and hold it against the ledger.

    1 it is sealed to this reader for this request; 2 its tags are those that the ledger has, signed by the
    node that it names; 3 each result is its tag's; 4 each input is in the log and says what the result says;
    5 keys are those that the claims commit to; 6 details open.

    Raises `CannotOpen`, `BadSignature`, `EncodingError`, or `Tampered` which names what differs.
    """
    # 1
    own = reader.keys
    info = answer_info(grid.chain_id, wanted.mid, number, own.hpke_key)
    plain = open_box(SuiteNumber.X25519, own.hpke_secret, info, box)
    document = decode(plain, AnswerDocument, ANSWER_LIMIT)
    # 2
    tags = _tags(grid, wanted, number, document.tags)
    # 3
    settlements: list[SettlementItem] = []
    details: list[DetailItem] = []
    if len(tags.tags) != len(document.results):
        raise Tampered("answer", str(number), "results and tags are not as many")
    for tag, result in zip(tags.tags, document.results, strict=True):
        if sha256d(result) != tag.result:
            raise Tampered("answer", str(number), "a result is not the one that its tag names")
        if tag.data == Data.SETTLEMENTS:
            settlements = list(decode(result, tuple[SettlementItem, ...], ANSWER_LIMIT))
        else:
            details = list(decode(result, tuple[DetailItem, ...], ANSWER_LIMIT))
        # 4
        _require_inputs(grid, tag.inputs)
    for settlement in settlements:
        _require_settlement(grid, wanted.mid, settlement)
    for detail in details:
        _require_detail(grid, wanted.mid, detail)
    # 5, 6
    keys = _open_keys(grid, reader, wanted.mid, document)
    opened = _opened_all(grid, wanted, details, keys)
    shut = {item.time // DAY_MS for item, found in zip(details, opened, strict=True) if found is None}
    return Reading(number, tags, settlements, [d for d in opened if d is not None], tuple(sorted(shut)))


def _tags(grid: Grid, wanted: Wanted, number: int, signed: bytes) -> Tags:
    row: ReadRow = grid.row(Table.READ, height_key(wanted.mid, number))
    if sha256d(signed) != row.tags:
        raise Tampered("answer", str(number), "the tags are not those that the ledger has")
    node: PartyRow = grid.row(Table.PARTY, party_key(Role.NODE, row.node))
    context = signing_context(TAGS_DOMAIN, grid.chain_id)
    candidates = [node.sign_key, *(former.sign_key for former in node.former)]
    for key in candidates:
        try:
            tags = decode(open_signed(signed, key, context, verify_signature), Tags, ANSWER_LIMIT)
        except BadSignature:
            continue
        if (tags.request, tags.mid, tags.node, tags.size) == (row.request, wanted.mid, row.node, row.index):
            return tags
        raise Tampered("answer", str(number), "the tags are of another request")
    raise BadSignature("the tags are not signed by the node that the ledger names")


def _require_inputs(grid: Grid, inputs: tuple[tuple[int, bytes], ...]) -> None:
    for index, identifier in inputs:
        if sha256d(split(grid.transaction(index))[0]) != identifier:
            raise Tampered("log", str(index), "this entry is not the one that a tag names")


def _claim(grid: Grid, mid: bytes, index: int) -> tuple[int, int, Report]:
    payload = decode_payload(split(grid.transaction(index))[0])
    if not isinstance(payload.body, Report) or payload.signer != mid:
        raise Tampered("log", str(index), "this entry is no claim of this meter")
    return payload.time, payload.sequence, payload.body


def _require_settlement(grid: Grid, mid: bytes, item: SettlementItem) -> None:
    time, _, body = _claim(grid, mid, item.index)
    said = (time, body.epoch, body.reading)
    if said != (item.time, item.epoch, Settlement(item.registers, item.credit)):
        raise Tampered("answer", str(item.index), "a settlement is not what the meter signed")


def _require_detail(grid: Grid, mid: bytes, item: DetailItem) -> None:
    time, sequence, body = _claim(grid, mid, item.index)
    said = (time, sequence, body.epoch, body.detail, body.period_key)
    if said != (item.time, item.sequence, item.epoch, item.detail, item.keys):
        raise Tampered("answer", str(item.index), "a detail is not of the claim that the meter signed")
    if sha256(item.ciphertext) != item.detail:
        raise Tampered("detail", str(item.index), "the ciphertext is not the one that the claim names")


Keys = dict[tuple[int, int], DetailKeys]


def _open_keys(grid: Grid, reader: Signer, mid: bytes, document: AnswerDocument) -> Keys:
    own, found = reader.keys, Keys()
    for epoch, period, box in document.keys:
        place = KeyPlace(grid.chain_id, mid, epoch, period)
        try:
            found[epoch, period] = open_keys(place, own.hpke_secret, own.hpke_key, box)
        except (CannotOpen, EncodingError) as error:
            raise Tampered("wrapped", f"key period {period}", f"the keys do not open: {error}") from error
    return found


def _opened_all(
    grid: Grid, wanted: Wanted, details: Sequence[DetailItem], keys: Keys
) -> list[ReadDetail | None]:
    """Open the parts of details that were asked for; None where the reader has no key of the period.

    Keys of a day to which none of its claims commits are not the meter's: raises `Tampered`.
    """
    of_days: dict[tuple[int, int], OfDay] = {}
    named: dict[tuple[int, int], set[bytes]] = {}
    for item in details:
        where = item.epoch, item.time // DAY_MS
        named.setdefault(where, set()).add(item.keys)
        if where not in of_days:
            of_days[where] = committed(keys, wanted.mid, *where)
    for where, found in of_days.items():
        if found and not found.keys() & named[where]:
            raise Tampered(
                "wrapped", f"day {where[1]}", "the keys are not those that the meter's claims commit to"
            )
    return [
        _opened(grid, wanted, item, of_days[item.epoch, item.time // DAY_MS].get(item.keys))
        for item in details
    ]


def _opened(grid: Grid, wanted: Wanted, item: DetailItem, own: DetailKeys | None) -> ReadDetail | None:
    if own is None:
        return None
    place = (grid.chain_id, wanted.mid, report_nonce(item.epoch, item.sequence))
    load = open_part(item.ciphertext, own, Part.LOAD, *place) if wanted.data & Data.PROFILE else None
    used = open_part(item.ciphertext, own, Part.APPLIANCES, *place) if wanted.data & Data.APPLIANCES else None
    assert load is None or isinstance(load, LoadProfile)
    assert used is None or isinstance(used, Appliances)
    return ReadDetail(item, load, used)
