"""III-A-7 and IV-C: the data center receives copies, and utility and research use them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gridmonitoring.blockchain.bodies import Form, Kind
from gridmonitoring.blockchain.transactions import decode_payload
from gridmonitoring.data_center.aggregates import Dimension, Period
from gridmonitoring.data_center.forecasts import FORECASTERS, backtest
from gridmonitoring.energy_center.statements import Statement
from gridmonitoring.keys.signatures import split
from gridmonitoring.runtime.columns.paths import DataCenterPaths
from gridmonitoring.runtime.columns.rebuilding import rebuild_columns
from gridmonitoring.runtime.columns.research import Wanted, aggregate, demand, export_rows
from gridmonitoring.runtime.columns.store import data_status
from gridmonitoring.runtime.storage.truth import decode_body
from tests.support.data_center import ask, end_day, everything, no_progress, settle_day, with_data_center
from tests.support.network import SmallNetwork
from tests.support.shell import call, done

HOUSES = 18
DAYS = 10


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SmallNetwork, list[Statement]]]:
    small = with_data_center(tmp_path_factory.mktemp("town") / "grid", HOUSES)
    statements = [one for day in range(DAYS) for one in settle_day(small, 5000 + 100 * (day % 7))]
    end_day(small)
    yield small, statements
    small.close()


def paths_of(small: SmallNetwork) -> DataCenterPaths:
    return DataCenterPaths(small.directory)


def test_copies_come_with_each_block_and_are_what_the_ledger_has(
    town: tuple[SmallNetwork, list[Statement]],
) -> None:
    small, statements = town
    assert data_status(paths_of(small)).head.height == small.network.application.height
    sums = "sum(charge), sum(energy), sum(energy_charge + standing + subscription + tax), count(*)"
    (found,) = ask(paths_of(small), f"SELECT {sums} FROM settlements WHERE energy > 0")
    charge = sum(statement.charge for statement in statements)
    energy = sum(after - before for one in statements for _, before, after in one.registers)
    assert found == (charge, energy, charge, HOUSES * DAYS)
    last = "SELECT credit, debt, number FROM settlements ORDER BY log_index DESC LIMIT 1"
    assert ask(paths_of(small), last) == [(statements[-1].credit, statements[-1].debt, statements[-1].number)]
    lines = "SELECT sum(lines.charge) FROM lines"
    assert ask(paths_of(small), lines) == [(sum(charge for one in statements for *_, charge in one.lines),)]


def test_each_form_has_a_copy(town: tuple[SmallNetwork, list[Statement]]) -> None:
    small, _ = town
    forms: list[tuple[int, Form]] = []
    for block in small.network.application.truth.blocks():
        for offset, raw in enumerate(decode_body(block.body)):
            payload = decode_payload(split(raw)[0])
            if payload.kind == Kind.FORM:
                forms.append((block.header.first + offset, payload.body))
    found = ask(paths_of(small), "SELECT log_index, mid, area, quoted FROM forms ORDER BY log_index")
    assert found == [(index, form.mid, form.area, form.energy) for index, form in forms]
    assert len(found) == HOUSES


def test_copies_made_anew_are_the_same(town: tuple[SmallNetwork, list[Statement]]) -> None:
    small, _ = town
    paths = paths_of(small)
    kept, before = everything(paths), data_status(paths)
    made = rebuild_columns(small.directory, no_progress, part_rows=100)
    after = data_status(paths)
    assert everything(paths) == kept
    assert after.head == before.head
    assert (after.waiting, after.parts) == (0, made.parts)
    assert made.parts > 3
    assert made.copies == sum(map(len, kept.values()))


def test_the_utility_forecasts_from_the_copies(town: tuple[SmallNetwork, list[Statement]]) -> None:
    small, statements = town
    _, series = demand(paths_of(small), Period.DAY)
    assert sum(series) == sum(one.registers[0][2] - one.registers[0][1] for one in statements)
    score = backtest(series, 7, 1, FORECASTERS["seasonal-naive"])
    assert score.forecasts == len(series) - 7
    assert score.smape < 0.2
    made = done("data", "forecast", small.directory.root, "--horizon", "2")
    assert (made["known"], made["season"], made["best"]) == (len(series), 7, "seasonal-naive")
    assert [one["energy"] for one in made["forecast"]] == [series[-7], series[-6]]
    assert "kWh" in call("data", "forecast", small.directory.root, "--horizon", "2").out


def test_research_gets_sums_and_rows_with_pseudonyms(town: tuple[SmallNetwork, list[Statement]]) -> None:
    small, statements = town
    paths = paths_of(small)
    given = aggregate(paths, Period.DAY, (Dimension.CUSTOMER_CLASS,), Wanted(), totals=False)
    assert len(given.aggregates) == DAYS
    assert {one.meters for one in given.aggregates} == {HOUSES}
    days = [
        sum(one.charge for one in statements[at : at + HOUSES]) for at in range(0, len(statements), HOUSES)
    ]
    assert {one.charge for one in given.aggregates} <= set(days)
    rows = export_rows(paths, "settlements", Wanted(), bytes(32))
    assert len({row[0] for row in rows.rows}) == HOUSES
    text = repr(rows.rows)
    assert not any(meter.mid.hex() in text or repr(meter.mid) in text for meter in small.meters)
