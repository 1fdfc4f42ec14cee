"""The monitor finds an altered bit in any table within a pass; it is named, recorded, told, healed (V-B)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest
from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import CopyDiffers, Kind, Part
from gridmonitoring.blockchain.state_rows import ConductRow, CopyRow, MeterRow, Table, height_key
from gridmonitoring.contracts.messages import Message
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.errors import EvidenceError
from gridmonitoring.runtime.bench.population import START_MS
from gridmonitoring.runtime.bench.setting import Feed, prepare, read_batches
from gridmonitoring.runtime.clock import SimulatedClock
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.forensics import ForensicReport, verify_report
from gridmonitoring.runtime.incidents import read_report, stored_reports
from gridmonitoring.runtime.local_grid import LocalGrid
from gridmonitoring.runtime.monitoring import Monitor
from gridmonitoring.runtime.storage.tables import (
    CHANNEL,
    DETAIL,
    DETAIL_TABLES,
    ROW,
    SEGMENT,
    TRUTH_TABLES,
    TableShape,
    Values,
)
from gridmonitoring.runtime.storage.truth import row_name
from gridmonitoring.runtime.under_watch import Suspicion
from gridmonitoring.runtime.verification import verify_path
from tests.support.home import logged
from tests.support.network import SmallNetwork
from tests.support.tampering import (
    VICTIM,
    add,
    alter,
    change,
    copy_of,
    delete,
    file_of,
    flip,
    rich_network,
    with_a_bit,
)

CASES = [
    pytest.param(
        shape, alteration, seen, id=f"{shape.name}-{alteration.__name__}-{'seen' if seen else 'new'}"
    )
    for shape in (*TRUTH_TABLES, *DETAIL_TABLES)
    for alteration, seen in ((change, False), (change, True), (delete, True), (add, False))
    if shape is not SEGMENT or alteration is add
]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "network"
    rich_network(path)
    return path


class Watched:
    """A network at work, with its monitor."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._closed = False
        clock = SimulatedClock(0)
        self.grid = LocalGrid(Directory(path), clock)
        clock.move_to(self.grid.application.time)
        self.grid.keep_fresh()

    def close(self) -> None:
        """Close the network, once."""
        if not self._closed:
            self._closed = True
            self.grid.close()

    def one_pass(self) -> list[ForensicReport]:
        """Make one pass, attend to it, and return what was found."""
        return self.grid.attend(self.grid.watcher.whole_pass())

    def conduct(self, name: str = VICTIM) -> ConductRow | None:
        row: ConductRow | None = self.grid.row(Table.CONDUCT, self.grid.signer(name).id)
        return row

    def reported(self) -> list[CopyDiffers]:
        """Return what nodes reported on the ledger of their copies since the network was made."""
        small = SmallNetwork(self.grid.directory, self.grid, SimulatedClock(0))
        payloads = [payload for _, payload in logged(small)]
        return [payload.body for payload in payloads if payload.kind == Kind.COPY_DIFFERS][1:]


@pytest.fixture
def watched(template: Path, tmp_path: Path) -> Any:
    made = Watched(copy_of(template, tmp_path / "network"))
    yield made
    made.close()


def test_a_pass_over_good_files_suspects_nothing(watched: Watched) -> None:
    for number in (1, 2, 3):
        assert watched.grid.watcher.whole_pass() == []
        status = watched.grid.monitor()
        assert (status.number, status.suspicions, status.running) == (number, 0, False)
        watched.grid.keep_fresh()
    status = watched.grid.monitor()
    last = status.passes[-1]
    assert last.faulty == ()
    assert last.rows > 4 * 50
    assert last.height == watched.grid.application.height - 1
    assert status.threads[0] >= 3
    assert status.threads[1] >= 3
    assert status.thread_faults == ()


