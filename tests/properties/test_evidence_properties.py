"""Nothing in a bundle changes unnoticed: not a bit of the file, not a field with all hashes made anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridmonitoring.blockchain.checkpoint import (
    Checkpoint,
    app_hash,
    decode_note,
    encode_note,
    minimal_quorum,
)
from gridmonitoring.blockchain.evidence import verify
from gridmonitoring.blockchain.evidence_bundle import Bundle, EvidenceRow, LoggedTransaction
from gridmonitoring.blockchain.genesis import ValidatorSet
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.blockchain.transactions import transaction_context
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import encode, loads
from gridmonitoring.errors import EvidenceError
from gridmonitoring.keys.signatures import assemble, sign_raw, split, to_be_signed
from tests.support.evidence_accusations import (
    accuse,
    accuse_in_parts,
    accuse_proposer,
    forged_statement,
    wrong_result,
)
from tests.support.evidence_cases import parts, proven_bundles
from tests.support.evidence_story import lock_form, tell
from tests.support.mini_chain import MiniChain, key, seed
from tests.support.mutations import Path, another, leaves, with_leaf
from tools import verify_evidence

GENESIS, PROVEN = proven_bundles()
LOCKED = ("purchase with a locked block", "purchase block")
ACCUSED = ("accusation", "accusation of a proposer", "accusation in parts")
LIMIT = 1 << 20
UNCHANGED = [name for name in PROVEN if "changed" not in name]
"""Bundles without a history: those of the chain that `remade` tells again."""


def first_to_notice(name: str) -> int:
    """Return the first step that can notice another transaction: a checkpoint inside belongs to step 4."""
    return 4 if name == ACCUSED[1] else 5


def refusing_step(bundle: bytes) -> int:
    """Return the step at which the project refuses a bundle, after requiring that the tool refuses it too."""
    with pytest.raises(verify_evidence.NotProven):
        verify_evidence.verify(bundle, GENESIS)
    with pytest.raises(EvidenceError) as refused:
        verify(bundle, GENESIS)
    return refused.value.step


def flipped(bundle: bytes, offset: int, bit: int) -> bytes:
    return bundle[:offset] + bytes((bundle[offset] ^ 1 << bit,)) + bundle[offset + 1 :]


@pytest.mark.parametrize("bit", range(8))
def test_a_bit_flipped_at_every_offset_of_a_reading_is_refused(bit: int) -> None:
    bundle = PROVEN["reading opened"]
    for offset in range(len(bundle)):
        refusing_step(flipped(bundle, offset, bit))


@given(st.sampled_from(sorted(PROVEN)), st.data())
def test_a_bit_flipped_anywhere_in_any_bundle_is_refused(name: str, data: st.DataObject) -> None:
    offset = data.draw(st.integers(0, len(PROVEN[name]) - 1))
    refusing_step(flipped(PROVEN[name], offset, data.draw(st.integers(0, 7))))


@given(st.sampled_from(sorted(PROVEN)), st.data())
def test_a_bundle_cut_off_or_lengthened_is_refused(name: str, data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(PROVEN[name]) - 1))
    refusing_step(PROVEN[name][:end])
    refusing_step(PROVEN[name] + data.draw(st.binary(min_size=1, max_size=8)))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    assert refusing_step(data) == 1


@given(st.binary(max_size=200))
def test_an_arbitrary_genesis_is_refused(data: bytes) -> None:
    bundle = PROVEN["command"]
    with pytest.raises(EvidenceError, match="step 2"):
        verify(bundle, data)
    with pytest.raises(verify_evidence.NotProven, match="step 2"):
        verify_evidence.verify(bundle, data)


@pytest.mark.parametrize("name", PROVEN)
def test_another_field_of_the_file_is_refused(name: str) -> None:
    """Any field of the bundle itself, proofs and indices among them."""
    plain = loads(PROVEN[name], LIMIT)
    for path, leaf in leaves(plain):
        refusing_step(encode(with_leaf(plain, path, another(leaf))))


class Remade:
    """A story's chain with one thing altered, its trees and checkpoint computed anew."""

    def __init__(self, name: str) -> None:
        story = tell()
        if name in (*LOCKED, *ACCUSED):
            lock_form(story)
        if name in ACCUSED:
            accuse(story.chain, forged_statement(story.chain))
        if name in ACCUSED[1:]:
            accuse_proposer(story.chain, wrong_result(story.chain))
        if name == ACCUSED[2]:
            accuse_in_parts(story.chain, forged_statement(story.chain))
        self.chain = story.chain
        self.whole = parts(PROVEN[name])
        self.signatures = decode_note(self.whole.note).signatures
        assert self.chain.note() == self.whole.note

    def log_again(self, index: int, raw: bytes) -> None:
        """Put other bytes at a log index."""
        again = MiniChain(self.chain.founding)
        for place, logged in enumerate(self.chain.raws):
            again.append(raw if place == index else logged)
        self.chain.raws, self.chain.log = again.raws, again.log

    def bundle(self, note: Callable[[Checkpoint], bytes]) -> bytes:
        """Return the same items under a note of the chain as it is now."""
        chain, size = self.chain, len(self.chain.raws)
        items = tuple(
            LoggedTransaction(item.index, chain.raws[item.index], tuple(chain.inclusion(item.index, size)))
            for item in self.whole.transactions
        )
        rows = []
        for row in self.whole.rows:
            value, proof = chain.row(Table(row.table), row.key)
            rows.append(EvidenceRow(row.table, row.key, value or b"", proof.bucket, proof.path))
        kept = (self.whole.kind, chain.id, ())
        return encode(Bundle(*kept, note(chain.checkpoint()), items, tuple(rows), self.whole.openings))

    def with_old_signatures(self, checkpoint: Checkpoint) -> bytes:
        """Return the note of a checkpoint that nobody signed, with what was signed before."""
        return encode_note(checkpoint, [(s.name, key(s.name), s.signature) for s in self.signatures])

    def signed_by_a_quorum(self, checkpoint: Checkpoint) -> bytes:
        """Return the note of a checkpoint that the validators conspire to sign."""
        validators = self.chain.validators
        signed = [(v.name, v.key, sign_raw(seed(v.name), checkpoint.body())) for v in validators]
        return minimal_quorum(encode_note(checkpoint, signed), ValidatorSet(validators).powers())


