"""Key files: one JSON file per party, readable by its owner only (paper II-B).

Left out: passphrases and hardware modules; a validator's votes are its machine's to protect.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from gridmonitoring.encoding.bounds import Role
from gridmonitoring.errors import UserError
from gridmonitoring.keys.signatures import SecretSeed
from gridmonitoring.runtime.entropy import KeyPair


def write_keys(path: Path, role: Role | None, party: bytes, keys: KeyPair) -> None:
    """Write a new key file with mode 0600; raises `UserError` where it exists."""
    content = {
        "role": role.name.lower() if role is not None else None,
        "party": party.hex(),
        "sign_key": keys.sign_key.hex(),
        "hpke_key": keys.hpke_key.hex(),
        "sign_seed": keys.seed.hex(),
        "hpke_secret": keys.hpke_secret.hex(),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise UserError(f"{path} exists already; keys are never overwritten") from error
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    with os.fdopen(handle, "w") as stream:
        json.dump(content, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())


def read_keys(path: Path) -> tuple[Role | None, bytes, KeyPair]:
    """Return (role, party ID, keys) of a key file; raises `UserError`."""
    try:
        content = json.loads(path.read_text())
        role = Role[content["role"].upper()] if content["role"] else None
        keys = KeyPair(SecretSeed(bytes.fromhex(content["sign_seed"])), bytes.fromhex(content["hpke_secret"]))
        return role, bytes.fromhex(content["party"]), keys
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not a key file: {error}") from error
