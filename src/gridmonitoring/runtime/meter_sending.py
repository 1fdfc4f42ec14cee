"""Sending what a meter's outbox holds, until the grid has acknowledged it (paper IV-B; store and forward).

Reports go out in order. What the grid has already is acknowledged, whatever became of the first answer. A
report that is signed ahead of the ledger's time waits, and what follows with it. So does one that is sealed
to a contract key which has ended, until the meter has heard of its successor. One that can never be taken is
put aside with its rule, so that it does not block the way.

Left out: when to try again.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from gridmonitoring.errors import CannotOpen, GridMonitoringError, Refused, UserError
from gridmonitoring.runtime.meter_port import GridPort, Outcome
from gridmonitoring.runtime.storage.outbox import Outbox, Pending

BATCH = 64
"""Wire messages sent at a time."""
TAKEN_BEFORE = "replayed"
"""Rule by which the grid answers what it has."""
TOO_EARLY = "time_in_future"
"""Rule by which the grid answers what is signed too far ahead of its block time."""
KEY_ENDED = "contract_key_ended"
"""Rule by which the grid answers what is sealed to a contract key that has ended."""


class Flushed(Struct, frozen=True):
    """What became of sending."""

    taken: int
    """Wire messages acknowledged."""
    refused: int
    """Reports refused for good."""
    waiting: int
    """Wire messages that are still to be sent."""


def send_pending(port: GridPort, outbox: Outbox, mid: bytes) -> Flushed:
    """Hand over a meter's wrapped keys and send its reports, until all is told or something must wait.

    Whatever the port raises goes to the caller; nothing is lost by it.
    """
    keys = outbox.wrapped(mid)
    if keys:
        port.wrap(keys)
        outbox.handed_over(keys)
    taken = refused = 0
    while batch := outbox.pending(mid, BATCH):
        done, never = _send(port, outbox, batch)
        outbox.settle(mid, done, never)
        taken, refused = taken + len(done), refused + len(never)
        if len(done) + len(never) < len(batch):
            break
    return Flushed(taken, refused, outbox.count(mid))


def _send(
    port: GridPort, outbox: Outbox, batch: Sequence[Pending]
) -> tuple[list[Pending], list[tuple[Pending, str]]]:
    """Send a batch; return what was acknowledged, and what was refused for good with its rule."""
    outcomes = port.send([pending.wire.wire for pending in batch])
    done: list[Pending] = []
    never: list[tuple[Pending, str]] = []
    for pending, first in zip(batch, outcomes, strict=True):
        outcome = _offer_again(port, outbox, pending) if isinstance(first, CannotOpen) else first
        if not isinstance(outcome, GridMonitoringError) or _rule(outcome) == TAKEN_BEFORE:
            done.append(pending)
        elif _must_wait(outcome):
            break
        else:
            never.append((pending, _rule(outcome)))
    return done, never


def _offer_again(port: GridPort, outbox: Outbox, pending: Pending) -> Outcome:
    """Send a report once more after its channel's offer, to a node that lost or never had it."""
    offer = outbox.offer(pending.wire.channel)
    if offer is None:
        return port.send([pending.wire.wire])[0]
    offered, sent = port.send([offer, pending.wire.wire])
    return sent if offered is None else offered


def _must_wait(error: GridMonitoringError) -> bool:
    """Tell whether a later answer can be another: time passes, keys are told, what a node lacks is mended."""
    return isinstance(error, UserError) or _rule(error) in (TOO_EARLY, KEY_ENDED)


def _rule(error: GridMonitoringError) -> str:
    """Return the name of what was broken."""
    return error.rule if isinstance(error, Refused) else type(error).__name__
