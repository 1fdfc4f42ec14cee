"""Bundles that prove what they say, and bundles whose proofs are broken, with the step that finds it out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Kind
from gridmonitoring.blockchain.checkpoint import Checkpoint, decode_note, encode_note
from gridmonitoring.blockchain.evidence_builders import (
    build_accusation,
    build_bill,
    build_block,
    build_command,
    build_message,
    build_purchase,
    build_reading,
    build_statement,
)
from gridmonitoring.blockchain.evidence_bundle import (
    Bundle,
    EvidenceKind,
    EvidenceRow,
    Handover,
    LoggedTransaction,
    Opening,
)
from gridmonitoring.blockchain.state_rows import (
    DeviceRow,
    Table,
    device_key,
    party_key,
)
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.keys.signatures import sign_raw
from tests.support.evidence_accusations import (
    accuse,
    accuse_in_parts,
    accuse_proposer,
    forged_statement,
    wrong_result,
)
from tests.support.evidence_story import (
    HIDDEN,
    MID,
    NODE,
    SALT,
    SETTLED,
    Story,
    lock_form,
    report,
    tell,
)
from tests.support.mini_chain import MiniChain, key, seed, small_genesis, validator

OPENED = Opening(SALT, HIDDEN)


class Refused(NamedTuple):
    """A bundle that proves nothing."""

    name: str
    step: int
    """The first step that fails."""
    bundle: bytes
    genesis: bytes


def proven_bundles() -> tuple[bytes, dict[str, bytes]]:
    """Return a genesis document and bundles of every kind and variant that it makes provable."""
    story = tell()
    chain = story.chain
    bundles = {
        "reading": build_reading(chain, story.hidden),
        "reading opened": build_reading(chain, story.hidden, OPENED),
        "reading that settles": build_reading(chain, story.settled),
        "purchase with an open lot": build_purchase(chain, story.form),
        "installation block": build_block(chain, MID, 0, story.installation),
        "message": build_message(chain, story.side),
        "command": build_command(chain, MID, 1),
        "command with a script": build_command(chain, MID, 2),
        "command with a contract key": build_command(chain, MID, 3),
        "statement": build_statement(chain, MID),
        "bill": build_bill(chain, story.settled),
    }
    lock_form(story)
    bundles["purchase with a locked block"] = build_purchase(chain, story.form)
    bundles["purchase block"] = build_block(chain, MID, 1, (story.form, story.hidden, story.settled))
    bundles["accusation"] = build_accusation(chain, accuse(chain, forged_statement(chain)))
    bundles["accusation of a proposer"] = build_accusation(chain, accuse_proposer(chain, wrong_result(chain)))
    bundles["accusation in parts"] = build_accusation(chain, accuse_in_parts(chain, forged_statement(chain)))
    hand_over(chain)
    bundles["reading after the validators changed twice"] = build_reading(chain, story.hidden, OPENED)
    return chain.genesis(), bundles


def hand_over(chain: MiniChain) -> None:
    """Replace the validators one after the other, so that no set can speak for the one after the next."""
    chain.change_validators(tuple(validator(number) for number in (3, 4, 5, 6)))
    report(chain, 1000, SETTLED + 1, bytes(32))
    chain.change_validators(tuple(validator(number) for number in (1, 5, 6)))
    report(chain, 1001, SETTLED + 2, bytes(32))


def broken_bundles() -> Iterator[Refused]:
    """Return bundles that log and state do not vouch for: they fail at steps 1 to 6."""
    yield from _broken_files()
    yield from _broken_history()
    yield from _broken_notes()
    yield from _broken_proofs()


def changed(bundle: bytes, **fields: Any) -> bytes:
    """Return a bundle with other fields, encoded again."""
    return encode(replace(decode(bundle, Bundle, 1 << 20), **fields))


def parts(bundle: bytes) -> Bundle:
    """Return a bundle's structure."""
    return decode(bundle, Bundle, 1 << 20)


