"""One validator of this process: its application, the key of its votes, and whether it votes.

Left out: what it decides (`application`) and with whom (`embedded`).
"""

from __future__ import annotations

from gridmonitoring.blockchain.checkpoint import Checkpoint
from gridmonitoring.blockchain.proposals import proposal_of, sign_proposal
from gridmonitoring.errors import StorageError
from gridmonitoring.keys.signatures import SecretSeed, sign_raw
from gridmonitoring.runtime.consensus.application import Application


class EmbeddedValidator:
    """One validator: its application and the key of its votes."""

    def __init__(
        self,
        application: Application | None,
        name: str,
        node: bytes,
        seed: SecretSeed,
        halted: str | None = None,
    ) -> None:
        self._application = application
        self.name = name
        self.node = node
        self._seed = seed
        self.halted = halted
        """Why this validator stopped voting, or None."""
        self.stuck = False
        """Whether a write failed, after which nothing may be written until its file was opened again."""

    @property
    def application(self) -> Application:
        """Its application; raises `StorageError` where its file could not be opened."""
        if self._application is None:
            raise StorageError(f"{self.name} is not open: {self.halted}")
        return self._application

    @property
    def is_open(self) -> bool:
        """Whether its file could be opened."""
        return self._application is not None

    @property
    def height(self) -> int:
        """Height of its last block, 0 where its file could not be opened."""
        return self._application.height if self._application else 0

    def halt(self, reason: object) -> None:
        """Stop voting; the first reason stays."""
        self.halted = self.halted or str(reason)

    def take_down(self, reason: str) -> None:
        """Stop voting and close the file, so that it can be replaced."""
        self.halted = reason
        if self._application is not None:
            self._application.truth.close()
            self._application = None

    def resume(self, application: Application) -> None:
        """Vote again, over a file that was opened anew."""
        self._application, self.halted, self.stuck = application, None, False

    def propose(self, checkpoint: Checkpoint) -> bytes:
        """Sign the block that this validator proposes, with the result that it computed."""
        return sign_proposal(self._seed, self.application.chain.id, proposal_of(self.node, checkpoint))

    def vote(self, checkpoint: Checkpoint) -> bytes:
        """Sign the checkpoint that this validator computed itself."""
        return sign_raw(self._seed, checkpoint.body())
