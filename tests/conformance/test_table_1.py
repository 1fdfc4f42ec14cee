"""Table 1 of the paper: a test for each metric by which it compares itself.

Each fails where its metric's property is taken away: `sabotage/<metric>.diff` does so, and
`test_table_1_sabotage` applies it to a copy.
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Kind, Report, Supply
from gridmonitoring.blockchain.merkle import verify_consistency
from gridmonitoring.blockchain.readings import SALT_SIZE, reading_commitment
from gridmonitoring.blockchain.side_block import decode_side
from gridmonitoring.blockchain.state_rows import EntryKind, MessageRow, Table
from gridmonitoring.blockchain.transactions import Payload, decode_payload
from gridmonitoring.contracts.consent import ALL_DATA, Data, Verdict, detail_parts
from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.meter_rule import Event, MeterState, Relay, Status
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.hashes import sha256
from gridmonitoring.errors import AccessDenied, MerkleError, Refused, StatementDiffers
from gridmonitoring.keys.detail_keys import day_of, first_period
from gridmonitoring.keys.signatures import split
from gridmonitoring.runtime.access_log import read_access_log
from gridmonitoring.runtime.meter_keys import DAY_MS
from gridmonitoring.runtime.reading import read
from gridmonitoring.runtime.storage.details import DetailStore
from gridmonitoring.smart_meter.books import Books
from gridmonitoring.smart_meter.channels import open_detail
from gridmonitoring.user_layer.demo.consumer_book import unwrap
from tests.conformance.conftest import MONEY
from tests.support.home import Home, logged, tariff_of
from tests.support.network import SmallNetwork
from tests.support.studied import Studied


def neighbour(small: SmallNetwork, number: str) -> Home:
    """Return another home that has moved in."""
    home = Home(small, tariff_of(small), number)
    home.move_in(MONEY)
    return home


def store(home: Home) -> DetailStore:
    """Return the details as one node keeps them."""
    return home.network.details["node-02"]


def reports(home: Home) -> list[tuple[int, Payload[Any]]]:
    """Return (log index, report) of a home's meter, in order."""
    return [
        (index, payload)
        for index, (_, payload) in enumerate(logged(home.small))
        if payload.signer == home.mid and isinstance(payload.body, Report)
    ]


def found(home: Home) -> list[MessageRow]:
    """Return every entry of a home's side blocks, in order."""
    blocks = [
        decode_side(payload.body.block)
        for _, payload in logged(home.small)
        if payload.kind == Kind.SIDE_BLOCK and payload.body.mid == home.mid
    ]
    return [entry.message for block in blocks for entry in block.body.entries]


