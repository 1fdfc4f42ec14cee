"""The commitment of an interval claim to its registers (docs/spec/transactions.md, Report).

A claim that does not settle shows validators one salted hash in the registers' place; the detail
holds salt and registers. Registers are easy to guess, so the salt is what hides them: it is fresh for
each claim, and whoever has it (the owner, a grantee) can open the claim to anyone.

Left out: drawing the salt, which needs entropy and is the meter's, in `runtime`.
"""

from __future__ import annotations

from gridmonitoring.blockchain.bodies import Register
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.encoding.hashes import sha256d

SALT_SIZE = 16
"""Bytes of a salt."""


def reading_commitment(salt: bytes, registers: tuple[Register, ...]) -> bytes:
    """Return sha256d(encode(["reading/1", salt, registers])), 32 bytes: the `reading` of a claim.

    `registers` are (OBIS code, Wh) in order of code, `salt` has `SALT_SIZE` bytes.
    """
    return sha256d(encode(["reading/1", salt, registers]))
