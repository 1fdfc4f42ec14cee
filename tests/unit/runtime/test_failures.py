"""The secure database: counted, bounded, sealed."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridmonitoring.contracts.violations import Violation
from gridmonitoring.errors import CannotOpen
from gridmonitoring.runtime.entropy import new_keys, seal_box
from gridmonitoring.runtime.storage.database import open_database
from gridmonitoring.runtime.storage.failures import MAX_ENTRIES, OTHERS, FailureStore, Finding

CHAIN = bytes(32)
KEYS = new_keys()
FORGED = Finding(Violation.FAILED_SIGNATURE, b"a meter's ID ...", "the signature does not verify")


def opened(path: Path, secret: bytes = KEYS.hpke_secret) -> FailureStore:
    return FailureStore(path / "failures.db", CHAIN, [secret], seal_box)


def content(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.iterdir())


def test_identical_findings_are_one_entry_with_a_count(tmp_path: Path) -> None:
    store = opened(tmp_path)
    other = Finding(Violation.FAILED_OPENING, b"a channel's ID..", "altered")
    store.note([FORGED, FORGED, other], 5)
    for time in range(6, 100):
        store.note([FORGED], time)
    store.close()
    store = opened(tmp_path)
    first, second = store.entries()
    assert (first.finding, first.first, first.last, first.count) == (FORGED, 5, 99, 96)
    assert (second.finding, second.count) == (other, 1)
    store.note([FORGED], 200)
    assert store.entries()[0].count == 97
    store.close()


def test_the_file_tells_nobody_what_failed(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.note([FORGED], 5)
    store.close()
    assert FORGED.subject not in content(tmp_path)
    assert FORGED.reason.encode() not in content(tmp_path)
    with pytest.raises(CannotOpen):
        opened(tmp_path, new_keys().hpke_secret)


def test_a_flood_of_different_ones_is_bounded_and_counted(tmp_path: Path) -> None:
    assert MAX_ENTRIES == 4096
    store = opened(tmp_path)
    flood = [Finding(FORGED.kind, number.to_bytes(16, "big"), FORGED.reason) for number in range(4200)]
    store.note(flood, 7)
    entries = store.entries()
    assert len(entries) == 4097
    (rest,) = [entry for entry in entries if entry.finding.reason == OTHERS]
    assert (rest.count, rest.finding.subject) == (104, b"")
    assert sum(entry.count for entry in entries) == 4200
    store.close()


def test_another_contract_key_leaves_nothing_of_the_one_before(tmp_path: Path) -> None:
    store, after = opened(tmp_path), new_keys()
    flood = [Finding(FORGED.kind, number.to_bytes(16, "big"), FORGED.reason) for number in range(50)]
    store.note(flood, 7)
    database = open_database(store.path, "", read_only=True)
    before = [bytes(box) for (box,) in database.execute("SELECT box FROM failure")]
    database.close()
    assert len(before) == 50
    assert before[0][:40] in content(tmp_path)
    store.seal_to(after.hpke_secret)
    entries = store.entries()
    assert {entry.finding.subject for entry in entries} == {finding.subject for finding in flood}
    left = content(tmp_path)
    assert not any(box[:40] in left for box in before)
    store.note(flood[:1], 8)
    store.close()
    with pytest.raises(CannotOpen):
        opened(tmp_path)
    store = opened(tmp_path, after.hpke_secret)
    assert max(entry.count for entry in store.entries()) == 2
    store.close()


def test_what_an_earlier_key_opens_is_sealed_anew_when_the_file_is_opened(tmp_path: Path) -> None:
    store, after = opened(tmp_path), new_keys()
    store.note([FORGED], 5)
    store.close()
    secrets = [after.hpke_secret, KEYS.hpke_secret]
    FailureStore(tmp_path / "failures.db", CHAIN, secrets, seal_box).close()
    store = opened(tmp_path, after.hpke_secret)
    assert [entry.finding for entry in store.entries()] == [FORGED]
    store.close()