def salts(home: Home) -> list[bytes]:
    """Return the salts that a home's owner opens."""
    keys = unwrap(store(home), home.network.chain_id, home.mid, home.consumer.keys)
    claims = dict(reports(home))
    opened = []
    for index, time, ciphertext in store(home).details_of(home.mid):
        key = keys[1, first_period(time // DAY_MS)]
        sequence = claims[index].sequence
        opened.append(open_detail(ciphertext, key, home.network.chain_id, home.mid, 1, sequence).load.salt)
    assert opened
    return opened


def test_information_sharing(small: SmallNetwork) -> None:
    """A researcher reads exactly what the owner shared, nobody else reads, and the owner sees who did.

    Not by the nodes' good will alone: of the days and parts that were not shared, the reader has no key.
    """
    studied = Studied(small)
    grid, home, researcher, stranger = studied.grid, studied.home, studied.researcher, studied.join()
    shared = set(range(studied.offer.first, studied.offer.last + 1))
    assert {studied.first, studied.offer.last + 1} == set(range(studied.first, studied.today + 1)) - shared
    found = read(grid, researcher, studied.wanted())
    assert {detail.item.index for detail in found.details} == {
        index for index, claim in reports(home) if claim.time // DAY_MS in shared
    }
    assert all(detail.load and not detail.appliances for detail in found.details)
    assert not found.settlements
    keys = unwrap(store(home), grid.chain_id, home.mid, researcher.keys)
    assert {day_of(period) for _, period in keys} == shared
    assert {key.parts for key in keys.values()} == {detail_parts(Data.PROFILE)}
    assert not unwrap(store(home), grid.chain_id, home.mid, stranger.keys)
    before, after, beside = {"first": studied.first}, {"last": studied.today}, {"data": ALL_DATA}
    for who, beyond in ((researcher, before), (researcher, after), (researcher, beside), (stranger, {})):
        with pytest.raises(AccessDenied):
            read(grid, who, studied.wanted(**beyond))
    log = [(row.reader, Verdict(row.verdict)) for _, row in read_access_log(grid, home.mid).reads]
    refused = Verdict.OTHER_DAYS, Verdict.OTHER_DAYS, Verdict.OTHER_DATA
    assert log == [(researcher.id, v) for v in (Verdict.ALLOWED, *refused)] + [
        (stranger.id, Verdict.NOT_GRANTED)
    ]
    home.meet()
    told = [message for message, _ in home.agent.display().messages]
    assert told[:2] == [Message.DATA_REFUSED, Message.DATA_READ]
    assert Message.ACCESS_GRANTED in told


def test_data_manageability(small: SmallNetwork) -> None:
    """What belongs to one consumer is found at once, is complete, and holds nothing of another's."""
    homes = [neighbour(small, number) for number in ("left", "right")]
    for home in homes:
        home.live(45, 900)
    for home in homes:
        kept = {index: ciphertext for index, _, ciphertext in store(home).details_of(home.mid)}
        claims = dict(reports(home))
        assert len(claims) > 3
        assert set(kept) == set(claims)
        assert all(sha256(kept[index]) == claim.body.detail for index, claim in claims.items())
        blocks = [
            key for key, _ in home.network.application.truth.rows_of(Table.BLOCK) if key[:16] == home.mid
        ]
        assert len(blocks) == len(home.parents())


def test_data_immutability(living: Home) -> None:
    """Who saw the log once finds every later change of it, by one proof."""
    log = living.network.application.log
    size1, root1 = log.log.size, log.log.root()
    living.live(45, 700)
    size2, root2 = log.log.size, log.log.root()
    proof = log.consistency(size1, size2)
    verify_consistency(size1, size2, root1, root2, proof, sha256)
    rewritten = sha256(b"a log in which one entry was changed")
    with pytest.raises(MerkleError):
        verify_consistency(size1, size2, rewritten, root2, proof, sha256)
    with pytest.raises(MerkleError):
        verify_consistency(size1, size2, root1, rewritten, proof, sha256)


def test_customer_utility_control(small: SmallNetwork) -> None:
    """The consumer, and nobody else, switches the own supply; the meter follows the proven command."""
    home, stranger = neighbour(small, "own"), neighbour(small, "stranger")
    off = Supply(home.mid, False, power_limit=0)
    with pytest.raises(Refused, match="only the consumer"):
        home.network.require(stranger.consumer.transaction(Kind.SUPPLY, off, home.now))
    home.live(5, 500)
    assert home.relay() is Relay.CONNECTED
    home.wait()
    home.network.require(home.consumer.transaction(Kind.SUPPLY, off, home.now))
    home.meet()
    before = home.agent.meter.registers()
    home.live(30, 500)
    assert home.relay() is Relay.DISCONNECTED
    assert home.meter().state == MeterState.SUPPLY_OFF
    assert home.agent.meter.registers() == before


def test_data_integrity(living: Home) -> None:
    """A bill with one unit too much is found by the meter itself, which has the registers and the tariff."""
    settled = living.agent.meter.account.statement.number
    while living.agent.meter.account.statement.number == settled:
        living.agent.minute(max(living.agent.time, living.now), 30_000)
    living.small.clock.move_to(living.agent.time)
    living.agent.flush()
    theirs = living.network.row(Table.ACCOUNT, living.mid)
    books = Books(living.agent.meter.contract.books.state())
    for field in ("charge", "tax", "debt"):
        value = getattr(theirs.statement, field)
        altered = replace(theirs, statement=replace(theirs.statement, **{field: value + 1}))
        with pytest.raises(StatementDiffers):
            books.check(altered, True)
    books.check(theirs, True)


def test_data_confidentiality(small: SmallNetwork) -> None:
    """Who has the whole log and has seen other meters' salts does not guess a register."""
    home, other = neighbour(small, "secret"), neighbour(small, "curious")
    home.live(16, 60)
    other.live(16, 60)
    (code, now), *rest = home.agent.meter.registers()
    hidden = {claim.body.reading for _, claim in reports(home) if claim.body.event == Event.INTERVAL}

    def guessed(salts: list[bytes]) -> bool:
        guesses = [((code, energy), *rest) for energy in range(now + 1)]
        return any(reading_commitment(salt, guess) in hidden for salt in salts for guess in guesses)

    assert not guessed([bytes(SALT_SIZE), *salts(other)])
    assert guessed(salts(home)), "the owner, who has the salts, opens them"


def test_data_provenance_and_auditing(living: Home) -> None:
    """Each violation leads to the signed report that shows it, and from there to who signed it."""
    living.agent.sense(Status.METER_COVER, living.now)
    living.meet()
    (violation,) = [entry for entry in found(living) if entry.kind == EntryKind.VIOLATION]
    assert violation.violation == Violation.TAMPER
    assert violation.evidence
    for identifier in violation.evidence:
        index = living.network.application.log.find(identifier)
        assert index is not None
        payload = decode_payload(split(living.network.application.truth.transaction(index))[0])
        assert (payload.role, payload.signer) == (Role.METER, living.mid)
        assert isinstance(payload.body, Report)
        assert payload.body.event == Event.TAMPER
