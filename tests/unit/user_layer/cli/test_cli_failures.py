"""Commands that cannot do what they are asked: one clear line, an exit code, no traceback."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.sockets import listening_socket
from gridmonitoring.user_layer.cli.output import Guard
from tests.support.shell import Said, call, done

START = "2026-01-01"


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
        ("monitor",),
        ("monitor", "--report", "1"),
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


def test_a_node_that_stops_in_the_middle_of_a_request_is_named(tmp_path: Path) -> None:
    done("init", tmp_path / "g", "--validators", "1", "--meters", "80")
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
