"""`grant`, `read`, `revoke`, `access-log` and `erase`, with and without a running node."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridmonitoring.errors import AccessDenied
from gridmonitoring.runtime.client import open_grid
from gridmonitoring.runtime.entropy import new_keys
from gridmonitoring.runtime.grid_port import load_signer
from gridmonitoring.runtime.log_on import sign_log_on
from gridmonitoring.runtime.parties import Signer
from tests.support.shell import call, done, install, node_process

START = "2007-06-01"
DAYS = ("--from", "2007-06-01", "--to", "2007-06-01")


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A network whose meter has some days of readings, and a researcher."""
    path = tmp_path_factory.mktemp("shared") / "grid"
    done("init", path, "--validators", "2", "--start", START)
    done("register", path, "--name", "alice")
    assert "researcher" in done("register", path, "--name", "erin", "--researcher")
    mid = install(path, "12")
    done("pay", path, "--meter", mid, "--amount", "20.00")
    done("meter", "run", path, "--meter", mid, "--days", "3", "--full-speed")
    return path, mid


def as_erin(path: Path, mid: str, number: object, *days: str) -> tuple[object, ...]:
    asked = ("--as", "erin", "--grant", number, "--purpose", "study", "--data", "profile")
    return ("read", path, "--meter", mid, *asked, *(days or DAYS))


def test_an_owner_reads_lets_somebody_read_and_ends_it(grid: tuple[Path, str]) -> None:
    path, mid = grid
    own = done("read", path, "--meter", mid, *DAYS)
    assert own["details"][-1]["profile_w"]
    assert own["details"][-1]["appliances_wh"]
    assert own["settlements"]
    given = ("grant", path, "--meter", mid, "--reader", "erin", "--purpose", "study", *DAYS)
    granted = done(*given)
    assert granted["days_wrapped"] == 1
    with node_process(path):
        found = done(*as_erin(path, mid, granted["grant"]))
        assert [d["profile_w"] for d in found["details"]] == [d["profile_w"] for d in own["details"]]
        assert not any("appliances_wh" in detail for detail in found["details"])
        assert not found["settlements"]
        beyond = call(
            *as_erin(path, mid, granted["grant"], "--from", "2007-06-01", "--to", "2007-06-02"), "--json"
        )
        assert (beyond.code, beyond.data["error"]["type"]) == (1, "AccessDenied")
        assert beyond.data["error"]["rule"] == "other_days"
        done("revoke", path, "--meter", mid, "--grant", granted["grant"])
    ended = call(*as_erin(path, mid, granted["grant"]))
    assert (ended.code, ended.out) == (1, "")
    assert "revoked" in ended.err
    log = done("access-log", path, "--meter", mid)
    verdicts = [request["verdict"] for request in log["reads"]]
    assert verdicts == ["allowed", "allowed", "other_days", "ended"]
    assert [bool(request["answered_by"]) for request in log["reads"]] == [True, True, False, False]
    assert log["grants"][0]["revoked"] != "-"
    people = call("access-log", path, "--meter", mid)
    assert (people.code, "Requests of meter" in people.out) == (0, True)
    shown = call("read", path, "--meter", mid, *DAYS)
    assert (shown.code, "Load by day" in shown.out) == (0, True)


def test_what_people_get_wrong_is_one_clear_line(grid: tuple[Path, str]) -> None:
    path, mid = grid
    wrong = [
        ("read", path, "--meter", mid, *DAYS, "--data", "everything"),
        ("read", path, "--meter", mid, *DAYS, "--as", "nobody"),
        ("read", path, "--meter", mid, "--from", "soon", "--to", "2007-06-01"),
        ("read", path, "--meter", mid, "--from", "2007-06-02", "--to", "2007-06-01"),
        ("revoke", path, "--meter", mid, "--grant", "99"),
        ("erase", path, "--meter", mid, "--from", "2007-06-01", "--to", "2030-01-01"),
    ]
    for arguments in wrong:
        said = call(*arguments)
        assert (said.code, said.out, said.err.count("\n")) == (1, "", 1), said


def test_an_auditor_is_shown_what_failed(grid: tuple[Path, str]) -> None:
    path, _ = grid
    with open_grid(path) as opened:
        erin = load_signer(opened, path / "keys" / "researcher-erin.json")
        thief = Signer("thief", erin.role, new_keys(), opened.chain_id, erin.id)
        with pytest.raises(AccessDenied):
            opened.failures(sign_log_on(thief, opened.challenge()))
    found = done("show", "failures", path)["failures"]
    assert {(each["node"], each["kind"], each["of"]) for each in found} == {
        (node, "failed_signature", erin.id.hex()) for node in ("node-01", "node-02")
    }
    assert "Failed signatures" in call("show", "failures", path).out
    with_another = call("show", "failures", path, "--as", "utility")
    assert (with_another.code, "auditors" in with_another.err) == (1, True)


def test_erasing_leaves_no_detail_and_nothing_that_links(grid: tuple[Path, str]) -> None:
    path, mid = grid
    records = [*(path / "registrar").glob("meter-*.json"), *path.rglob("*alice*.json")]
    salts = [record.read_text() for record in records if "salt" in record.read_text()]
    assert len(salts) == 3
    erased = done("erase", path, "--meter", mid, *DAYS, "--personal")
    assert len(erased["records"]) == 3
    assert not any(Path(record).exists() for record in erased["records"])
    content = b"".join(p.read_bytes() for p in path.rglob("*") if p.is_file())
    assert not any(text.encode() in content for text in salts)
    assert b"house_number" not in content
    assert done("read", path, "--meter", mid, *DAYS)["details"] == []
    after = done("read", path, "--meter", mid, "--from", "2007-06-02", "--to", "2007-06-02")
    assert after["details"]
    assert done("access-log", path, "--meter", mid)["erasures"][0]["personal"]
    assert done("verify", path)["verified"]
