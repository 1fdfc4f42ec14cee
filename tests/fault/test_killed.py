"""`kill -9` at random moments of ingest: nothing acknowledged is lost or doubled."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import apsw

from gridmonitoring.blockchain.bodies import Kind
from gridmonitoring.blockchain.transactions import decode_payload
from gridmonitoring.keys.channels import channel_id
from gridmonitoring.keys.signatures import split
from gridmonitoring.runtime.ingest import OFFER_HEAD
from gridmonitoring.runtime.opening import DETAILS
from gridmonitoring.runtime.storage.details import DetailStore
from gridmonitoring.runtime.storage.truth import Truth, decode_body
from gridmonitoring.runtime.verification import verify_path
from tests.support.network import open_small, report_wires, small_network
from tests.support.project import ROOT


def test_nothing_acknowledged_is_lost_or_doubled(tmp_path: Path, soak: bool) -> None:
    path = tmp_path / "network"
    small_network(path, meters=2).close()
    rounds = 200 if soak else 20
    command = [sys.executable, "-m", "tests.support.ingest_process", str(path), str(rounds), "1"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    acknowledged = {
        (bytes.fromhex(mid), sequence): index
        for mid, reports in json.loads(run.stdout).items()
        for sequence, index in reports
    }
    assert len(acknowledged) >= rounds

    small = open_small(path)
    small.deliver(report_wires(small, 1))
    small.close()
    result = verify_path(path)
    assert not result.findings
    assert result.verified
    names = [validator.name for validator in small.network.genesis.validators]
    first, *others = (logged_reports(path, name) for name in names)
    assert all(other == first for other in others)
    places = dict(first)
    assert all(places[index] == report for report, index in acknowledged.items())
    assert len(set(places.values())) == len(places)


def test_a_channel_that_a_crash_left_with_one_node_is_with_all_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "network"
    small = small_network(path, meters=1)
    offer = next(wire for wire in report_wires(small, 1) if wire.startswith(OFFER_HEAD))
    small.close()
    stores = [path / "nodes" / node.name / DETAILS for node in small.network.genesis.validators]
    store = DetailStore(stores[1])
    store.write((), [(channel_id(offer), offer)])  # the block was never decided
    store.close()
    assert not verify_path(path).verified
    open_small(path).close()
    assert verify_path(path).verified


def test_a_channel_that_is_no_bytes_does_not_spread_and_keeps_nobody_from_opening(tmp_path: Path) -> None:
    path = tmp_path / "network"
    small = small_network(path, meters=1)
    small.close()
    stores = [path / "nodes" / node.name / DETAILS for node in small.network.genesis.validators]
    database = apsw.Connection(str(stores[1]))
    database.execute("INSERT INTO channel VALUES ('no', 'bytes')")
    database.close()
    opened = open_small(path)
    assert len(opened.network.engine.voting()) == len(stores)
    opened.close()
    counts = []
    for file in stores:
        store = DetailStore(file, read_only=True)
        counts.append(store.channel_count())
        store.close()
    assert counts == [counts[0], counts[0] + 1, counts[0], counts[0]]


def logged_reports(path: Path, node: str) -> list[tuple[int, tuple[bytes, int]]]:
    """Return (log index, (MID, sequence)) of every report in a node's log."""
    truth = Truth(path / "nodes" / node / "truth.db", read_only=True)
    reports = []
    for block in truth.blocks():
        for index, raw in enumerate(decode_body(block.body), block.header.first):
            payload = decode_payload(split(raw)[0])
            if payload.kind == Kind.REPORT:
                reports.append((index, (bytes(payload.signer), payload.sequence)))
    truth.close()
    return reports
