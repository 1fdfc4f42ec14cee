"""V-A, "You are being over charged": a unit too much in each way, found, and the guilty node named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Accuse, Kind
from gridmonitoring.blockchain.evidence import verify
from gridmonitoring.blockchain.evidence_builders import build_accusation, build_statement
from gridmonitoring.blockchain.evidence_bundle import Bundle, EvidenceKind
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.violations import ActionKind, AgreedAction, Violation
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.energy_center.credit import Account
from gridmonitoring.energy_center.statements import Statement
from gridmonitoring.errors import Refused
from gridmonitoring.keys.sealed_commands import read_delivery
from gridmonitoring.runtime.meter_port import seal_command
from tests.support.billing import CENT, MINUTE, flat
from tests.support.houses import House
from tests.support.mini_chain import founding_party
from tests.support.small_grid import SmallGrid
from tools import verify_evidence

START = 1_700_000_100_000
TARIFF = flat(500 * CENT, standing=20 * CENT)
GUILTY = founding_party(Role.NODE, "node-1").id()
PAID_BACK = AgreedAction(Violation.OVERCHARGE, ActionKind.COMPENSATION, 77 * CENT, cut_off=False, notice=True)


def wrong_tariff(statement: Statement) -> Statement:
    """The same energy at a price that costs a unit more."""
    rate, energy, money = statement.lines[0]
    return replace(
        statement,
        lines=((rate, energy, money + 1),),
        charge=statement.charge + 1,
        credit=statement.credit - 1,
        period_charge=statement.period_charge + 1,
    )


def wrong_register(statement: Statement) -> Statement:
    """A register that began a watt-hour lower."""
    code, before, after = statement.registers[0]
    return replace(statement, registers=((code, before - 1, after), *statement.registers[1:]))


def wrong_period(statement: Statement) -> Statement:
    """A day's standing charge of a time that was paid for."""
    return replace(statement, from_ms=statement.from_ms - 1, standing=statement.standing + 1)


def forged(statement: Statement) -> Statement:
    """Simply a unit more."""
    return replace(statement, charge=statement.charge + 1)


WAYS = (wrong_tariff, wrong_register, wrong_period, forged)