@pytest.mark.parametrize(("shape", "alteration", "seen_before"), CASES)
def test_an_altered_row_of_each_table_is_found_within_one_pass(
    watched: Watched, shape: TableShape, alteration: Any, seen_before: bool
) -> None:
    if seen_before:
        assert watched.one_pass() == []
    key = alter(file_of(watched.path, shape), shape, alteration)
    (report,) = watched.one_pass()
    assert (report.node, report.part) == (VICTIM, shape.name)
    if shape is ROW:
        assert (report.table, report.place) == (row_name(key[0]).partition(".")[2], key[1].hex())
    assert report.found != report.expected
    assert report.since.good_pass == int(seen_before)
    assert report.healed
    (body,) = watched.reported()
    assert (body.node, body.part) == (watched.grid.signer(VICTIM).id, Part[shape.name.upper()])

    conduct = watched.conduct()
    assert conduct is not None
    assert (conduct.differing, conduct.healed, conduct.unhealed) == (1, 1, 0)
    assert watched.one_pass() == []
    watched.close()
    assert verify_path(watched.path).verified


def test_a_changed_row_is_named_by_its_field_with_proof(watched: Watched) -> None:
    assert watched.one_pass() == []
    mid = next(key for key, _ in watched.grid.application.truth.rows_of(Table.METER))
    before: MeterRow = watched.grid.row(Table.METER, mid)
    _edit(watched, Table.METER, mid, tampered=7, life_actions=before.life_actions + 1)
    (report,) = watched.one_pass()
    assert report.meter == mid.hex()
    fields = {field.name: (field.found, field.expected) for field in report.fields}
    counted, tampered = before.life_actions, str(before.tampered)
    assert fields == {"tampered": ("7", tampered), "life_actions": (str(counted + 1), str(counted))}
    assert report.since.good_pass == 1
    assert report.since.good_time <= report.since.found_time

    (stored,) = stored_reports(watched.path / "forensics")
    read = read_report(stored)
    assert read == report
    text = stored.with_suffix(".txt").read_text(encoding="utf-8")
    assert VICTIM in text
    assert f"is 7, was {tampered}" in text
    verify_report(read, watched.grid.document)

    # the thread and the display of the consumer
    meter: MeterRow = watched.grid.row(Table.METER, mid)
    told = [
        watched.grid.row(Table.COMMAND, height_key(mid, number)).height
        for number in range(before.commands + 1, meter.commands + 1)
    ]
    assert told == [Message.COPY_ALTERED, Message.COPY_RESTORED]
    assert meter.messages == before.messages + 2


def _edit(watched: Watched, table: Table, key: bytes, **changes: Any) -> None:
    """Alter fields of a row in the victim's file, so that it can still be read."""
    value = encode(replace(watched.grid.row(table, key), **changes))
    connection = apsw.Connection(str(file_of(watched.path, ROW)))
    try:
        sql = "UPDATE row SET value = ? WHERE tbl = ? AND key = ?"
        connection.execute(sql, (value, int(table), key))
    finally:
        connection.close()


def test_a_report_with_one_altered_field_proves_nothing(watched: Watched) -> None:
    alter(file_of(watched.path, ROW), ROW, change)
    (report,) = watched.one_pass()
    verify_report(report, watched.grid.document)
    proof = report.proof
    assert proof is not None
    assert proof.value is not None
    lies = [
        replace(report, proof=None),
        replace(report, chain=bytes(32).hex()),
        replace(report, place=f"{report.place}00"),
        replace(report, expected_hash=bytes(32).hex()),
        replace(report, found_hash=report.expected_hash),
        replace(report, altered=proof.value),
        replace(report, proof=replace(proof, value=report.altered)),
        replace(report, proof=replace(proof, height=proof.height - 1)),
        replace(report, proof=replace(proof, path=proof.path[1:])),
    ]
    for lie in lies:
        with pytest.raises(EvidenceError):
            verify_report(lie, watched.grid.document)


def test_a_node_that_stopped_voting_is_reported_too(watched: Watched) -> None:
    """What the state transition stumbles over goes the same way as what the monitor finds."""
    tariff = next(key for key, _ in watched.grid.application.truth.rows_of(Table.TARIFF))
    _edit(watched, Table.TARIFF, tariff, successor=bytes(32))
    victim = next(v for v in watched.grid.engine.validators if v.name == VICTIM)
    victim.halt("row.tariff differs")
    watched.grid.keep_fresh()
    assert victim.halted is None
    (body,) = watched.reported()
    assert (body.table, body.place) == (Table.TARIFF, tariff)
    conduct = watched.conduct()
    assert conduct is not None
    assert conduct.healed == 1


