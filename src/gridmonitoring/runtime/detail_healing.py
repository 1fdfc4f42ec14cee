"""Repairing a node's detail store from the other nodes' (`healing`): what the log names, by its hash.

Left out: details that no node has any more. They are gone; the claims that named them stand.
"""

from __future__ import annotations

from collections.abc import Sequence

from gridmonitoring.errors import StorageError
from gridmonitoring.runtime.detail_check import share_details
from gridmonitoring.runtime.findings import Finding
from gridmonitoring.runtime.opening import DETAILS
from gridmonitoring.runtime.storage.details import DetailStore
from gridmonitoring.runtime.storage.replacing import Mend, beside, discard, mend, replace_database
from gridmonitoring.runtime.storage.tables import DETAIL_TABLES, SHAPES
from gridmonitoring.runtime.storage.truth import Truth
from gridmonitoring.runtime.verification import NodeFiles

DETAIL_PARTS = frozenset({*(shape.name for shape in DETAIL_TABLES), DETAILS})
"""Tables that findings about a detail store name."""


def mends_of(findings: Sequence[Finding]) -> list[Mend]:
    """Return how to put right what findings name."""
    return [(SHAPES[finding.table.partition(".")[0]], finding.place, finding.content) for finding in findings]


def mend_details(file: NodeFiles, files: Sequence[NodeFiles], wrong: Sequence[Finding]) -> str:
    """Put a node's details right, or make the store anew where it cannot be read; say what was done."""
    assert file.details is not None
    try:
        if any(finding.table == DETAILS for finding in wrong):
            _make_anew(file, files)
            return "detail store made anew from the nodes' details"
        count = mend(file.details, mends_of([finding for finding in wrong if finding.mendable]))
    except StorageError as error:
        return f"details cannot be healed: {error}"
    lost = sum(not finding.mendable for finding in wrong)
    return f"{count} details put right" + (f", {lost} are lost: no node has them" if lost else "")


def follow_details(file: NodeFiles, files: Sequence[NodeFiles], position: int) -> None:
    """Take over the details of blocks that were followed; what is missing then, an audit names."""
    if file.details is None or not file.details.is_file():
        return
    truth = Truth(file.truth, read_only=True)
    try:
        own = DetailStore(file.details)
        try:
            for other in files:
                if other is not file:
                    _take(truth, own, other, position)
        finally:
            own.close()
    finally:
        truth.close()


def _make_anew(file: NodeFiles, files: Sequence[NodeFiles]) -> None:
    """Make a detail store of what all nodes have, this one's own readable part included."""
    assert file.details is not None
    new = beside(file.details)
    truth = Truth(file.truth, read_only=True)
    try:
        made = DetailStore(new)
        try:
            for other in files:
                _take(truth, made, other, 0)
        finally:
            made.close()
        replace_database(new, file.details)
    finally:
        truth.close()
        discard(new)


def _take(truth: Truth, to: DetailStore, other: NodeFiles, position: int) -> None:
    """Take what one node has; where it cannot be read further, its findings say so."""
    if other.details is None or not other.details.is_file():
        return
    try:
        store = DetailStore(other.details, read_only=True)
    except StorageError:
        return
    try:
        share_details(truth, to, [store], position)
    except StorageError:
        return
    finally:
        store.close()
