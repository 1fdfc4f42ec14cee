"""Whether details and channel offers are those that the log names (paper V-A).

The log holds the hash of each detail, and a channel is named by the hash of its offer, so a copy from
any node can be checked. Keys wrapped for readers are under no root: what counts is what more than two
thirds of the nodes hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256

from gridmonitoring.blockchain.bodies import Report
from gridmonitoring.blockchain.transactions import decode_payload
from gridmonitoring.errors import EncodingError, StorageError
from gridmonitoring.keys.channels import channel_id
from gridmonitoring.keys.signatures import split
from gridmonitoring.runtime.storage.details import Detail, DetailStore
from gridmonitoring.runtime.storage.truth import Truth, decode_body


def detail_fault(raw: bytes, mid: object, time: object, ciphertext: object) -> str:
    """Return why a stored detail is not the one of a logged claim, or an empty text."""
    try:
        payload = decode_payload(split(raw)[0])
    except EncodingError as error:
        return f"log entry cannot be read: {error}"
    if not isinstance(payload.body, Report):
        return "log entry is no report"
    if not isinstance(ciphertext, bytes) or sha256(ciphertext).digest() != payload.body.detail:
        return "ciphertext is not the one whose hash the claim has"
    if (mid, time) != (payload.signer, payload.time):
        return "meter or time is not the claim's"
    return ""


def is_report(raw: bytes) -> bool:
    """Tell whether a log entry is a report, whose detail may be stored."""
    try:
        return isinstance(decode_payload(split(raw)[0]).body, Report)
    except EncodingError:
        return False


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
        if raw is not None and not detail_fault(raw, *detail[1:]):
            yield detail


def true_channels(channels: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Yield those of some node's channels whose ID is their offer's."""
    for identifier, offer in channels:
        if channel_id(offer) == identifier:
            yield identifier, offer


def share_details(truth: Truth, to: DetailStore, others: Iterable[DetailStore], position: int) -> None:
    """Give a node what the others have of details from a log index on, of channels and wrapped keys."""
    for other in others:
        try:
            to.write(true_details(truth, other.details_from(position)), true_channels(other.channels()))
            to.adopt(other.wrapped_keys())
        except (EncodingError, TypeError) as error:
            raise StorageError(f"{other.path.name}: {error}") from error