def altered_payloads(whole: Bundle) -> Iterator[tuple[int, Path, Any]]:
    """Return (log index, path, leaf) of every field that a signer signed."""
    for item in whole.transactions:
        for path, leaf in leaves(loads(split(item.raw)[0], LIMIT)):
            yield item.index, path, leaf


def with_field(raw: bytes, path: Path, leaf: Any) -> bytes:
    """Return a transaction with another value of a field, under the old signature."""
    payload, signature = split(raw)
    return assemble(encode(with_leaf(loads(payload, LIMIT), path, leaf)), signature)


@pytest.mark.parametrize("name", UNCHANGED)
def test_a_transaction_with_another_field_needs_its_signer(name: str) -> None:
    """Not even a conspiring quorum can put words into a signer's mouth."""
    for index, path, leaf in altered_payloads(parts(PROVEN[name])):
        for conspiring in (False, True):
            remade = Remade(name)
            remade.log_again(index, with_field(remade.chain.raws[index], path, another(leaf)))
            note = remade.signed_by_a_quorum if conspiring else remade.with_old_signatures
            step = refusing_step(remade.bundle(note))
            assert step == 4 if not conspiring else step >= first_to_notice(name)


@pytest.mark.parametrize("name", UNCHANGED)
def test_a_row_with_another_field_needs_a_quorum(name: str) -> None:
    for row in parts(PROVEN[name]).rows:
        for path, leaf in leaves(loads(row.value, LIMIT)):
            remade = Remade(name)
            value = encode(with_leaf(loads(row.value, LIMIT), path, another(leaf)))
            remade.chain.put_value(Table(row.table), row.key, value)
            assert refusing_step(remade.bundle(remade.with_old_signatures)) == 4


