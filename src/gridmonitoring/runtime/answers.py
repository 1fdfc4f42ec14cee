"""Answers to requests for data: computed, tagged, recorded, sealed to who asked (paper II-B, III-A-2, IV-C).

"Results of computations on data requested are placed in tags": a tag says what was computed, from which log
entries, and the hash of the result. The node signs the tags, and their hash is final on the ledger before
the answer leaves, so that an answer can be held against its node for ever.

A reader gets what was asked for and nothing beside it: of settlements an extract, of details the ciphertexts
with what the reader needs to check and open them, the wrapped keys for the reader alone.

Left out: who may ask (`processing.access`), and opening what comes (`reading`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct

from gridmonitoring.blockchain.bodies import Epoch, Registers, Report, Settlement, Short
from gridmonitoring.blockchain.state_rows import ReadRow
from gridmonitoring.blockchain.transactions import Payload
from gridmonitoring.contracts.consent import DAY_MS, IN_DETAILS, Data
from gridmonitoring.encoding.bounds import Bytes16, Bytes32, Millis, SignedMoney, Unsigned
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.keys.detail_keys import day_of
from gridmonitoring.keys.sealed_boxes import Purpose, SuiteNumber, box_info
from gridmonitoring.keys.signatures import split
from gridmonitoring.runtime.consensus.application import Application
from gridmonitoring.runtime.entropy import seal_box
from gridmonitoring.runtime.parties import Signer
from gridmonitoring.runtime.storage.details import DetailStore
from gridmonitoring.runtime.views.threads import entries_of

TAGS_DOMAIN = "gridmon/answer-tags/1"
"""Domain tag of a node's signature on the tags of an answer."""
ANSWER_LIMIT = 64 * 1024 * 1024
"""Largest answer, bytes."""


class Tag(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What one result was computed from."""

    data: Short
    """What it is, `contracts.consent.Data` bits."""
    inputs: tuple[tuple[Unsigned, Bytes32], ...]
    """(log index, transaction ID) of every claim it was computed from, in order."""
    result: Bytes32
    """sha256d of the result's bytes."""


class Tags(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="answer-tags/1"):
    """What the node signs."""

    request: Bytes32
    """Transaction ID of the request."""
    mid: Bytes16
    """Whose data."""
    node: Bytes16
    """NID of the node that computed."""
    size: Unsigned
    """Log size that the answer speaks of: the request's own index."""
    tags: tuple[Tag, ...]
    """One for each result."""


class SettlementItem(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A settlement, as the ledger has it."""

    index: Unsigned
    """Log index of the claim."""
    time: Millis
    """When it was signed."""
    epoch: Epoch
    """Meter epoch."""
    registers: Registers
    """Registers, Wh."""
    credit: SignedMoney
    """Credit left, debt negative."""


class DetailItem(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A detail, with what the claim on the ledger says of it."""

    index: Unsigned
    """Log index of the claim."""
    time: Millis
    """When it was signed."""
    epoch: Epoch
    """Meter epoch."""
    sequence: Unsigned
    """Sequence of the claim."""
    detail: Bytes32
    """SHA-256 of the ciphertext."""
    keys: Bytes32
    """Commitment to the keys of its period."""
    ciphertext: bytes
    """The detail's ciphertext."""


class AnswerDocument(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="answer/1"):
    """What is sealed to the reader."""

    tags: bytes
    """The node's COSE_Sign1 over `Tags`."""
    results: Annotated[tuple[bytes, ...], Meta(max_length=2)]
    """The results, in order of their tags: encoded arrays of `SettlementItem` or of `DetailItem`."""
    keys: tuple[tuple[Epoch, Unsigned, bytes], ...]
    """(meter epoch, key period, box) of all keys of the days that were wrapped for the reader."""


class Computed(Struct, frozen=True):
    """An answer that is not sealed yet."""

    tags: bytes
    """The node's COSE_Sign1 over `Tags`."""
    document: bytes
    """The encoded `AnswerDocument`."""

    @property
    def tags_hash(self) -> bytes:
        """What is recorded on the ledger."""
        return sha256d(self.tags)


def compute(
    application: Application, store: DetailStore, node: Signer, mid: bytes, read: ReadRow, reader: bytes
) -> Computed:
    """Compute the answer to a request that is allowed; `reader` is the HPKE key of who asked.

    The same request gives the same tags as long as nothing was erased. Raises `StorageError`.
    """
    settlements: list[SettlementItem] = []
    details: list[DetailItem] = []
    known: dict[int, bytes] = {}
    for index, payload in _claims(application, mid, read):
        body: Report = payload.body
        if read.data & Data.SETTLEMENTS and isinstance(body.reading, Settlement):
            said = body.reading
            settlements.append(SettlementItem(index, payload.time, body.epoch, said.registers, said.credit))
            known[index] = _identifier(application, index)
        if read.data & IN_DETAILS:
            ciphertext = store.detail(index)
            if ciphertext is not None:
                place = (index, payload.time, body.epoch, payload.sequence)
                details.append(DetailItem(*place, body.detail, body.period_key, ciphertext))
                known[index] = _identifier(application, index)
    results: list[tuple[int, tuple[int, ...], bytes]] = []
    if read.data & Data.SETTLEMENTS:
        results.append(
            (int(Data.SETTLEMENTS), tuple(item.index for item in settlements), encode(settlements))
        )
    if read.data & IN_DETAILS:
        of = read.data & IN_DETAILS
        results.append((of, tuple(item.index for item in details), encode(details)))
    tags = tuple(
        Tag(data, tuple((index, known[index]) for index in inputs), sha256d(result))
        for data, inputs, result in results
    )
    signed = node.document(TAGS_DOMAIN, encode(Tags(read.request, mid, node.id, read.index, tags)))
    keys = tuple(_keys(store, mid, read, reader)) if read.data & IN_DETAILS else ()
    document = AnswerDocument(signed, tuple(result for _, _, result in results), keys)
    return Computed(signed, encode(document))


def answer_info(chain_id: bytes, mid: bytes, number: int, reader: bytes) -> bytes:
    """Return HPKE's info for the answer to a request of a meter's thread."""
    return box_info(Purpose.ANSWER, chain_id, mid, 0, number, reader)


def seal_answer(chain_id: bytes, mid: bytes, number: int, reader: bytes, document: bytes) -> bytes:
    """Return an answer sealed to its reader's HPKE key; raises `BadPublicKey`."""
    info = answer_info(chain_id, mid, number, reader)
    return seal_box(reader, info, document, SuiteNumber.X25519)


def _claims(application: Application, mid: bytes, read: ReadRow) -> Iterator[tuple[int, Payload[Report]]]:
    """Yield (log index, claim) of the days asked for, of the log before the request."""
    for index, payload in entries_of(application, mid):
        if index >= read.index:
            return
        if isinstance(payload.body, Report) and read.first <= payload.time // DAY_MS <= read.last:
            yield index, payload


def _identifier(application: Application, index: int) -> bytes:
    return sha256d(split(application.truth.transaction(index))[0])


def _keys(store: DetailStore, mid: bytes, read: ReadRow, reader: bytes) -> Iterator[tuple[int, int, bytes]]:
    for epoch, period, box in store.wrapped(mid, reader):
        if read.first <= day_of(period) <= read.last:
            yield epoch, period, box