@pytest.fixture
def house() -> House:
    """A house with power that has used some, which the grid has settled."""
    grid = SmallGrid()
    home = House(grid, TARIFF, start=START, actions=(PAID_BACK,))
    home.install(START + 1)
    home.buy(90_000 * CENT, START + 5)
    for number in range(3):
        home.meet(START + 10 + number)
    home.agent.accept_reconnection(START + 20)
    home.meet(START + 30)
    begin = -(-(START + 40) // MINUTE) * MINUTE
    for minute in range(60 * 26):
        home.agent.minute(begin + minute * MINUTE, 900)
    home.agent.flush()
    return home


def account_of(house: House, way: Callable[[Statement], Statement]) -> Account:
    account = house.grid.account(house.mid)
    return replace(account, statement=way(account.statement))


def deliver_instead(house: House, bundle: bytes, node: str = "node-1") -> bytes:
    """Have the meter hear nothing but this, from a node; return what the node signed."""
    grid, mid = house.grid, house.mid
    number = grid.account(mid).statement.number
    signed = grid.deliver(mid, EvidenceKind.STATEMENT, number, bundle, node)
    device = grid.rows[Table.DEVICE, mid + (1).to_bytes(4, "big")]
    wire = seal_command(grid.id, mid, 1, int(EvidenceKind.STATEMENT), number, device.hpke_key, signed)
    house.agent._port = Instead(grid, [wire])
    return signed


class Instead:
    """A line on which the guilty node tells the meter what it wants; all else goes through."""

    def __init__(self, grid: SmallGrid, wires: list[bytes]) -> None:
        self.send, self.wrap, self.accuse = grid.send, grid.wrap, grid.accuse
        self._wires = wires

    def commands(self, _: bytes) -> list[bytes]:
        return self._wires


def altered_proof(house: House, account: Account) -> bytes:
    """Return the true proof with another account in it."""
    true = decode(build_statement(house.grid, house.mid), Bundle, 1 << 20)
    return encode(replace(true, rows=(replace(true.rows[0], value=encode(account)),)))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_node_that_overcharges_is_caught_and_named(house: House, way: Callable[[Any], Any]) -> None:
    """One node alone: the proof does not hold, the meter says so, the others name the one that signed."""
    grid, now = house.grid, house.agent.time + 1
    signed = deliver_instead(house, altered_proof(house, account_of(house, way)))
    house.agent.poll(now)
    assert house.agent.display().message is Message.OVERCHARGED
    assert house.agent.accused.kept == [signed]
    assert read_delivery(signed).node == GUILTY
    named = [f for f in house.findings().values() if f.violation == Violation.OVERCHARGE]
    assert [finding.node for finding in named] == [GUILTY]
    assert named[0].amount == 77 * CENT
    index = next(n for n in range(len(grid.raws)) if grid.decoded(n).payload.kind == Kind.ACCUSE)
    bundle = build_accusation(grid, index)
    assert verify(bundle, grid.genesis()).kind is EvidenceKind.ACCUSATION
    facts = verify_evidence.verify(bundle, grid.genesis())["facts"]
    assert (facts["node"], facts["meter"], facts["told"]) == (GUILTY.hex(), house.mid.hex(), "statement")
    house.agent._port = grid
    for number in range(3):
        house.meet(now + 10 + number)
    assert {Violation.INTEGRITY_FAILURE, Violation.OVERCHARGE} <= set(grid.violations(house.mid))
    assert house.agent.meter.account == grid.account(house.mid)


@pytest.mark.parametrize("size", [9_000, 13_000, 200_000])
def test_size_is_no_escape(house: House, size: int) -> None:
    """A node pads its false statement past what one transaction holds: it is named all the same."""
    grid, now = house.grid, house.agent.time + 1
    bundle = altered_proof(house, account_of(house, forged)) + bytes(size)
    signed = deliver_instead(house, bundle)
    house.agent.poll(now)
    assert house.agent.accused.kept == [signed]
    named = [f for f in house.findings().values() if f.violation == Violation.OVERCHARGE]
    assert [finding.node for finding in named] == [GUILTY]
    kinds = [grid.decoded(n).payload.kind for n in range(len(grid.raws))]
    index = max(n for n, kind in enumerate(kinds) if kind in (Kind.ACCUSE, Kind.ACCUSE_EXHIBIT))
    assert (kinds[index] == Kind.ACCUSE) == (size == 9_000)
    assert not [key for table, key in grid.rows if table == Table.EXHIBIT]
    accusation = build_accusation(grid, index)
    assert verify(accusation, grid.genesis()).kind is EvidenceKind.ACCUSATION
    facts = verify_evidence.verify(accusation, grid.genesis())["facts"]
    assert (facts["node"], facts["meter"], facts["told"]) == (GUILTY.hex(), house.mid.hex(), "statement")


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_even_a_quorum_signs_is_recomputed(house: House, way: Callable[[Any], Any]) -> None:
    """All nodes together: the proof holds, and the meter's own registers and tariff tell otherwise."""
    grid, now = house.grid, house.agent.time + 1
    true = grid.account(house.mid)
    grid._write(Table.ACCOUNT, house.mid, account_of(house, way))
    signed = deliver_instead(house, build_statement(grid, house.mid))
    grid._write(Table.ACCOUNT, house.mid, true)
    house.agent.poll(now)
    assert house.agent.display().message is Message.OVERCHARGED
    assert house.agent.accused.kept == [signed]
    house.agent.flush()
    assert Violation.BILLING_DISCREPANCY in grid.violations(house.mid)


def test_the_true_statement_accuses_nobody(house: House) -> None:
    grid = house.grid
    signed = deliver_instead(house, build_statement(grid, house.mid))
    house.agent.poll(house.agent.time + 1)
    assert house.agent.accused.kept == []
    with pytest.raises(Refused, match="no_case"):
        grid.act("node-2", Role.NODE, Kind.ACCUSE, Accuse(house.mid, signed), house.agent.time + 2)


def test_nobody_is_accused_of_what_another_signed(house: House) -> None:
    """A forger who signs in a node's name harms nobody: the signature is not that node's."""
    grid = house.grid
    wrong = altered_proof(house, account_of(house, forged))
    delivery = read_delivery(grid.deliver(house.mid, EvidenceKind.STATEMENT, 1, wrong))
    signed = grid.document("node-3", "gridmon/delivery/1", encode(delivery))
    with pytest.raises(Refused, match="bad_signature"):
        grid.act("node-2", Role.NODE, Kind.ACCUSE, Accuse(house.mid, signed), house.agent.time + 2)
