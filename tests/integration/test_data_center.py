"""The data center on a small network: floors, differencing, crashes, closed-in queries, the program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from gridmonitoring.blockchain.checkpoint import decode_note
from gridmonitoring.data_center.aggregates import Dimension, Period
from gridmonitoring.data_center.copies import BlockCopies
from gridmonitoring.data_center.floors import Floors
from gridmonitoring.errors import StorageError, UserError
from gridmonitoring.runtime.columns.copier import Copier
from gridmonitoring.runtime.columns.engine import select, table_columns, write_file
from gridmonitoring.runtime.columns.paths import DataCenterPaths
from gridmonitoring.runtime.columns.rebuilding import rebuild_columns
from gridmonitoring.runtime.columns.register import Register
from gridmonitoring.runtime.columns.research import Wanted, aggregate, export_rows
from gridmonitoring.runtime.columns.spool import Spool
from gridmonitoring.runtime.columns.store import data_status, open_copies
from gridmonitoring.runtime.directory import Directory
from tests.support.data_center import ask, end_day, everything, no_progress, settle_day, with_data_center
from tests.support.network import DAY_MS, SmallNetwork, open_small
from tests.support.shell import call, done, install, node_process, shell

HOUSES = 16


@pytest.fixture
def town(tmp_path: Path) -> Iterator[SmallNetwork]:
    small = with_data_center(tmp_path / "grid", HOUSES)
    settle_day(small, 4000)
    settle_day(small, 5000)
    end_day(small)
    yield small
    small.close()


def test_a_small_cell_is_withheld_and_so_is_what_uncovers_it(town: SmallNetwork) -> None:
    paths = DataCenterPaths(town.directory)
    by = (Dimension.TARIFF,)
    whole = aggregate(paths, Period.DAY, by, Wanted(), totals=False)
    first = whole.aggregates[0]
    assert {one.meters for one in whole.aggregates} == {HOUSES}
    register = Register(paths.releases)
    register.set_floors(Floors(HOUSES + 1, 150))
    register.close()
    rebuild_columns(town.directory, no_progress)  # what was given stays on record, and so do the floors
    settle_day(town, 4500)
    settle_day(town, 4500)
    end_day(town)
    again = aggregate(paths, Period.DAY, by, Wanted(), totals=True)
    assert first in again.aggregates
    assert len(again.aggregates) == len(whole.aggregates)
    assert len(again.withheld) > len(whole.withheld)


def test_two_sums_that_differ_by_one_house_are_not_both_given(town: SmallNetwork) -> None:
    paths = DataCenterPaths(town.directory)
    late = town.meters.pop()
    settle_day(town, 3000)
    end_day(town)
    before = aggregate(paths, Period.DAY, (), Wanted(), totals=False)
    day = before.aggregates[-1]
    assert day.meters == HOUSES - 1
    late.time = day.cell.start_ms
    town.deliver(late.wires(settles=True, energy=77))  # a store-and-forward outbox is emptied late
    end_day(town)
    in_day = f"time_ms > {day.cell.start_ms} AND time_ms <= {day.cell.start_ms + DAY_MS}"
    sums = f"SELECT count(DISTINCT mid), sum(energy) FROM settlements WHERE {in_day}"
    assert ask(paths, sums) == [(HOUSES, day.energy + 77)]
    after = aggregate(paths, Period.DAY, (), Wanted(), totals=False)
    assert after.aggregates == before.aggregates
    by_hour = aggregate(paths, Period.HOUR, (), Wanted(), totals=False)
    assert [one for one in by_hour.aggregates if one.meters == 1] == []


def test_rows_of_an_export_are_on_record(town: SmallNetwork) -> None:
    paths = DataCenterPaths(town.directory)
    rows = export_rows(paths, "settlements", Wanted(), bytes(32))
    assert data_status(paths).opened == len(rows.rows) > 0
    with pytest.raises(UserError, match="not exported"):
        export_rows(paths, "readings", Wanted(), bytes(32))


def test_groups_under_the_floor_have_no_row_in_an_export(tmp_path: Path) -> None:
    small = with_data_center(tmp_path / "grid", 3)
    settle_day(small, 4000)
    rows = export_rows(DataCenterPaths(small.directory), "events", Wanted(), bytes(32))
    small.close()
    assert rows.rows == []
    assert rows.suppressed["rows of groups with too few meters"] > 0


# as blocks come


def test_copies_go_on_after_a_restart_and_become_parts(tmp_path: Path) -> None:
    small = with_data_center(tmp_path / "grid", 2, validators=4)
    paths = DataCenterPaths(small.directory)
    settle_day(small, 100)
    small = small.reopen()
    settle_day(small, 100)
    kept = everything(paths)
    height = small.network.application.height
    chain = small.network.chain_id
    small.close()
    copier = Copier(paths, chain, height, part_rows=2)
    copier.pack()
    copier.close()
    status = data_status(paths)
    assert (status.head.height, status.waiting) == (height, 1)
    assert status.parts >= 2
    assert everything(paths) == kept
    rebuild_columns(small.directory, no_progress)
    assert everything(paths) == kept
    assert len(list(paths.parts.iterdir())) == 1


def test_copies_of_a_block_that_was_never_committed_give_way(tmp_path: Path) -> None:
    small = with_data_center(tmp_path / "grid", 1)
    paths = DataCenterPaths(small.directory)
    height, time = small.network.application.height, small.network.application.time
    small.close()
    spool = Spool(paths.copies)
    spool.write(BlockCopies(height + 1, time + 1, bytes(32), ()))
    spool.close()
    assert data_status(paths).head.height == height + 1
    small = open_small(small.directory.root)
    assert data_status(paths).head.height == height
    small.network.tick()
    block = small.network.application.truth.block(height + 1)
    assert block is not None
    assert data_status(paths).head.header == decode_note(block.note).checkpoint.block_hash
    small.close()


def test_a_data_center_that_cannot_write_keeps_no_block_from_being_decided(tmp_path: Path) -> None:
    small = with_data_center(tmp_path / "grid", 1)
    paths = DataCenterPaths(small.directory)
    assert small.network.copier is not None
    small.network.copier.close()  # its file is gone under it
    settle_day(small, 100)
    height = small.network.application.height
    assert small.network.engine.first().halted is None
    small.close()
    assert data_status(paths).head.height < height
    rebuild_columns(small.directory, no_progress)
    assert data_status(paths).head.height == height


def test_copies_of_another_chain_are_refused(tmp_path: Path) -> None:
    small = with_data_center(tmp_path / "grid", 1)
    small.close()
    with pytest.raises(StorageError, match="another chain"):
        Copier(DataCenterPaths(small.directory), bytes(32), 1)


# queries


ESCAPES = [
    "SELECT * FROM read_csv('{file}')",
    "SELECT * FROM read_text('{file}')",
    "SELECT * FROM read_blob('{file}')",
    "SELECT * FROM '{file}'",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM read_text('{part}/../../../secret.txt')",
    "SELECT * FROM read_parquet('https://localhost/x.parquet')",
    "SELECT * FROM sqlite_scan('{folder}/releases.db', 'atom')",
    "COPY forms TO '{folder}/out.csv'",
    "COPY forms TO '{part}'",
    "ATTACH '{folder}/releases.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "PRAGMA enable_external_access",
    "CREATE TABLE t (a INTEGER)",
    "DROP VIEW forms",
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY forms TO '{folder}/out.csv'",
    "EXPORT DATABASE '{folder}/out'",
    "SELECT * FROM escapes",
    "SELECT getenv('HOME')",
    "",
    "SELEC 1",
]


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> DataCenterPaths:
    small = with_data_center(tmp_path_factory.mktemp("closed") / "grid", 1)
    small.close()
    (small.directory.root / "secret.txt").write_text("secret")
    return DataCenterPaths(small.directory)


@pytest.mark.parametrize("sql", ESCAPES)
def test_a_query_reaches_nothing_but_the_copies(closed: DataCenterPaths, sql: str) -> None:
    escapes = [1]
    part = next(closed.parts.rglob("forms.parquet"))
    before = sha256(part.read_bytes()).digest()
    named = sql.format(file=closed.root.parent / "secret.txt", folder=closed.root, part=part)
    with open_copies(closed) as (connection, _), pytest.raises((UserError, StorageError)) as caught:
        select(connection, named, 10)
    assert "secret\n" not in str(caught.value)
    assert sha256(part.read_bytes()).digest() == before
    assert not (closed.root / "out.csv").exists()
    assert escapes == [1]


def test_even_without_the_check_of_statements_nothing_can_be_written(closed: DataCenterPaths) -> None:
    part = next(closed.parts.rglob("forms.parquet"))
    before = sha256(part.read_bytes()).digest()
    with open_copies(closed) as (connection, _):
        for sql in (f"COPY forms TO '{part}'", f"ATTACH '{closed.root}/new.db'", "SET threads = 1"):
            with pytest.raises(Exception, match=r"disabled by configuration|has been locked"):
                connection.execute(sql)
    assert sha256(part.read_bytes()).digest() == before


def test_a_query_that_takes_too_long_ends(closed: DataCenterPaths) -> None:
    endless = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range % 7 = 3"
    with open_copies(closed) as (connection, _), pytest.raises(UserError, match="longer than"):
        select(connection, endless, 1, timeout_s=0.2)


def test_paths_with_quotes_are_paths(tmp_path: Path) -> None:
    folder = tmp_path / "it's; DROP TABLE rows"
    folder.mkdir()
    file = folder / "rows.parquet"
    write_file([("a", "BIGINT"), ("b", "VARCHAR")], [(1, "x'; DROP TABLE rows; --")], file, "parquet")
    assert file.read_bytes()[:4] == file.read_bytes()[-4:] == b"PAR1"
    small = with_data_center(folder / "grid", 1)
    small.close()
    assert ask(DataCenterPaths(small.directory), "SELECT count(*) FROM forms") == [(1,)]


def test_columns_are_those_of_the_copies() -> None:
    assert table_columns("lines") == [
        ("log_index", "BIGINT"),
        ("mid", "BLOB"),
        ("time_ms", "BIGINT"),
        ("rate", "BIGINT"),
        ("energy", "BIGINT"),
        ("charge", "BIGINT"),
    ]


# the program


def test_the_program_from_first_copies_to_an_export(town: SmallNetwork, tmp_path: Path) -> None:
    path = town.directory.root
    statement = town.network.row
    assert statement is not None
    town.close()
    status = done("data", "status", path)
    assert (status["behind"], status["floor_meters"], status["floor_share_permille"]) == (0, 15, 150)
    asked = done("data", "query", path, "SELECT count(*) AS n FROM forms")
    assert (asked["columns"], asked["rows"], asked["more"]) == (["n"], [[HOUSES]], False)
    sums = done("data", "aggregate", path, "--group", "tariff", "--output", tmp_path / "sums")
    assert {one["meters"] for one in sums["aggregates"]} == {HOUSES}
    assert (tmp_path / "sums" / "aggregate.csv").read_text().startswith("period,start_ms,area,tariff,class")
    export = done("data", "export", path, tmp_path / "rows", "--format", "parquet")
    manifest = json.loads((tmp_path / "rows" / "manifest.json").read_bytes())
    note = decode_note(manifest["checkpoint"].encode())
    assert note.checkpoint.app_hash.hex() == manifest["app_hash"] == export["app_hash"]
    assert note.checkpoint.height == manifest["height"] == status["height"]
    (file,) = manifest["files"]
    content = (tmp_path / "rows" / file).read_bytes()
    assert manifest["files"][file] == sha256(content).hexdigest()
    assert "mid" in manifest["left_out"]
    assert not any(meter.mid in content or meter.mid.hex().encode() in content for meter in town.meters)
    floors = done("data", "floors", path, "--meters", "20", "--share", "10")
    assert floors == {"floor_meters": 20, "floor_share_permille": 100}
    assert done("data", "rebuild", path)["blocks"] == status["height"]
    assert done("data", "status", path)["floor_meters"] == 20


@pytest.mark.parametrize(
    "arguments",
    [
        ("query", "DROP TABLE forms"),
        ("aggregate", "--group", "mid; DROP TABLE forms"),
        ("aggregate", "--period", "second"),
        ("aggregate", "--from", "2008-01-01", "--to", "2007-01-01"),
        ("aggregate", "--from", "'; DROP TABLE settlements"),
        ("floors", "--meters", "2", "--share", "15"),
        ("floors", "--meters", "15", "--share", "90"),
        ("forecast",),
        ("export", "somewhere", "--table", "forms; DROP TABLE forms"),
        ("export", "somewhere", "--format", "xlsx"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_done_is_one_clear_line(closed: DataCenterPaths, arguments: tuple[str, ...]) -> None:
    command, *rest = arguments
    said = call("data", command, closed.root.parent, *rest)
    assert said.code != 0
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert ask(closed, "SELECT count(*) FROM forms") == [(1,)]


def test_a_process_says_nothing_but_its_error(closed: DataCenterPaths) -> None:
    refused = shell("data", "query", closed.root.parent, "DROP VIEW forms")
    assert (refused.code, refused.out, refused.err.count("\n")) == (1, "", 1)
    asked = shell("data", "query", closed.root.parent, "SELECT count(*) FROM forms", "--json")
    assert (asked.code, asked.err, asked.data["rows"]) == (0, "", [[1]])


def test_a_network_without_a_data_center_says_how_to_make_one(tmp_path: Path) -> None:
    said = call("data", "query", tmp_path, "SELECT 1")
    assert (said.code, "gridmon data rebuild" in said.err) == (1, True)


def test_copies_outlive_a_killed_node_and_can_be_asked_while_one_runs(tmp_path: Path) -> None:
    path = tmp_path / "grid"
    done("init", path, "--validators", "2")
    done("register", path, "--name", "alice")
    assert done("data", "rebuild", path)["blocks"] > 0
    with node_process(path):  # killed when this ends
        mid = install(path, "1")
        done("pay", path, "--meter", mid, "--amount", "20.00")
        running = done("data", "status", path)
        assert running["behind"] == 0
        forms = "SELECT amount, quoted FROM forms"
        ((amount, quoted),) = done("data", "query", path, forms)["rows"]
        assert amount == 2_000_000_000
        assert done("data", "aggregate", path)["aggregates"] == []
    assert done("data", "status", path)["behind"] == 0
    kept = everything(DataCenterPaths(Directory(path)))
    done("data", "rebuild", path)
    assert everything(DataCenterPaths(Directory(path))) == kept
    assert done("data", "query", path, forms)["rows"] == [[amount, quoted]]


def test_copies_are_made_anew_while_a_node_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "grid"
    done("init", path, "--validators", "1")
    done("register", path, "--name", "alice")
    done("data", "rebuild", path)
    with node_process(path):
        install(path, "1")
        made = done("data", "rebuild", path)["blocks"]
        mid = install(path, "2")
        done("pay", path, "--meter", mid, "--amount", "5.00")
        status = done("data", "status", path)
    assert status["behind"] == 0
    assert status["height"] > made
