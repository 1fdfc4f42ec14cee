"""From a suspicion to a healed copy: confirm, examine, record, heal, record that too (paper II-A, V-B).

Everything here happens on the node's own thread, when all that was decided is on disk: what still differs
then is no longer on its way. The node whose copy it is reports it itself, with the row's proof; the others
validate that, and the consumer is alerted through the meter. Also here: meters that went silent.

Left out: watching (`monitoring`), and other operators' nodes, whose copies their own monitors watch.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import CopyDiffers, CopyHealed, CopyProof, Kind, MeterSilent, Part
from gridmonitoring.blockchain.state_rows import (
    CopyRow,
    MeterRow,
    SilenceRow,
    Stage,
    SupplyPointRow,
    Table,
)
from gridmonitoring.blockchain.state_tree import row_key_hash
from gridmonitoring.encoding.bounds import MAX_INT
from gridmonitoring.encoding.cbor import TRANSACTION_LIMIT, encode
from gridmonitoring.encoding.hashes import sha256
from gridmonitoring.errors import ConsensusError, EncodingError, GridMonitoringError, StorageError
from gridmonitoring.processing.monitoring import silent_after
from gridmonitoring.processing.rows import AgreementRow
from gridmonitoring.runtime.audit import audit_files
from gridmonitoring.runtime.clock import time_text
from gridmonitoring.runtime.consensus.application import Application
from gridmonitoring.runtime.consensus.validator import EmbeddedValidator
from gridmonitoring.runtime.detail_healing import DETAIL_PARTS
from gridmonitoring.runtime.examination import examine
from gridmonitoring.runtime.findings import Finding
from gridmonitoring.runtime.forensics import (
    ForensicReport,
    decode_report,
    encode_report,
    report_lines,
)
from gridmonitoring.runtime.monitoring import Monitor
from gridmonitoring.runtime.online_healing import heal_found, row_findings
from gridmonitoring.runtime.opening import DETAILS, TRUTH
from gridmonitoring.runtime.storage.tables import StoredFile, stored_details, stored_truth
from gridmonitoring.runtime.under_watch import Suspicion
from gridmonitoring.runtime.verification import Verification, node_files

if TYPE_CHECKING:
    from gridmonitoring.runtime.network import Network

MOST_AT_ONCE = 16
"""Findings of one node that are reported one by one; with more the file is reported as a whole."""
_ROOM = TRANSACTION_LIMIT - 2048
"""Bytes that a report's proof may take."""

_WRITTEN_ANEW = "a later block wrote it anew"
"""What heals a row that its own report changes, as it does the meter's."""

_LOG = logging.getLogger("gridmonitoring.node")


