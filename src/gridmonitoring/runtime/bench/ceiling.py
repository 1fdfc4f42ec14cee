"""The machine's own ceiling: Ed25519 verifications per second by PyNaCl on two threads."""

from __future__ import annotations

import sys
import threading
import time

from gridmonitoring.keys.signatures import SecretSeed, public_key_of, sign_raw, verify_signature
from gridmonitoring.runtime.entropy import random_bytes

THREADS = 2
"""Threads of the ceiling."""
SWITCH_INTERVAL = 0.005
"""The interpreter's own; with less the threads would take the lock from each other for nothing, s."""


def ed25519_ceiling(seconds: float = 1.5, size: int = 300) -> float:
    """Return verifications per second of messages of `size` bytes on two threads."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        return _verifications(seconds, size)
    finally:
        sys.setswitchinterval(interval)


def _verifications(seconds: float, size: int) -> float:
    seed = SecretSeed(random_bytes(32))
    key, message = public_key_of(seed), random_bytes(size)
    signature = sign_raw(seed, message)
    counts = [0] * THREADS
    stop = threading.Event()

    def work(number: int) -> None:
        done = 0
        while not stop.is_set():
            for _ in range(100):
                verify_signature(key, message, signature)
            done += 100
        counts[number] = done

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    stop.wait(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - start)
