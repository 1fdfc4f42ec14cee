"""Violations and what is agreed for them: TVLN, the type of violation (paper V-C, III-A-5 and VII).

A closed, numbered list; the number is what side blocks and the contract database carry. Each type may have
one agreed action: a penalty that the consumer pays or a compensation that the consumer gets, a cut-off, a
notice.

Left out: how a violation is found (`meter_rule`, `processing`) and how its action is carried out
(`processing`).
"""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct

from gridmonitoring.encoding.bounds import Money
from gridmonitoring.errors import ContractError


class Violation(IntEnum):
    """TVLN: the closed list of types of violation; numbers are never reused."""

    UNEXPECTED_EVENT = 1
    """A validly signed report whose event the meter's state does not expect."""
    TAMPER = 2
    """state_tamper: terminal cover, meter cover, magnet or wrong password."""
    BILLING_DISCREPANCY = 3
    """data_tamper: the meter's own computation of a statement differs from the grid's."""
    INTEGRITY_FAILURE = 4
    """data_tamper: a statement, command or row without a valid proof, or one that was changed."""
    USE_WHILE_DISCONNECTED = 5
    """An import register moved while the relay was open."""
    RELAY_FAULT = 6
    """The relay is not where the contract put it."""
    SEQUENCE_GAP = 7
    """Numbers are missing in a meter's sequence of reports."""
    EQUIVOCATION = 8
    """Two different signed messages under one number."""
    SILENCE = 9
    """No report for longer than agreed, or reports that come late."""
    CLOCK_FAULT = 10
    """Signed times that contradict the ledger's."""
    REGISTER_FAULT = 11
    """A register that went down without a signed device swap, that rates do not add up to, or that leapt so
    far that no account holds its price."""
    CREDIT_MISMATCH = 12
    """The credit that a meter reports is not what its registers and lots leave."""
    OVERCHARGE = 13
    """A node proposed a charge that the tariff does not give."""
    DATA_USE = 14
    """A request for data beyond its grant (II-A: breaches to the agreed use of data)."""
    FAILED_SIGNATURE = 15
    """A message whose signature does not verify (II-B)."""
    FAILED_OPENING = 16
    """A sealed message that does not open (II-B)."""
    COPY_DIFFERS = 40
    """data_tamper at a node: its copy of the consumer's data is not what a quorum signed (V-B)."""


BY_THE_GRID = frozenset(
    {
        Violation.BILLING_DISCREPANCY,
        Violation.INTEGRITY_FAILURE,
        Violation.OVERCHARGE,
        Violation.DATA_USE,
        Violation.COPY_DIFFERS,
    }
)
"""Violations of the grid's side against the consumer: compensated, never penalised, and no reason to cut."""


DISPUTE_TERM_MS = 30 * 86_400_000
"""How long after a violation it can be disputed, ms."""


class ActionKind(IntEnum):
    """Who pays for a violation."""

    NONE = 0
    """No money moves."""
    PENALTY = 1
    """The consumer pays; the amount is charged to the credit."""
    COMPENSATION = 2
    """The consumer is paid; the amount is added to the credit."""


class AgreedAction(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What utility and consumer agreed to do about one type of violation (III-A-5)."""

    violation: Violation
    """Type of violation."""
    kind: ActionKind
    """Penalty, compensation or neither."""
    amount: Money
    """Money per finding, millionths of the minor unit; 0 exactly if `kind` is `NONE`."""
    cut_off: bool
    """Whether the power is cut off until a signed order lifts it."""
    notice: bool
    """Whether the consumer is alerted."""


def notice_only(violation: Violation) -> AgreedAction:
    """Return the action for a violation that an agreement does not list: the consumer is told."""
    return AgreedAction(violation, ActionKind.NONE, 0, cut_off=False, notice=True)


def check_action(action: AgreedAction) -> None:
    """Check an agreed action: money goes the right way, and only a consumer's violation cuts off.

    Raises `ContractError`.
    """
    name = action.violation.name
    if (action.amount == 0) != (action.kind is ActionKind.NONE):
        raise ContractError(
            f"{name}: an amount goes with a penalty or a compensation, and each of them has one"
        )
    by_the_grid = action.violation in BY_THE_GRID
    if action.kind is ActionKind.PENALTY and by_the_grid:
        raise ContractError(f"{name}: the consumer pays no penalty for what the grid's side did")
    if action.kind is ActionKind.COMPENSATION and not by_the_grid:
        raise ContractError(f"{name}: a compensation is for what the grid's side did")
    if action.cut_off and by_the_grid:
        raise ContractError(f"{name}: no cut-off for what the grid's side did")
