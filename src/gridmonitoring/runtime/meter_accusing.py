"""What a meter keeps of nodes that told it what is not so: their own signatures (paper V-A).

Each wrong delivery is handed over once to whichever node takes it, which names its signer on the ledger; the
last ones stay with the meter, for the consumer to show to anybody else.

Left out: keeping them through a power cut; what was handed over is on the ledger.
"""

from __future__ import annotations

from gridmonitoring.runtime.meter_port import GridPort, Outcome

MAX_ACCUSED = 8
"""Wrong deliveries that are kept."""


class Accusations:
    """Signed deliveries that were wrong."""

    def __init__(self) -> None:
        self._answers: dict[bytes, Outcome] = {}
        self.kept: list[bytes] = []
        """The last ones, oldest first."""

    def note(self, signed: bytes) -> None:
        """Keep a wrong delivery."""
        if signed not in self.kept:
            self.kept = [*self.kept, signed][-MAX_ACCUSED:]

    def hand_over(self, port: GridPort, mid: bytes) -> None:
        """Tell the grid of those that it was not told of. What the port raises goes to the caller."""
        for signed in self.kept:
            if signed not in self._answers:
                self._answers[signed] = port.accuse(mid, signed)
        self._answers = {signed: self._answers[signed] for signed in self.kept}
