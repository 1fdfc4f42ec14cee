from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gridmonitoring.blockchain import evidence_bill
from gridmonitoring.blockchain.evidence import verify
from gridmonitoring.blockchain.evidence_bill import boundaries
from gridmonitoring.blockchain.evidence_builders import build_bill
from gridmonitoring.blockchain.evidence_bundle import EvidenceKind
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.contracts.agreement import Agreement
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.energy_center.calendar import Calendar, days_between, months_between
from gridmonitoring.energy_center.credit import Account, BillingTerms
from gridmonitoring.energy_center.statements import Statement
from gridmonitoring.energy_center.tariffs import Tariff
from gridmonitoring.errors import EvidenceError, Malformed
from gridmonitoring.processing.rows import TariffRow
from tests.support.billing import CENT, DAY, PARIS, WEEK, flat, reading, slabs, time_of_use
from tests.support.evidence_cases import bundle_of, parts
from tests.support.evidence_story import SETTLED, TERMS, Story, Terms, tell
from tests.support.mutations import another
from tools import verify_evidence

SHAPES: list[tuple[type[Any], type[Any]]] = [
    (evidence_bill.BillTerms, BillingTerms),
    (evidence_bill.BillAgreement, Agreement),
    (evidence_bill.BillCalendar, Calendar),
    (evidence_bill.BillTariff, Tariff),
    (evidence_bill.BillStatement, Statement),
    (evidence_bill.BillAccount, Account),
]
TAXED = BillingTerms(1_234_567, 0, tax_ppm=55_500)


@pytest.mark.parametrize(("read", "written"), SHAPES, ids=lambda shape: shape.__name__)
def test_what_a_bill_reads_is_what_the_upper_layers_write(read: type[Any], written: type[Any]) -> None:
    assert read.__struct_fields__ == written.__struct_fields__[: len(read.__struct_fields__)]
    assert read.__struct_config__.tag == written.__struct_config__.tag


def settled(tariff: Tariff, billing: BillingTerms, steps: list[tuple[int, ...]]) -> Story:
    """Return a story whose registers grew by these steps: the total, or each rate."""
    rates = len(steps[0]) if tariff.rate_registers else 0
    counts = [50] * len(steps[0])

    def registers() -> tuple[tuple[bytes, int], ...]:
        return reading(sum(counts), tuple(counts) if rates else ())

    opening, closings = registers(), []
    for step in steps:
        counts = [count + more for count, more in zip(counts, step, strict=True)]
        closings.append(registers())
    return tell(terms=Terms((tariff,), billing, opening, tuple(closings)))


STEP = st.integers(0, 250_000)
TARIFFS = st.sampled_from(
    [
        (flat(price=15_333_333), 1),
        (flat(price=7, standing=123_457, calendar=PARIS), 1),
        (slabs(((70_001, 1_000_003), (150_000, 9), (None, 20 * CENT)), standing=3), 1),
        (time_of_use(((1, 20_000_001), (2, 10_000_007))), 2),
    ]
)


@given(TARIFFS, st.sampled_from([TERMS, TAXED]), st.data())
def test_every_bill_of_the_energy_center_is_recomputed(
    tariff: tuple[Tariff, int], billing: BillingTerms, data: st.DataObject
) -> None:
    steps = data.draw(st.lists(st.tuples(*[STEP] * tariff[1]), min_size=1, max_size=4))
    story = settled(tariff[0], billing, steps)
    bundle = build_bill(story.chain, story.settled)
    assert verify_evidence.verify(bundle, story.chain.genesis())["kind"] == "bill"


PRICED = [
    field for field in Statement.__struct_fields__ if field not in {"number", "from_ms", "period_start_ms"}
]
PRICED = [field for field in PRICED if field not in {"topped_up", "taken", "recovered", "credit", "debt"}]


@pytest.mark.parametrize("field", PRICED)
@pytest.mark.parametrize("kind", ["flat", "slabs", "time of use"])
def test_a_statement_with_another_number_is_no_bill(kind: str, field: str) -> None:
    """Even where the quorum signs it."""
    tariff = {"flat": flat(), "slabs": slabs(), "time of use": time_of_use()}[kind]
    story = settled(tariff, TAXED, [(120_001,) * (2 if tariff.rate_registers else 1)])
    chain = story.chain
    whole = parts(build_bill(chain, story.settled))
    row = next(row for row in whole.rows if row.table == Table.ACCOUNT)
    account = decode(row.value, Account)
    now = getattr(account.statement, field)
    other = another(now) if not isinstance(now, tuple) else now[:-1]
    chain.put(
        Table.ACCOUNT, row.key, replace(account, statement=replace(account.statement, **{field: other}))
    )
    rows = [(Table(item.table), item.key) for item in whole.rows]
    bundle = bundle_of(chain, EvidenceKind.BILL, (story.settled,), rows)
    with pytest.raises(EvidenceError, match="step 9"):
        verify(bundle, chain.genesis())
    with pytest.raises(verify_evidence.NotProven, match="step 9"):
        verify_evidence.verify(bundle, chain.genesis())


def test_a_successor_in_force_prices_the_bill() -> None:
    after = flat(price=99 * CENT, valid_from=SETTLED - DAY)
    later = flat(price=1, valid_from=SETTLED)
    story = tell(terms=Terms((flat(), after, later)))
    bundle = build_bill(story.chain, story.settled)
    proven = verify(bundle, story.chain.genesis())
    assert [row.table for row in proven.rows].count(Table.TARIFF) == 3
    assert verify_evidence.verify(bundle, story.chain.genesis())["kind"] == "bill"
    account = decode(
        story.chain.values[Table.ACCOUNT, proven.transactions[0].transaction.payload.signer], Account
    )
    assert account.statement.tariff == after.digest


TRANSITIONS = st.lists(st.tuples(st.integers(1, 20 * DAY), st.integers(-960, 960)), max_size=6).map(
    lambda steps: tuple(_summed(steps))
)


def _summed(steps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found = [(0, 60)]
    for step, offset in steps:
        found.append((found[-1][0] + step, offset))
    return found


@given(TRANSITIONS, st.integers(0, 200 * DAY), st.integers(0, 100 * DAY))
def test_boundaries_are_those_of_the_calendar(
    transitions: tuple[tuple[int, int], ...], from_ms: int, span: int
) -> None:
    calendar, to_ms = Calendar("anywhere", transitions, WEEK), from_ms + span
    expected = days_between(calendar, from_ms, to_ms), months_between(calendar, from_ms, to_ms)
    assert boundaries(transitions, from_ms, to_ms) == expected
    plain = [list(transition) for transition in transitions]
    before, after = (verify_evidence.billing_days(plain, time) for time in (from_ms, to_ms))
    assert (after[0] - before[0], after[1] - before[1]) == expected


def test_tariffs_that_follow_in_a_circle_are_refused() -> None:
    tariff = flat()
    rows = {tariff.digest: encode(TariffRow(tariff, tariff.digest))}
    with pytest.raises(Malformed, match="circle"):
        evidence_bill.succession(tariff.digest, rows)


def test_a_tariff_under_another_hash_is_refused() -> None:
    with pytest.raises(Malformed, match="not the key"):
        evidence_bill.succession(bytes(32), {bytes(32): encode(TariffRow(flat(), b""))})
