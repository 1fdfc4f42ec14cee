"""III-A-5: agreed actions are carried out when a violation is recorded, each with a receipt; disputes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gridmonitoring.blockchain.state_rows import Done, EntryKind, FindingState, Table
from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.meter_rule import MeterState, Relay, Status
from gridmonitoring.contracts.violations import ActionKind, AgreedAction, Violation
from gridmonitoring.errors import Refused
from gridmonitoring.runtime.contract_offices import clear_tamper, decide_dispute, dispute, lift_cut_off
from tests.conformance.conftest import MONEY
from tests.support.home import Home, tariff_of
from tests.support.network import SmallNetwork, small_network

PENALTY = 12_345_678
COMPENSATION = 7_654_321
ACTIONS = (
    AgreedAction(Violation.TAMPER, ActionKind.PENALTY, PENALTY, cut_off=True, notice=True),
    AgreedAction(
        Violation.INTEGRITY_FAILURE, ActionKind.COMPENSATION, COMPENSATION, cut_off=False, notice=True
    ),
)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallNetwork]:
    network = small_network(tmp_path_factory.mktemp("contracts") / "data", 4, 1)
    yield network
    network.close()


@pytest.fixture
def strict(grid: SmallNetwork, request: pytest.FixtureRequest) -> Home:
    """A home whose agreement has money for violations, both ways."""
    home = Home(grid, tariff_of(grid), request.node.name, actions=ACTIONS)
    home.move_in(MONEY)
    return home


def tampered(home: Home) -> int:
    """Open the cover, and return the number of the finding."""
    home.wait()
    home.agent.sense(Status.TERMINAL_COVER, home.now)
    met(home)
    return max(home.findings())


def met(home: Home) -> None:
    """Let grid and meter say all there is to say."""
    for _ in range(3):
        home.meet()


def equal(home: Home) -> bool:
    """Tell whether grid and meter have the same account, to the unit."""
    return home.agent.meter.account == home.account()


def contested(home: Home, number: int) -> None:
    home.wait()
    home.network.require(dispute(home.consumer, home.mid, number, home.now))


def decided(home: Home, number: int, *, upheld: bool) -> None:
    home.wait()
    first, second = home.network.signer("operator-a"), home.network.signer("operator-b")
    home.network.require(decide_dispute(first, second, home.mid, number, home.now, upheld=upheld))
    met(home)


def test_an_agreed_penalty_is_charged_to_the_unit_and_leaves_a_receipt(strict: Home) -> None:
    before = strict.account().credit
    number = tampered(strict)
    finding, entry = strict.findings()[number], strict.entries()[number]
    assert before - strict.account().credit == PENALTY
    assert equal(strict)
    assert finding.violation == entry.violation == Violation.TAMPER
    assert finding.action == entry.action == Done.PENALTY | Done.CUT_OFF | Done.NOTICE
    assert finding.amount == entry.receipt == PENALTY
    assert (entry.kind, entry.evidence) == (EntryKind.VIOLATION, (finding.evidence,))
    assert Message.PENALTY in strict.told()


def test_an_agreed_compensation_is_credited_to_the_unit_and_leaves_a_receipt(strict: Home) -> None:
    strict.buy(10**8)
    wire = bytearray(strict.line.commands(strict.mid)[0])
    wire[-1] ^= 1
    strict.line.instead = [bytes(wire)]
    strict.wait(10**6)
    strict.agent.poll(strict.now)
    before = strict.account().credit
    strict.line.instead = None
    met(strict)
    (finding,) = strict.findings().values()
    assert (finding.violation, finding.amount) == (Violation.INTEGRITY_FAILURE, COMPENSATION)
    assert finding.action == Done.COMPENSATION | Done.NOTICE
    assert strict.account().credit - before == COMPENSATION
    assert equal(strict)


def test_a_cut_off_outlasts_the_clear_and_ends_with_a_signed_order(strict: Home) -> None:
    tampered(strict)
    strict.agent.sense(Status(0), strict.now)
    network, meter = strict.network, strict.meter()
    first, second = network.signer("operator-a"), network.signer("operator-b")
    strict.wait()
    network.require(clear_tamper(first, second, strict.mid, 1, meter.tampered, strict.now))
    met(strict)
    assert (strict.meter().state, strict.relay()) == (MeterState.CUT_OFF, Relay.DISCONNECTED)
    strict.agent.accept_reconnection(strict.now)
    assert strict.relay() is Relay.DISCONNECTED
    strict.wait()
    network.require(lift_cut_off(network.signer("utility"), strict.mid, strict.now))
    met(strict)
    strict.agent.accept_reconnection(strict.now)
    met(strict)
    assert (strict.meter().state, strict.relay()) == (MeterState.ACTIVE, Relay.CONNECTED)


def test_an_identical_finding_is_counted_and_penalised_once(strict: Home) -> None:
    """Also when a side block has its message already: the row of the finding counts on."""
    number = tampered(strict)
    after = strict.account().credit
    strict.agent.sense(Status.TERMINAL_COVER | Status.MAGNET, strict.now)
    met(strict)
    assert list(strict.findings()) == [number]
    assert strict.findings()[number].count == 2
    assert strict.account().credit == after
    assert strict.meter().life_actions == 1


def test_a_reversal_gives_the_money_back_once_and_points_to_the_receipt(strict: Home) -> None:
    before = strict.account().credit
    number = tampered(strict)
    contested(strict, number)
    assert strict.findings()[number].state is FindingState.DISPUTED
    decided(strict, number, upheld=False)
    finding = strict.findings()[number]
    assert finding.state is FindingState.REVERSED
    assert strict.account().credit == before
    assert equal(strict)
    (receipt,) = [entry for entry in strict.entries().values() if entry.code == Message.ACTION_REVERSED]
    assert receipt.evidence == (finding.resolution, finding.evidence)
    assert (receipt.receipt, receipt.action) == (PENALTY, Done.PENALTY | Done.CUT_OFF)
    for again in (contested, lambda home, n: decided(home, n, upheld=False)):
        with pytest.raises(Refused, match=r"already_disputed|not_disputed"):
            again(strict, number)
    assert strict.account().credit == before


def test_what_is_upheld_stays(strict: Home) -> None:
    number = tampered(strict)
    after = strict.account()
    contested(strict, number)
    decided(strict, number, upheld=True)
    assert strict.findings()[number].state is FindingState.UPHELD
    assert strict.account().lots == after.lots
    assert Message.DISPUTE_REJECTED in strict.told()
    with pytest.raises(Refused, match="not_disputed"):
        decided(strict, number, upheld=False)


def test_a_penalty_that_uses_up_a_purchase_ends_its_block(grid: SmallNetwork) -> None:
    """What no credit covers is debt; the parent block is complete with TPF, and locked."""
    more = (AgreedAction(Violation.TAMPER, ActionKind.PENALTY, MONEY + 5, cut_off=False, notice=False),)
    home = Home(grid, tariff_of(grid), "poor", actions=more)
    home.move_in(MONEY)
    used = MONEY - home.account().credit
    tampered(home)
    assert (home.account().credit, home.account().debt) == (0, used + 5)
    assert equal(home)
    assert home.parents()[1].body.timestamps.tpf is not None
    home.agent.sense(Status(0), home.now)
    contested(home, max(home.findings()))
    decided(home, max(home.findings()), upheld=False)
    assert (home.account().credit, home.account().debt) == (MONEY - used, 0)
    assert equal(home)


def test_without_an_agreement_nobody_is_penalised(grid: SmallNetwork) -> None:
    """The insider's penalty: nothing is agreed, so a violation moves no money, and nobody can order it."""
    home = Home(grid, tariff_of(grid), "free")
    home.move_in(MONEY)
    before = home.account().credit
    number = tampered(home)
    assert home.account().credit == before
    assert home.findings()[number].action == Done.NOTICE
    contested(home, number)
    decided(home, number, upheld=False)
    assert home.account().credit == before
    assert home.network.row(Table.ACCOUNT, home.mid).taken == 0