def logged(chain: MiniChain, index: int) -> LoggedTransaction:
    """Return a transaction with its proof."""
    return LoggedTransaction(index, chain.raws[index], tuple(chain.inclusion(index, len(chain.raws))))


def proved(chain: MiniChain, table: Table, row_key: bytes) -> EvidenceRow:
    """Return a row with its proof."""
    value, proof = chain.row(table, row_key)
    assert value is not None
    return EvidenceRow(table, row_key, value, proof.bucket, proof.path)


def bundle_of(
    chain: MiniChain,
    kind: EvidenceKind,
    indices: tuple[int, ...],
    rows: list[tuple[Table, bytes]],
    openings: tuple[Opening, ...] = (),
) -> bytes:
    """Return a bundle of these items under the chain's present checkpoint, proving anything or nothing."""
    items = tuple(logged(chain, index) for index in indices)
    listed = tuple(proved(chain, *row) for row in sorted(set(rows)))
    return encode(Bundle(kind, chain.id, (), chain.note(), items, listed, openings))


DEVICE = (Table.DEVICE, device_key(MID, 1))
NODE_ROW = (Table.PARTY, party_key(Role.NODE, NODE))
ACCOUNT = (Table.ACCOUNT, MID)


def _broken_files() -> Iterator[Refused]:
    story = tell()
    good, genesis = build_reading(story.chain, story.hidden), story.chain.genesis()
    yield Refused("a byte at the end", 1, good + b"\0", genesis)
    yield Refused("the last byte missing", 1, good[:-1], genesis)
    yield Refused("a number longer than it needs to be", 1, good.replace(b"\x01", b"\x18\x01", 1), genesis)
    yield Refused("an array without a fixed length", 1, b"\x9f" + good[1:] + b"\xff", genesis)
    yield Refused("a kind that there is not", 1, encode([*_plain(good)[:1], 8, *_plain(good)[2:]]), genesis)
    yield Refused("no bundle at all", 1, b"", genesis)
    other = MiniChain(small_genesis(bits=7)).genesis()
    yield Refused("another chain's genesis", 2, good, other)
    yield Refused("another chain's ID", 2, changed(good, genesis=bytes(32)), genesis)
    yield Refused("a genesis document with a byte at the end", 2, good, genesis + b"\0")


def _broken_history() -> Iterator[Refused]:
    story = tell()
    hand_over(story.chain)
    genesis = story.chain.genesis()
    good = build_reading(story.chain, story.hidden)
    first, second = parts(good).history
    yield Refused("a change of validators left out", 3, changed(good, history=(second,)), genesis)
    yield Refused(
        "changes of validators in the other order", 3, changed(good, history=(second, first)), genesis
    )
    altered = replace(first, validators=second.validators)
    yield Refused(
        "a validator set that is not in the state", 3, changed(good, history=(altered, second)), genesis
    )
    twice = changed(good, history=(first, first, second))
    yield Refused("a change of validators twice", 3, twice, genesis)
    unneeded = tell()
    good = build_reading(unneeded.chain, unneeded.hidden)
    value, proof = unneeded.chain.row(Table.VALIDATORS, b"")
    assert value is not None
    surplus = Handover(unneeded.chain.note(), value, proof.bucket, proof.path)
    yield Refused("a change to the same validators", 4, changed(good, history=(surplus,)), genesis)


