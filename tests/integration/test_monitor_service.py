"""A running node re-checks its files in the background, and commands show what it found (paper II-A, V-B)."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridmonitoring.blockchain.state_rows import ConductRow, Table
from gridmonitoring.runtime.client import open_grid
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.service import Pace
from tests.support.network import DAY_MS, SmallNetwork, report_wires, small_network
from tests.support.serving import serving
from tests.support.shell import call, done
from tests.support.tampering import VICTIM, alter_row

MANY = 5_000
"""Questions after which an answer is no longer waited for."""


@pytest.fixture
def small(tmp_path: Path) -> SmallNetwork:
    made = small_network(tmp_path / "network", meters=2)
    made.deliver(report_wires(made, 8))
    made.close()
    return made


def test_the_background_finds_records_and_heals(small: SmallNetwork) -> None:
    root = small.directory.root
    with serving(Directory(root), small.clock, Pace(1.0, 0.0)), open_grid(root) as grid:
        alter_row(root / "nodes" / VICTIM / "truth.db", Table.TARIFF)
        found: list[tuple[bytes, ConductRow]] = []
        for _ in range(MANY):
            found = grid.rows(Table.CONDUCT)
            if found and found[0][1].healed:
                break
        ((_, conduct),) = found
        assert (conduct.differing, conduct.healed, conduct.unhealed) == (1, 1, 0)
        assert [validator.halted for validator in grid.status().validators] == [""] * 4
        status = grid.monitor()
        assert status.number > 0
        (report,) = done("monitor", root)["reports"]
        assert (report["node"], report["table"]) == (VICTIM, "tariff")
    assert done("verify", root)["verified"]


def test_silence_is_noticed_by_the_background(small: SmallNetwork) -> None:
    root = small.directory.root
    small.clock.move_to(small.clock.now_ms() + DAY_MS)
    with serving(Directory(root), small.clock, Pace(1.0, 0.0)), open_grid(root) as grid:
        silent: list[bytes] = []
        for _ in range(MANY):
            silent = [mid for mid, _ in grid.rows(Table.SILENCE)]
            if len(silent) == 2:
                break
        assert sorted(silent) == sorted(meter.mid for meter in small.meters)


def test_a_pass_by_hand_with_and_without_a_running_node(tmp_path: Path) -> None:
    root = tmp_path / "g"
    done("init", root, "--validators", "4")
    good = done("monitor", root, "--pass")
    assert (good["number"], good["suspicions"], good["running"], good["reports"]) == (1, 0, False, [])
    assert good["passes"][0]["faulty"] == []

    altered = root / "nodes" / VICTIM / "truth.db"
    alter_row(altered, Table.CAPACITY)
    with serving(Directory(root)):
        assert done("monitor", root)["reports"][0]["table"] == "capacity"
        alter_row(altered, Table.TARIFF)
        found = call("monitor", root, "--pass", "--json")
        assert (found.code, found.data["suspicions"]) == (1, 1)
        assert found.data["conduct"][VICTIM]["unhealed"] == 0
    shown = call("monitor", root)
    assert shown.code == 0
    assert "Forensic reports" in shown.out
    report = done("monitor", root, "--report", "2")
    assert (report["node"], report["table"], report["proves"]) == (VICTIM, "tariff", "what it says")
    assert report["since"]["good_pass"] == 1
    said = call("monitor", root, "--report", "2")
    assert "signed by" in said.out
    assert call("monitor", root, "--report", "3").code == 1
    (path,) = (root / "forensics").glob("000002-*.json")
    path.write_text(path.read_text(encoding="utf-8").replace(report["expected_hash"], "00" * 32))
    lied = call("monitor", root, "--report", "2", "--json")
    assert (lied.code, lied.data["proves"].startswith("nothing")) == (1, True)


def test_the_pause_keeps_the_share() -> None:
    for share in (0.01, 0.02, 0.5, 1.0):
        pause = Pace(share).pause(0.004)
        assert 0.004 / (0.004 + pause) == pytest.approx(share)
