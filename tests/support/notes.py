"""Notes of four validators with fixed keys."""

from __future__ import annotations

import hashlib

from gridmonitoring.blockchain.checkpoint import Checkpoint, app_hash, encode_note
from gridmonitoring.keys.signatures import SecretSeed, public_key_of, sign_raw

SEEDS = {name: SecretSeed(hashlib.sha256(name.encode()).digest()) for name in ("a", "b", "c", "d")}
ROOT, STATE, BLOCK = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
CHECKPOINT = Checkpoint(
    "grid/area-7", 300, ROOT, app_hash(ROOT, 300, STATE), STATE, 12, 1_700_000_000_000, BLOCK
)


def signed(*names: str, checkpoint: Checkpoint = CHECKPOINT) -> bytes:
    """Return the note that these sign."""
    return encode_note(
        checkpoint,
        [(name, public_key_of(SEEDS[name]), sign_raw(SEEDS[name], checkpoint.body())) for name in names],
    )


def validators(*powers: int) -> list[tuple[str, bytes, int]]:
    """Return a, b, c, d with these powers."""
    return [
        (name, public_key_of(seed), power) for (name, seed), power in zip(SEEDS.items(), powers, strict=False)
    ]
