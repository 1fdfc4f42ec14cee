"""A process that verifies a path and prints what it led to (`python -m`), for runs under other hash seeds."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from gridmonitoring.runtime.verification import verify_path

if __name__ == "__main__":
    result = verify_path(Path(sys.argv[1]))
    told = {
        "app_hash": result.app_hash.hex(),
        "verified": result.verified,
        "probe": hash("differs under each seed"),
    }
    sys.stdout.write(json.dumps(told))
