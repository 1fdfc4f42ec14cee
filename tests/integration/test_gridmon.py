"""The program as people run it: processes of its own, with and without a running node."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gridmonitoring.runtime.client import connect
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.sockets import connected_socket, listening_socket
from gridmonitoring.runtime.wire import LENGTH, decode_request
from tests.support.shell import PROGRAM, Said, done, node_process, shell


def test_a_network_from_nothing_to_credit_without_a_running_node(tmp_path: Path) -> None:
    path = tmp_path / "grid"
    assert shell("init", path, "--validators", "2").code == 0
    registered = shell("register", path, "--name", "alice")
    assert (registered.code, registered.err) == (0, "")
    assert "Consumer alice" in registered.out
    installed = shell("install", path, "--consumer", "alice", "--house-number", "12", "--json")
    mid = installed.data["meter"]
    paid = shell("pay", path, "--meter", mid[:10], "--amount", "20.00", "--json")
    assert (paid.code, paid.data["credit"]) == (0, "20.00")
    shown = shell("show", "thread", path, mid, NO_COLOR="1")
    assert (shown.code, mid in shown.out, "\x1b" in shown.out) == (0, True, False)
    ascii_only = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    narrow = shell("show", "meter", path, mid, COLUMNS="60", **ascii_only)
    assert (narrow.code, narrow.out.isascii()) == (0, True)
    assert max(len(line) for line in narrow.out.splitlines()) <= 60
    assert shell("verify", path).code == 0


def test_commands_go_through_a_running_node_and_find_everything_when_it_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "grid"
    done("init", path, "--meters", "80")
    with node_process(path) as node:
        second = shell("node", path, "--json")
        assert (second.code, second.data["error"]["type"]) == (1, "DirectoryBusy")
        assert second.err == f"error: {path} is in use by another process\n"
        assert shell("register", path, "--name", "alice", "--json").code == 0
        mid = shell("install", path, "--consumer", "alice", "--house-number", "12", "--json").data["meter"]
        paid = ("pay", path, "--meter", mid, "--json", "--amount")
        with ThreadPoolExecutor(3) as pool:
            payments = list(pool.map(lambda amount: shell(*paid, amount), ("1.00", "2.00", "3.00")))
        assert [said.code for said in payments] == [0, 0, 0]
        used = shell("pay", path, "--meter", mid, "--amount", "1", "--reference", "r", "--json")
        again = shell("pay", path, "--meter", mid, "--amount", "1", "--reference", "r", "--json")
        assert (used.code, again.code, again.data["error"]["rule"]) == (0, 1, "payment_reference_used")
        bundle = tmp_path / "statement.cbor"
        assert shell("evidence", path, "--meter", mid, "--kind", "statement", "-o", bundle).code == 0
        assert shell("meter", "run", path, "--meter", mid, "--full-speed", "--json").data["refused"] == 0
        served = shell("show", "network", path, "--json").data
        node.send_signal(signal.SIGTERM)
        _, stderr = node.communicate(timeout=60)
    assert (node.returncode, stderr.splitlines()[-1]) == (0, "stopped; everything decided is on disk")
    assert not (path / "node.sock").exists()
    own = done("show", "network", path)
    assert (own["log_size"], own["app_hash"]) == (served["log_size"], served["app_hash"])
    assert own["first_meters"][0]["credit"] == "7.00"
    assert done("verify", path)["verified"]
    assert done("verify", bundle)["proves"] == "statement"


def test_a_killed_node_loses_nothing_that_it_answered(tmp_path: Path) -> None:
    path = tmp_path / "grid"
    done("init", path, "--meters", "80", "--validators", "1")
    with node_process(path) as node:
        client = connect(Directory(path))
        assert client is not None
        consumer = shell("register", path, "--name", "alice", "--json").data["consumer"]
        node.kill()
        node.wait(60)
    with client:
        said = shell("register", path, "--name", "alice", "--json")
    assert said.data["error"]["message"] == f"alice is registered already, as {consumer}"
    assert (path / "node.sock").exists(), "left behind, and no hindrance"
    with node_process(path):
        assert shell("show", "network", path, "--json").data["log_size"] == 5


def pass_on(near: socket.socket, far: Path) -> None:
    """Pass one connection's requests on to a node, until a form is asked for; then be gone."""
    connection, _ = near.accept()
    node = connected_socket(far, 60)
    assert node is not None
    with connection, node:
        while head := connection.recv(LENGTH, socket.MSG_WAITALL):
            content = connection.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
            node.sendall(head + content)
            head = node.recv(LENGTH, socket.MSG_WAITALL)
            answer = node.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
            if decode_request(content).method == "process":
                return
            connection.sendall(head + answer)


def test_a_payment_whose_answer_got_lost_is_made_sure_of_by_its_reference(tmp_path: Path) -> None:
    path = tmp_path / "grid"
    done("init", path, "--meters", "80", "--validators", "1")
    done("register", path, "--name", "alice")
    mid = done("install", path, "--consumer", "alice", "--house-number", "12")["meter"]
    with node_process(path):
        (path / "node.sock").rename(path / "far.sock")
        with listening_socket(path / "node.sock") as near:
            near.setblocking(True)
            proxy = threading.Thread(target=pass_on, args=(near, path / "far.sock"))
            proxy.start()
            lost = shell("pay", path, "--meter", mid, "--amount", "5.00", "--json")
            proxy.join(60)
        assert (lost.code, lost.data["error"]["type"]) == (1, "NodeUnavailable")
        (reference,) = re.findall(r"pay again with --reference (\S+), which counts only once", lost.err)
        (path / "far.sock").rename(path / "node.sock")
        again = shell("pay", path, "--meter", mid, "--amount", "5.00", "--reference", reference, "--json")
        assert again.data["error"]["rule"] == "payment_reference_used"
        assert shell("show", "meter", path, mid, "--json").data["credit"] == "5.00"


def test_interrupting_a_node_ends_it_well(tmp_path: Path) -> None:
    done("init", tmp_path / "g", "--meters", "80", "--validators", "1")
    with node_process(tmp_path / "g") as node:
        node.send_signal(signal.SIGINT)
        out, _ = node.communicate(timeout=60)
    assert (node.returncode, out) == (0, ""), "the one line on stdout came when it was ready"


def test_output_that_nobody_reads_is_no_error_to_talk_about(tmp_path: Path) -> None:
    command = " ".join((*PROGRAM, "init", "--help"))
    ended = subprocess.run(f"{command} | true", shell=True, capture_output=True, check=False, timeout=60)
    assert b"Traceback" not in ended.stderr


def test_the_program_is_installed() -> None:
    said: Said = shell("--version")
    assert (said.code, said.out.split()[0]) == (0, "gridmon")
