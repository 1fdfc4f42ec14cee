"""Commands in this process: what they do, what they say, and how they fail."""

from __future__ import annotations

import json
import socket
import stat
import threading
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from gridmonitoring.blockchain.genesis import decode_genesis
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.runtime.client import open_grid
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.local_grid import LocalGrid
from gridmonitoring.runtime.offices import commitment
from gridmonitoring.runtime.sockets import listening_socket
from gridmonitoring.user_layer.cli.output import Guard
from tests.support.serving import serving
from tests.support.shell import Said, call, done

START = "2026-01-01"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network in simulated time with a consumer and a meter without credit; tests only add to it."""
    path = tmp_path_factory.mktemp("cli") / "grid"
    done("init", path, "--validators", "1", "--bucket-bits", "6", "--start", START)
    done("register", path, "--name", "alice")
    install(path, "14")
    return path


@pytest.fixture(scope="module")
def paid(home: Path) -> str:
    """A meter with a little credit."""
    mid = install(home, "12", "--tariff", "time-of-use")
    done("pay", home, "--meter", mid, "--amount", "3.00", "--reference", "first")
    return mid


def install(path: Path, house: str, *options: str) -> str:
    return str(done("install", path, "--consumer", "alice", "--house-number", house, *options)["meter"])


def meters(path: Path) -> list[str]:
    return [meter["mid"] for meter in done("show", "network", path)["first_meters"]]


# init, register, install


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
    done("init", other, "--validators", "1", "--bucket-bits", "6")
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


# pay


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


# what fails, and how


@pytest.mark.parametrize(
    ("arguments", "kind", "rule", "message"),
    [
        (
            ("pay", "--meter", "{mid}", "--amount", "1", "--reference", "first"),
            "Refused",
            "payment_reference_used",
            "",
        ),
        (
            ("pay", "--meter", "{mid}", "--amount", "1.001"),
            "UserError",
            None,
            "--amount: 1.001 has more than 2",
        ),
        (("pay", "--meter", "{mid}", "--amount", "-1"), "UserError", None, "--amount: '-1' is not an amount"),
        (("pay", "--meter", "{mid}", "--amount", "0.00"), "UserError", None, "--amount: nothing is bought"),
        (("pay", "--meter", "{mid}", "--amount", "1", "--payer", "nobody"), "UserError", None, "cannot read"),
        (
            ("pay", "--meter", "{mid}", "--amount", "1", "--payer", "../x"),
            "UserError",
            None,
            "cannot name a key file",
        ),
        (
            ("pay", "--meter", "{mid}", "--amount", "1", "--vendor", "utility"),
            "Refused",
            "unknown_signer",
            "",
        ),
        (
            ("pay", "--meter", "{mid}", "--amount", "1", "--vendor", "nobody"),
            "UserError",
            None,
            "cannot read",
        ),
        (
            ("pay", "--meter", "{mid}", "--amount", "1", "--reference", "r" * 65),
            "UserError",
            None,
            "--reference:",
        ),
        (("pay", "--meter", "{mid}", "--amount", "9999999"), "Refused", "no_capacity", ""),
        (("pay", "--meter", "f" * 32, "--amount", "1"), "UserError", None, "no meter f"),
        (("pay", "--meter", "xyz", "--amount", "1"), "UserError", None, "'xyz' is not a meter ID"),
        (("pay", "--meter", "a" * 33, "--amount", "1"), "UserError", None, "is not a meter ID"),
        (("register", "--name", "Alice B"), "UserError", None, "cannot name a key file"),
        (("register", "--name", ""), "UserError", None, "cannot name a key file"),
        (("install", "--consumer", "nobody", "--house-number", "1"), "UserError", None, "cannot read"),
        (
            ("install", "--consumer", "alice", "--house-number", "1", "--tariff", "no"),
            "UserError",
            None,
            "flat, slab",
        ),
        (
            ("install", "--consumer", "alice", "--house-number", "1", "--threshold", "x"),
            "UserError",
            None,
            "--threshold",
        ),
        (
            ("install", "--consumer", "alice", "--house-number", "1", "--language", "xx"),
            "UserError",
            None,
            "no texts",
        ),
        (
            ("install", "--consumer", "alice", "--house-number", "1", "--reporting-interval", "7"),
            "ContractError",
            None,
            "the reporting interval divides",
        ),
        (("show", "meter", "f" * 32), "UserError", None, "no meter"),
        (("show", "block", "99999"), "UserError", None, "the network has no block 99999"),
        (("show", "block", "9", "--meter", "{mid}"), "UserError", None, "has no block 9"),
        (
            ("tariff", "--name", "flat", "--price", "1", "--from", "2026-01-02"),
            "Refused",
            "bad_tariff",
            "notice",
        ),
        (("tariff", "--name", "x", "--price", "1", "--utc-offset", "1"), "UserError", None, "--utc-offset:"),
        (("capacity", "--energy", "5", "--from", START), "Refused", "bad_window", "overlaps"),
        (("capacity", "--energy", "0"), "UserError", None, "--energy:"),
        (
            ("evidence", "--meter", "{mid}", "--kind", "bill", "-o", "/nowhere/x"),
            "UserError",
            None,
            "--output:",
        ),
        (("meter run", "--meter", "{mid}", "--speed", "0"), "UserError", None, "--speed: time goes on"),
        (
            ("meter run", "--meter", "{mid}", "--speed", "2", "--full-speed"),
            "UserError",
            None,
            "exclude each other",
        ),
        (
            ("meter run", "--meter", "{mid}", "--from", "1999-01-01"),
            "BadTimeRange",
            None,
            "not within the recording",
        ),
        (("meter run", "--meter", "{mid}", "--data", "/nowhere.csv"), "DataFileError", None, "/nowhere.csv"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(
    home: Path, paid: str, arguments: tuple[str, ...], kind: str, rule: str | None, message: str
) -> None:
    words, rest = arguments[0].split(), [argument.replace("{mid}", paid) for argument in arguments[1:]]
    if words == ["show"]:
        words, rest = ["show", rest[0]], rest[1:]
    said = call(*words, home, *rest, "--json")
    error = said.data["error"]
    assert (said.code, error["type"], error["rule"]) == (1, kind, rule), said
    assert message in error["message"]
    assert said.err.splitlines()[-1] == f"error: {error['message']}"
    assert "Traceback" not in said.err
    plain = call(*words, home, *rest)
    assert (plain.code, plain.out) == (1, "")
    assert plain.err.splitlines()[-1] == f"error: {error['message']}"


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "network"),
        ("register", "--name", "x"),
        ("pay", "--meter", "00", "--amount", "1"),
        ("node",),
        ("verify",),
        ("audit",),
        ("meter", "run", "--meter", "00"),
        ("evidence", "--meter", "00", "--kind", "bill", "-o", "x"),
    ],
)
def test_a_directory_without_a_network_is_named(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    words = 2 if arguments[0] in ("show", "meter") else 1
    said = call(*arguments[:words], tmp_path / "nothing", *arguments[words:], "--json")
    assert (said.code, said.data["error"]["type"]) == (1, "UserError")
    assert str(tmp_path / "nothing") in said.err
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-command",),
        ("pay",),
        ("pay", "x", "--no-such-option"),
        ("init", "x", "--validators", "many"),
        ("init", "x", "--validators", "0"),
        ("evidence", "x", "--meter", "0", "--kind", "nothing", "-o", "y"),
        ("show",),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    plain, said = call(*arguments), call(*arguments, "--json")
    assert (plain.code, plain.out, said.code) == (2, "", 2)
    assert plain.err.startswith("error: ")
    assert said.data["error"]["type"] == "UsageError"


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
    ):
        said = call(command, "--help")
        assert said.code == 0
        assert f"Example: gridmon {command} " in said.out
        assert "--json" in said.out
    for group, names in (
        ("show", ("network", "meter", "thread", "block")),
        ("meter", ("run",)),
        ("bench", ("ingest",)),
    ):
        for name in names:
            said = call(group, name, "--help")
            assert f"Example: gridmon {group} {name} " in said.out
            assert "--json" in said.out


# a meter's day


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


def test_tariffs_and_capacity_are_published(home: Path) -> None:
    made = done("tariff", home, "--name", "night", "--price", "0.2", "--shape", "time-of-use")
    assert made["prices"] == {"1": "0.24", "2": "0.14"}
    mid = install(home, "20", "--tariff", "night")
    assert done("show", "meter", home, mid)["tariff"] == "night"
    follows = done("tariff", home, "--name", "night", "--price", "0.3")
    assert follows["valid_from"] > made["valid_from"]
    window = done("capacity", home, "--energy", "1.5", "--days", "10")
    assert (window["energy_wh"], window["to"] - window["from"]) == (1_500_000, 10 * 86_400_000)


# a node that goes away, and errors nobody foresaw


def test_a_node_that_stops_in_the_middle_of_a_request_is_named(tmp_path: Path) -> None:
    done("init", tmp_path / "g", "--validators", "1", "--bucket-bits", "6")
    listener = listening_socket(Directory(tmp_path / "g").socket)
    listener.setblocking(True)

    def hear_and_go() -> None:
        connection, _ = listener.accept()
        connection.recv(4, socket.MSG_WAITALL)
        connection.close()

    thread = threading.Thread(target=hear_and_go)
    thread.start()
    said = call("show", "network", tmp_path / "g", "--json")
    thread.join()
    listener.close()
    assert (said.code, said.data["error"]["type"]) == (1, "NodeUnavailable")
    why = "stopped before answering; whether `status` was done is not known"
    assert said.err == f"error: the node of {tmp_path / 'g'} {why}\n"


def fail_with(error: BaseException, *, as_json: bool) -> int:
    guard = Guard(as_json)
    with guard:
        raise error
    return guard.code


def test_an_error_that_nobody_foresaw_is_one_line_that_asks_to_report_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GRIDMON_DEBUG", raising=False)
    assert fail_with(ZeroDivisionError("two\nlines"), as_json=True) == 1
    said = Said(1, *capsys.readouterr())
    assert said.data["error"]["type"] == "Unexpected"
    assert said.err.count("\n") == 1
    assert "(ZeroDivisionError: two lines); please report it" in said.err
    monkeypatch.setenv("GRIDMON_DEBUG", "1")
    assert fail_with(ZeroDivisionError("again"), as_json=False) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_an_interruption_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert fail_with(KeyboardInterrupt(), as_json=False) == 1
    assert capsys.readouterr().err == "error: interrupted\n"


def four_nodes_one_changed(path: Path) -> None:
    """A network of four whose second node's file has another capacity than was decided."""
    done("init", path, "--validators", "4", "--bucket-bits", "6")
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
