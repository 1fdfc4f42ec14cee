"""What a request for data comes to, and for whom a meter wraps the keys of a day."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from gridmonitoring.blockchain.state_rows import GrantRow, ReadRow
from gridmonitoring.contracts.consent import (
    DAY_MS,
    Data,
    Reader,
    Verdict,
    decode_readers,
    detail_parts,
    encode_readers,
    judge,
    known_data,
    let_in,
    reader_of,
)
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.errors import EncodingError

OWNER, READER, STRANGER = b"the owner's ID..", b"a researcher's ID"[:16], b"somebody else..."
NOW = 20_000 * DAY_MS
GRANT = GrantRow(Role.RESEARCHER, READER, Data.PROFILE, 19_990, 19_999, "study", 1, NOW + DAY_MS, 0)
READ = ReadRow(
    *(bytes(32), 7, Role.RESEARCHER, READER, 1, Data.PROFILE, 19_990, 19_999, "study", NOW, 0, b"", b"")
)


def verdict(
    grant: GrantRow | None = GRANT, /, *, custodian: bool = False, time: int = NOW, **asked: Any
) -> Verdict:
    return judge(replace(READ, **asked), grant, OWNER, custodian, time)


def test_a_request_within_its_grant_is_allowed() -> None:
    assert verdict() is Verdict.ALLOWED
    assert verdict(first=19_995, last=19_995) is Verdict.ALLOWED
    assert verdict(time=GRANT.expires) is Verdict.ALLOWED


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"reader": STRANGER}, Verdict.NOT_GRANTED),
        ({"role": Role.UTILITY}, Verdict.NOT_GRANTED),
        ({"data": Data.APPLIANCES}, Verdict.OTHER_DATA),
        ({"data": Data.PROFILE | Data.SETTLEMENTS}, Verdict.OTHER_DATA),
        ({"first": 19_989}, Verdict.OTHER_DAYS),
        ({"last": 20_000}, Verdict.OTHER_DAYS),
        ({"purpose": "advertising"}, Verdict.OTHER_PURPOSE),
    ],
)
def test_a_step_beyond_it_is_not(asked: dict[str, Any], expected: Verdict) -> None:
    assert verdict(**asked) is expected


def test_nothing_is_allowed_without_a_grant_or_after_its_end() -> None:
    assert verdict(None) is Verdict.NOT_GRANTED
    assert verdict(time=GRANT.expires + 1) is Verdict.ENDED
    assert verdict(replace(GRANT, revoked=NOW)) is Verdict.ENDED


def test_the_owner_reads_at_any_time_and_the_custodian_by_agreement() -> None:
    own: dict[str, Any] = {"role": Role.CONSUMER, "reader": OWNER, "grant": 0}
    assert verdict(None, **own) is Verdict.ALLOWED
    assert verdict(None, **{**own, "role": Role.RESEARCHER}) is Verdict.NOT_GRANTED
    office: dict[str, Any] = {"role": Role.CUSTODIAN, "reader": STRANGER, "grant": 0}
    assert verdict(None, custodian=True, **office) is Verdict.ALLOWED
    assert verdict(None, **office) is Verdict.NOT_GRANTED
    assert verdict(None, custodian=True, **{**office, "role": Role.UTILITY}) is Verdict.NOT_GRANTED


def test_keys_are_for_the_days_and_parts_of_the_grants() -> None:
    one = Reader(bytes(32), Data.PROFILE, 5, 9)
    more = Reader(bytes(32), Data.APPLIANCES, 8, 12)
    other = Reader(b"k" * 32, Data.PROFILE, 9, 9)
    readers = (one, more, other)
    assert let_in(readers, 4) == {}
    assert let_in(readers, 5) == {bytes(32): Data.PROFILE}
    assert let_in(readers, 9) == {bytes(32): Data.PROFILE | Data.APPLIANCES, b"k" * 32: Data.PROFILE}
    assert let_in(readers, 12) == {bytes(32): Data.APPLIANCES}
    assert let_in(readers, 13) == {}
    assert [detail_parts(data) for data in (1, 2, 3, 4, 6, 7)] == [0, 1, 1, 2, 3, 3]


def test_a_grant_ends_for_keys_with_the_day_of_its_expiry() -> None:
    assert reader_of(GRANT, bytes(32)) == Reader(bytes(32), Data.PROFILE, 19_990, 19_999)
    late = replace(GRANT, expires=19_992 * DAY_MS + 5)
    assert reader_of(late, bytes(32)) == Reader(bytes(32), Data.PROFILE, 19_990, 19_992)
    assert reader_of(replace(GRANT, expires=19_989 * DAY_MS), bytes(32)) is None
    assert reader_of(replace(GRANT, data=Data.SETTLEMENTS), bytes(32)) is None


def test_readers_travel_as_one_document() -> None:
    readers = (Reader(bytes(32), 6, 1, 2), Reader(b"k" * 32, 2, 3, 4))
    assert decode_readers(encode_readers(readers)) == readers
    assert decode_readers(b"") == ()
    with pytest.raises(EncodingError):
        decode_readers(encode_readers(readers)[:-1])
    assert [data for data in range(10) if known_data(data)] == list(range(1, 8))
