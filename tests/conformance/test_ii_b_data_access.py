"""II-B, III-A-2, III-A-3, IV-C: requests for data are signed, authenticated, recorded, tagged and sealed.

A home lives some days under the eyes of nobody but its owner, who then lets a researcher read a part of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Answer, Kind, Read
from gridmonitoring.blockchain.state_rows import EntryKind, ReadRow, Table, height_key
from gridmonitoring.contracts.consent import ALL_DATA, DAY_MS, Data, Verdict
from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.errors import AccessDenied, CannotOpen, Refused, Tampered
from gridmonitoring.keys.detail_keys import KeyPlace, Part, day_of, first_period, keys_of, open_keys
from gridmonitoring.keys.sealed_boxes import report_nonce
from gridmonitoring.processing.access import access_of
from gridmonitoring.processing.rows import decode_row
from gridmonitoring.runtime.entropy import new_keys, random_bytes
from gridmonitoring.runtime.local_grid import LocalGrid
from gridmonitoring.runtime.log_on import sign_log_on
from gridmonitoring.runtime.meter_agent import MeterAgent
from gridmonitoring.runtime.meter_keys import wrap_keys
from gridmonitoring.runtime.parties import Signer
from gridmonitoring.runtime.reading import Wanted, ask, fetch, open_answer, read, read_failures
from gridmonitoring.runtime.sharing import grant, revoke
from gridmonitoring.smart_meter.channels import open_part
from tests.support.home import Home, logged, tariff_of
from tests.support.network import small_network
from tests.support.studied import MONEY, PURPOSE, Studied


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studied]:
    found = Studied(small_network(tmp_path_factory.mktemp("studied") / "data", 4, 1))
    yield found
    found.grid.close()


def test_a_reader_gets_what_was_granted_and_nothing_before_after_or_beside_it(studied: Studied) -> None:
    found = read(studied.grid, studied.researcher, studied.wanted())
    days = {detail.item.time // DAY_MS for detail in found.details}
    assert days == {studied.first + 1, studied.first + 2, studied.first + 3}
    assert found.shut == ()
    assert not found.settlements
    minutes = [watts for detail in found.details if detail.load for watts in detail.load.profile]
    assert len(minutes) > 3 * 1300
    assert set(minutes) == {300}
    assert all(detail.appliances is None for detail in found.details)


def test_the_keys_a_reader_has_open_no_other_day_and_no_other_part(studied: Studied) -> None:
    """Whatever of the detail store falls into the reader's hands."""
    grid, home, own = studied.grid, studied.home, studied.researcher.keys
    boxes = {(epoch, period): box for epoch, period, box in grid.wrapped(home.mid, own.hpke_key)}
    assert {day_of(period) for _, period in boxes} == {studied.first + n for n in (1, 2, 3)}
    keys = {
        day_of(period): open_keys(
            KeyPlace(grid.chain_id, home.mid, epoch, period), own.hpke_secret, own.hpke_key, box
        )
        for (epoch, period), box in boxes.items()
    }
    claims = {index: payload for index, (_, payload) in enumerate(logged(home.small))}
    opened = 0
    for index, time, ciphertext in grid.details_of(home.mid, limit=500):
        payload = claims[index]
        nonce = report_nonce(payload.body.epoch, payload.sequence)
        for day, key in keys.items():
            with pytest.raises(CannotOpen):
                open_part(ciphertext, key, Part.APPLIANCES, grid.chain_id, home.mid, nonce)
            try:
                open_part(ciphertext, key, Part.LOAD, grid.chain_id, home.mid, nonce)
            except CannotOpen:
                assert time // DAY_MS != day
            else:
                assert time // DAY_MS == day
                opened += 1
    assert opened > 3 * 90


@pytest.mark.parametrize(
    ("beyond", "verdict"),
    [
        ({"data": ALL_DATA}, Verdict.OTHER_DATA),
        ({"data": Data.SETTLEMENTS}, Verdict.OTHER_DATA),
        ({"first": 1}, Verdict.OTHER_DAYS),
        ({"last": 99_999}, Verdict.OTHER_DAYS),
        ({"purpose": "advertising"}, Verdict.OTHER_PURPOSE),
        ({"grant": 77}, Verdict.NOT_GRANTED),
        ({"grant": 0}, Verdict.NOT_GRANTED),
    ],
)
def test_a_request_wider_than_its_grant_is_refused_recorded_and_told(
    studied: Studied, beyond: dict[str, Any], verdict: Verdict
) -> None:
    """The violation `data_use`, a side block in the owner's thread, a message on the owner's display."""
    grid, home = studied.grid, studied.home
    home.meet()
    before = misuses(home)
    with pytest.raises(AccessDenied) as denied:
        read(grid, studied.researcher, studied.wanted(**beyond))
    assert denied.value.reason == verdict.name.lower()
    number = access_of(grid.row, home.mid).reads
    row: ReadRow = grid.row(Table.READ, height_key(home.mid, number))
    assert (row.verdict, row.tags) == (verdict, b"")
    assert misuses(home) == before + 1
    assert (EntryKind.VIOLATION, Violation.DATA_USE) in [entry[:2] for entry in entries(home)]
    home.meet()
    assert home.agent.display().message is Message.DATA_REFUSED
    with pytest.raises(AccessDenied):
        fetch(grid, studied.researcher, home.mid, number)
    node = grid.signer("node-01")
    with pytest.raises(Refused, match="not_allowed"):
        grid.require(node.transaction(Kind.ANSWER, Answer(home.mid, number, bytes(32)), home.now))


