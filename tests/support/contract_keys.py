"""Rotation of the contract key: successors, approvals, and what somebody with a secret can open of a wire."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Kind, RotateContractKey, TellContractKey
from gridmonitoring.blockchain.contract_keys import last_announced
from gridmonitoring.blockchain.genesis import Successor
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.errors import CannotOpen
from gridmonitoring.keys.channels import Channel, channel_id, open_offer, open_sealed, read_sealed
from gridmonitoring.keys.sealed_boxes import SuiteNumber, hpke_public_key
from gridmonitoring.processing.contract_keys import CONTRACT_KEY_DOMAIN
from gridmonitoring.runtime.contract_keys import prepare_successor, rotate
from gridmonitoring.runtime.ingest import OFFER_HEAD
from gridmonitoring.runtime.key_files import read_keys
from gridmonitoring.runtime.network import Network
from tests.support.mini_chain import founding_party, key, seed
from tests.support.network import DAY_MS
from tests.support.small_grid import SmallGrid


def successor(network: Network, **changes: Any) -> Successor:
    """Return the next contract key, its key file made: in force at once, the last one ends in a day."""
    number = last_announced(network.row) + 1
    key = prepare_successor(network.directory, number)
    wanted = Successor(number, SuiteNumber.X25519, key, 0, network.clock.now_ms() + DAY_MS)
    return replace(wanted, **changes)


def announcing(network: Network, wanted: Successor, approving: Sequence[str] = ()) -> bytes:
    """Return the announcement of a key with the approval of these nodes, or of all."""
    approving = approving or [validator.name for validator in network.genesis.validators]
    return rotate([network.signer(name) for name in approving], wanted, network.clock.now_ms())


def telling(network: Network, mid: bytes, number: int) -> bytes:
    """Return a node's telling of a meter."""
    body = TellContractKey(mid, number)
    return network.signer("node-02").transaction(Kind.TELL_CONTRACT_KEY, body, network.clock.now_ms())


def rotate_small(grid: SmallGrid, time: int, *, at_once: bool) -> bytes:
    """Rotate the key of the grid in one object; return the key. `at_once` the earlier ones end."""
    number = last_announced(grid.row_of) + 1
    secret = seed(f"contract {number}")
    public = hpke_public_key(secret)
    document = encode(Successor(number, SuiteNumber.X25519, public, 0, time if at_once else 2**62))
    names = sorted(("node-1", "node-2", "node-3"), key=key)
    approvals = tuple(
        (founding_party(Role.NODE, n).id(), grid.document(n, CONTRACT_KEY_DOMAIN, document)) for n in names
    )
    body = RotateContractKey(document, approvals)
    grid.act("node-1", Role.NODE, Kind.ROTATE_CONTRACT_KEY, body, time)
    grid.contract_secrets[public] = bytes(secret)
    if at_once:
        grid.channels.clear()
    return public


def secret_of(network: Network, name: str = "contract") -> dict[bytes, bytes]:
    """Return public key and secret of a key file, as a thief has them."""
    keys = read_keys(network.directory.key_file(name))[2]
    return {keys.hpke_key: keys.hpke_secret}


def readable(wires: Iterable[bytes], secrets: dict[bytes, bytes], chain_id: bytes) -> list[bytes]:
    """Return the claims that somebody with these secrets reads of wires that were recorded."""
    recorded = list(wires)
    channels: dict[bytes, Channel] = {}
    for wire in recorded:
        if wire.startswith(OFFER_HEAD):
            try:
                channels[channel_id(wire)] = open_offer(wire, secrets, chain_id)
            except CannotOpen:
                continue
    reports = [read_sealed(wire) for wire in recorded if not wire.startswith(OFFER_HEAD)]
    return [open_sealed(r, channels[r.channel], chain_id)[0] for r in reports if r.channel in channels]
