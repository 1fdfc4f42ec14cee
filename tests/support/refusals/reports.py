"""Lies of meters, and of nodes about blocks (paper IV-B, V-A to V-C)."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import AppendSideBlock, Kind, Lock, Report
from gridmonitoring.blockchain.parent_block import ParentBody, build_parent, decode_parent
from gridmonitoring.blockchain.side_block import decode_side
from gridmonitoring.blockchain.state_rows import LotRow, Table, height_key
from gridmonitoring.blockchain.transactions import sign_transaction
from gridmonitoring.contracts.meter_rule import Event, Relay
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.keys.signatures import SecretSeed
from gridmonitoring.processing.blocks import parent_draft, previous_parent
from gridmonitoring.processing.reports import MAX_LEAP
from gridmonitoring.runtime.entropy import new_keys
from tests.support.network import EASY, MeterInHand
from tests.support.refusals.scene import Lies, Scene
from tests.support.refusals.supply import STRANGER


def report(
    scene: Scene,
    meter: MeterInHand | None = None,
    *,
    mid: bytes = b"",
    ahead: int = 1,
    later: int = 1,
    seed: SecretSeed | None = None,
    **changes: Any,
) -> bytes:
    """Return the next report of a meter, or one so many numbers and ms ahead."""
    device = meter or scene.meter
    body = Report(
        *(1, int(Event.INTERVAL), 0, int(Relay.CONNECTED), device.carried_out),
        *(bytes(32), bytes(32), bytes(32)),
    )
    return sign_transaction(
        *(seed or device.keys.seed, scene.network.chain_id, Role.METER, mid or device.mid),
        *(device.sequence + ahead, device.time + later, Kind.REPORT, replace(body, **changes)),
    )


def lock(scene: Scene) -> bytes:
    """Return the lock of a block that was locked."""
    body: Lock = scene.decoded(scene.logged(Kind.LOCK)).payload.body
    return scene.signer("node-01").transaction(Kind.LOCK, body, scene.now)


def locked_at(
    scene: Scene, height: int, *, mid: bytes = b"", signer: str = "node-01", **changes: Any
) -> bytes:
    """Return a lock of a complete block, made as a node makes it but for what is changed."""
    network, thread = scene.network, mid or scene.waiting.mid
    lot: LotRow = network.row(Table.LOT, height_key(scene.waiting.mid, height))
    node = scene.signer("node-01")
    body = parent_draft(network.row, network.genesis.area, scene.waiting.mid, height, node.id)
    said = {name: changes.pop(name) for name in list(changes) if name in ParentBody.__struct_fields__}
    raw = build_parent(
        *(network.chain_id, scene.signer(signer).keys.seed, lot.format),
        changes.pop("previous", bytes(32)),
        changes.pop("target", EASY),
        (lot.life_size, lot.life_peaks),
        replace(body, **said),
    )
    block = encode(replace(decode_parent(raw), **changes))
    return node.transaction(Kind.LOCK, Lock(thread, height, block), scene.now)


def first_lock(scene: Scene, **changes: Any) -> bytes:
    """Return a lock of the first complete block, right but for what is changed."""
    height = scene.first_unlocked()
    previous = previous_parent(scene.network.row, scene.network.chain_id, scene.waiting.mid, height)
    return locked_at(scene, height, **{"previous": previous, **changes})


def with_header(scene: Scene, place: int) -> bytes:
    """Return a lock of a block in which a byte of the header is another."""
    body: Lock = scene.decoded(first_lock(scene)).payload.body
    header = bytearray(decode_parent(body.block).header)
    header[place] ^= 1
    return first_lock(scene, header=bytes(header))


def side(scene: Scene, *, mid: bytes = b"", block: bytes = b"") -> bytes:
    """Return a side block that was appended, once more, or in another place."""
    body: AppendSideBlock = scene.decoded(scene.logged(Kind.SIDE_BLOCK)).payload.body
    altered = AppendSideBlock(mid or body.mid, body.height, block or body.block)
    return scene.signer("node-01").transaction(Kind.SIDE_BLOCK, altered, scene.now)


def reversed_entries(scene: Scene) -> bytes:
    body: AppendSideBlock = scene.decoded(scene.logged(Kind.SIDE_BLOCK)).payload.body
    block = decode_side(body.block)
    entries = (*block.body.entries, *block.body.entries)
    return side(scene, block=encode(replace(block, body=replace(block.body, entries=entries))))


LIES: Lies = {
    "a report of an unknown meter": ("unknown_meter", lambda scene: report(scene, mid=STRANGER)),
    "a report of a device of another epoch": ("wrong_epoch", lambda scene: report(scene, epoch=2)),
    "a report of a meter that is not installed": (
        "wrong_epoch",
        lambda scene: report(scene, mid=scene.points["agreed"].mid),
    ),
    "a report under another key": ("bad_signature", lambda scene: report(scene, seed=new_keys().seed)),
    "a report of another meter's device": (
        "bad_signature",
        lambda scene: report(scene, seed=scene.neighbour.keys.seed),
    ),
    "a replayed report": ("replayed", lambda scene: scene.logged(Kind.REPORT)),
    "another report under a number that was used": ("replayed", lambda scene: report(scene, ahead=0)),
    "a report signed before the last": ("time_not_monotonic", lambda scene: report(scene, later=-1)),
    "a report signed with the last": ("time_not_monotonic", lambda scene: report(scene, later=0)),
    "a filler of a gap, signed after what followed it": (
        "time_not_monotonic",
        lambda scene: report(scene, scene.with_a_gap, ahead=-1, later=1),
    ),
    "a report by a number too far ahead": ("sequence_leap", lambda scene: report(scene, ahead=MAX_LEAP + 1)),
    "a report under a revoked key": ("revoked_key", lambda scene: report(scene, scene.revoked)),
    "a report in the future": ("time_in_future", lambda scene: report(scene, later=10**12)),
    "a block locked twice": ("already_locked", lock),
    "a block locked that is not complete": (
        "not_complete",
        lambda scene: scene.altered(lock(scene), "node-01", mid=scene.meter.mid, height=1),
    ),
    "a block of no thread": (
        "not_complete",
        lambda scene: scene.altered(lock(scene), "node-01", mid=STRANGER),
    ),
    "a block before the one that it follows": (
        "out_of_order",
        lambda scene: locked_at(scene, scene.first_unlocked() + 1),
    ),
    "a block that is none": (
        "wrong_block",
        lambda scene: scene.altered(first_lock(scene), "node-01", block=b"\x80"),
    ),
    "a block with another ID": ("wrong_block", lambda scene: first_lock(scene, format=bytes(16))),
    "a block of another size": ("wrong_block", lambda scene: first_lock(scene, size=bytes(4))),
    "a block with more violations": ("wrong_block", lambda scene: first_lock(scene, action_counter=9)),
    "a block of another amount": ("wrong_block", lambda scene: first_lock(scene, amount=1)),
    "a block that follows another": ("wrong_block", lambda scene: first_lock(scene, previous=bytes(32))),
    "a block with an easier target": (
        "wrong_block",
        lambda scene: first_lock(scene, target=bytes.fromhex("2100ffff")),
    ),
    "a block signed by another node": ("wrong_block", lambda scene: first_lock(scene, signer="node-02")),
    "a block of another data version": ("wrong_block", lambda scene: with_header(scene, 3)),
    "a block with another Merkle root": ("wrong_block", lambda scene: with_header(scene, 40)),
    "a block of another time": ("wrong_block", lambda scene: with_header(scene, 75)),
    "a block with another nonce": ("wrong_block", lambda scene: with_header(scene, 87)),
    "a side block once more": ("unknown_message", side),
    "a side block with an entry twice": ("unknown_message", reversed_entries),
    "a side block of no parent": ("unknown_block", lambda scene: side(scene, mid=STRANGER)),
    "a side block that is none": ("wrong_block", lambda scene: side(scene, block=b"\x80")),
}
