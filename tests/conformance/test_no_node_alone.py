"""No node, nor any two of four without a quorum, can have a meter accept a credit, cut, clear or script."""

from __future__ import annotations

from itertools import combinations

import pytest
from msgspec.structs import replace

from gridmonitoring.blockchain.checkpoint import decode_note, encode_note
from gridmonitoring.blockchain.evidence_builders import build_command, build_statement
from gridmonitoring.blockchain.evidence_bundle import Bundle, EvidenceKind
from gridmonitoring.blockchain.state_rows import (
    CommandKind,
    CommandRow,
    ContractKeyDocument,
    Table,
    height_key,
)
from gridmonitoring.contracts.agreement import encode_agreement
from gridmonitoring.contracts.meter_rule import MeterState, Relay, Status
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.keys.sealed_boxes import SuiteNumber, hpke_public_key
from gridmonitoring.keys.signatures import sign_raw
from gridmonitoring.runtime.meter_port import seal_command
from tests.conformance.test_overcharge import Instead
from tests.support.billing import CENT, flat
from tests.support.houses import House
from tests.support.mini_chain import key, seed
from tests.support.small_grid import SmallGrid

START = 1_700_000_100_000
TARIFF = flat(500 * CENT)
THIEFS = ContractKeyDocument(SuiteNumber.X25519, hpke_public_key(seed("thief")))
"""What a thief would have meters seal to."""
KINDS = (
    *(CommandKind.CREDIT, CommandKind.COMPENSATION, CommandKind.PENALTY, CommandKind.DISCONNECT),
    *(CommandKind.RECONNECT, CommandKind.CLEAR_TAMPER, CommandKind.SCRIPT, CommandKind.SUPPLY_OFF),
    *(CommandKind.REVERSAL, CommandKind.CLOSE, CommandKind.POWER_LIMIT, CommandKind.MESSAGE),
    CommandKind.CONTRACT_KEY,
)
COALITIONS = [coalition for size in (1, 2) for coalition in combinations(range(4), size)]


@pytest.fixture
def house() -> House:
    """A house with power, on a grid of four validators."""
    home = House(SmallGrid(), TARIFF, start=START)
    home.install(START + 1)
    home.buy(1_000 * CENT, START + 5)
    for number in range(3):
        home.meet(START + 10 + number)
    home.agent.accept_reconnection(START + 20)
    home.meet(START + 30)
    return home


def standing(house: House) -> tuple[object, ...]:
    """Return all that a command could change."""
    contract = house.agent.meter.contract
    return (
        *(contract.state, contract.relay, contract.carried_out, contract.own_limit, contract.cut_off),
        *(contract.terms.contract_key, contract.terms.agreement, contract.books.known, contract.tampered),
    )


def ordered(house: House, kind: CommandKind) -> bytes:
    """Return a bundle of an order that the grid never gave, proved under a state that has it."""
    grid, number = house.grid, house.grid.meter(house.mid).commands + 1
    document = encode_agreement(replace(house.agreement, power_limit=1, valid_from_ms=START + 40))
    cause = grid.decoded(len(grid.raws) - 1).id
    documents = {CommandKind.SCRIPT: document, CommandKind.CONTRACT_KEY: encode(THIEFS)}
    row = CommandRow(
        *(kind, 1, cause, START + 40, START + 10**9, 9, 77 * CENT),
        documents.get(kind, b""),
    )
    grid.put(Table.COMMAND, height_key(house.mid, number), row)
    bundle = build_command(grid, house.mid, number)
    grid.put_value(Table.COMMAND, height_key(house.mid, number), None)
    return bundle


def signed_by(house: House, bundle: bytes, names: list[str]) -> bytes:
    """Return a bundle whose checkpoint these validators alone have signed, in their own names and others'."""
    evidence = decode(bundle, Bundle, 1 << 20)
    point = decode_note(evidence.note).checkpoint
    signers = [(name, key(name), sign_raw(seed(name), point.body())) for name in names]
    return encode(replace(evidence, note=encode_note(point, signers)))


def hear(house: House, kind: EvidenceKind, bundle: bytes) -> None:
    """Have the meter hear a bundle, as a node delivers it, and nothing else."""
    grid, mid = house.grid, house.mid
    number = grid.meter(mid).commands + 1
    signed = grid.deliver(mid, kind, number, bundle)
    device = grid.rows[Table.DEVICE, mid + (1).to_bytes(4, "big")]
    wire = seal_command(grid.id, mid, 1, int(kind), number, device.hpke_key, signed)
    house.agent._port = Instead(grid, [wire])
    house.agent.poll(house.agent.time + 1)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_two_of_four_can_order_anything(house: House, kind: CommandKind) -> None:
    if kind is CommandKind.CLEAR_TAMPER:
        house.agent.sense(Status.MAGNET, START + 35)
    before = standing(house)
    bundle = ordered(house, kind)
    validators = [validator.name for validator in house.grid.founding.validators]
    assert len(validators) == 4
    for coalition in COALITIONS:
        hear(house, EvidenceKind.COMMAND, signed_by(house, bundle, [validators[n] for n in coalition]))
        assert standing(house) == before


def test_no_two_of_four_can_state_another_account(house: House) -> None:
    grid = house.grid
    true = grid.account(house.mid)
    richer = replace(true, statement=replace(true.statement, number=9, sequence=9, credit=10**12))
    grid.put(Table.ACCOUNT, house.mid, richer)
    bundle = build_statement(grid, house.mid)
    grid.put(Table.ACCOUNT, house.mid, true)
    before = standing(house)
    validators = [validator.name for validator in grid.founding.validators]
    for coalition in COALITIONS:
        hear(house, EvidenceKind.STATEMENT, signed_by(house, bundle, [validators[n] for n in coalition]))
        assert standing(house) == before


def test_three_of_four_can(house: House) -> None:
    """That what is refused above is refused for want of a quorum, and for nothing else."""
    names = [validator.name for validator in house.grid.founding.validators]
    rotated = ordered(house, CommandKind.CONTRACT_KEY)
    hear(house, EvidenceKind.COMMAND, signed_by(house, rotated, names[1:]))
    assert house.agent.meter.contract.terms.contract_key == THIEFS.key


def test_three_of_four_can_cut(house: House) -> None:
    bundle = ordered(house, CommandKind.DISCONNECT)
    validators = [validator.name for validator in house.grid.founding.validators]
    hear(house, EvidenceKind.COMMAND, signed_by(house, bundle, validators[:3]))
    assert (house.agent.meter.state, house.agent.meter.relay) == (MeterState.CUT_OFF, Relay.DISCONNECTED)
