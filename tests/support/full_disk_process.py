"""A process whose files may not grow past a limit, as on a full disk (`python -m`).

It ingests until a write fails, tries again, gets space, has its validators healed, and goes on. What
happened is printed as JSON.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from pathlib import Path

from gridmonitoring.errors import GridMonitoringError
from tests.support.network import SmallNetwork, open_small, report_wires


def main() -> None:
    """Arguments: data directory, largest file in bytes."""
    small = open_small(Path(sys.argv[1]))
    small.meters = small.meters[:1]
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), hard))
    acknowledged: list[int] = []
    first = _until_it_fails(small, acknowledged)
    again = _until_it_fails(small, acknowledged)
    halted = [validator.halted for validator in small.network.engine.validators]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    for validator in small.network.engine.validators:
        small.network.heal(validator.name)
    small.meters[0].start_over()
    stored = small.meters[0].sequence
    small.deliver(report_wires(small, 2))
    small.close()
    told = {"acknowledged": acknowledged, "first": first, "again": again, "halted": halted, "stored": stored}
    sys.stdout.write(json.dumps(told))


def _until_it_fails(small: SmallNetwork, acknowledged: list[int]) -> str:
    """Deliver reports until an error is raised; return its type."""
    while True:
        wires = report_wires(small, 1)
        try:
            small.deliver(wires)
        except GridMonitoringError as error:
            return type(error).__name__
        acknowledged.append(small.meters[0].sequence)


if __name__ == "__main__":
    main()
