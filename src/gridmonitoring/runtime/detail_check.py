"""Whether details and channel offers are those that the log names (paper V-A).

The log holds the hash of each detail, and a channel is named by the hash of its offer, so a copy from
any node can be checked. Keys wrapped for readers are under no root: what counts is what more than two
thirds of the nodes hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

from gridmonitoring.blockchain.bodies import Erase, Kind, Report
from gridmonitoring.blockchain.transactions import Payload, decode_payload
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.errors import EncodingError, StorageError
from gridmonitoring.keys.channels import channel_id
from gridmonitoring.keys.signatures import split
from gridmonitoring.runtime.erasure import Erasures
from gridmonitoring.runtime.storage.details import Detail, DetailStore
from gridmonitoring.runtime.storage.truth import Truth, decode_body

Claim = tuple[bytes, int, bytes]
"""(MID, signed time ms, hash of the detail) of a report."""


def claim_of(payload: Payload[Any]) -> Claim | None:
    """Return what a logged payload says of its detail, or None where it is no report."""
    if payload.kind != Kind.REPORT:
        return None
    report: Report = payload.body
    return payload.signer, payload.time, report.detail


def claim_in(raw: bytes) -> Claim | None:
    """Return what a log entry says of its detail, or None where it is no report that can be read."""
    try:
        return claim_of(decode_payload(split(raw)[0]))
    except EncodingError:
        return None


def erasure_in(raw: bytes) -> Erase | None:
    """Return what a log entry has erased, or None where it is no such order."""
    if _ERASE_HEAD not in raw[:_HEAD_SIZE]:
        return None
    try:
        body = decode_payload(split(raw)[0]).body
    except EncodingError:
        return None
    return body if isinstance(body, Erase) else None


_ERASE_HEAD = encode([int(Kind.ERASE), 1])[1:]
"""How the payload of such an order begins, after its array's head."""
_HEAD_SIZE = 16
"""Bytes of a COSE_Sign1 before that, and it."""


def detail_fault(claim: Claim, mid: object, time: object, ciphertext: object) -> str:
    """Return why a stored detail is not the one of a logged claim, or an empty text."""
    signer, signed, named = claim
    if not isinstance(ciphertext, bytes) or sha256(ciphertext).digest() != named:
        return "ciphertext is not the one whose hash the claim has"
    if (mid, time) != (signer, signed):
        return "meter or time is not the claim's"
    return ""


class LogReader:
    """Reads log entries in order, one block in memory."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._first = 0
        self._body: list[bytes] = []

    def entry(self, index: int) -> bytes | None:
        """Return the transaction at a log index, or None where there is none; raises `StorageError`."""
        if not self._first <= index < self._first + len(self._body):
            block = self._truth.block_at(index)
            if block is None:
                return None
            self._first, self._body = block.header.first, decode_body(block.body)
        at = index - self._first
        return self._body[at] if 0 <= at < len(self._body) else None


def true_details(truth: Truth, details: Iterable[Detail]) -> Iterator[Detail]:
    """Yield those of some node's details, in order of the log, that the log names."""
    log = LogReader(truth)
    for detail in details:
        raw = log.entry(detail[0])
        claim = None if raw is None else claim_in(raw)
        if claim is not None and not detail_fault(claim, *detail[1:]):
            yield detail


def true_channels(channels: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Yield those of some node's channels whose ID is their offer's."""
    for identifier, offer in channels:
        if channel_id(offer) == identifier:
            yield identifier, offer


def share_details(truth: Truth, to: DetailStore, others: Iterable[DetailStore], position: int) -> None:
    """Give a node what the others have of details from a log index on, of channels and wrapped keys.

    What its owner had erased does not come back.
    """
    erasures = Erasures.of(truth)
    for other in others:
        try:
            kept = erasures.kept(other.details_from(position))
            to.write(true_details(truth, kept), true_channels(other.channels()))
            to.adopt(erasures.kept_keys(other.wrapped_keys()))
        except (EncodingError, TypeError) as error:
            raise StorageError(f"{other.path.name}: {error}") from error
