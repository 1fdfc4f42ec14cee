"""Commands in this process: what they do and say."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from gridmonitoring.blockchain.genesis import decode_genesis
from gridmonitoring.runtime.client import open_grid
from gridmonitoring.runtime.offices import commitment
from tests.support.shell import call, done, install, meters


def test_init_makes_a_network_with_something_to_buy(tmp_path: Path) -> None:
    data = done(
        "init", tmp_path / "g", "--validators", "2", "--name", "north", "--area", "N1", "--currency", "CHF"
    )
    genesis = decode_genesis((tmp_path / "g" / "genesis.cbor").read_bytes())
    assert (genesis.name, genesis.area, genesis.currency) == ("north", "N1", "CHF")
    assert (data["validators"], data["tariffs"]) == (["node-01", "node-02"], ["flat", "slab", "time-of-use"])
    assert not data["simulated"]
    keys = list((tmp_path / "g" / "keys").iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}
    again = call("init", tmp_path / "g")
    assert (again.code, again.err) == (1, f"error: {tmp_path / 'g'} holds a network already\n")


def test_a_consumer_registers_once_and_the_ledger_has_only_a_commitment(home: Path) -> None:
    data = done("register", home, "--name", "bob")
    record = json.loads((home / "registrar" / "consumer-bob.json").read_text())
    assert json.loads((home / "keys" / "consumer-bob.record.json").read_text()) == record
    with open_grid(home) as grid:
        raw = grid.transaction(data["index"])
    assert commitment("bob", bytes.fromhex(record["salt"])) in raw
    assert b"bob" not in raw
    again = call("register", home, "--name", "bob", "--json")
    assert (again.code, again.data["error"]["type"]) == (1, "UserError")
    assert again.data["error"]["message"] == f"bob is registered already, as {data['consumer']}"


def test_keys_that_were_made_but_never_registered_are_registered_the_next_time(
    home: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    done("init", other, "--validators", "1", "--meters", "80")
    first = done("register", other, "--name", "carol", "--keys-dir", tmp_path / "mine")
    data = done("register", home, "--name", "carol", "--keys-dir", tmp_path / "mine")
    assert data["consumer"] == first["consumer"]
    assert data["key_file"] == str(tmp_path / "mine" / "consumer-carol.json")


def test_an_installed_meter_has_reported_and_its_block_is_locked(home: Path) -> None:
    data = done("install", home, "--consumer", "alice", "--house-number", "16", "--threshold", "2.50")
    shown = done("show", "meter", home, data["meter"])
    assert (shown["stage"], shown["state"], shown["relay"]) == ("supplied", "active", "connected")
    assert (shown["threshold"], shown["credit"], shown["tariff"]) == ("2.50", "0.00", "flat")
    assert shown["script"] == data["script"]
    (block,) = done("show", "thread", home, data["meter"])["blocks"]
    assert (block["locked"], block["reason"], block["energy_wh"]) == (True, "installed", 0)
    assert Path(data["key_file"]).is_file()
    assert (
        json.loads((home / "registrar" / f"meter-{data['meter']}.json").read_text())["house_number"] == "16"
    )


def test_a_payment_becomes_credit_and_a_block(home: Path) -> None:
    mid = install(home, "18")
    first = done("pay", home, "--meter", mid, "--amount", "20")
    assert (first["amount"], first["currency"], first["credit"], first["debt"]) == (
        "20.00",
        "EUR",
        "20.00",
        "0.00",
    )
    assert (first["height"], first["energy_wh"]) == (1, 80_000)
    second = done("pay", home, "--meter", mid, "--amount", "0.50", "--payer", "alice")
    assert (second["height"], second["credit"]) == (2, "20.50")
    blocks = done("show", "thread", home, mid)["blocks"]
    assert [block["locked"] for block in blocks] == [True, False, False]
    assert [block["form"] for block in blocks[1:]] == [first["form"], second["form"]]
    one = done("show", "block", home, "1", "--meter", mid)
    assert one == blocks[1]
    shown = call("show", "block", home, 1, "--meter", mid)
    assert "energy quoted (APP)" in shown.out
    assert "80.000 kWh" in shown.out


def test_a_meter_is_found_by_the_beginning_of_its_id_that_no_other_has(home: Path) -> None:
    ids = meters(home)
    for mid in ids:
        length = next(n for n in range(1, 33) if sum(other.startswith(mid[:n]) for other in ids) == 1)
        assert done("show", "meter", home, mid[:length].upper())["meter"] == mid
        if length > 1:
            said = call("show", "meter", home, mid[: length - 1])
            assert "is the beginning of several meters" in said.err


def test_help_and_version_need_nothing() -> None:
    assert call("--version").out.startswith("gridmon ")
    assert call().out == call("--help").out
    for command in (
        "init",
        "register",
        "install",
        "pay",
        "tariff",
        "capacity",
        "node",
        "evidence",
        "verify",
        "audit",
        "monitor",
    ):
        said = call(command, "--help")
        assert said.code == 0
        assert f"Example: gridmon {command} " in said.out
        assert "--json" in said.out
    for group, names in (
        ("show", ("network", "meter", "thread", "block")),
        ("meter", ("run",)),
        ("bench", ("ingest", "monitor")),
    ):
        for name in names:
            said = call(group, name, "--help")
            assert f"Example: gridmon {group} {name} " in said.out
            assert "--json" in said.out


def test_tariffs_and_capacity_are_published(home: Path) -> None:
    made = done("tariff", home, "--name", "night", "--price", "0.2", "--shape", "time-of-use")
    assert made["prices"] == {"1": "0.24", "2": "0.14"}
    mid = install(home, "20", "--tariff", "night")
    assert done("show", "meter", home, mid)["tariff"] == "night"
    follows = done("tariff", home, "--name", "night", "--price", "0.3")
    assert follows["valid_from"] > made["valid_from"]
    window = done("capacity", home, "--energy", "1.5", "--days", "10")
    assert (window["energy_wh"], window["to"] - window["from"]) == (1_500_000, 10 * 86_400_000)
