"""Where the CometBFT program is: named by GRIDMON_COMETBFT, built into the checkout's .tools, or on the PATH.

Left out: building it, which `make cometbft` does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from gridmonitoring.errors import CometMissing

SERIES = "0.38."
"""The versions that this application speaks to."""
BUILT = Path(__file__).parents[5] / ".tools" / "bin" / "cometbft"
"""Where a checkout has it."""


def comet_binary() -> Path:
    """Return the CometBFT program; raises `CometMissing`."""
    named = os.environ.get("GRIDMON_COMETBFT")
    found = named or (str(BUILT) if BUILT.is_file() else shutil.which("cometbft"))
    if found is None:
        raise CometMissing(f"CometBFT {SERIES}x is not installed")
    try:
        said = subprocess.run([found, "version"], capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        raise CometMissing(f"{found} does not run: {error}") from error
    version = said.stdout.strip()
    if not version.startswith(SERIES):
        raise CometMissing(f"{found} is CometBFT {version[:40]!r}, not {SERIES}x")
    return Path(found)