def misuses(home: Home) -> int:
    """Return how often misuse of data was found; identical findings that are open are one with a count."""
    rows = [row for _, row in home.network.application.truth.rows_of(Table.FINDING, home.mid)]
    found = [decode_row(Table.FINDING, row) for row in rows]
    return sum(row.count for row in found if row.violation == Violation.DATA_USE)


def entries(home: Home) -> list[tuple[EntryKind, int, bytes]]:
    """Return (kind, violation, first evidence) of everything in the side blocks of a home's thread."""
    heights = range(home.meter().next_height)
    found = [entry for height in heights for side in home.sides(height) for entry in side.body.entries]
    found.sort(key=lambda entry: entry.number)
    return [(e.message.kind, e.message.violation, e.message.evidence[0]) for e in found]


def test_the_owner_sees_each_read_in_the_own_thread(studied: Studied) -> None:
    grid, home = studied.grid, studied.home
    before = access_of(grid.row, home.mid).reads
    life = home.meter().life_size
    number = ask(grid, studied.researcher, studied.wanted())
    row: ReadRow = grid.row(Table.READ, height_key(home.mid, number))
    assert number == before + 1
    assert (row.role, row.reader, row.purpose) == (Role.RESEARCHER, studied.researcher.id, PURPOSE)
    assert home.meter().life_size == life + 1
    assert not row.tags, "final before the answer leaves"
    fetch(grid, studied.researcher, home.mid, number)
    answered: ReadRow = grid.row(Table.READ, height_key(home.mid, number))
    assert answered.tags
    assert answered.node in grid.nodes
    assert home.meter().life_size == life + 2


def test_an_answer_opens_for_who_asked_alone(studied: Studied) -> None:
    grid, researcher, home = studied.grid, studied.researcher, studied.home
    number = ask(grid, researcher, studied.wanted())
    box = fetch(grid, researcher, home.mid, number)
    for other in (home.consumer, studied.join(), grid.signer("node-01")):
        with pytest.raises(CannotOpen):
            open_answer(grid, other, studied.wanted(), number, box)
        with pytest.raises(AccessDenied):
            fetch(grid, other, home.mid, number)
    again = fetch(grid, researcher, home.mid, number)
    assert again != box
    assert open_answer(grid, researcher, studied.wanted(), number, again).number == number


def test_answers_carry_tags_of_what_they_were_computed_from(studied: Studied) -> None:
    grid, home = studied.grid, studied.home
    found = read(grid, home.consumer, studied.own())
    row: ReadRow = grid.row(Table.READ, height_key(home.mid, found.number))
    assert (found.tags.request, found.tags.node, found.tags.size) == (row.request, row.node, row.index)
    settlements, details = found.tags.tags
    assert settlements.data == Data.SETTLEMENTS
    assert details.data == Data.PROFILE | Data.APPLIANCES
    assert [index for index, _ in settlements.inputs] == [item.index for item in found.settlements]
    assert [index for index, _ in details.inputs] == [detail.item.index for detail in found.details]
    for index, identifier in (*settlements.inputs, *details.inputs):
        assert grid.find(identifier) == index


