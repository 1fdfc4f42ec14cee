"""A network with something in every table, and ways to alter its files behind its back.

Segments of the index need 65,536 transactions; they are made in a long run only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from shutil import copytree
from typing import Any

import apsw
from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Kind
from gridmonitoring.blockchain.genesis import ValidatorSet
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.contracts.meter_rule import Event, Relay
from gridmonitoring.runtime.storage.tables import DETAIL_TABLES, TableShape, Values
from tests.support.acts import (
    differing,
    exhibits,
    governance,
    grants_and_reads,
    proposal,
    silence,
    tamper,
    wish,
)
from tests.support.contract_keys import announcing, successor
from tests.support.guilty_proposer import wrong_result
from tests.support.network import DAY_MS, SmallNetwork, open_small, report_wires, small_network

NODES = ("node-01", "node-02", "node-03", "node-04")
VICTIM = "node-02"
"""The node whose files are altered."""

Alteration = Callable[[apsw.Connection, TableShape], Values]
"""Alters one row of a table and returns its key."""


def rich_network(path: Path, validators: int = 4) -> None:
    """Make and close a network with rows in every table of its files but `segment`."""
    small = small_network(path, validators, bits=6)
    small.deliver(report_wires(small, 80))
    network, clock = small.network, small.clock
    row: ValidatorSet = network.row(Table.VALIDATORS, b"")
    stronger = tuple(replace(validator, power=2) for validator in row.validators)
    wanted = proposal(network, validators=stronger)
    small.submit([governance(network, wanted, NODES[:validators], clock.now_ms())])
    small.submit([wish(small.meters[0], clock.now_ms(), on=True, power_limit=2000)])
    clock.move_to(clock.now_ms() + DAY_MS)
    small.submit([silence(network, "node-01", small.meters[2].mid, clock.now_ms())])
    small.submit([differing(network, "node-01", clock.now_ms())])
    small.submit(exhibits(network, small.meters[0].mid, bytes(20_000), clock.now_ms())[:1])
    wrong = wrong_result(network, "node-01")
    small.submit([network.signer("node-01").transaction(Kind.ACCUSE_PROPOSER, wrong, clock.now_ms())])
    for name, details in network.details.items():
        assert name in NODES
        details.wrap([(small.meters[0].mid, 1, 13_773_000, b"r" * 32, b"a box that a reader opens")])
    grants_and_reads(small, small.meters[0])
    small.submit([announcing(network, successor(network, ends=2**62))])
    _leave_duties(small)
    small.close()


def _leave_duties(small: SmallNetwork) -> None:
    """Decide what makes a block due and messages pending, and leave both to whoever opens it next."""
    network, last = small.network, small.meters[2]
    last.register += 30_000_000
    used_up = last.claim(Event.OUT_OF_CREDIT, Relay.DISCONNECTED, settles=True, time=last.time + 1)
    tampered = tamper(small.meters[1])
    small.clock.move_to(small.meters[1].time)
    decision = network.engine.decide([used_up, tampered], small.clock.now_ms())
    decision.durable.result()
    assert [receipt.error for receipt in decision.receipts] == [None, None]


def copy_of(template: Path, path: Path) -> Path:
    """Return a copy of a data directory."""
    copytree(template, path)
    return path


def file_of(path: Path, shape: TableShape, node: str = VICTIM) -> Path:
    """Return the file of a node that has a table."""
    return path / "nodes" / node / ("details.db" if shape in DETAIL_TABLES else "truth.db")


def alter(file: Path, shape: TableShape, alteration: Alteration) -> Values:
    """Alter one row of a closed file, and return its key."""
    connection = apsw.Connection(str(file))
    try:
        return alteration(connection, shape)
    finally:
        connection.close()


def _middle(connection: apsw.Connection, shape: TableShape) -> Values:
    rows: list[Values] = list(connection.execute(shape.select))
    return rows[len(rows) // 2]


def change(connection: apsw.Connection, shape: TableShape) -> Values:
    """Flip a bit of the last column of the row in the middle."""
    row = _middle(connection, shape)
    connection.execute(shape.insert, (*row[:-1], flipped(row[-1])))
    return row[: shape.key]


def delete(connection: apsw.Connection, shape: TableShape) -> Values:
    """Delete the row in the middle."""
    key = _middle(connection, shape)[: shape.key]
    connection.execute(shape.delete, key)
    return key


SURPLUS: dict[str, Values] = {
    "meta": ("format", b"2"),
    "block": (9_999, b"header", b"body", b"note"),
    "start": (99_999, 3),
    "tile": (0, 99, bytes(8192)),
    "row": (int(Table.ACCOUNT), b"nobody's meter..", b"value"),
    "segment": (7, bytes(16)),
    "handover": (9_999, b"value"),
    "detail": (99_999, b"nobody's meter..", 1, b"detail"),
    "channel": (b"nobody's channel", b"offer"),
    "wrapped": (b"nobody's meter..", 1, 1, b"reader", b"box"),
}


def add(connection: apsw.Connection, shape: TableShape) -> Values:
    """Add a row that nobody made."""
    row = SURPLUS[shape.name]
    connection.execute(shape.insert, row)
    return row[: shape.key]


def flip(rng: Random, file: Path, shape: TableShape) -> tuple[Values, Values]:
    """Flip a bit of one row of a file, key columns included; return the row before and after."""
    connection = apsw.Connection(str(file))
    try:
        rows: list[Values] = list(connection.execute(shape.select))
        row = rng.choice(rows)
        column = rng.choice([n for n, value in enumerate(row) if not isinstance(value, str)])
        altered = (*row[:column], with_a_bit(rng, row[column]), *row[column + 1 :])
        with connection:
            connection.execute(shape.delete, row[: shape.key])
            connection.execute(shape.insert, altered)
    finally:
        connection.close()
    return row, altered


def with_a_bit(rng: Random, value: Any) -> Any:
    """Return a stored value with one bit flipped."""
    if isinstance(value, int):
        return value ^ 1 << rng.randrange(31)
    if not value:
        return b"\1"
    at = rng.randrange(len(value))
    return value[:at] + bytes([value[at] ^ 1 << rng.randrange(8)]) + value[at + 1 :]


def alter_row(file: Path, table: Table, *, which: int = 0) -> bytes:
    """Flip a bit of a row of the state in a file, which may be in use; return its key."""
    connection = apsw.Connection(str(file))
    try:
        sql = "SELECT key, value FROM row WHERE tbl = ? ORDER BY key LIMIT 1 OFFSET ?"
        ((key, value),) = connection.execute(sql, (int(table), which))
        sql = "UPDATE row SET value = ? WHERE tbl = ? AND key = ?"
        connection.execute(sql, (flipped(value), int(table), key))
    finally:
        connection.close()
    return bytes(key)


def flipped(value: object) -> object:
    """Return a value with its last bit flipped."""
    if isinstance(value, bytes):
        return value[:-1] + bytes([value[-1] ^ 1])
    assert isinstance(value, int)
    return value ^ 1


def goes_on(path: Path) -> None:
    """Open a network, require all to vote, and have reports decided."""
    small = open_small(path)
    try:
        assert [validator.halted for validator in small.network.engine.validators] == [None] * 4
        small.meters = small.meters[:1]
        small.deliver(report_wires(small, 2))
    finally:
        small.close()
