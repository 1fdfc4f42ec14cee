"""A node's file cut off anywhere, rolled back or gone: never accepted, named, healed from the others."""

from __future__ import annotations

from pathlib import Path
from shutil import copyfile, copytree, rmtree

import pytest

from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.runtime.audit import audit
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.findings import Finding
from gridmonitoring.runtime.healing import Healing, heal
from gridmonitoring.runtime.verification import verify_path
from tests.support.network import open_small, report_wires
from tests.support.tampering import NODES, VICTIM, alter_row, copy_of, goes_on, rich_network


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "network"
    rich_network(path)
    return path


def heal_whole(path: Path) -> Healing:
    """Require a directory to be found wrong at the one node alone, heal it, and go on."""
    found = audit(Directory(path))
    assert {finding.node for finding in found.findings} == {VICTIM}
    healing = heal(Directory(path))
    assert healing.healed
    assert verify_path(path).verified
    goes_on(path)
    return healing


def cut(file: Path, size: int) -> None:
    with file.open("r+b") as stream:
        stream.truncate(size)


def test_a_truth_cut_anywhere(template: Path, tmp_path: Path, soak: bool) -> None:
    places = 100 if soak else 10
    size = (template / "nodes" / VICTIM / "truth.db").stat().st_size
    for place in [*range(places - 1), places]:
        path = copy_of(template, tmp_path / str(place))
        cut(path / "nodes" / VICTIM / "truth.db", (size - 1) * place // places)
        assert not verify_path(path / "nodes" / VICTIM).verified
        heal_whole(path)
        rmtree(path)


DAMAGES = {
    "truth cut": ("truth.db", 50_000),
    "truth emptied": ("truth.db", 0),
    "truth gone": ("truth.db", None),
    "details cut": ("details.db", 10_000),
    "details gone": ("details.db", None),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_network_goes_on_beside_a_damaged_file_and_heals_it(
    template: Path, tmp_path: Path, damage: str
) -> None:
    path = copy_of(template, tmp_path / "network")
    name, size = DAMAGES[damage]
    file = path / "nodes" / VICTIM / name
    if size is None:
        file.unlink()
    else:
        cut(file, size)
    small = open_small(path)
    assert [v.name for v in small.network.engine.validators if v.halted] == [VICTIM]
    small.meters = small.meters[:1]
    small.deliver(report_wires(small, 2))
    assert small.network.heal(VICTIM)
    small.deliver(report_wires(small, 2))
    small.close()
    verification = verify_path(path)
    assert verification.verified
    assert len({file.rows for file in verification.files}) == 1


def test_a_detail_store_cut_anywhere(template: Path, tmp_path: Path) -> None:
    size = (template / "nodes" / VICTIM / "details.db").stat().st_size
    for place in range(5):
        path = copy_of(template, tmp_path / str(place))
        cut(path / "nodes" / VICTIM / "details.db", size * place // 5)
        heal_whole(path)


@pytest.mark.parametrize("name", ["truth.db", "details.db"])
def test_a_file_that_is_gone(template: Path, tmp_path: Path, name: str) -> None:
    path = copy_of(template, tmp_path / "network")
    (path / "nodes" / VICTIM / name).unlink()
    heal_whole(path)


def test_a_file_that_was_rolled_back(template: Path, tmp_path: Path) -> None:
    path = copy_of(template, tmp_path / "network")
    goes_on(path)
    last = verify_path(path).blocks
    first = verify_path(template).blocks
    copyfile(template / "nodes" / VICTIM / "truth.db", path / "nodes" / VICTIM / "truth.db")
    (finding,) = audit(Directory(path)).findings
    assert (finding.node, finding.table, finding.key) == (VICTIM, "block", f"{first + 1}..{last}")
    assert finding.found == "missing"
    healing = heal_whole(path)
    assert healing.nodes[0].action == f"{last - first} blocks followed"


def test_a_file_that_was_rolled_back_and_altered(template: Path, tmp_path: Path) -> None:
    """The row is named as of the height that the file is at, by executing the blocks anew."""
    path = copy_of(template, tmp_path / "network")
    goes_on(path)
    file = path / "nodes" / VICTIM / "truth.db"
    copyfile(template / "nodes" / VICTIM / "truth.db", file)
    key = alter_row(file, Table.ACCOUNT)
    found = {finding.table: finding for finding in audit(Directory(path)).findings}
    assert set(found) == {"block", "row.account"}
    assert found["row.account"].key == key.hex()
    heal_whole(path)


def test_every_node_altered_elsewhere(template: Path, tmp_path: Path) -> None:
    """No file is whole, yet each heals: blocks come from any of them, and the state from their execution."""
    path = copy_of(template, tmp_path / "network")
    altered = {}
    for node, table in zip(NODES, (Table.ACCOUNT, Table.METER, Table.PARTY, Table.TARIFF), strict=True):
        altered[node] = alter_row(path / "nodes" / node / "truth.db", table)
    found = audit(Directory(path)).findings
    assert {finding.node: bytes.fromhex(finding.key) for finding in found} == altered
    assert heal(Directory(path)).healed
    goes_on(path)


def test_a_single_validator_heals_by_its_own_log(tmp_path: Path) -> None:
    path = tmp_path / "network"
    rich_network(path, 1)
    file = path / "nodes" / "node-01" / "truth.db"
    key = alter_row(file, Table.ACCOUNT)
    (finding,) = audit(Directory(path)).findings
    assert (finding.table, finding.key) == ("row.account", key.hex())
    assert heal(Directory(path)).healed
    cut(file, file.stat().st_size // 2)
    healing = heal(Directory(path))
    assert not healing.healed
    assert healing.nodes[0].action.startswith("cannot be healed: ")


def test_a_log_that_was_cut_is_an_older_file(template: Path, tmp_path: Path, soak: bool) -> None:
    """A file whose write-ahead log is cut has lost its last blocks: it is behind, and follows at opening."""
    live = copy_of(template, tmp_path / "live")
    small = open_small(live)
    small.meters = small.meters[:1]
    for _ in range(5):
        small.deliver(report_wires(small, 1))
    crashed = tmp_path / "crashed"
    copytree(live, crashed)
    small.close()
    wal = f"nodes/{VICTIM}/truth.db-wal"
    size = (crashed / wal).stat().st_size
    assert size > 0
    places = 100 if soak else 10
    for place in range(places):
        path = copy_of(crashed, tmp_path / str(place))
        cut(path / wal, size * place // places)
        findings: tuple[Finding, ...] = audit(Directory(path)).findings
        assert {(finding.node, finding.table, finding.found) for finding in findings} == {
            (VICTIM, "block", "missing")
        }
        goes_on(path)
        assert verify_path(path).verified
        rmtree(path)
