"""The data directory of an embedded network: what is where, and who owns it.

genesis.cbor               the founding document, public
keys/<name>.json           key files of the parties this operator runs, mode 0600
keys/contract.json         the network's contract key (opens reports), contract-2.json its successor, ...
nodes/<validator>/         truth.db and details.db of each validator
cometbft/<validator>/      configuration, keys and data of its CometBFT, where that decides
views/                     copies to be queried; `gridmon rebuild-views` makes them anew
lock                       held by the process that owns the directory
node.sock                  socket of a running `gridmon node`
simulated-clock            only where time is not the machine's: replayed readings move it
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from gridmonitoring.errors import DirectoryBusy, UserError


class Directory:
    """Paths of one data directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.genesis = root / "genesis.cbor"
        self.keys = root / "keys"
        self.socket = root / "node.sock"
        self.simulated = root / "simulated-clock"
        self._lock = root / "lock"
        self._held: int | None = None

    def node(self, name: str) -> Path:
        """Return the folder of a validator."""
        return self.root / "nodes" / name

    def comet(self, name: str) -> Path:
        """Return the folder of a validator's CometBFT; there is none under the embedded engine."""
        return self.root / "cometbft" / name

    @property
    def under_comet(self) -> bool:
        """Whether CometBFT decides here."""
        return (self.root / "cometbft").is_dir()

    def view(self, name: str) -> Path:
        """Return the file of a view, which can be dropped at any time."""
        return self.root / "views" / f"{name}.db"

    def key_file(self, name: str) -> Path:
        """Return the key file of a party."""
        return self.keys / f"{name}.json"

    def require(self) -> None:
        """Require an initialised directory; raises `UserError`."""
        if not self.genesis.is_file():
            raise UserError(f"{self.root} holds no network; make one with: gridmon init {self.root}")

    def acquire(self) -> None:
        """Own the directory until `release`; raises `DirectoryBusy` where another process does."""
        self.root.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            raise DirectoryBusy(f"{self.root} is in use by another process") from error
        self._held = handle

    def release(self) -> None:
        """Give the directory up."""
        if self._held is not None:
            os.close(self._held)
            self._held = None
