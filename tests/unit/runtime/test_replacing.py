"""Database files copied, mended and put in place whole."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from gridmonitoring.errors import StorageError
from gridmonitoring.runtime.storage.replacing import beside, copy_database, mend, replace_database
from gridmonitoring.runtime.storage.tables import SEGMENT, START, Values, stored_truth
from gridmonitoring.runtime.storage.truth import Truth


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "truth.db"
    truth = Truth(file)
    truth.create(b"genesis", [(1, b"key", b"value")])
    truth.close()
    return file


def contents(path: Path) -> list[Values]:
    file = stored_truth(path)
    found = [*file.scan(START.select), *file.scan("SELECT value FROM row")]
    file.close()
    return found


def test_a_copy_holds_the_same(path: Path) -> None:
    new = beside(path)
    copy_database(path, new)
    assert contents(new) == contents(path) == [(b"value",)]


def test_a_broken_file_is_not_copied(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:9000])
    new = beside(path)
    with pytest.raises(StorageError, match=r"truth\.db"):
        copy_database(path, new)
    assert not new.exists()


def test_mending_is_all_or_nothing(path: Path) -> None:
    assert mend(path, [(START, (5,), (5, 2)), (START, (6,), None)]) == 2
    before = contents(path)
    with pytest.raises(StorageError):
        mend(path, [(START, (5,), None), (SEGMENT, (1,), (1, None))])
    assert contents(path) == before == [(5, 2), (b"value",)]


def test_what_is_left_of_the_old_file_does_not_reach_the_new_one(path: Path) -> None:
    """A crashed owner leaves a write-ahead log; its frames are of the file that is replaced."""
    new = beside(path)
    copy_database(path, new)
    owner = apsw.Connection(str(path))
    owner.execute("PRAGMA journal_mode=WAL")
    owner.execute("INSERT INTO start VALUES (1, 1)")
    log = path.with_name("truth.db-wal")
    frames = log.read_bytes()
    owner.close()
    log.write_bytes(frames)
    replace_database(new, path)
    assert contents(path) == [(b"value",)]
    assert sorted(file.name for file in path.parent.iterdir()) == ["truth.db"]


def test_a_schema_with_more_or_less_is_noticed(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TRIGGER t AFTER INSERT ON row BEGIN DELETE FROM row; END")
    connection.execute("DROP TABLE segment")
    connection.close()
    file = stored_truth(path)
    assert file.surplus() == ["segment", "t"]
    file.close()
