"""How a command travels: its proof, HPKE-boxed to the meter's own key (paper III-A-4, V-A).

The box hides from others what a household is told; authority is the proof inside, so the box needs no
sender. Kind and number outside only let a meter pass over what it has seen; they are bound into the box's
context and say nothing by themselves.

Left out: sealing (`runtime.entropy`) and the proof (`blockchain.evidence`).
"""

from __future__ import annotations

from msgspec import Struct

from gridmonitoring.encoding.bounds import Bytes16, Unsigned
from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, decode
from gridmonitoring.keys.sealed_boxes import Purpose, box_info, open_box


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
    """HPKE box of the encoded bundle."""


def command_info(chain_id: bytes, mid: bytes, epoch: int, kind: int, number: int, hpke_key: bytes) -> bytes:
    """Return HPKE's info for a command; `hpke_key` is the meter's public key."""
    # Kinds are few: with them in the number, none can stand for another.
    return box_info(Purpose.COMMAND, chain_id, mid, epoch, number << 8 | kind, hpke_key)


def read_command(wire: bytes) -> SealedCommand:
    """Read a sealed command; raises an `EncodingError`."""
    return decode(wire, SealedCommand, PACKAGE_LIMIT)


def open_command(sealed: SealedCommand, secret_key: bytes, hpke_key: bytes, chain_id: bytes) -> bytes:
    """Return the bundle inside, opened with the meter's keys; raises `CannotOpen`."""
    info = command_info(chain_id, sealed.mid, sealed.epoch, sealed.kind, sealed.number, hpke_key)
    return open_box(sealed.suite, secret_key, info, sealed.box)
