"""A meter on recorded readings, and what proves or checks what happened."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import apsw

from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.local_grid import LocalGrid
from tests.support.serving import serving
from tests.support.shell import call, done, install, meters


def test_a_meter_runs_on_recorded_readings_until_its_credit_is_used_up(home: Path) -> None:
    mid = install(home, "22", "--tariff", "time-of-use")
    done("pay", home, "--meter", mid, "--amount", "3.00")
    said = call("meter", "run", home, "--meter", mid, "--days", "2", "--from", "2007-12-10", "--json")
    data = said.data
    assert (said.code, data["minutes"], data["refused"], data["waiting"]) == (0, 2880, 0, 0)
    assert (data["state"], data["relay"]) == ("out_of_credit", "disconnected")
    shown = done("show", "meter", home, mid)
    assert (shown["state"], shown["relay"]) == (data["state"], data["relay"])
    blocks = done("show", "thread", home, mid)["blocks"]
    assert [(block["locked"], block["reason"]) for block in blocks] == [
        (True, "installed"),
        (True, "finished"),
    ]
    assert blocks[1]["times"]["tpr"] is not None
    done("pay", home, "--meter", mid, "--amount", "30")
    again = done("meter", "run", home, "--meter", mid, "--days", "1", "--from", "2007-12-12")
    assert (again["state"], again["relay"]) == ("active", "connected")
    assert data["to"] - 900_000 <= again["from"] <= data["to"], "it goes on from its last report"
    assert again["registers_wh"]["1.8.0"] > data["registers_wh"]["1.8.0"]


def test_evidence_of_what_happened_verifies_and_a_changed_file_does_not(home: Path, tmp_path: Path) -> None:
    mid = install(home, "24")
    done("pay", home, "--meter", mid, "--amount", "1")
    done("meter", "run", home, "--meter", mid, "--days", "1")
    for kind in ("reading", "purchase", "block", "message", "statement", "bill"):
        file = tmp_path / f"{kind}.cbor"
        made = done("evidence", home, "--meter", mid, "--kind", kind, "-o", file)
        assert made["bytes"] == file.stat().st_size
        checked = done("verify", file)
        assert (checked["verified"], checked["kind"], checked["proves"]) == (True, "bundle", kind)
        changed = bytearray(file.read_bytes())
        changed[len(changed) // 2] ^= 1
        file.write_bytes(changed)
        said = call("verify", file, "--json")
        assert (said.code, said.data["verified"]) == (1, False)
        assert "error: the bundle proves nothing: step" in said.err
    assert (tmp_path / "genesis.cbor").read_bytes() == (home / "genesis.cbor").read_bytes()


def test_a_folder_with_another_genesis_keeps_it_and_says_so(home: Path, tmp_path: Path) -> None:
    (tmp_path / "genesis.cbor").write_bytes(b"another")
    said = call(
        "evidence", home, "--meter", meters(home)[0], "--kind", "statement", "-o", tmp_path / "s.cbor"
    )
    assert said.code == 0
    assert "is of another chain: verify with --genesis" in said.err
    assert done("verify", tmp_path / "s.cbor", "--genesis", home / "genesis.cbor")["verified"]
    assert (tmp_path / "genesis.cbor").read_bytes() == b"another"


def test_a_whole_directory_verifies(home: Path) -> None:
    data = done("verify", home)
    network = done("show", "network", home)
    assert (data["verified"], data["transactions"], data["findings"]) == (True, network["log_size"], [])
    assert data["app_hash"] == network["app_hash"]


def four_nodes_one_changed(path: Path) -> None:
    """A network of four whose second node's file has another capacity than was decided."""
    done("init", path, "--validators", "4", "--meters", "80")
    change(path)


def change(path: Path) -> None:
    with closing(apsw.Connection(str(path / "nodes" / "node-02" / "truth.db"))) as file:
        file.execute("UPDATE row SET value = x'00' WHERE tbl = ?", (int(Table.CAPACITY),))


def test_nodes_that_differ_are_named_and_healed(tmp_path: Path) -> None:
    path = tmp_path / "g"
    four_nodes_one_changed(path)
    found = call("audit", path, "--json")
    assert (found.code, found.data["verified"], found.data["healed"]) == (1, False, None)
    assert {finding["node"] for finding in found.data["findings"]} == {"node-02"}
    assert found.err.startswith("error: 1 differences, the first: node-02: row.capacity")
    shown = call("verify", path)
    assert (shown.code, "Differences" in shown.out) == (1, True)
    with LocalGrid(Directory(path)):
        assert call("audit", path, "--heal", "--json").data["error"]["type"] == "DirectoryBusy"
    healed = done("audit", path, "--heal")
    assert (healed["verified"], healed["left"]) == (True, [])
    assert [node["node"] for node in healed["healed"]] == ["node-02"]
    assert done("verify", path)["verified"]
    assert done("audit", path, "--heal")["healed"] == []


def test_a_running_node_heals_what_it_finds_when_it_starts_and_what_it_is_asked_to(tmp_path: Path) -> None:
    path = tmp_path / "g"
    four_nodes_one_changed(path)
    with serving(Directory(path)):
        validators = done("show", "network", path)["validators"]
        assert [validator["halted"] for validator in validators] == [None] * 4
        change(path)
        assert call("audit", path).code == 1
        healed = done("audit", path, "--heal")
        assert (healed["verified"], [node["node"] for node in healed["healed"]]) == (True, ["node-02"])
        assert "capacity" in healed["healed"][0]["action"]
        done("register", path, "--name", "alice")
        assert len({validator["height"] for validator in done("show", "network", path)["validators"]}) == 1
    assert done("verify", path)["verified"]