def test_the_owner_reads_everything_with_the_own_key(studied: Studied) -> None:
    found = read(studied.grid, studied.home.consumer, studied.own())
    assert {d.item.time // DAY_MS for d in found.details} == set(range(studied.first, studied.today + 1))
    assert all(detail.load and detail.appliances for detail in found.details)
    assert len(found.settlements) >= 4


def test_two_readers_cannot_be_given_keys_to_different_plaintexts(studied: Studied) -> None:
    """Other keys than the meter's, wrapped for one reader, are not those that the claims commit to."""
    grid, home = studied.grid, studied.home
    victim = studied.join()
    offer = replace(studied.offer, reader=victim.id, purpose="to be lied to", last=studied.first + 1)
    number = grant(grid, home.consumer, offer).number
    wanted = studied.wanted(grant=number, purpose="to be lied to", last=studied.first + 1)
    assert read(grid, victim, wanted).details
    place = KeyPlace(grid.chain_id, home.mid, 1, first_period(studied.first + 1))
    lie = wrap_keys(place, keys_of(random_bytes(32)), victim.keys.hpke_key, 0b01)
    grid.wrap([lie])
    with pytest.raises(Tampered, match="commit"):
        read(grid, victim, wanted)


def test_a_revoked_reader_cannot_read_on(studied: Studied) -> None:
    """Nothing is answered, and from the next day on there is no key for the reader."""
    grid, home = studied.grid, studied.home
    reader = studied.join()
    days = {"first": studied.today, "last": studied.today + 3}
    offer = replace(studied.offer, reader=reader.id, purpose="for a while", **days)
    number = grant(grid, home.consumer, offer).number
    wanted = studied.wanted(grant=number, purpose="for a while", **days)
    home.meet()
    studied.live_a_day()
    asked = ask(grid, reader, wanted)
    assert len({d.item.time // DAY_MS for d in read(grid, reader, wanted).details}) == 2
    revoke(grid, home.consumer, home.mid, number)
    home.meet()
    with pytest.raises(AccessDenied) as ended:
        read(grid, reader, wanted)
    assert ended.value.reason == "ended"
    with pytest.raises(AccessDenied):
        fetch(grid, reader, home.mid, asked)
    day = studied.today
    studied.live_a_day()
    assert max(day_of(period) for _, period, _ in grid.wrapped(home.mid, reader.keys.hpke_key)) == day
    owners = [period for _, period, _ in grid.wrapped(home.mid, home.consumer.keys.hpke_key)]
    assert day_of(max(owners)) == day + 1


def test_who_was_revoked_has_no_key_to_anything_later_not_even_of_the_same_day(tmp_path: Path) -> None:
    """With a node's whole copy and every key ever given, from the first report after the revocation on.

    The revoked reader has the day's keys from the owner's client, not from the meter, and the meter is
    started anew in between: it remembers who was let in. Who is still let in reads the whole day.
    """
    studied = Studied(small_network(tmp_path / "data", 4, 1))
    grid, home, day = studied.grid, studied.home, studied.today
    revoked, staying = studied.join(), studied.join()
    offers = [
        replace(studied.offer, reader=who.id, data=data, purpose="one day", first=day, last=day)
        for who, data in ((revoked, ALL_DATA), (staying, Data.PROFILE))
    ]
    numbers = [grant(grid, home.consumer, offer).number for offer in offers]
    home.live(60, 400)
    home.agent = MeterAgent(home.device, home.keys, home.line, home.outbox)
    every = details_of(studied, day)
    assert opened_by(studied, revoked, day) == every
    assert len(every) > 3
    revoke(grid, home.consumer, home.mid, numbers[0])
    home.agent.poll(home.now)
    home.agent = MeterAgent(home.device, home.keys, home.line, home.outbox)
    home.live(120, 500)
    assert home.now // DAY_MS == day
    after = details_of(studied, day) - every
    assert len(after) >= 8
    assert opened_by(studied, revoked, day) == every, "what could be read stays read, and no more"
    assert opened_by(studied, home.consumer, day) == every | after
    wanted = replace(studied.wanted(), grant=numbers[1], purpose="one day", first=day, last=day)
    found = read(grid, staying, wanted)
    assert {detail.item.index for detail in found.details} == every | after
    assert found.shut == ()
    again = grant(grid, home.consumer, replace(offers[0], data=Data.APPLIANCES))
    home.live(30, 500)
    assert again.days == 1
    wanted = replace(wanted, data=Data.APPLIANCES, grant=again.number)
    assert {d.item.index for d in read(grid, revoked, wanted).details} == details_of(studied, day)
    grid.close()


def details_of(studied: Studied, day: int) -> set[int]:
    """Return the log indices of a day's details, as a node's copy has them."""
    found = studied.grid.details_of(studied.home.mid, limit=500)
    return {index for index, time, _ in found if time // DAY_MS == day}


def opened_by(studied: Studied, reader: Signer, day: int) -> set[int]:
    """Return which details of a day somebody opens a part of, with every key that was ever wrapped for it."""
    grid, mid, own = studied.grid, studied.home.mid, reader.keys
    keys = [
        open_keys(KeyPlace(grid.chain_id, mid, epoch, period), own.hpke_secret, own.hpke_key, box)
        for epoch, period, box in grid.wrapped(mid, own.hpke_key)
    ]
    claims = {index: payload for index, (_, payload) in enumerate(logged(studied.home.small))}
    opened = set()
    for index, _, ciphertext in grid.details_of(mid, limit=500):
        place = (grid.chain_id, mid, report_nonce(claims[index].body.epoch, claims[index].sequence))
        for key, part in product(keys, Part):
            with suppress(CannotOpen):
                open_part(ciphertext, key, part, *place)
                opened.add(index)
    return {index for index in opened if index in details_of(studied, day)}


def test_an_insider_without_agreement_reads_nothing(studied: Studied) -> None:
    grid, home = studied.grid, studied.home
    for name in ("custodian", "utility", "operator-a", "auditor"):
        before = access_of(grid.row, home.mid).reads
        with pytest.raises(AccessDenied) as denied:
            read(grid, grid.signer(name), studied.wanted(grant=0, purpose="operations"))
        assert denied.value.reason == "not_granted"
        assert access_of(grid.row, home.mid).reads == before + 1


def test_who_logs_on_is_authenticated_each_time(studied: Studied) -> None:
    grid, researcher, mid = studied.grid, studied.researcher, studied.home.mid
    number = ask(grid, researcher, studied.wanted())
    message = sign_log_on(researcher, grid.challenge())
    assert grid.answer(message, mid, number)
    stolen = Signer("thief", Role.RESEARCHER, new_keys(), grid.chain_id, researcher.id)
    unknown = Signer("nobody", Role.RESEARCHER, new_keys(), grid.chain_id)
    lies = [
        (message, "used up"),
        (sign_log_on(researcher, bytes(32)), "not drawn"),
        (sign_log_on(stolen, grid.challenge()), "signature"),
        (sign_log_on(unknown, grid.challenge()), "registered"),
        (b"no log-on", "not a log-on"),
    ]
    for lie, why in lies:
        with pytest.raises(AccessDenied, match=why) as denied:
            grid.answer(lie, mid, number)
        assert denied.value.reason == "log_on"
    late = sign_log_on(researcher, grid.challenge())
    studied.home.wait(60_001)
    with pytest.raises(AccessDenied, match="too old"):
        grid.answer(late, mid, number)
    with pytest.raises(AccessDenied, match="no request"):
        grid.answer(sign_log_on(studied.join(), grid.challenge()), mid, number)


def test_the_custodian_reads_where_the_agreement_lets_it(tmp_path: Path) -> None:
    small = small_network(tmp_path / "data", 4, 1)
    small.close()
    grid = small.network = LocalGrid(small.directory, small.clock)
    custodian = grid.signer("custodian")
    home = Home(small, tariff_of(small), "12b", custodian.keys.hpke_key, custodian_may_read=True)
    home.move_in(MONEY)
    home.live(30, 300)
    today = home.now // DAY_MS
    found = read(grid, custodian, Wanted(home.mid, ALL_DATA, today, today, "operations"))
    assert found.details
    assert all(detail.load and detail.appliances for detail in found.details)
    grid.close()


def test_failed_signatures_and_openings_are_reported_sealed_for_auditors(studied: Studied) -> None:
    """II-B: "encrypted using the authenticator contract key", to a secure database of each node."""
    grid, home, researcher = studied.grid, studied.home, studied.researcher
    before = counted(studied)
    home.agent.minute(home.agent.time, 300)
    home.live(15, 300)
    sealed = home.line.sent[-1]
    altered = sealed[:-1] + bytes((sealed[-1] ^ 1,))
    for _ in range(3):
        grid.deliver([altered])
    raw = researcher.transaction(Kind.READ, Read(home.mid, 1, 1, 1, 1, "x"), home.now)
    grid.submit([raw[:-1] + bytes((raw[-1] ^ 1,))])
    thief = Signer("thief", Role.RESEARCHER, new_keys(), grid.chain_id, researcher.id)
    with pytest.raises(AccessDenied):
        grid.answer(sign_log_on(thief, grid.challenge()), home.mid, 1)
    more = counted(studied)
    more.subtract(before)
    nodes = [f"node-0{number}" for number in range(1, 5)]
    openings = {(node, n) for (node, kind, _), n in more.items() if kind is Violation.FAILED_OPENING and n}
    assert openings == {(node, 3) for node in nodes}
    forged = {node: more[node, Violation.FAILED_SIGNATURE, researcher.id] for node in nodes}
    assert sorted(forged.values()) == [1, 1, 1, 2], "the log-on at every node, the request at its proposer"
    with pytest.raises(AccessDenied):
        read_failures(grid, researcher)
    content = b"".join(path.read_bytes() for path in grid.directory.root.rglob("failures.db*"))
    assert content
    assert researcher.id not in content


def counted(studied: Studied) -> Counter[tuple[str, Violation, bytes]]:
    """Return how often what failed at which node, by whom it pretends to be of."""
    told = read_failures(studied.grid, studied.grid.signer("auditor"))
    found: Counter[tuple[str, Violation, bytes]] = Counter()
    for node, entries_of_node in told.items():
        for entry in entries_of_node:
            found[node, entry.finding.kind, entry.finding.subject] += entry.count
    return found
