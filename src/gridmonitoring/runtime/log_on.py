"""Logging on with the unique ID: a challenge, signed by the key bound to that ID, each time (paper III-A-3).

The node draws a challenge; whoever logs on signs it with role and ID; the authenticator's rule
(`registration.authenticator`) checks it under the key in force on the ledger. A challenge is good once and
for a minute, so what was overheard is worth nothing.

Left out: sessions; every call that needs to know who asks takes a fresh log-on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gridmonitoring.blockchain.state_rows import PartyRow, Table, party_key
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.errors import AccessDenied, BadSignature, EncodingError
from gridmonitoring.keys.signatures import verify_signature
from gridmonitoring.registration.authenticator import LOG_ON_DOMAIN, LogOn, check_log_on, read_log_on
from gridmonitoring.runtime.entropy import random_bytes
from gridmonitoring.runtime.parties import Signer

GOOD_FOR_MS = 60_000
"""How long a challenge can be answered, ms."""
MAX_CHALLENGES = 1024
"""Challenges waiting to be answered; the oldest makes room for the next."""


class Challenges:
    """The challenges that a node has drawn and nobody has answered yet."""

    def __init__(self, row: Callable[[Table, bytes], Any], chain_id: bytes) -> None:
        """`row` reads the committed state."""
        self._row = row
        self._chain_id = chain_id
        self._drawn: dict[bytes, int] = {}

    def draw(self, now: int) -> bytes:
        """Return a new challenge."""
        if len(self._drawn) >= MAX_CHALLENGES:
            del self._drawn[next(iter(self._drawn))]
        challenge = random_bytes(32)
        self._drawn[challenge] = now
        return challenge

    def check(self, message: bytes, now: int) -> tuple[LogOn, PartyRow]:
        """Return who logs on; raises `AccessDenied` where the challenge or the signature is not good.

        1 the challenge was drawn here a short while ago, and is used up now; 2 the party is on the ledger;
        3 its key in force signed.
        """
        # 1
        try:
            said = read_log_on(message)
        except EncodingError as error:
            raise AccessDenied("log_on", f"not a log-on: {error}") from error
        drawn = self._drawn.pop(said.challenge, None)
        if drawn is None or not 0 <= now - drawn <= GOOD_FOR_MS:
            raise AccessDenied("log_on", "this challenge was not drawn, or is used up or too old")
        # 2
        party: PartyRow | None = self._row(Table.PARTY, party_key(said.role, said.party))
        if party is None:
            raise AccessDenied("log_on", f"no {said.role.name.lower()} {said.party.hex()[:8]} is registered")
        # 3
        try:
            check_log_on(message, party, self._chain_id, verify_signature)
        except BadSignature as error:
            raise AccessDenied("log_on", str(error)) from error
        return said, party


def sign_log_on(signer: Signer, challenge: bytes) -> bytes:
    """Return a party's signature over a node's challenge."""
    return signer.document(LOG_ON_DOMAIN, encode(LogOn(challenge, signer.role, signer.id)))
