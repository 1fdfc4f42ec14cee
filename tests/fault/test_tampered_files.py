"""One row of each table altered behind a node's back: never accepted, named, healed from the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.runtime.audit import audit
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.findings import show_key
from gridmonitoring.runtime.healing import heal
from gridmonitoring.runtime.storage.tables import DETAIL_TABLES, ROW, SEGMENT, TRUTH_TABLES, TableShape
from gridmonitoring.runtime.storage.truth import row_name
from gridmonitoring.runtime.verification import verify_path
from tests.support.network import open_small, report_wires
from tests.support.tampering import (
    VICTIM,
    Alteration,
    add,
    alter,
    alter_row,
    change,
    copy_of,
    delete,
    file_of,
    goes_on,
    rich_network,
)

CASES = [
    pytest.param(shape, alteration, id=f"{shape.name}-{alteration.__name__}")
    for shape in (*TRUTH_TABLES, *DETAIL_TABLES)
    for alteration in (change, delete, add)
    if shape is not SEGMENT or alteration is add
]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "network"
    rich_network(path)
    assert verify_path(path).verified
    return path


@pytest.mark.parametrize(("shape", "alteration"), CASES)
def test_a_row_of_each_table_is_named_and_healed(
    template: Path, tmp_path: Path, shape: TableShape, alteration: Alteration
) -> None:
    path = copy_of(template, tmp_path / "network")
    key = alter(file_of(path, shape), shape, alteration)

    found = audit(Directory(path))
    (finding,) = found.findings
    assert finding.node == VICTIM
    if shape is ROW:
        assert (finding.table, finding.key) == (row_name(key[0]), key[1].hex())
    else:
        assert (finding.table, finding.key) == (shape.name, show_key(key))
    assert finding.found != finding.expected
    assert verify_path(path).findings == (finding,)

    healing = heal(Directory(path))
    assert healing.healed
    assert [healed.node for healed in healing.nodes] == [VICTIM]
    assert verify_path(path).verified
    goes_on(path)


@pytest.mark.parametrize("table", list(Table), ids=lambda table: table.name.lower())
def test_a_row_of_each_table_of_the_state_keeps_its_node_from_voting(
    template: Path, tmp_path: Path, table: Table
) -> None:
    path = copy_of(template, tmp_path / "network")
    key = alter_row(file_of(path, ROW), table)
    (finding,) = audit(Directory(path)).findings
    assert (finding.node, finding.table, finding.key) == (VICTIM, row_name(table), key.hex())

    small = open_small(path)
    halted = {v.name for v in small.network.engine.validators if v.halted}
    assert halted == {VICTIM}
    small.meters = small.meters[:1]
    small.deliver(report_wires(small, 2))
    small.network.heal(VICTIM)
    small.deliver(report_wires(small, 2))
    assert not any(v.halted for v in small.network.engine.validators)
    small.close()
    assert verify_path(path).verified
