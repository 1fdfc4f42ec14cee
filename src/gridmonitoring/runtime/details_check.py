"""The nodes' detail stores, checked together along the log (paper V-A, `detail_check`).

A detail may be erased everywhere, so one that no node has is no finding; one that a node lacks and
another has under the hash in the log is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from gridmonitoring.blockchain.bodies import Erase
from gridmonitoring.keys.channels import channel_id
from gridmonitoring.runtime.detail_check import Claim, detail_fault
from gridmonitoring.runtime.erasure import Erasures
from gridmonitoring.runtime.file_check import FileCheck
from gridmonitoring.runtime.findings import MISSING, Finding, Report, Stream, merged, show, show_key
from gridmonitoring.runtime.storage.tables import Values

E = TypeVar("E")

Fault = Callable[[Values], str]
"""Returns why a stored row is wrong, or an empty text."""


class _Doubtful(NamedTuple):
    """A detail that is not as it should be everywhere, unless it was erased."""

    key: Values
    rows: Sequence[Values | None]
    claim: Claim
    ended: Sequence[bool]


class DetailsCheck:
    """Details, channels and wrapped keys of some nodes."""

    def __init__(self, checks: Sequence[FileCheck], report: Report) -> None:
        self._checks = checks
        self._report = report
        self._streams = [check.details for check in checks]
        self._details = merged(self._streams)
        self._head = next(self._details, None)
        self._erasures = Erasures()
        self._doubtful: list[_Doubtful] = []

    def entries(
        self,
        first: int,
        entries: Sequence[E],
        claim_of: Callable[[E], Claim | None],
        erasure_of: Callable[[E], Erase | None],
    ) -> None:
        """Check the details of these log entries, which follow those of the last call.

        What is not as it should be is kept until the end: it may be that its owner had it erased.
        """
        end = first + len(entries)
        for index, entry in enumerate(entries, first):
            erasure = erasure_of(entry)
            if erasure is not None:
                self._erasures.add(erasure.mid, erasure.first, erasure.last, index)
        while self._head is not None and self._head[0][0] < end:
            key, rows = self._head
            claim = claim_of(entries[key[0] - first]) if key[0] >= first else None
            if claim is None:
                self._judge(key, rows, _no_entry, disposable=True)
            elif any(row is None or _detail_fault(claim, row) for row in rows):
                ended = [stream.partial for stream in self._streams]
                self._doubtful.append(_Doubtful(key, rows, claim, ended))
            self._head = next(self._details, None)

    def finish(self) -> None:
        """Require no details past the log, and check channels and wrapped keys."""
        while self._head is not None:
            self._judge(*self._head, _no_entry, disposable=True)
            self._head = next(self._details, None)
        for key, rows, claim, ended in self._doubtful:
            if self._erasures.covers(key[0], claim[0], claim[1]):
                self._judge(key, rows, _erased, disposable=True)
            else:
                self._judge(key, rows, partial(_detail_fault, claim), disposable=False, ended=ended)
        self._streams = [check.channels for check in self._checks]
        for key, rows in merged(self._streams):
            self._judge(key, rows, _channel_fault, disposable=True)
        self._streams = [check.wrapped for check in self._checks]
        for key, rows in merged(self._streams):
            self._vote(key, rows)

    def _judge(
        self,
        key: Values,
        rows: Sequence[Values | None],
        fault: Fault,
        *,
        disposable: bool,
        ended: Sequence[bool] | None = None,
    ) -> None:
        """Report rows that have a fault, and nodes that lack one that has none.

        A faulty one that no node has whole may be deleted if it is `disposable`. Files that had `ended` by
        then lack nothing; without it, those that have ended now.
        """
        behind = ended or [stream.partial for stream in self._streams]
        faults = ["" if row is None else fault(row) for row in rows]
        good = next((row for row, wrong in zip(rows, faults, strict=True) if row and not wrong), None)
        for stream, row, wrong, late in zip(self._streams, rows, faults, behind, strict=True):
            if wrong or (row is None and good is not None and not late):
                self._tell(stream, key, row, good, wrong, mendable=disposable or good is not None)

    def _vote(self, key: Values, rows: Sequence[Values | None]) -> None:
        """Report what is not what more than two thirds of the nodes hold."""
        if len(rows) == 1 or all(row == rows[0] for row in rows):
            return
        if self._erasures.shuts(key[0], key[2]):
            self._judge(key, rows, _erased, disposable=True)
            return
        quorum = [row for row in rows if 3 * rows.count(row) > 2 * len(rows)]
        for stream, row in zip(self._streams, rows, strict=True):
            if not quorum:
                self._tell(stream, key, row, None, "no two thirds of the nodes hold the same", mendable=False)
            elif row != quorum[0] and not stream.partial:
                self._tell(stream, key, row, quorum[0], "", mendable=True)

    def _tell(
        self,
        stream: Stream,
        key: Values,
        row: Values | None,
        good: Values | None,
        wrong: str,
        *,
        mendable: bool,
    ) -> None:
        count = len(key)
        found = MISSING if row is None else show(row[count:])
        expected = show(good[count:]) if good else MISSING if mendable else "what the log names"
        if wrong:
            found = f"{found} ({wrong})"
        self._report(Finding(stream.node, stream.table, show_key(key), found, expected, key, good, mendable))


def _detail_fault(claim: Claim, row: Values) -> str:
    return detail_fault(claim, *row[1:])


def _no_entry(_: Values) -> str:
    return "the log has no such report"


def _erased(_: Values) -> str:
    return "its owner had it erased"


def _channel_fault(row: Values) -> str:
    identifier, offer = row
    whole = isinstance(offer, bytes) and channel_id(offer) == identifier
    return "" if whole else "the offer is not the one that the ID is the hash of"
