"""Random bits in random rows of every table of a long chain: each found, named and healed in a pass (V-B).

The chain has 100,000 reports in a long run, a hundredth of it in short ones, which have no full segment. Every fourth
bit is flipped while no node is running.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import apsw
from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Part
from gridmonitoring.blockchain.genesis import ValidatorSet
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.runtime.bench.population import START_MS
from gridmonitoring.runtime.bench.setting import Feed, Setting, prepare, read_batches
from gridmonitoring.runtime.clock import SimulatedClock
from gridmonitoring.runtime.examination import value_hash
from gridmonitoring.runtime.findings import show_key
from gridmonitoring.runtime.forensics import ForensicReport, verify_report
from gridmonitoring.runtime.incidents import read_report, stored_reports
from gridmonitoring.runtime.local_grid import LocalGrid
from gridmonitoring.runtime.storage.tables import (
    DETAIL_TABLES,
    ROW,
    SEGMENT,
    TRUTH_TABLES,
    TableShape,
    Values,
)
from gridmonitoring.runtime.storage.truth import row_name
from gridmonitoring.runtime.verification import verify_path
from tests.support.acts import governance, proposal
from tests.support.tampering import NODES, file_of, flip

DOWN_EVERY = 4
"""Of so many bits one is flipped while the node is down."""


def test_random_bits_of_a_long_chain_are_found_named_and_healed_in_a_pass(tmp_path: Path, soak: bool) -> None:
    rng = Random(23)
    meters, rounds, flips = (1000, 100, 4) if soak else (10, 100, 1)
    setting = prepare(tmp_path, meters, rounds, 4, lambda _: None)
    _take_in(setting)
    campaign = _Campaign(setting)
    try:
        campaign.one_pass()
        shapes = [shape for shape in (*TRUTH_TABLES, *DETAIL_TABLES) if soak or shape is not SEGMENT]
        for number, shape in enumerate(shapes * flips):
            campaign.flip(rng, rng.choice(NODES), shape, down=number % DOWN_EVERY == 0)
        assert campaign.grid.watcher.whole_pass() == []
    finally:
        campaign.grid.close()
    assert verify_path(setting.directory.root).verified


def _take_in(setting: Setting) -> None:
    """Take the reports in, change the validators, and have a key wrapped: something in every table."""
    with setting.open(None) as network, setting.wires.open("rb") as stream:
        Feed(network, read_batches(stream)).run()
        row: ValidatorSet = network.row(Table.VALIDATORS, b"")
        stronger = tuple(replace(validator, power=2) for validator in row.validators)
        wanted = proposal(network, validators=stronger)
        network.require(governance(network, wanted, NODES, network.clock.now_ms()))
        mid = next(key for key, _ in network.application.truth.rows_of(Table.METER))
        for details in network.details.values():
            details.wrap([(mid, 1, 13_773, b"r" * 32, b"a box that a reader opens")])


class _Campaign:
    """A network at work whose files are altered."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._root = setting.directory.root
        self.grid = self._opened()

    def _opened(self) -> LocalGrid:
        clock = SimulatedClock(START_MS)
        grid = LocalGrid(self._setting.directory, clock)
        clock.move_to(grid.application.time)
        grid.keep_fresh()
        return grid

    def one_pass(self) -> None:
        """Make one pass and attend to it."""
        self.grid.attend(self.grid.watcher.whole_pass())

    def flip(self, rng: Random, node: str, shape: TableShape, *, down: bool) -> None:
        """Flip a bit, make one pass, and require that it was found, named and healed."""
        known = len(stored_reports(self._root / "forensics"))
        good = self.grid.watcher.last_good(node)
        assert good is not None
        file = file_of(self._root, shape, node)
        if down:
            self.grid.close()
            before, after = flip(rng, file, shape)
            self.grid = self._opened()
        else:
            before, after = flip(rng, file, shape)
        self.one_pass()
        paths = stored_reports(self._root / "forensics")[known:]
        reports = [read_report(path) for path in paths]
        assert reports, f"{node}: {shape.name} {show_key(before[: shape.key])} was not found"
        assert {(report.node, report.part) for report in reports} == {(node, shape.name)}
        keys = {_key(shape, row) for row in (before, after)}
        assert {(report.table, report.key) for report in reports} == keys
        for report in reports:
            assert report.since.good_pass >= good.number
            assert report.since.good_height <= report.since.found_height
            assert report.healed
            self._require_named(shape, before, after, report)
        self._require_healed(shape, node, (before, after))

    def _require_named(
        self, shape: TableShape, before: Values, after: Values, report: ForensicReport
    ) -> None:
        """Require the value by quorum, its proof where it has one, and the field, where the row was there."""
        part = Part[shape.name.upper()]
        was = before if (report.table, report.key) == _key(shape, before) else None
        assert report.expected_hash == value_hash(part, was).hex()
        if before[: shape.key] == after[: shape.key]:
            assert report.fields
            assert all(field.found != field.expected for field in report.fields)
        if shape is ROW and report.proof is not None:
            verify_report(report, self.grid.document)
            assert report.proof.value == (None if was is None else was[2].hex())

    def _require_healed(self, shape: TableShape, node: str, rows: tuple[Values, Values]) -> None:
        """Require the altered places to be what another node has there."""
        other = next(name for name in NODES if name != node)
        sql = shape.delete.replace("DELETE", "SELECT *", 1)
        for row in rows:
            found = []
            for name in (node, other):
                connection = apsw.Connection(str(file_of(self._root, shape, name)))
                found.append(list(connection.execute(sql, row[: shape.key])))
                connection.close()
            assert found[0] == found[1]


def _key(shape: TableShape, row: Values) -> tuple[str, str]:
    """Return table of the state, or nothing, and key of a stored row, as reports have them."""
    if shape is not ROW:
        return "", show_key(row[: shape.key])
    table = row_name(row[0]).partition(".")[2] if row[0] >= 0 else str(row[0])
    return table, show_key((row[1],))
