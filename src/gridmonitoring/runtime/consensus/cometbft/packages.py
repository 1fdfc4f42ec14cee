"""Packages as a validator knows them: decoded once, from the mempool to the block (paper IV-D).

Left out: executing them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from hashlib import sha256
from threading import Lock

from msgspec import Struct

from gridmonitoring.blockchain.transactions import MAX_PER_PACKAGE, Package, Transaction, decode_package
from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, encode
from gridmonitoring.errors import EncodingError, Malformed
from gridmonitoring.runtime.consensus.application import Application

KEPT_BYTES = 64 * PACKAGE_LIMIT
"""Packages that stay decoded, bytes."""
_ROOM = PACKAGE_LIMIT - 64
"""Bytes of transactions that fit into one package."""


class Decoded(Struct, frozen=True):
    """A package with its transactions."""

    node: bytes
    """Who made it."""
    transactions: list[Transaction]
    """Its transactions, signatures not verified."""


class Packages:
    """One validator's decoded packages, the oldest making room."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._kept: OrderedDict[bytes, tuple[int, Decoded]] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()  # consensus and mempool ask from threads of their own

    def read(self, raw: bytes) -> Decoded:
        """Return a package with every transaction decoded; raises an `EncodingError`."""
        with self._lock:
            return self._read(raw)

    def _read(self, raw: bytes) -> Decoded:
        key = package_hash(raw)
        found = self._kept.get(key)
        if found is not None:
            return found[1]
        package = decode_package(raw)
        if not package.transactions:
            raise Malformed("a package without transactions")
        decoded = Decoded(package.node, list(self._decode(package.transactions)))
        self._kept[key] = (len(raw), decoded)
        self._bytes += len(raw)
        while self._bytes > KEPT_BYTES:
            _, (size, _) = self._kept.popitem(last=False)
            self._bytes -= size
        return decoded

    def _decode(self, raws: Iterable[bytes]) -> Iterator[Transaction]:
        for raw in raws:
            transaction = self._application.decode(raw)
            if isinstance(transaction, EncodingError):
                raise transaction
            yield transaction


def package_hash(raw: bytes) -> bytes:
    """Return what names a package: SHA-256, as CometBFT's mempool does."""
    return sha256(raw).digest()


def make_packages(node: bytes, transactions: Iterable[Transaction]) -> Iterator[tuple[bytes, list[bytes]]]:
    """Yield (package, IDs) of transactions in order, as few packages as there can be."""
    raws: list[bytes] = []
    ids: list[bytes] = []
    size = 0
    for transaction in transactions:
        length = len(transaction.raw) + 5
        if raws and (len(raws) == MAX_PER_PACKAGE or size + length > _ROOM):
            yield encode(Package(node, tuple(raws))), ids
            raws, ids, size = [], [], 0
        raws.append(transaction.raw)
        ids.append(transaction.id)
        size += length
    if raws:
        yield encode(Package(node, tuple(raws))), ids
