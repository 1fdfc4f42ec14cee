"""What of a node's work with keys failed, on its way into the secure database (paper II-B).

Left out: openings that fail because a node does not know a channel any more: the meter offers it again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from gridmonitoring.blockchain.transactions import decode_payload
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.errors import (
    CannotOpen,
    EncodingError,
    GridMonitoringError,
    KeyMaterialError,
    Refused,
    StorageError,
)
from gridmonitoring.keys.channels import sealed_channel
from gridmonitoring.keys.signatures import split
from gridmonitoring.runtime.consensus.application import Receipt
from gridmonitoring.runtime.entropy import seal_box
from gridmonitoring.runtime.ingest import NOT_OFFERED, Opened, Slot
from gridmonitoring.runtime.storage.failures import Entry, FailureStore, Finding

FAILURES = "failures.db"
"""Name of the secure database in a node's folder."""

_LOG = logging.getLogger("gridmonitoring.node")


class KeyFailures:
    """The secure databases of one operator's nodes."""

    def __init__(self, folders: Mapping[str, Path], chain_id: bytes, secrets: Sequence[bytes]) -> None:
        """Open them, by the names of the nodes; one that cannot be read is named and left alone.

        `secrets` are those of the contract key in force and of earlier ones.
        """
        self._stores: dict[str, FailureStore] = {}
        for name, folder in folders.items():
            try:
                self._stores[name] = FailureStore(folder / FAILURES, chain_id, secrets, seal_box)
            except (StorageError, KeyMaterialError, EncodingError) as error:
                _LOG.error("%s keeps no record of what fails: %s", name, error)

    def close(self) -> None:
        """Write everything and close the files."""
        for store in self._stores.values():
            store.close()
        self._stores.clear()

    def seal_to(self, secret: bytes) -> None:
        """Seal every record to another contract key."""
        for name, store in self._stores.items():
            try:
                store.seal_to(secret)
            except StorageError as error:
                _LOG.error("%s has records sealed to a former contract key: %s", name, error)

    def opened(self, name: str, wires: Sequence[bytes], opened: Opened, now: int) -> None:
        """Note which sealed messages a node could not open."""
        if any(_is_failure(slot) for slot in opened.slots):
            self._note(name, _openings(wires, opened.slots), now)

    def decided(self, name: str, raws: Sequence[bytes], receipts: Sequence[Receipt], now: int) -> None:
        """Note which transactions a node refused for their signature."""
        self._note(name, _signatures(raws, receipts), now)

    def refused(self, subject: bytes, reason: str, now: int) -> None:
        """Note that somebody could not log on, at every node of this operator."""
        for name in self._stores:
            self._note(name, [Finding(Violation.FAILED_SIGNATURE, subject, reason)], now)

    def entries(self, name: str) -> list[Entry]:
        """Return what a node has noted; raises `StorageError`."""
        return self._stores[name].entries() if name in self._stores else []

    def _note(self, name: str, findings: Iterable[Finding], now: int) -> None:
        found = list(findings)
        if not found or name not in self._stores:
            return
        try:
            self._stores[name].note(found, now)
        except StorageError as error:
            _LOG.error("%s cannot record what failed: %s", name, error)


def _is_failure(slot: Slot) -> bool:
    return isinstance(slot, CannotOpen) and str(slot) != NOT_OFFERED


def _openings(wires: Sequence[bytes], slots: Sequence[Slot]) -> Iterable[Finding]:
    for wire, slot in zip(wires, slots, strict=True):
        if _is_failure(slot):
            yield Finding(Violation.FAILED_OPENING, _channel(wire), str(slot))


def _channel(wire: bytes) -> bytes:
    try:
        return sealed_channel(wire)
    except EncodingError:
        return b""


def _signatures(raws: Sequence[bytes], receipts: Sequence[Receipt]) -> Iterable[Finding]:
    for raw, receipt in zip(raws, receipts, strict=True):
        error: GridMonitoringError | None = receipt.error
        if isinstance(error, Refused) and error.rule == "bad_signature":
            signer = decode_payload(split(raw)[0]).signer
            yield Finding(Violation.FAILED_SIGNATURE, signer, str(error))