class Incidents:
    """Attends to what the monitor of a network suspects."""

    def __init__(self, network: Network, monitor: Monitor) -> None:
        self._network = network
        self._monitor = monitor
        self._folder = network.directory.root / "forensics"
        self._hopeless: dict[str, list[Finding]] = {}

    def attend(self, name: str, suspicions: Sequence[Suspicion] = ()) -> list[ForensicReport]:
        """Confirm what is suspected of a node, of a halted one anything; record and heal what is true of it.

        1 what differs now that everything is on disk; 2 examine; 3 record; 4 heal; 5 record that. Returns
        the reports. A node that cannot be healed raises `StorageError` after they were written.
        """
        validator = next(one for one in self._network.engine.validators if one.name == name)
        # 1
        self._network.engine.drain()
        if suspicions and not any(_holds(validator, suspicion) for suspicion in suspicions):
            return []
        only_rows = bool(suspicions) and all(one.part is Part.ROW for one in suspicions)
        findings, audited = self._findings(validator, only_rows=only_rows)
        if not findings or findings == self._hopeless.get(name):
            return []
        self._monitor.give_up_pass()
        # 2
        reports = self._examine(validator, findings)
        # 3
        reports = self._recorded(validator, findings, reports)
        # 4
        try:
            done = heal_found(self._network, name, audited) if audited else self._network.heal(name)
        except StorageError as error:
            self._hopeless[name] = findings
            self._write([replace(report, healed=(f"cannot be healed: {error}",)) for report in reports])
            raise
        lost = [finding for finding in findings if not finding.mendable]
        self._hopeless[name] = lost
        if any(not report.transaction for report in reports):  # there may have been no quorum before
            reports = self._recorded(validator, findings, reports)
        # 5
        if not lost:
            self._record_healing(validator)
        reports = [replace(report, healed=tuple(done or [_WRITTEN_ANEW])) for report in reports]
        self._write(reports)
        return reports

    def _findings(
        self, validator: EmbeddedValidator, *, only_rows: bool
    ) -> tuple[list[Finding], Verification | None]:
        """Return what differs in a node's files: rows of the state first, then by comparing everything."""
        network = self._network
        rows = row_findings(network, validator)
        alone = not any(other is not validator for other in network.engine.voting())
        if rows or (only_rows and not alone):
            return rows, None
        audited = audit_files(network.document, node_files(network.directory, network.document))
        found = [one for one in audited.findings if one.node == validator.name and not one.behind]
        return found, audited

    def _witness(self, validator: EmbeddedValidator) -> Application | None:
        """Return another node that votes, or the node itself where there is none but its tree is good."""
        others = [other for other in self._network.engine.voting() if other is not validator]
        return others[0].application if others else None

    def _examine(self, validator: EmbeddedValidator, findings: Sequence[Finding]) -> list[ForensicReport]:
        network, witness = self._network, self._witness(validator)
        folder = network.directory.node(validator.name)
        good = self._monitor.last_good(validator.name)
        now = (witness.height if witness else validator.height, network.clock.now_ms())
        files = {"truth": _opened(folder / TRUTH), "details": _opened(folder / DETAILS)}
        try:
            return [
                examine(
                    finding,
                    files["details" if finding.table in DETAIL_PARTS else "truth"],
                    *(witness, network.chain_id, good, now),
                )
                for finding in findings[:MOST_AT_ONCE]
            ]
        finally:
            for file in files.values():
                if file is not None:
                    file.close()

    # on the ledger

    def _recorded(
        self, validator: EmbeddedValidator, findings: Sequence[Finding], reports: list[ForensicReport]
    ) -> list[ForensicReport]:
        """Report on the ledger, by the node whose copy it is; return the reports with their transactions."""
        if len(findings) > MOST_AT_ONCE:
            bodies = [self._whole_file(validator, findings)] * len(reports)
        else:
            bodies = [
                self._body(validator, finding, report)
                for finding, report in zip(findings, reports, strict=True)
            ]
        done: dict[CopyDiffers, str] = {}
        named: list[ForensicReport] = []
        for body, report in zip(bodies, reports, strict=True):
            if body not in done:
                done[body] = report.transaction or self._submit(validator, Kind.COPY_DIFFERS, body)
            named.append(replace(report, transaction=done[body]))
        return named

    def _submit(self, validator: EmbeddedValidator, kind: Kind, body: CopyDiffers | CopyHealed) -> str:
        """Have a transaction of the node decided; return its ID, or nothing where it was not accepted."""
        now = self._network.clock.now_ms()
        try:
            raw = self._network.nodes[validator.node].transaction(kind, body, now)
            return self._network.require(raw).id.hex()
        except (GridMonitoringError, ConsensusError) as error:
            _LOG.warning("%s: its report was not recorded: %s", validator.name, error)
            return ""

    def _body(self, validator: EmbeddedValidator, finding: Finding, report: ForensicReport) -> CopyDiffers:
        part = Part[report.part.upper()]
        table = finding.place[0] if part is Part.ROW and report.proof else 0
        if part is Part.ROW and not report.proof:
            part = Part.FILE  # a row of no table
        place = bytes.fromhex(report.place) if part is Part.ROW else encode_place(finding)
        return CopyDiffers(
            *(validator.node, part, table, place),
            *(bytes.fromhex(report.found_hash), bytes.fromhex(report.expected_hash)),
            b"" if part is Part.ROW else bytes.fromhex(report.meter),
            report.since.good_height,
            _proof_of(report) if part is Part.ROW else None,
        )

    def _whole_file(self, validator: EmbeddedValidator, findings: Sequence[Finding]) -> CopyDiffers:
        """Return one report of a whole file: too much of it differs to name it all on the ledger."""
        file = DETAILS if all(finding.table in DETAIL_PARTS for finding in findings) else TRUTH
        content = sha256(encode(sorted(str(finding)[:200] for finding in findings)))
        good = self._monitor.last_good(validator.name)
        height = good.height if good else 0
        return CopyDiffers(validator.node, Part.FILE, 0, file.encode(), content, b"", b"", height, None)

    def _record_healing(self, validator: EmbeddedValidator) -> None:
        rows = list(self._network.application.truth.rows_of(Table.COPY, validator.node))
        for key, _ in rows:
            row: CopyRow | None = self._network.row(Table.COPY, key)
            if row is not None:
                self._submit(validator, Kind.COPY_HEALED, CopyHealed(row.part, row.table, row.place))

    # silence

    def note_silence(self) -> list[bytes]:
        """Report meters that are silent by their agreement, each silence once; return them."""
        network = self._network
        silent = [mid for mid in self._monitor.take_silent() if self._is_silent(mid)]
        noted: list[bytes] = []
        for mid in silent:
            meter: MeterRow = network.row(Table.METER, mid)
            node = network.nodes[network.engine.first().node]
            body = MeterSilent(mid, meter.epoch, meter.sequence)
            (receipt,) = network.submit([node.transaction(Kind.SILENCE, body, network.clock.now_ms())])
            if receipt.error is None:
                noted.append(mid)
            else:
                _LOG.warning("the silence of meter %s was not recorded: %s", mid.hex(), receipt.error)
        return noted

    def _is_silent(self, mid: bytes) -> bool:
        network = self._network
        meter: MeterRow | None = network.row(Table.METER, mid)
        point: SupplyPointRow | None = network.row(Table.SUPPLY_POINT, mid)
        agreement: AgreementRow | None = network.row(Table.AGREEMENT, mid)
        noticed: SilenceRow | None = network.row(Table.SILENCE, mid)
        if meter is None or point is None or agreement is None or point.stage != Stage.SUPPLIED:
            return False
        if noticed is not None and (noticed.epoch, noticed.sequence) == (meter.epoch, meter.sequence):
            return False
        bound = silent_after(
            agreement.agreement.reporting_interval_ms, network.row(Table.PARAMETERS, b"").future_bound
        )
        return network.clock.now_ms() > meter.time + bound

    # reports as files

    def _write(self, reports: Sequence[ForensicReport]) -> None:
        self._folder.mkdir(exist_ok=True)
        number = len(stored_reports(self._folder))
        for report in reports:
            number += 1
            stem = f"{number:06d}-{report.node}"
            (self._folder / f"{stem}.json").write_bytes(encode_report(report))
            since = report.since
            lines = report_lines(report, (time_text(since.good_time), time_text(since.found_time)))
            text = "".join(f"{name:>20}  {value}\n" for name, value in lines)
            (self._folder / f"{stem}.txt").write_text(text, encoding="utf-8")


