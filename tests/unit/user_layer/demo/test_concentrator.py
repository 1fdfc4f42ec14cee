"""The concentrator: one line for several meters, outcomes to their own, nothing lost when the line breaks."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gridmonitoring.contracts.meter_rule import MeterState
from gridmonitoring.errors import NodeUnavailable
from gridmonitoring.runtime.meter_port import Outcome
from gridmonitoring.user_layer.demo.concentrator import Concentrator
from tests.support.billing import CENT, MINUTE, flat
from tests.support.houses import MIDNIGHT, QUARTER, House
from tests.support.small_grid import SmallGrid


class Line(SmallGrid):
    """A grid whose line can be cut, and which counts what comes over it."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.cut = False

    def send(self, wires: Sequence[bytes]) -> Sequence[Outcome]:
        if self.cut:
            raise NodeUnavailable("the line is cut")
        self.batches.append(len(wires))
        return super().send(wires)


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def houses(line: Line) -> list[House]:
    tariff = flat()
    found = [House(line, tariff, name=name) for name in ("one", "two", "three")]
    for number, house in enumerate(found):
        house.install(MIDNIGHT + number)
        house.meet(MIDNIGHT + 10 + number)
        house.buy(1000 * CENT, MIDNIGHT + 20 + number)
        house.meet(MIDNIGHT + 30 + number)
        assert house.agent.meter.state is MeterState.ACTIVE
    line.batches.clear()
    return found


def measure(houses: list[House], minutes: int = 15) -> None:
    for house in houses:
        for minute in range(minutes):
            house.agent.minute(MIDNIGHT + QUARTER + minute * MINUTE, 600)


def test_what_waits_at_all_meters_goes_out_together(line: Line, houses: list[House]) -> None:
    measure(houses)
    waiting = sum(house.agent.waiting for house in houses)
    assert waiting >= len(houses)
    concentrator = Concentrator(line)
    for house in houses:
        house.port = concentrator
        house.wake()
    concentrator.collect([house.agent for house in houses])
    assert line.batches == [waiting]
    assert (concentrator.taken, concentrator.refused) == (waiting, 0)
    assert [house.agent.waiting for house in houses] == [0, 0, 0]
    for house in houses:
        assert line.meter(house.mid).sequence == house.agent.meter.contract.sequence


def test_a_cut_line_loses_nothing(line: Line, houses: list[House]) -> None:
    measure(houses)
    waiting = [house.agent.waiting for house in houses]
    concentrator = Concentrator(line)
    for house in houses:
        house.port = concentrator
        house.wake()
    line.cut = True
    with pytest.raises(NodeUnavailable):
        concentrator.collect([house.agent for house in houses])
    assert [house.agent.waiting for house in houses] == waiting
    line.cut = False
    concentrator.collect([house.agent for house in houses])
    assert [house.agent.waiting for house in houses] == [0, 0, 0]
    assert line.batches == [sum(waiting)]


def test_with_nothing_to_say_nothing_is_sent(line: Line, houses: list[House]) -> None:
    Concentrator(line).collect([house.agent for house in houses])
    assert line.batches == []


def test_it_passes_on_what_it_did_not_collect(line: Line, houses: list[House]) -> None:
    measure(houses[:1])
    houses[0].port = Concentrator(line)
    flushed = houses[0].wake().flush()
    assert flushed.waiting == 0
    assert line.batches == [flushed.taken]
