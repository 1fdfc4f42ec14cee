"""How a command travels: its proof, signed by the node that delivers it, HPKE-boxed to the meter's own key.

The box hides from others what a household is told (paper III-A-4, V-A). Authority is the proof inside; the
node's signature says who is to blame where the proof does not hold. Kind and number outside only let a meter
pass over what it has seen; they are bound into the box's context and say nothing by themselves.

Left out: sealing (`runtime.entropy`) and the proof (`blockchain.evidence`).
"""

from __future__ import annotations

from msgspec import Struct

from gridmonitoring.encoding.bounds import Bytes16, Unsigned
from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, decode
from gridmonitoring.keys.sealed_boxes import Purpose, box_info, open_box
from gridmonitoring.keys.signatures import split

DELIVERY_DOMAIN = "gridmon/delivery/1"
"""Domain tag of a node's signature on what it delivers to a meter."""


class SealedCommand(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="sealed-command/1"):
    """A command or statement on its way to a meter."""

    mid: Bytes16
    """Meter ID."""
    epoch: Unsigned
    """Meter epoch: whose key it is sealed to."""
    kind: Unsigned
    """`EvidenceKind` of the bundle inside."""
    number: Unsigned
    """Number of the command or statement."""
    suite: Unsigned
    """HPKE suite of the box."""
    box: bytes
    """HPKE box of the node's COSE_Sign1 over a `Delivery`."""


class Delivery(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="delivery/1"):
    """What a node signs when it tells a meter something."""

    node: Bytes16
    """Party ID of the node."""
    mid: Bytes16
    """Meter ID."""
    epoch: Unsigned
    """Meter epoch."""
    kind: Unsigned
    """`EvidenceKind` of the bundle."""
    number: Unsigned
    """Number of the command or statement."""
    bundle: bytes
    """The encoded bundle."""


def read_delivery(signed: bytes) -> Delivery:
    """Return what a signed delivery says, its signature unverified; raises an `EncodingError`."""
    return decode(split(signed)[0], Delivery, PACKAGE_LIMIT)


def command_info(chain_id: bytes, mid: bytes, epoch: int, kind: int, number: int, hpke_key: bytes) -> bytes:
    """Return HPKE's info for a command; `hpke_key` is the meter's public key."""
    # Kinds are few: with them in the number, none can stand for another.
    return box_info(Purpose.COMMAND, chain_id, mid, epoch, number << 8 | kind, hpke_key)


def read_command(wire: bytes) -> SealedCommand:
    """Read a sealed command; raises an `EncodingError`."""
    return decode(wire, SealedCommand, PACKAGE_LIMIT)


def open_command(sealed: SealedCommand, secret_key: bytes, hpke_key: bytes, chain_id: bytes) -> bytes:
    """Return the signed delivery inside, opened with the meter's keys; raises `CannotOpen`."""
    info = command_info(chain_id, sealed.mid, sealed.epoch, sealed.kind, sealed.number, hpke_key)
    return open_box(sealed.suite, secret_key, info, sealed.box)
