"""A serving node and its clients, over a real socket: answers as the files give, bad requests, the end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridmonitoring.blockchain.bodies import Kind
from gridmonitoring.blockchain.checkpoint import decode_note
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.blockchain.transactions import decode_payload
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import DirectoryBusy, Malformed, NodeUnavailable, Refused, TooLarge, UserError
from gridmonitoring.keys.signatures import split
from gridmonitoring.runtime.client import Client, connect, open_grid
from gridmonitoring.runtime.clock import SimulatedClock
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.entropy import random_bytes
from gridmonitoring.runtime.local_grid import LocalGrid
from gridmonitoring.runtime.offices import confirm_payment, request_purchase
from gridmonitoring.runtime.wire import LENGTH, MAX_ITEMS, REQUEST_LIMIT, decode_answer, frame
from tests.support.network import SmallNetwork, open_small, report_wires, small_network
from tests.support.serving import serving


@pytest.fixture
def small(tmp_path: Path) -> SmallNetwork:
    """A network of one validator with two meters; closed, so that it can be served."""
    made = small_network(tmp_path / "a directory whose path is too long for a socket" / ("x" * 60), 1, 2)
    made.close()
    return made


@pytest.fixture
def client(small: SmallNetwork) -> Iterator[Client]:
    with serving(small.directory, small.clock):
        found = connect(small.directory)
        assert found is not None
        with found:
            yield found


def prepared(small: SmallNetwork, rounds: int) -> list[bytes]:
    """Sealed reports of both meters, made before the directory is served."""
    again = open_small(small.directory.root)
    try:
        wires = report_wires(again, rounds)
    finally:
        again.close()
    small.clock.move_to(again.clock.now_ms())
    return wires


def test_a_client_reads_what_the_files_hold(small: SmallNetwork) -> None:
    mid = small.meters[0].mid
    with LocalGrid(small.directory, small.clock) as local:
        rows = {table: local.rows(table) for table in Table}
        transactions = [local.transaction(index) for index in range(local.status().log_size)]
        before = local.status()
    with serving(small.directory, small.clock), open_grid(small.directory.root) as client:
        assert isinstance(client, Client)
        assert {table: client.rows(table) for table in Table} == rows
        assert all(client.row(table, key) == value for table, found in rows.items() for key, value in found)
        assert client.row(Table.METER, bytes(16)) is None
        assert client.rows(Table.LOT, mid) == [pair for pair in rows[Table.LOT] if pair[0].startswith(mid)]
        assert [client.transaction(index) for index in range(len(transactions))] == transactions
        assert [client.find(sha256d(split(raw)[0])) for raw in transactions] == list(range(len(transactions)))
        assert client.find(bytes(32)) is None
        status = client.status()
        assert (status.log_size, status.app_hash, status.meters) == (before.log_size, before.app_hash, 2)
        assert status.height == before.height + 1, "a node begins with an empty block"
        assert decode_note(client.note()).checkpoint.app_hash == status.app_hash
        block = client.block(1)
        assert block is not None
        assert block.header.height == 1
        assert client.block(status.height + 1) is None
        assert client.consistency(1, status.log_size)


def test_pages_of_rows_follow_each_other(client: Client) -> None:
    everything = client.rows(Table.PARTY)
    pages, page = [], client.rows(Table.PARTY, limit=3)
    while page:
        pages.append(page)
        page = client.rows(Table.PARTY, after=page[-1][0], limit=3)
    assert [pair for page in pages for pair in page] == everything
    assert {len(page) for page in pages[:-1]} == {3}


def test_what_the_node_refuses_the_client_raises(client: Client) -> None:
    with pytest.raises(UserError, match="there is no entry 999999"):
        client.transaction(999_999)
    with pytest.raises(UserError, match="the log has"):
        client.consistency(1, 999_999)
    with pytest.raises(UserError, match="time is the machine's"):
        client.move_clock(5)
    with pytest.raises(Refused) as caught:
        client.link(bytes(16), bytes(32))
    assert caught.value.rule == "unknown_meter"
    with pytest.raises(Malformed, match="no Table 99"):
        client.call("row", 99, b"")
    with pytest.raises(Malformed, match="no method"):
        client.call("no such method")
    assert client.status().height, "the connection is still good"


def test_reports_are_accepted_once_and_kept_with_their_details(small: SmallNetwork) -> None:
    wires = prepared(small, 4)
    with serving(small.directory, small.clock), open_grid(small.directory.root) as client:
        outcomes = client.deliver([*wires, b"not a report"])
        indexes = [outcome for outcome in outcomes if isinstance(outcome, int)]
        assert (outcomes.count(None), len(indexes)) == (2, 8)
        assert isinstance(outcomes[-1], Malformed)
        again = client.deliver(wires)
        assert {getattr(outcome, "rule", None) for outcome in again if outcome is not None} == {"replayed"}
        mid = small.meters[0].mid
        details = client.details_of(mid)
        assert [index for index, _, _ in details] == indexes[::2]
        assert client.details_of(mid, after=details[1][0]) == details[2:]
    with LocalGrid(small.directory, small.clock) as local:
        assert all(
            decode_payload(split(local.transaction(index))[0]).kind == Kind.REPORT for index in indexes
        )


def test_reports_of_many_connections_share_blocks_and_each_gets_its_own_answer(small: SmallNetwork) -> None:
    wires = prepared(small, 12)
    offers, reports = wires[:4:2], [wire for wire in wires if wire not in wires[:4:2]]
    with serving(small.directory, small.clock) as grid, open_grid(small.directory.root) as client:
        assert client.deliver(offers) == [None, None]
        before = client.status().height
        outcomes: dict[int, list[object]] = {}
        gate = threading.Barrier(3)

        def send(which: int) -> None:
            with open_grid(small.directory.root) as own:
                gate.wait()
                for wire in reports[which::2]:
                    outcomes.setdefault(which, []).extend(own.deliver([wire, b"junk"]))

        threads = [threading.Thread(target=send, args=(which,)) for which in range(2)]
        for thread in threads:
            thread.start()
        gate.wait()
        for thread in threads:
            thread.join()
        indexes = [outcome for which in range(2) for outcome in outcomes[which] if isinstance(outcome, int)]
        assert len(indexes) == len(set(indexes)) == len(reports)
        assert client.status().height - before <= len(reports)
        assert grid.directory.socket.exists()


def test_a_large_delivery_is_cut_into_requests_the_node_takes(client: Client) -> None:
    outcomes = client.deliver([b"junk"] * (MAX_ITEMS + 5))
    assert len(outcomes) == MAX_ITEMS + 5
    assert {type(outcome) for outcome in outcomes} == {Malformed}
    assert len(client.deliver([bytes(20_000)] * 120)) == 120


def test_a_node_makes_the_form_of_a_paid_request_once(small: SmallNetwork) -> None:
    meter = small.meters[0]
    with serving(small.directory, small.clock), open_grid(small.directory.root) as client:
        vendor = client.signer("vendor")
        small.clock.move_to(client.status().time)
        now = small.clock.now_ms()
        request = request_purchase(meter.consumer, meter.mid, 10**9, "EUR", random_bytes(16), now)
        paid = confirm_payment(vendor, request, 10**9, "EUR", b"once", now)
        first = client.process(request, paid)
        again = client.process(request, paid)
        assert (again.id, again.index) == (first.id, first.index)
        other = request_purchase(meter.consumer, meter.mid, 10**9, "EUR", random_bytes(16), now)
        with pytest.raises(Refused) as caught:
            client.process(other, confirm_payment(vendor, other, 10**9, "EUR", b"once", now))
        assert caught.value.rule == "payment_reference_used"
        with pytest.raises(Malformed):
            client.process(request[:-1], paid)


# the socket


def raw(small: SmallNetwork) -> socket.socket:
    """A connection that speaks for itself."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(30)
    folder = os.open(small.directory.root, os.O_PATH)
    try:
        connection.connect(f"/proc/self/fd/{folder}/node.sock")
    finally:
        os.close(folder)
    return connection


