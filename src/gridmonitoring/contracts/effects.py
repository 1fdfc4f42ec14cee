"""Effects: what a contract wants done, as data (paper V-A).

Contracts "send reports", "leave alert messages" and "shut down the electrical power"; but they carry
nothing out themselves. The meter and the state transition each do their part of the effects that come back
from a step, and the state transition stores a receipt for each agreed action.

Left out: the texts of the messages (`messages`) and the carrying out (`smart_meter`, `processing`).
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.violations import ActionKind, AgreedAction, Violation
from gridmonitoring.encoding.bounds import Money


class Report(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="report"):
    """The meter sends a signed report; with a message it is kept in the contract database."""

    message: Message | None
    """Message of the report; none at normal flow."""


class Display(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="display"):
    """The in-home display shows a message until the next."""

    message: Message
    """Message to show."""


class CutPower(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="cut-power"):
    """The relay opens."""


class RestorePower(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="restore-power"):
    """The relay closes."""


class AlertConsumer(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="alert"):
    """The grid, too, tells the consumer: by a message command, and wherever else was agreed."""

    message: Message
    """Message of the alert."""


class RecordViolation(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="violation"):
    """The violation goes to the contract database, and from there into a side block."""

    violation: Violation
    """Type of violation (TVLN)."""


class Penalty(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="penalty"):
    """The money agreed for a violation moves, once per finding."""

    violation: Violation
    """What it is for."""
    kind: ActionKind
    """Penalty (the consumer pays) or compensation (the consumer gets)."""
    amount: Money
    """Millionths of the minor unit."""


Effect = Report | Display | CutPower | RestorePower | AlertConsumer | RecordViolation | Penalty
"""Any effect; the tag at the head of its array tells which."""

Effects = tuple[Effect, ...]
"""Effects in the order in which they are carried out."""


NOTICES: Mapping[Violation, Message] = {
    Violation.TAMPER: Message.TAMPERED,
    Violation.BILLING_DISCREPANCY: Message.OVERCHARGED,
    Violation.INTEGRITY_FAILURE: Message.OVERCHARGED,
    Violation.OVERCHARGE: Message.OVERCHARGED,
    Violation.DATA_USE: Message.DATA_REFUSED,
}
"""Violations that have a message of their own."""


def agreed_effects(action: AgreedAction) -> Effects:
    """Return what follows a violation by agreement: the money, the notice and the cut-off, in this order."""
    effects: list[Effect] = []
    if action.kind is not ActionKind.NONE:
        effects.append(Penalty(action.violation, action.kind, action.amount))
    if action.notice:
        effects.append(AlertConsumer(NOTICES.get(action.violation, Message.VIOLATION_RECORDED)))
    if action.cut_off:
        effects.append(CutPower())
    return tuple(effects)
