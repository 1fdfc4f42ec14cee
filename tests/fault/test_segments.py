"""The segments of the ID index, of which the first is full after 65,536 transactions: a long run."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.keys.signatures import split
from gridmonitoring.runtime.audit import audit
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.healing import heal
from gridmonitoring.runtime.storage.tables import SEGMENT
from gridmonitoring.runtime.storage.truth import SEGMENT as FULL
from gridmonitoring.runtime.verification import verify_path
from tests.support.network import open_small, report_wires, small_network
from tests.support.tampering import alter, change, delete, file_of


@pytest.mark.soak
def test_a_segment_is_named_and_healed(tmp_path: Path) -> None:
    path = tmp_path / "network"
    small = small_network(path, validators=1, meters=1)
    while small.network.application.log.log.size < FULL + 10:
        small.deliver(report_wires(small, 4096, settle_every=0, energy=0))
    small.close()
    file = file_of(path, SEGMENT, "node-01")
    for alteration in (change, delete):
        alter(file, SEGMENT, alteration)
        (finding,) = audit(Directory(path)).findings
        assert (finding.table, finding.key) == ("segment", "0")
        assert heal(Directory(path)).healed
    small = open_small(path)
    application = small.network.application
    for index in (0, 5, FULL - 1, FULL, application.log.log.size - 1):
        identifier = sha256d(split(application.truth.transaction(index))[0])
        assert application.log.find(identifier) == index
    small.close()
    assert verify_path(path).verified
