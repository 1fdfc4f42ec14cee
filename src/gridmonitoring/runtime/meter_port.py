"""The port between a meter's agent and the grid (paper IV-D: "from the smart grid network to the smart meter
and vice versa").

A node implements it; the agent knows nothing else of the grid.

Left out: addresses, connections and retries in time, which are the transport's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gridmonitoring.encoding.cbor import encode
from gridmonitoring.errors import GridMonitoringError
from gridmonitoring.keys.sealed_boxes import SuiteNumber
from gridmonitoring.keys.sealed_commands import DELIVERY_DOMAIN, Delivery, SealedCommand, command_info
from gridmonitoring.runtime.entropy import seal_box
from gridmonitoring.runtime.parties import Signer
from gridmonitoring.runtime.storage.details import WrappedKey

Outcome = int | GridMonitoringError | None
"""Log index of an accepted report, why it was not, or None for a channel offer that was taken."""


class GridPort(Protocol):
    """What a meter's agent asks of the grid."""

    def send(self, wires: Sequence[bytes]) -> Sequence[Outcome]:
        """Take channel offers and sealed reports, in order; one outcome each, of what is durable.

        Whatever it raises means that nothing is known of any of them, and they will be sent again.
        """
        ...

    def commands(self, mid: bytes) -> Sequence[bytes]:
        """Return sealed commands that the meter has not acknowledged, and its last statement if it is new.

        All of them as of one checkpoint: what the statement counts, the commands tell. A statement as a bill
        also brings the tariffs that follow.
        """
        ...

    def wrap(self, keys: Sequence[WrappedKey]) -> None:
        """Keep period keys wrapped for their readers, durably; keeping one twice changes nothing."""
        ...

    def accuse(self, mid: bytes, delivery: bytes) -> Outcome:
        """Hand over a signed delivery whose proof does not hold, so that its node is named on the ledger."""
        ...


def sign_delivery(node: Signer, mid: bytes, epoch: int, kind: int, number: int, bundle: bytes) -> bytes:
    """Return a node's COSE_Sign1 over what it delivers."""
    return node.document(DELIVERY_DOMAIN, encode(Delivery(node.id, mid, epoch, kind, number, bundle)))


def seal_command(
    chain_id: bytes, mid: bytes, epoch: int, kind: int, number: int, hpke_key: bytes, delivery: bytes
) -> bytes:
    """Return a signed delivery of evidence sealed to a meter's HPKE key, as the agent opens it.

    `kind` is the bundle's `EvidenceKind`, `number` that of the command or statement. Raises `BadPublicKey`.
    """
    info = command_info(chain_id, mid, epoch, kind, number, hpke_key)
    box = seal_box(hpke_key, info, delivery)
    return encode(SealedCommand(mid, epoch, kind, number, SuiteNumber.X25519, box))
