"""What is erased from a detail store is in no byte of its files, and does not come back."""

from __future__ import annotations

from pathlib import Path

from gridmonitoring.keys.detail_keys import day_of, first_period
from gridmonitoring.runtime.entropy import random_bytes
from gridmonitoring.runtime.erasure import Erasures
from gridmonitoring.runtime.storage.details import DAY_MS, Detail, DetailStore, WrappedKey

MID, OTHER = b"a meter's ID ...", b"another's ID ..."
COUNT = 400


def details() -> list[Detail]:
    """Return details of two meters over ten days, each recognisable."""
    found = []
    for position in range(COUNT):
        mid = MID if position % 2 else OTHER
        found.append((position, mid, position * DAY_MS // 40, random_bytes(700)))
    return found


def wrapped() -> list[WrappedKey]:
    return [
        (mid, 1, first_period(day) + day % 3, bytes(32), random_bytes(80))
        for mid in (MID, OTHER)
        for day in range(10)
    ]


def content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def store(folder: Path, written: list[Detail], keys: list[WrappedKey]) -> DetailStore:
    made = DetailStore(folder / "details.db")
    for start in range(0, COUNT, 7):
        made.write(written[start : start + 7], [])
    made.wrap(keys)
    return made


def test_the_bytes_are_gone_and_nothing_else_is(tmp_path: Path) -> None:
    written, keys = details(), wrapped()
    made = store(tmp_path, written, keys)
    gone = [d for d in written if d[1] == MID and 3 <= d[2] // DAY_MS <= 5 and d[0] < 205]
    kept = [d for d in written if d not in gone]
    assert len(gone) > 30
    assert all(any(part in content(tmp_path) for part in (d[3][:40], d[3][-40:])) for d in gone)
    assert made.erase(MID, 3, 5, 205) == len(gone) + 3
    left = content(tmp_path)
    for _, _, _, ciphertext in gone:
        assert all(ciphertext[start : start + 16] not in left for start in range(0, 684, 16))
    assert not any(box in left for mid, _, period, _, box in keys if mid == MID and 3 <= day_of(period) <= 5)
    assert list(made.details_from(0)) == kept
    assert len(list(made.wrapped_keys())) == 17
    assert made.erase(MID, 3, 5, 205) == 0
    made.close()


def test_while_another_reads_the_file_remembers_what_is_left_to_do(tmp_path: Path) -> None:
    written = details()
    made = store(tmp_path, written, wrapped())
    reader = DetailStore(tmp_path / "details.db", read_only=True)
    looking = reader.details_from(0)
    next(looking)
    assert made.erase(MID, 0, 9, COUNT)
    assert made.unscrubbed
    assert written[1][3][:16] in content(tmp_path)
    made.close()
    made = DetailStore(tmp_path / "details.db")
    assert made.unscrubbed
    del looking
    reader.close()
    made.scrub()
    assert not made.unscrubbed
    assert written[1][3][:16] not in content(tmp_path)
    made.close()


def test_what_was_erased_is_not_taken_over() -> None:
    erasures, written, keys = Erasures(), details(), wrapped()
    erasures.add(MID, 3, 5, 205)
    kept = list(erasures.kept(written))
    assert {d[0] for d in written} - {d[0] for d in kept} == {
        d[0] for d in written if d[1] == MID and 3 <= d[2] // DAY_MS <= 5 and d[0] < 205
    }
    assert [day_of(key[2]) for key in erasures.kept_keys(keys) if key[0] == MID] == [0, 1, 2, 6, 7, 8, 9]
    assert erasures.shuts(MID, first_period(4) + 7)
    assert not erasures.shuts(OTHER, first_period(4))
