"""Unix sockets in a data directory: made so that only the owner can use them, however long the path is."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from gridmonitoring.errors import UserError

BACKLOG = 64
"""Connections that may wait to be accepted."""


def listening_socket(path: Path) -> socket.socket:
    """Return a bound, listening socket that only the owner can use; raises `UserError`.

    It is bound under another name and renamed once its mode is set and it listens, so nobody meets it
    half made, and a socket that a killed process left behind gives way.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    new = path.with_name(path.name + ".new")
    try:
        new.unlink(missing_ok=True)
        with short_name(new) as name:
            listener.bind(name)
        new.chmod(0o600)
        listener.listen(BACKLOG)
        new.rename(path)
    except OSError as error:
        listener.close()
        raise UserError(f"cannot serve {path}: {error.strerror or error}") from error
    listener.setblocking(False)
    return listener


def connected_socket(path: Path, patience: float) -> socket.socket | None:
    """Return a connection, or None where nobody listens; raises `OSError` for anything else.

    `patience` is how long a later read or write may take, seconds.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(patience)
    try:
        with short_name(path) as name:
            connection.connect(name)
    except OSError as error:
        connection.close()
        if isinstance(error, FileNotFoundError | ConnectionRefusedError):
            return None
        raise
    return connection


@contextlib.contextmanager
def short_name(path: Path) -> Iterator[str]:
    """Give a name for a socket that fits the kernel's 108 bytes."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