def stored_reports(folder: Path) -> list[Path]:
    """Return the forensic reports of a folder, oldest first."""
    return sorted(folder.glob("[0-9]*.json"))


def read_report(path: Path) -> ForensicReport:
    """Read a forensic report; raises `UserError`."""
    return decode_report(path.read_bytes())


def encode_place(finding: Finding) -> bytes:
    """Return where a finding is, as the ledger has it: the array of the key's columns, or a hash."""
    try:
        place = encode(list(finding.place))
    except EncodingError:
        place = b""
    return place if 0 < len(place) <= 256 else sha256(f"{finding.table} {finding.key}".encode())


def _proof_of(report: ForensicReport) -> CopyProof | None:
    """Return the proof that goes on the ledger, unless it is too large for a transaction."""
    proof = report.proof
    if proof is None or len(proof.bucket) // 2 > _ROOM or proof.height > MAX_INT:
        return None
    path = tuple(bytes.fromhex(item) for item in proof.path)
    made = CopyProof(b"", bytes.fromhex(proof.note), bytes.fromhex(proof.bucket), path)
    return made if len(encode(made)) <= _ROOM else None


def _holds(validator: EmbeddedValidator, suspicion: Suspicion) -> bool:
    """Tell whether a suspicion may still be true: a row may have been on its way when it was looked at."""
    if suspicion.part is not Part.ROW or len(suspicion.key) != 2 or not validator.is_open:
        return True
    table, key = suspicion.key
    if not isinstance(table, int) or not isinstance(key, bytes) or table < 0:
        return True
    try:
        stored = validator.application.truth.row(table, key)
    except StorageError:
        return True
    expected = validator.application.tree.value_hash(row_key_hash(table, key))
    return expected != (None if stored is None else sha256(stored))


def _opened(path: Path) -> StoredFile | None:
    try:
        return stored_details(path) if path.name == DETAILS else stored_truth(path)
    except StorageError:
        return None
