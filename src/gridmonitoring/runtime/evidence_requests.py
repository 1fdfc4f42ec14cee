"""What people ask evidence of, in their own terms: a meter's last bill, a purchase, block 3 (paper II-B).

Finds the log entries that the builders need. Left out: opening a hidden reading, which only the
owner's keys can.
"""

from __future__ import annotations

from collections.abc import Callable

from gridmonitoring.blockchain.bodies import (
    Accuse,
    AccuseExhibit,
    AccuseProposer,
    AppendSideBlock,
    Form,
    Report,
    Settlement,
)
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
from gridmonitoring.blockchain.evidence_bundle import EvidenceKind
from gridmonitoring.blockchain.state_rows import MeterRow, Table, height_key
from gridmonitoring.blockchain.transactions import Payload
from gridmonitoring.errors import UserError
from gridmonitoring.runtime.consensus.application import Application
from gridmonitoring.runtime.evidence_source import ApplicationEvidence
from gridmonitoring.runtime.views.threads import block_life, entries_of

Wanted = Callable[[Payload[object]], bool]
"""Tells whether a log entry is of the kind asked for."""


def make_evidence(
    application: Application, genesis: bytes, kind: EvidenceKind, mid: bytes, number: int | None = None
) -> bytes:
    """Return a verified bundle about a meter.

    `number` is a log index (reading, purchase, message, accusation), a height (block) or a command's number;
    the last one where it is left out. A bill and a statement are always the last. Raises `UserError`
    where there is no such thing, or `EvidenceError`.
    """
    meter: MeterRow | None = application.read((Table.METER, mid))
    if meter is None:
        raise UserError(f"no meter {mid.hex()} on this chain")
    source = ApplicationEvidence(application, genesis)
    if kind == EvidenceKind.STATEMENT:
        return build_statement(source, mid)
    if kind == EvidenceKind.COMMAND:
        wanted_number = meter.commands if number is None else number
        if application.read((Table.COMMAND, height_key(mid, wanted_number))) is None:
            raise UserError(f"meter {mid.hex()} has no command {wanted_number} that it has not carried out")
        return build_command(source, mid, wanted_number)
    if kind == EvidenceKind.BLOCK:
        height = meter.height - 1 if number is None else number
        return build_block(source, mid, height, block_life(application, mid, height))
    if kind == EvidenceKind.BILL:
        return build_bill(source, _last(application, mid, _settles))
    build, wanted = {
        EvidenceKind.READING: (build_reading, _settles),
        EvidenceKind.PURCHASE: (build_purchase, _is_form),
        EvidenceKind.MESSAGE: (build_message, _is_side_block),
        EvidenceKind.ACCUSATION: (build_accusation, _is_accusation),
    }[kind]
    return build(source, _last(application, mid, wanted) if number is None else number)


def _last(application: Application, mid: bytes, wanted: Wanted) -> int:
    found = [index for index, payload in entries_of(application, mid) if wanted(payload)]
    if not found:
        raise UserError(f"the thread of {mid.hex()} has no such entry yet")
    return found[-1]


def _settles(payload: Payload[object]) -> bool:
    return isinstance(payload.body, Report) and isinstance(payload.body.reading, Settlement)


def _is_form(payload: Payload[object]) -> bool:
    return isinstance(payload.body, Form)


def _is_accusation(payload: Payload[object]) -> bool:
    return isinstance(payload.body, Accuse | AccuseExhibit | AccuseProposer)


def _is_side_block(payload: Payload[object]) -> bool:
    return isinstance(payload.body, AppendSideBlock)