def _broken_notes() -> Iterator[Refused]:
    story = tell()
    chain, genesis = story.chain, story.chain.genesis()
    good = build_reading(chain, story.hidden)
    lines = parts(good).note.split(b"\n")
    yield Refused("two of four signatures", 4, changed(good, note=b"\n".join([*lines[:-2], b""])), genesis)
    yield Refused("four of four signatures", 4, changed(good, note=chain.full_note()), genesis)
    swapped = [*lines[:-4], lines[-3], lines[-4], *lines[-2:]]
    yield Refused("signatures in another order", 4, changed(good, note=b"\n".join(swapped)), genesis)
    yield Refused(
        "another chain's checkpoint", 4, changed(good, note=_note(chain, origin="gridmonitoring/x")), genesis
    )
    stranger = encode_note(
        chain.checkpoint(), [_signed(chain.checkpoint(), name) for name in ("a", "b", "c")]
    )
    yield Refused("signatures of strangers", 4, changed(good, note=stranger), genesis)
    validators = [v.name for v in chain.validators]
    wrong = [(name, key(name), sign_raw(seed("thief"), chain.checkpoint().body())) for name in validators[:3]]
    yield Refused(
        "signatures by another key", 4, changed(good, note=encode_note(chain.checkpoint(), wrong)), genesis
    )
    older = _note(chain, height=0)
    mixed = encode_note(chain.checkpoint(), [_signature_of(older, name) for name in validators[:3]])
    yield Refused("signatures of another checkpoint", 4, changed(good, note=mixed), genesis)


def _broken_proofs() -> Iterator[Refused]:
    story = tell()
    chain, genesis = story.chain, story.chain.genesis()
    good = build_reading(chain, story.hidden)
    entry, row = parts(good).transactions[0], parts(good).rows[0]
    moved = replace(entry, index=entry.index + 1)
    yield Refused("another log index", 5, changed(good, transactions=(moved,)), genesis)
    cut = replace(entry, proof=entry.proof[:-1])
    yield Refused("a proof cut short", 5, changed(good, transactions=(cut,)), genesis)
    far = replace(entry, index=len(chain.raws))
    yield Refused("an index past the log", 5, changed(good, transactions=(far,)), genesis)
    yield Refused("a transaction twice", 5, changed(good, transactions=(entry, entry)), genesis)
    yield Refused("a transaction that was not logged", 5, _unlogged(story, good), genesis)
    block = build_block(chain, MID, 0, story.installation)
    backwards = parts(block).transactions[::-1]
    yield Refused("transactions in another order", 5, changed(block, transactions=backwards), genesis)
    thief = replace(row, value=encode(DeviceRow(key("thief"), bytes(32), 0, ())))
    yield Refused("another value of a row", 6, changed(good, rows=(thief,)), genesis)
    yield Refused("a row twice", 6, changed(good, rows=(row, row)), genesis)
    yield Refused("a path cut short", 6, changed(good, rows=(replace(row, path=row.path[:-1]),)), genesis)
    bucket = row.bucket + row.bucket
    yield Refused("a bucket with a row twice", 6, changed(good, rows=(replace(row, bucket=bucket),)), genesis)
    old = changed(build_statement(chain, MID), note=_later_note(story))
    yield Refused("a row under a later checkpoint", 6, old, genesis)
    unknown = bundle_of(chain, EvidenceKind.STATEMENT, (), [ACCOUNT])
    strange = replace(parts(unknown).rows[0], table=99)
    yield Refused("a row of no table", 6, changed(unknown, rows=(strange,)), genesis)


def _plain(bundle: bytes) -> list[Any]:
    return decode(bundle, list, 1 << 20)


def _unlogged(story: Story, good: bytes) -> bytes:
    body = story.chain.decoded(story.hidden).payload.body
    raw = story.chain.sign("meter", Role.METER, MID, 1, SETTLED, Kind.REPORT, body)
    entry = replace(parts(good).transactions[0], raw=raw)
    return changed(good, transactions=(entry,))


def _later_note(story: Story) -> bytes:
    later = tell()
    later.chain.put(*DEVICE, DeviceRow(key("meter"), bytes(32), 1, ()))
    return later.chain.note()


def _note(chain: MiniChain, **fields: Any) -> bytes:
    checkpoint = replace(chain.checkpoint(), **fields)
    return encode_note(checkpoint, [_signed(checkpoint, v.name) for v in chain.validators[:3]])


def _signed(checkpoint: Checkpoint, name: str) -> tuple[str, bytes, bytes]:
    return name, key(name), sign_raw(seed(name), checkpoint.body())


def _signature_of(note: bytes, name: str) -> tuple[str, bytes, bytes]:
    return next((s.name, key(name), s.signature) for s in decode_note(note).signatures if s.name == name)