def test_many_differences_are_one_report_of_the_file(watched: Watched) -> None:
    connection = apsw.Connection(str(file_of(watched.path, ROW)))
    connection.execute("UPDATE row SET value = x'00' WHERE tbl IN (5, 6, 7, 8, 9, 15, 16)")
    connection.close()
    assert len(watched.one_pass()) == 16
    (body,) = watched.reported()
    assert (body.part, body.place) == (Part.FILE, b"truth.db")
    assert watched.one_pass() == []


def test_a_random_bit_of_any_row_is_found_within_one_pass(template: Path, tmp_path: Path, soak: bool) -> None:
    rng = Random(7)
    watched = Watched(copy_of(template, tmp_path / "network"))
    try:
        for _ in range(400 if soak else 20):
            shape = rng.choice([s for s in (*TRUTH_TABLES, *DETAIL_TABLES) if s is not SEGMENT])
            flip(rng, file_of(watched.path, shape, rng.choice(("node-01", "node-02", "node-04"))), shape)
            assert watched.one_pass()
            assert watched.one_pass() == []
    finally:
        watched.close()
    assert verify_path(watched.path).verified


def test_an_open_copy_is_a_row_until_it_is_healed(watched: Watched) -> None:
    rows = [
        watched.grid.row(Table.COPY, key) for key, _ in watched.grid.application.truth.rows_of(Table.COPY)
    ]
    (row,) = rows
    assert isinstance(row, CopyRow)
    assert (row.part, row.proven) == (Part.META, False)


def test_a_big_chain_is_watched_row_by_row(tmp_path: Path, soak: bool) -> None:
    """A random bit of each table of a chain of 100,000 reports (a tenth of it in short runs), in one pass."""
    rng = Random(11)
    meters, rounds = (1000, 100) if soak else (100, 100)
    setting = prepare(tmp_path, meters, rounds, 1, lambda _: None)
    with setting.open(None) as network, setting.wires.open("rb") as stream:
        Feed(network, read_batches(stream)).run()
    clock = SimulatedClock(START_MS)
    grid = LocalGrid(setting.directory, clock)
    try:
        clock.move_to(grid.application.time)
        seen = Monitor(grid)
        assert seen.whole_pass() == []
        for monitor in (seen, Monitor(grid)):
            for shape in (*TRUTH_TABLES, DETAIL, CHANNEL):
                file = file_of(setting.directory.root, shape, "node-01")
                with _one_bit_wrong(rng, file, shape) as something:
                    found = monitor.whole_pass()
                    assert not something or Part[shape.name.upper()] in {one.part for one in found}
            assert monitor.whole_pass() == []
    finally:
        grid.close()


@contextmanager
def _one_bit_wrong(rng: Random, file: Path, shape: TableShape) -> Iterator[bool]:
    """Flip a bit of the last column of a random row and put it right again; whether there was a row."""
    connection = apsw.Connection(str(file))
    try:
        rows: list[Values] = list(connection.execute(shape.select))
        chosen = rng.sample(rows, min(len(rows), 1))
        for row in chosen:
            connection.execute(shape.insert, (*row[:-1], with_a_bit(rng, row[-1])))
        yield bool(chosen)
        for row in chosen:
            connection.execute(shape.insert, row)
    finally:
        connection.close()


def test_a_row_that_was_only_on_its_way_is_no_incident(watched: Watched) -> None:
    key = next(key for key, _ in watched.grid.application.truth.rows_of(Table.METER))
    for place in ((int(Table.METER), key), (int(Table.METER), b"nobody's meter..")):
        assert watched.grid.attend([Suspicion(VICTIM, Part.ROW, place, "looked at too early")]) == []
    assert watched.reported() == []
    assert not (watched.path / "forensics").exists()
