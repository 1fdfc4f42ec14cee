"""Every kind of bad input is refused by its rule, at every validator, and changes nothing (III-A-2, IV-C).

The lies are in `tests/support/refusals`; none of the rules that the code knows may be without one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

import pytest

from gridmonitoring.blockchain.bodies import BODIES, Kind
from gridmonitoring.blockchain.transactions import sign_transaction
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.errors import CannotOpen, EncodingError, GridMonitoringError, Malformed, Refused, TooLarge
from gridmonitoring.processing.state_transition import TRANSITIONS
from tests.support.acts import story
from tests.support.network import SmallNetwork, report_wires, small_network
from tests.support.project import SOURCE
from tests.support.refusals import access, disputes, envelopes, keys, money, parties, reports, supply, watch
from tests.support.refusals.scene import Lies, Scene

TABLES = (
    *(envelopes.LIES, parties.LIES, supply.LIES, money.LIES, reports.LIES, watch.LIES),
    *(access.LIES, disputes.LIES, keys.LIES),
)
SEALED = {"contract_key_ended"}
"""Rules for sealed reports; `tests/conformance/test_ii_b_contract_key.py` breaks them."""
LIES: Lies = {what: lie for table in TABLES for what, lie in table.items()}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("scene") / "network")


def standing(small: SmallNetwork) -> list[tuple[bytes, int, bytes]]:
    """Return state root, log size and log root of each validator; all of them vote."""
    applications = [v.application for v in small.network.engine.voting()]
    assert len(applications) == len(small.network.engine.validators)
    return [(a.tree.root, a.log.log.size, a.log.log.root()) for a in applications]


def name_of(error: GridMonitoringError | None) -> str:
    """Return the rule that was broken, or the name of the encoding error."""
    if isinstance(error, Refused):
        return error.rule
    assert isinstance(error, EncodingError)
    return type(error).__name__


def test_no_lie_stands_for_another() -> None:
    tables = TABLES
    assert len(LIES) == sum(len(table) for table in tables)


@pytest.mark.parametrize("what", LIES)
def test_a_lie_is_refused_by_its_rule_and_changes_nothing(scene: Scene, what: str) -> None:
    rule, lie = LIES[what]
    raw = lie(scene)
    before = standing(scene.small)
    (receipt,) = scene.network.submit([raw])
    assert name_of(receipt.error) == rule
    assert receipt.index == -1
    assert standing(scene.small) == before
    assert len(set(before)) == 1


def rules_in_the_code() -> Iterator[str]:
    """Yield every rule that `refuse(...)` or `Refused(...)` names."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("refuse", "Refused") and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    yield str(first.value)


def test_each_rule_of_the_code_has_a_lie() -> None:
    assert {rule for rule, _ in LIES.values()} | SEALED >= set(rules_in_the_code())


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> Mapping[int, object]:
    """A body of every type of transaction, as it was accepted once."""
    small = small_network(tmp_path_factory.mktemp("bodies") / "network", 1, 3)
    story(small)
    application = small.network.application
    found: dict[int, object] = {}
    for index in range(application.log.log.size):
        transaction = application.decode(application.truth.transaction(index))
        assert not isinstance(transaction, EncodingError)
        found[transaction.payload.kind] = transaction.payload.body
    small.close()
    return found


@pytest.mark.parametrize("kind", [Kind(kind) for kind, _ in BODIES], ids=lambda kind: kind.name)
def test_nobody_signs_what_is_not_theirs(scene: Scene, bodies: Mapping[int, object], kind: Kind) -> None:
    """Each type of transaction under each role that may not sign it."""
    network = scene.network
    names = {party.role: party.name for party in network.genesis.parties}
    signers = [network.signer(name) for role, name in names.items() if role not in TRANSITIONS[kind][0]]
    if Role.CONSUMER not in TRANSITIONS[kind][0]:
        signers.append(scene.guest)
    before = standing(scene.small)
    raws = [signer.transaction(kind, bodies[kind], scene.now) for signer in signers]
    receipts = network.submit(raws)
    assert [name_of(receipt.error) for receipt in receipts] == ["wrong_role"] * len(raws)
    assert standing(scene.small) == before


def test_a_meter_signs_reports_and_its_installation_only(scene: Scene, bodies: Mapping[int, object]) -> None:
    meter = scene.meter
    raws = [
        sign_transaction(
            *(meter.keys.seed, scene.network.chain_id, Role.METER, meter.mid, meter.sequence + 1),
            *(scene.now, kind, bodies[kind]),
        )
        for kind in Kind
        if Role.METER not in TRANSITIONS[kind][0]
    ]
    receipts = scene.network.submit(raws)
    assert {name_of(receipt.error) for receipt in receipts} == {"wrong_role"}


def test_lies_among_the_truth_sink_alone(scene: Scene) -> None:
    """In one batch with what is right, each gets its own answer."""
    small = scene.small
    good = [scene.form(key=bytes(15) + bytes((n,)), reference=b"good" + bytes((n,))) for n in range(1, 4)]
    lies = [LIES[what][1](scene) for what in ("no CBOR", "oversized", "replayed", "an unknown type")]
    receipts = small.network.submit([lies[0], good[0], lies[1], good[1], lies[2], lies[3], good[2]])
    assert [receipt.error is None for receipt in receipts] == [False, True, False, True, False, False, True]
    assert len(set(standing(small))) == 1


def sealed_lies(scene: Scene) -> Iterator[tuple[type[GridMonitoringError], bytes]]:
    """Yield what may not come in as a sealed report, and how it is answered."""
    offer, wire = report_wires(scene.small, 1, settle_every=0)[:2]
    scene.small.deliver([offer])
    yield Malformed, b""
    yield Malformed, b"\xff"
    yield TooLarge, bytes(2**16)
    yield Malformed, offer[:-1]
    yield CannotOpen, offer[:-1] + bytes((offer[-1] ^ 1,))
    yield CannotOpen, wire[:-1] + bytes((wire[-1] ^ 1,))
    yield CannotOpen, wire[:12] + bytes(16) + wire[28:]


def test_sealed_lies_are_answered_and_change_nothing(scene: Scene) -> None:
    expected, wires = zip(*sealed_lies(scene), strict=True)
    before = standing(scene.small)
    outcomes = scene.network.deliver(wires)
    assert [type(outcome) for outcome in outcomes] == list(expected)
    assert standing(scene.small) == before