def answer_of(connection: socket.socket, number: int) -> object:
    head = connection.recv(LENGTH, socket.MSG_WAITALL)
    return decode_answer(connection.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL), number)


def test_only_the_owner_can_use_the_socket_and_it_goes_with_the_node(small: SmallNetwork) -> None:
    small.directory.socket.write_bytes(b"left behind")
    with serving(small.directory, small.clock):
        assert stat.S_IMODE(small.directory.socket.stat().st_mode) == 0o600
        assert sorted(path.name for path in small.directory.root.iterdir() if "sock" in path.name) == [
            "node.sock"
        ]
    assert not small.directory.socket.exists()
    assert connect(small.directory) is None


def test_a_malformed_request_is_answered_and_the_connection_goes_on(small: SmallNetwork) -> None:
    with serving(small.directory, small.clock), raw(small) as connection:
        for content, number in ((b"\xff", 0), (encode([5, "nothing"]), 5), (encode([6, "row", 1]), 6)):
            connection.sendall(frame(content))
            with pytest.raises(Malformed):
                answer_of(connection, number)
        connection.sendall(frame(encode([7, "time"])))
        assert answer_of(connection, 7) == small.clock.now_ms()


def test_an_oversized_request_ends_its_connection_and_no_other(small: SmallNetwork) -> None:
    with serving(small.directory, small.clock), raw(small) as large, raw(small) as other:
        large.sendall((REQUEST_LIMIT + 1).to_bytes(LENGTH, "big"))
        with pytest.raises(TooLarge):
            answer_of(large, 0)
        assert large.recv(1) == b""
        other.sendall(frame(encode([1, "time"])))
        assert answer_of(other, 1) == small.clock.now_ms()


