"""`rotate-key` and `show contract-key`, with and without a running node."""

from __future__ import annotations

import stat
from pathlib import Path

from tests.support.shell import call, done, install, node_process

START = "2007-06-01"


def live(path: Path, mid: str) -> None:
    done("meter", "run", path, "--meter", mid, "--days", "1", "--full-speed")


def shown(path: Path) -> list[tuple[object, ...]]:
    """Return number, state and meters of each key."""
    keys = done("show", "contract-key", path)["keys"]
    return [(key["number"], key["state"], key["meters"], key["held"]) for key in keys]


def test_an_operator_rotates_the_key_and_the_meters_follow(tmp_path: Path) -> None:
    path = tmp_path / "grid"
    done("init", path, "--validators", "4", "--start", START)
    done("register", path, "--name", "alice")
    mid = install(path, "12")
    done("pay", path, "--meter", mid, "--amount", "20.00")
    live(path, mid)
    script = done("show", "meter", path, mid)["script"]
    assert shown(path) == [(1, "in force", 1, True)]

    made = done("rotate-key", path, "--hours", "48")
    assert (made["number"], made["from_entry"]) == (2, made["index"])
    assert made["approved_by"] == ["node-01", "node-02", "node-03", "node-04"]
    file = Path(made["key_file"])
    assert (file.name, stat.S_IMODE(file.stat().st_mode)) == ("contract-2.json", 0o600)
    assert shown(path) == [(1, "taken still", 1, True), (2, "in force", 0, True)]
    with node_process(path):
        live(path, mid)
        assert shown(path) == [(1, "taken still", 0, True), (2, "in force", 1, True)]
        assert done("show", "meter", path, mid)["script"] != script
        again = done("rotate-key", path, "--hours", "0")
        assert again["number"] == 3
        live(path, mid)
        assert shown(path)[1:] == [(2, "ended", 0, True), (3, "in force", 1, True)]
        assert [key["ends"] for key in done("show", "contract-key", path)["keys"]][2] is None
    live(path, mid)
    (path / "keys" / "contract.json").unlink()
    file.unlink()
    assert [key[3] for key in shown(path)] == [False, False, True]
    assert done("verify", path)["verified"]
    told = call("show", "contract-key", path)
    assert (told.code, "in force" in told.out) == (0, True)


def test_what_an_operator_gets_wrong_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "grid"
    done("init", path, "--validators", "4", "--start", START)
    (path / "keys" / "node-04.json").unlink()
    said = call("rotate-key", path)
    assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)
    assert "node-04" in said.err
    (path / "keys" / "contract.json").unlink()
    said = call("show", "contract-key", path, "--json")
    assert (said.code, said.data["error"]["type"]) == (1, "UserError")
    assert "contract key 1" in said.data["error"]["message"]
