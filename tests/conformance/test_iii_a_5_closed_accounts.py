"""III-A-5, "receipts for each action": what a closed account is given later is paid out, to the unit."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gridmonitoring.blockchain.state_rows import CommandKind, CommandRow, LotRow, Table, height_key
from gridmonitoring.contracts.meter_rule import Status
from gridmonitoring.contracts.violations import ActionKind, AgreedAction, Violation
from gridmonitoring.errors import Refused
from tests.support.billing import CENT, flat
from tests.support.houses import House
from tests.support.small_grid import SmallGrid

START = 1_700_000_100_000
TARIFF = flat(500 * CENT)
PAID, PENALTY = 90_000 * CENT, 77 * CENT + 13
ACTIONS = (AgreedAction(Violation.TAMPER, ActionKind.PENALTY, PENALTY, cut_off=False, notice=True),)


def moved_in(grid: SmallGrid, name: str = "house", paid: int = PAID, start: int = START) -> House:
    """Return a house with credit that has used nothing."""
    house = House(grid, TARIFF, start=start, name=name, actions=ACTIONS)
    house.install(start + 1)
    house.buy(paid, start + 5)
    for number in range(3):
        house.meet(start + 10 + number)
    return house


def closed_with_a_penalty(house: House) -> tuple[int, int]:
    """Have the meter charged a penalty, dispute it, and close; return the finding's number and the refund."""
    house.agent.sense(Status.METER_COVER, START + 20)
    house.meet(START + 21)
    (number,) = [n for n, row in house.findings().items() if row.amount]
    house.dispute(number, START + 22)
    house.close(START + 23)
    refunded = last_command(house).amount
    house.meet(START + 24)
    return number, refunded


def last_command(house: House) -> CommandRow:
    number = house.grid.meter(house.mid).commands
    row: CommandRow = house.grid.rows[Table.COMMAND, height_key(house.mid, number)]
    return row


@pytest.fixture
def house() -> House:
    return moved_in(SmallGrid())


def test_a_penalty_given_back_after_closing_is_paid_out(house: House) -> None:
    grid = house.grid
    owned = grid.account(house.mid).credit
    number, refunded = closed_with_a_penalty(house)
    assert grid.account(house.mid).lots == ()
    house.decide(number, START + 30, upheld=False)
    assert grid.account(house.mid).credit == PENALTY
    house.pay_out(PENALTY, START + 31)
    paid = last_command(house)
    assert (paid.kind, paid.amount) == (CommandKind.CLOSE, PENALTY)
    assert refunded + PENALTY == owned
    assert (grid.account(house.mid).credit, grid.account(house.mid).debt) == (0, 0)
    house.meet(START + 40)
    assert house.agent.meter.account == grid.account(house.mid)
    with pytest.raises(Refused, match="wrong_payout"):
        house.pay_out(PENALTY, START + 50)


@pytest.mark.parametrize("wrong", [PENALTY - 1, PENALTY + 1, 0])
def test_a_payout_is_all_that_is_left_to_the_unit(house: House, wrong: int) -> None:
    number, _ = closed_with_a_penalty(house)
    house.decide(number, START + 30, upheld=False)
    with pytest.raises(Refused, match="wrong_payout"):
        house.pay_out(wrong, START + 31)
    assert house.grid.account(house.mid).credit == PENALTY


def test_a_payout_can_go_to_the_consumers_other_meter_only(house: House) -> None:
    number, _ = closed_with_a_penalty(house)
    house.decide(number, START + 30, upheld=False)
    other = moved_in(house.grid, "next door", start=START + 100)
    with pytest.raises(Refused, match="wrong_consumer"):
        house.pay_out(PENALTY, START + 200, move_to=other.mid)
    point = house.grid.rows[Table.SUPPLY_POINT, other.mid]
    before = house.grid.account(other.mid).credit
    house.grid._write(Table.SUPPLY_POINT, other.mid, replace(point, consumer=house.consumer))
    house.pay_out(PENALTY, START + 201, move_to=other.mid)
    assert house.grid.account(other.mid).credit == before + PENALTY
    height = house.grid.meter(other.mid).next_height - 1
    lot: LotRow = house.grid.rows[Table.LOT, height_key(other.mid, height)]
    assert lot.amount == PENALTY
    assert house.grid.account(house.mid).credit == 0


def test_what_is_given_pays_the_debt_of_a_closed_account_first() -> None:
    """The account closes with a debt that is larger than what is given back: there is nothing to pay out."""
    house = moved_in(SmallGrid(), paid=PENALTY // 2)
    number, _ = closed_with_a_penalty(house)
    owed = house.grid.account(house.mid).debt
    house.decide(number, START + 30, upheld=False)
    account = house.grid.account(house.mid)
    assert account.credit - account.debt == PENALTY - owed
    assert account.credit == 0 or account.debt == 0
    if account.credit:
        house.pay_out(account.credit, START + 31)
    else:
        with pytest.raises(Refused, match="wrong_payout"):
            house.pay_out(PENALTY, START + 31)