def test_requests_can_be_sent_ahead_of_their_answers(small: SmallNetwork) -> None:
    with serving(small.directory, small.clock), raw(small) as connection:
        connection.sendall(b"".join(frame(encode([number, "time"])) for number in range(1, 101)))
        assert [answer_of(connection, number) for number in range(1, 101)] == [small.clock.now_ms()] * 100


def test_half_a_request_keeps_nobody_from_ending(small: SmallNetwork) -> None:
    with raw_after(small) as connection:
        assert connection.recv(1) == b"", "the node ended the connection when it ended"


@contextlib.contextmanager
def raw_after(small: SmallNetwork) -> Iterator[socket.socket]:
    """A connection that sent half a request to a node that has ended since."""
    with serving(small.directory, small.clock):
        connection = raw(small)
        connection.sendall(frame(encode([1, "time"]))[:-1])
    with connection:
        yield connection


def test_a_node_that_is_killed_is_named(small: SmallNetwork) -> None:
    command = [
        sys.executable,
        "-m",
        "gridmonitoring.user_layer.cli",
        "node",
        str(small.directory.root),
        "--json",
    ]
    node = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert node.stdout is not None
        assert node.stdout.readline().startswith(b"{")
        found = connect(small.directory)
        assert found is not None
        os.kill(node.pid, signal.SIGSTOP)
        failures: list[Exception] = []

        def ask() -> None:
            with found, contextlib.suppress(NodeUnavailable):
                try:
                    found.status()
                except NodeUnavailable as error:
                    failures.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        node.kill()
        asking.join(30)
    finally:
        node.kill()
        node.communicate()
    assert [type(failure) for failure in failures] == [NodeUnavailable]
    assert "stopped before answering; whether `status` was done is not known" in str(failures[0])
    assert small.directory.socket.exists(), "a killed node leaves its socket behind"
    with open_grid(small.directory.root) as grid:
        assert isinstance(grid, LocalGrid), "and nobody minds"


def test_a_directory_in_use_that_is_not_served_is_named(small: SmallNetwork) -> None:
    with LocalGrid(small.directory, SimulatedClock(0)), pytest.raises(DirectoryBusy, match="does not serve"):
        open_grid(small.directory.root)
    with pytest.raises(UserError, match="holds no network"):
        open_grid(small.directory.root / "nothing")


def test_simulated_time_is_the_networks(small: SmallNetwork) -> None:
    small.directory.simulated.touch()
    with serving(Directory(small.directory.root)), open_grid(small.directory.root) as client:
        start = client.clock.now_ms()
        assert start == client.status().time - 1
        assert client.move_clock(start + 60_000) == start + 60_000 == client.clock.now_ms()
        assert client.move_clock(start) == start + 60_000, "time never goes back"
        assert client.status().simulated
