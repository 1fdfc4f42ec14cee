"""Commands about a meter's contract: supply, disputes, clearing, and the contract database they read."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.contracts.meter_rule import Status
from gridmonitoring.runtime.client import open_grid
from gridmonitoring.runtime.meter_home import meter_at_home
from tests.support.shell import call, done, install, node_process


def tampered(path: Path, mid: str) -> int:
    """Open the cover of a meter, and return the number of the violation."""
    with open_grid(path) as grid, meter_at_home(grid, grid, bytes.fromhex(mid)) as agent:
        agent.sense(Status.METER_COVER, grid.clock.now_ms())
        agent.flush()
        agent.sense(Status(0), grid.clock.now_ms())
        agent.flush()
    (entry,) = done("show", "violation", path, "--meter", mid)["entries"]
    return int(entry["number"])


@pytest.fixture(scope="module")
def case(home: Path) -> tuple[Path, str, int]:
    """A meter that was tampered with, and the number of the violation."""
    mid = install(home, "20")
    return home, mid, tampered(home, mid)


def test_the_supply_is_the_consumers_to_switch_and_to_limit(home: Path) -> None:
    mid = install(home, "21")
    assert done("supply", "limit", home, "--meter", mid, "--watts", "2000")["on"] is True
    assert done("supply", "off", home, "--meter", mid)["power_limit_w"] == 2000
    assert done("supply", "on", home, "--meter", mid)["on"] is True
    with open_grid(home) as grid:
        wish = grid.row(Table.SUPPLY_WISH, bytes.fromhex(mid))
    assert (wish.on, wish.power_limit) == (True, 2000)


def test_a_violation_is_shown_disputed_reversed_and_cleared(case: tuple[Path, str, int]) -> None:
    path, mid, number = case
    (entry,) = done("show", "violation", path, "--meter", mid, "--number", number)["entries"]
    assert (entry["violation"], entry["state"], entry["done"]) == ("tamper", "recorded", ["notice"])
    about = done("dispute", path, "--meter", mid, "--number", number, "--about", "I was away")
    assert (about["state"], len(about["document"])) == ("disputed", 64)
    assert call("dispute", path, "--meter", mid, "--number", number).code == 1
    assert done("resolve", path, "--meter", mid, "--number", number, "--reverse")["state"] == "reversed"
    assert done("clear", path, "--meter", mid)["what"] == "clear"
    (entry,) = done("show", "violation", path, "--type", "tamper", "--meter", mid)["entries"]
    assert (entry["state"], entry["side_block"] is not None) == ("reversed", True)
    told = done("show", "violation", path, "--meter", mid, "--messages")["entries"]
    assert {"tampered", "disputed", "action_reversed"} <= {message["message"] for message in told}


def test_the_contract_database_is_made_anew_from_the_truth(case: tuple[Path, str, int]) -> None:
    path, _, _ = case
    before = done("show", "violation", path, "--messages")
    (path / "views" / "contracts.db").unlink()
    views = done("rebuild-views", path)["views"]
    assert views["contracts"] == len(before["entries"])
    assert done("show", "violation", path, "--messages") == before
    with node_process(path):
        assert done("rebuild-views", path)["views"] == views
        assert done("show", "violation", path, "--messages") == before


def test_what_cannot_be_is_said_in_one_line(case: tuple[Path, str, int]) -> None:
    path, mid, number = case
    for arguments, what in (
        (("dispute", path, "--meter", mid, "--number", 999), "is no violation"),
        (("dispute", path, "--meter", mid, "--number", number, "--by", "me"), "consumer or utility"),
        (("resolve", path, "--meter", mid, "--number", number, "--uphold", "--by-utility"), "only give up"),
        (("clear", path, "--meter", mid, "--cut-off"), "no agreed cut-off"),
        (("show", "violation", path, "--type", "rain"), "no violation is called"),
    ):
        said = call(*arguments)
        assert said.code == 1
        assert what in said.err
        assert said.err.count("\n") == 1
