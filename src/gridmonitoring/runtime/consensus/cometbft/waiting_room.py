"""What may wait in a node's mempool: one unfinished package per meter, signed by who says so (paper IV-D).

A new package gets the cheap checks: its form, and signatures under keys that the state knows, which are
remembered for the block. After each block what still waits is checked against every rule of the state;
signatures are remembered, so they cost nothing. Whatever a proposer would leave out is put out here: a
package that none would take and none put out would make CometBFT propose blocks without end.

Left out: the queue itself, its size and its gossip, which are CometBFT's mempool's.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Condition

from msgspec import Struct

from gridmonitoring.encoding.bounds import Role
from gridmonitoring.errors import BadSignature, ConsensusError, EncodingError, GridMonitoringError
from gridmonitoring.runtime.consensus.cometbft.packages import Packages, package_hash
from gridmonitoring.runtime.consensus.validator import EmbeddedValidator
from gridmonitoring.runtime.signature_checker import signing_key

FORGOTTEN_AFTER = 3
"""Blocks after which a package that was not rechecked is taken to have left CometBFT's mempool."""


class Waits(Struct):
    """A package that waits."""

    meters: frozenset[bytes]
    """Meters that signed in it."""
    height: int
    """Block after which it was checked last."""


class WaitingRoom:
    """One validator's side of its mempool."""

    def __init__(self, validator: EmbeddedValidator, packages: Packages, turn: Condition) -> None:
        self._validator = validator
        self._packages = packages
        self._turn = turn
        self._waiting: dict[bytes, Waits] = {}
        self._meters: dict[bytes, bytes] = {}

    def admit(self, raw: bytes) -> None:
        """Check a new package: 1 its form, 2 its meters, 3 its signatures; raises what it breaks."""
        application = self._validator.application
        # 1
        package = self._packages.read(raw)
        name = package_hash(raw)
        payloads = [transaction.payload for transaction in package.transactions]
        meters = frozenset(payload.signer for payload in payloads if payload.role == Role.METER)
        with self._turn:
            # 2
            if any(self._meters.get(mid, name) != name for mid in meters):
                raise ConsensusError("another package with reports of this meter waits for a block")
            keys = [signing_key(application.read, transaction) for transaction in package.transactions]
            self._waiting[name] = Waits(meters, application.height)
            self._meters.update(dict.fromkeys(meters, name))
        # 3
        try:
            for key, transaction in zip(keys, package.transactions, strict=True):
                if key:
                    application.checker.check(key, transaction.signed, transaction.signature)
        except BadSignature:
            self.forget([name])
            raise

    def recheck(self, raw: bytes) -> dict[bytes, GridMonitoringError]:
        """Check a package against every rule of the state; return why its transactions are refused, by ID.

        Where all are, it no longer waits.
        """
        application = self._validator.application
        try:
            package = self._packages.read(raw)
        except EncodingError as error:
            return {b"": error}
        with self._turn:
            receipts = application.trial(package.transactions, application.time)
            refused = {receipt.id: receipt.error for receipt in receipts if receipt.error is not None}
            name = package_hash(raw)
            if len(refused) == len(package.transactions):
                self.forget([name])
            elif name in self._waiting:
                self._waiting[name].height = application.height
        return refused

    def committed(self, raws: Sequence[bytes], height: int) -> None:
        """Note what a block took, and what has left the mempool without a word."""
        gone = [name for name, waits in self._waiting.items() if waits.height < height - FORGOTTEN_AFTER]
        self.forget([*(package_hash(raw) for raw in raws), *gone])

    def forget(self, names: list[bytes]) -> None:
        """Note that packages no longer wait."""
        with self._turn:
            for name in names:
                waits = self._waiting.pop(name, None)
                for mid in waits.meters if waits else ():
                    if self._meters.get(mid) == name:
                        del self._meters[mid]

    def transactions(self, raw: bytes) -> int:
        """Return how many transactions a package has; 1 for what is none."""
        try:
            return len(self._packages.read(raw).transactions)
        except EncodingError:
            return 1
