"""A meter on recorded readings whose node goes away and comes back: nothing is lost or sent twice."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from gridmonitoring.blockchain.state_rows import MeterRow, Table
from gridmonitoring.errors import NodeUnavailable, UserError
from gridmonitoring.runtime.client import Client, open_grid
from gridmonitoring.runtime.clock import SimulatedClock, SystemClock
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.grid_port import Grid
from gridmonitoring.runtime.local_grid import LocalGrid
from gridmonitoring.runtime.meter_agent import MeterAgent
from gridmonitoring.runtime.meter_home import meter_at_home
from gridmonitoring.runtime.meter_run import MINUTE_MS, Bell, Line, MeterRun, Pace, Progress
from gridmonitoring.user_layer.demo.household import MinuteSeries, open_household
from tests.support.serving import serving
from tests.support.shell import done, install

AT_ONCE = Pace(simulated=True, speed=0)
PACED = Pace(simulated=True, speed=1e9)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "grid"
    done("init", path, "--validators", "1", "--meters", "80", "--start", "2026-01-01")
    done("register", path, "--name", "alice")
    return path


@pytest.fixture
def mid(home: Path) -> bytes:
    meter = install(home, "12")
    done("pay", home, "--meter", meter, "--amount", "50")
    return bytes.fromhex(meter)


def readings(agent: MeterAgent, minutes: int) -> MinuteSeries:
    """Minutes of a winter's day, from where the meter is on."""
    household = open_household()
    begin = -(-agent.time // MINUTE_MS) * MINUTE_MS
    offset = (begin - household.start_ms) % 86_400_000
    return household.minutes(household.start_ms + offset, minutes).aligned(begin)


def sequence(grid: Grid, mid: bytes) -> tuple[int, object]:
    row: MeterRow = grid.row(Table.METER, mid)
    return row.sequence, row.gaps


def test_a_meter_in_its_own_time_outlives_its_node(home: Path, mid: bytes) -> None:
    with ExitStack() as node:
        node.enter_context(serving(Directory(home)))
        line = Line(open_grid(home))
        steps: list[Progress] = []

        def tell(progress: Progress) -> None:
            steps.append(progress)
            if len(steps) == 20:
                node.pop_all().close()
            elif len(steps) == 60:
                node.enter_context(serving(Directory(home)))

        with meter_at_home(line.grid, line, mid) as agent:
            run = MeterRun(agent, line, readings(agent, 120), PACED)
            end = run.run(Bell(), tell)
            assert (end.waiting, end.refused, run.cut_off_from_grid) == (0, 0, False)
            assert len(steps) >= 120
            assert max(step.waiting for step in steps[20:60]) > 0, "what could not be sent waited"
            assert sequence(line.grid, mid) == (agent.meter.contract.sequence, ())
            assert isinstance(line.grid, Client)
        line.grid.close()


def test_at_full_speed_a_broken_line_ends_the_run_and_the_next_goes_on(home: Path, mid: bytes) -> None:
    with ExitStack() as node:
        node.enter_context(serving(Directory(home)))
        line = Line(open_grid(home))

        def tell(progress: Progress) -> None:
            if progress.reports >= 3:
                node.pop_all().close()

        with meter_at_home(line.grid, line, mid) as agent:
            minutes = readings(agent, 120)
            with pytest.raises(NodeUnavailable):
                MeterRun(agent, line, minutes, AT_ONCE).run(Bell(), tell)
            assert agent.waiting > 0
        line.grid.close()
    with LocalGrid(Directory(home)) as grid, meter_at_home(grid, grid, mid) as agent:
        end = MeterRun(agent, Line(grid), minutes, AT_ONCE).run(Bell(), lambda _: None)
        assert (end.waiting, end.refused, end.time) == (0, 0, minutes.start_ms + 120 * MINUTE_MS)
        assert sequence(grid, mid) == (agent.meter.contract.sequence, ())


def test_a_run_ends_when_it_is_told_to(home: Path, mid: bytes) -> None:
    bell = Bell()
    with LocalGrid(Directory(home)) as grid, meter_at_home(grid, grid, mid) as agent:
        minutes = readings(agent, 1440)

        def tell(progress: Progress) -> None:
            if progress.reports >= 2:
                bell.stop()

        end = MeterRun(agent, Line(grid), minutes, AT_ONCE).run(bell, tell)
        assert end.time < minutes.start_ms + 60 * MINUTE_MS
        assert grid.clock.now_ms() >= end.time, "the readings move the time"


def test_a_meter_runs_once_at_a_time(home: Path, mid: bytes) -> None:
    with LocalGrid(Directory(home)) as grid, meter_at_home(grid, grid, mid):
        with pytest.raises(UserError, match="is running already"), meter_at_home(grid, grid, mid):
            pass
        with pytest.raises(UserError, match="cannot read"), meter_at_home(grid, grid, bytes(16)):
            pass


def test_where_time_is_the_machines_readings_go_up_to_now(tmp_path: Path) -> None:
    path = tmp_path / "grid"
    done("init", path, "--validators", "1", "--meters", "80")
    done("register", path, "--name", "alice")
    mid = bytes.fromhex(install(path, "12"))
    later = SimulatedClock(SystemClock().now_ms() + 40 * MINUTE_MS)
    with LocalGrid(Directory(path), later) as grid, meter_at_home(grid, grid, mid) as agent:
        run = MeterRun(agent, Line(grid), readings(agent, 60), Pace(simulated=False, speed=0))
        end = run.run(Bell(), lambda _: None)
        assert later.now_ms() - 2 * MINUTE_MS < end.time <= later.now_ms()
        assert (end.refused, end.waiting) == (0, 0)
        assert sequence(grid, mid) == (agent.meter.contract.sequence, ())
        with pytest.raises(UserError, match="time is the machine's"):
            grid.move_clock(0)
