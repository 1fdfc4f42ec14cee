"""What `gridmon show thread` and `show block` tell of parent blocks (paper V-B), open or locked."""

from __future__ import annotations

from typing import Any

from gridmonitoring.blockchain.bodies import Lock
from gridmonitoring.blockchain.header import block_hash, decode_header
from gridmonitoring.blockchain.parent_block import LockReason, ParentBlock, decode_parent
from gridmonitoring.blockchain.state_rows import BlockRow, LotRow, MeterRow, SideRow, Table, height_key
from gridmonitoring.blockchain.transactions import decode_payload
from gridmonitoring.errors import UserError
from gridmonitoring.keys.signatures import split
from gridmonitoring.runtime.grid_port import Grid
from gridmonitoring.user_layer.cli.money import energy_text, money_text
from gridmonitoring.user_layer.cli.times import time_text

TIMES = ("ttp", "tpt", "tpr", "tprt", "tpf")
"""The five timestamps."""


def thread_data(grid: Grid, mid: bytes) -> dict[str, Any]:
    """Return every parent block of a meter, lowest first."""
    meter: MeterRow = grid.row(Table.METER, mid)
    return {
        "meter": mid.hex(),
        "blocks": [block_data(grid, mid, height) for height in range(meter.next_height)],
    }


def block_data(grid: Grid, mid: bytes, height: int) -> dict[str, Any]:
    """Return one parent block; raises `UserError` where the thread has none of that height."""
    key = height_key(mid, height)
    side: SideRow | None = grid.row(Table.SIDE, key)
    sides = {"side_blocks": side.count if side else 0, "side_violations": side.actions if side else 0}
    locked: BlockRow | None = grid.row(Table.BLOCK, key)
    if locked is not None:
        lock: Lock = decode_payload(split(grid.transaction(locked.index))[0]).body
        return {"height": height, "locked": True, **_locked(grid, locked, decode_parent(lock.block)), **sides}
    lot: LotRow | None = grid.row(Table.LOT, key)
    if lot is None:
        raise UserError(f"the thread of {mid.hex()} has no block {height}")
    return {"height": height, "locked": False, **_open(grid, lot), **sides}


def _locked(grid: Grid, row: BlockRow, block: ParentBlock) -> dict[str, Any]:
    body, header = block.body, decode_header(block.header)
    return {
        "block": block.format.hex(),
        "hash": block_hash(block.header).hex(),
        "previous": header.previous.hex(),
        "merkle_root": header.merkle_root.hex(),
        "nonce": header.nonce,
        "size": int.from_bytes(block.size, "big"),
        "index": row.index,
        "reason": LockReason(body.reason).name.lower(),
        "times": {name: getattr(body.timestamps, name) for name in TIMES},
        "locktime": body.blocklocktime,
        "node": body.data.node.hex(),
        "amount": money_text(body.amount, grid.genesis.minor_digits),
        "energy_wh": body.data.energy,
        "violations": body.action_counter,
        "tariff": body.tariff.hex(),
        "script": body.script.hex(),
    }


def _open(grid: Grid, lot: LotRow) -> dict[str, Any]:
    return {
        "block": lot.format.hex(),
        "form": lot.form.hex(),
        "reason": LockReason(lot.reason).name.lower(),
        "times": {name: getattr(lot, name) for name in TIMES},
        "node": lot.node.hex(),
        "amount": money_text(lot.amount, grid.genesis.minor_digits),
        "energy_wh": lot.energy,
        "violations": lot.actions,
        "tariff": lot.tariff.hex(),
        "script": lot.script.hex(),
    }


def thread_rows(blocks: list[dict[str, Any]]) -> list[list[str]]:
    """Return one line per block, for people."""
    return [
        [
            str(block["height"]),
            block["block"],
            f"locked ({block['reason']})" if block["locked"] else "open",
            block["amount"],
            energy_text(block["energy_wh"]),
            time_text(block["times"]["ttp"]),
            time_text(block["times"]["tpf"]),
            str(block["side_blocks"]),
            str(block["violations"]),
        ]
        for block in blocks
    ]


def block_rows(block: dict[str, Any], currency: str) -> list[tuple[str, str]]:
    """Return one block for people."""
    rows = [
        ("block ID (format)", block["block"]),
        ("status", f"locked ({block['reason']}), log entry {block['index']}" if block["locked"] else "open"),
    ]
    names = ("purchased (TTP)", "processed (TPT)", "power reads (TPR)", "threshold (TPRT)", "finished (TPF)")
    rows += [(name, time_text(block["times"][key])) for name, key in zip(names, TIMES, strict=True)]
    rows += [
        ("paid", f"{block['amount']} {currency}"),
        ("energy quoted (APP)", energy_text(block["energy_wh"])),
        ("node (NID)", block["node"]),
        ("violations (action counter)", str(block["violations"])),
        ("side blocks", str(block["side_blocks"])),
        ("tariff", block["tariff"]),
        ("script", block["script"]),
    ]
    if block["locked"]:
        rows += [
            ("locked at", time_text(block["locktime"])),
            ("hash", block["hash"]),
            ("previous block", block["previous"]),
            ("Merkle root", block["merkle_root"]),
            ("nonce", str(block["nonce"])),
            ("size", f"{block['size']} bytes"),
        ]
    return rows