@pytest.mark.parametrize("field", Checkpoint.__struct_fields__)
def test_a_checkpoint_with_another_field_needs_a_quorum(field: str) -> None:
    remade = Remade("reading opened")

    def altered(checkpoint: Checkpoint) -> bytes:
        changes = {field: another(getattr(checkpoint, field))}
        committed = replace_unchecked(checkpoint, changes)
        return remade.with_old_signatures(committed)

    assert refusing_step(remade.bundle(altered)) == 4


def replace_unchecked(checkpoint: Checkpoint, changes: dict[str, Any]) -> Checkpoint:
    """Return a checkpoint with another field and the app_hash made to fit, unless it is the field."""
    if "app_hash" in changes:
        changes = {"state_root": changes["app_hash"]}
    values = {name: getattr(checkpoint, name) for name in Checkpoint.__struct_fields__} | changes
    values["app_hash"] = app_hash(values["log_root"], values["size"], values["state_root"])
    return Checkpoint(**values)


@given(st.sampled_from(UNCHANGED), st.data())
def test_any_other_value_of_a_field_is_refused(name: str, data: st.DataObject) -> None:
    remade = Remade(name)
    fields = [*altered_payloads(remade.whole)]
    if not fields:
        return
    index, path, leaf = data.draw(st.sampled_from(fields))
    other = data.draw(values().filter(lambda value: encode(value) != encode(leaf)))
    remade.log_again(index, with_field(remade.chain.raws[index], path, other))
    assert refusing_step(remade.bundle(remade.signed_by_a_quorum)) >= first_to_notice(name)


@given(st.sampled_from(UNCHANGED), st.data())
def test_both_verifiers_judge_alike_whatever_a_quorum_and_a_signer_conspire_to_write(
    name: str, data: st.DataObject
) -> None:
    remade = Remade(name)
    row = data.draw(st.sampled_from(remade.whole.rows))
    written = loads(row.value, LIMIT)
    path = data.draw(st.sampled_from([path for path, _ in leaves(written)]))
    value = with_leaf(written, path[: data.draw(st.integers(0, len(path)))], data.draw(values()))
    remade.chain.put_value(Table(row.table), row.key, encode(value))
    for item in remade.whole.transactions[:1]:
        signed = loads(split(item.raw)[0], LIMIT)
        path = data.draw(st.sampled_from([path for path, _ in leaves(signed)]))
        who = {Role.METER: "meter", Role.NODE: "node-1"}.get(signed[2], "registrar")
        if data.draw(st.booleans()):
            signed = with_leaf(signed, path, data.draw(values()))
        remade.log_again(item.index, signed_again(remade.chain.id, who, encode(signed)))
    bundle = remade.bundle(remade.signed_by_a_quorum)
    assert accepted(verify, bundle, EvidenceError) == accepted(
        verify_evidence.verify, bundle, verify_evidence.NotProven
    )


def accepted(verifier: Callable[[bytes, bytes], Any], bundle: bytes, refusal: type[Exception]) -> bool:
    """Tell whether a verifier accepts a bundle; only its own refusal may be raised."""
    try:
        verifier(bundle, GENESIS)
    except refusal:
        return False
    return True


def signed_again(chain_id: bytes, name: str, payload: bytes) -> bytes:
    """Return a transaction over any bytes, signed by a name."""
    return assemble(payload, sign_raw(seed(name), to_be_signed(transaction_context(chain_id), payload)))


def values() -> st.SearchStrategy[Any]:
    """Return whatever the encoding has a place for."""
    plain = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=40)
    return st.recursive(plain | st.text(max_size=8), lambda item: st.lists(item, max_size=4), max_leaves=8)
