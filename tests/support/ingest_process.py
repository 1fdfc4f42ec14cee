"""A process that has reports ingested by a child, and kills the child at random moments (`python -m`).

Each round forks a child that opens the network and delivers sealed reports for as long as it lives; for each
batch that was acknowledged it writes a line. After a random number of lines and a random while the
child is killed with SIGKILL. At the end all that was acknowledged is printed as JSON.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import traceback
from pathlib import Path

from tests.support.network import open_small, report_wires

Acknowledged = dict[str, list[tuple[int, int]]]
"""MID -> (sequence, log index) of each report that was acknowledged, in order."""


def main() -> None:
    """Arguments: data directory, rounds, seed."""
    path, rounds, chance = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
    acknowledged: Acknowledged = {}
    for _ in range(rounds):
        _round(path, acknowledged, chance)
    sys.stdout.write(json.dumps(acknowledged))


def _round(path: Path, acknowledged: Acknowledged, chance: random.Random) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _ingest(path, acknowledged, writing)
    os.close(writing)
    lines = _read(reading, chance.randrange(6), chance.uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)
    lines += _rest(reading)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise SystemExit("the child ended by itself")
    for line in lines.decode().splitlines():
        for mid, sequence, index in json.loads(line):
            acknowledged.setdefault(mid, []).append((sequence, index))


def _read(handle: int, batches: int, further: float) -> bytes:
    """Return what the child writes until so many lines came, and for a while after."""
    lines = b""
    while lines.count(b"\n") < batches:
        got = os.read(handle, 65536)
        if not got:
            return lines
        lines += got
    if select.select([handle], [], [], further)[0]:
        lines += os.read(handle, 65536)
    return lines


def _rest(handle: int) -> bytes:
    """Return whole lines that the child had written before it was killed."""
    rest = b""
    while got := os.read(handle, 65536):
        rest += got
    os.close(handle)
    return rest


def _ingest(path: Path, acknowledged: Acknowledged, writing: int) -> None:
    """Ingest until killed; never return into the parent's code."""
    try:
        _deliver(path, acknowledged, writing)
    finally:
        traceback.print_exc()
        os._exit(1)


def _deliver(path: Path, acknowledged: Acknowledged, writing: int) -> None:
    """Deliver reports for ever; what was acknowledged before must be there."""
    small = open_small(path)
    assert not any(validator.halted for validator in small.network.engine.validators)
    for meter in small.meters:
        for sequence, _ in acknowledged.get(meter.mid.hex(), [])[-1:]:
            assert meter.sequence >= sequence, "an acknowledged report is lost"
    while True:
        wires = report_wires(small, 2)
        told = [(meter.mid.hex(), meter.sequence) for meter in small.meters]
        indexes = small.deliver(wires)[-len(told) :]
        batch = [(*report, index) for report, index in zip(told, indexes, strict=True)]
        os.write(writing, json.dumps(batch).encode() + b"\n")


if __name__ == "__main__":
    main()
