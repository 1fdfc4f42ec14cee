"""Random bits in random rows of every table of a long chain: each found, named and healed in a pass (V-B).

The chain has 100,000 reports in a long run, a hundredth of it in short ones, which have no full segment. A
quarter of the bits are flipped while no node is running.
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
        by_others = {_key(shape, row): self._stored(shape, _other(node), row) for row in (before, after)}
        if down:
            self.grid = self._opened()
        self.one_pass()
        paths = stored_reports(self._root / "forensics")[known:]
        reports = [read_report(path) for path in paths]
        assert reports, f"{node}: {shape.name} {show_key(before[: shape.key])} was not found"
        assert {(report.node, report.part) for report in reports} == {(node, shape.name)}
        named = {(report.table, report.key) for report in reports}
        assert _key(shape, before) in named
        # what lies past the log's end goes when a file is opened: a crash leaves the same
        assert named == set(by_others) or (down and named < set(by_others))
        for report in reports:
            assert report.since.good_pass >= good.number
            assert report.since.good_height <= report.since.found_height
            assert report.healed
            self._require_named(shape, by_others[report.table, report.key], report)
            if len(by_others) == 1:
                assert report.fields
                assert all(field.found != field.expected for field in report.fields)
        for row in (before, after):
            assert self._stored(shape, node, row) == self._stored(shape, _other(node), row)

    def _require_named(self, shape: TableShape, by_others: Values | None, report: ForensicReport) -> None:
        """Require a report to name what the others have, with its proof where there is one."""
        assert report.expected_hash == value_hash(Part[shape.name.upper()], by_others).hex()
        assert report.found_hash != report.expected_hash
        if report.proof is not None:
            verify_report(report, self.grid.document)
            assert report.proof.value == (None if by_others is None else by_others[2].hex())

    def _stored(self, shape: TableShape, node: str, row: Values) -> Values | None:
        """Return what a node has at the key of a row."""
        connection = apsw.Connection(str(file_of(self._root, shape, node)))
        try:
            sql = shape.delete.replace("DELETE", "SELECT *", 1)
            return next(connection.execute(sql, row[: shape.key]), None)
        finally:
            connection.close()


def _other(node: str) -> str:
    return next(name for name in NODES if name != node)


def _key(shape: TableShape, row: Values) -> tuple[str, str]:
    """Return table of the state, or nothing, and key of a stored row, as reports have them."""
    if shape is not ROW:
        return "", show_key(row[: shape.key])
    table = row_name(row[0]).partition(".")[2] if row[0] >= 0 else str(row[0])
    return table, show_key((row[1],))
