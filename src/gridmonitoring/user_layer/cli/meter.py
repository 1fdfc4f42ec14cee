"""`gridmon meter run`: a simulated meter on recorded readings, through its real agent (paper IV-B)."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from gridmonitoring.contracts.messages import Message
from gridmonitoring.encoding.bounds import obis_text
from gridmonitoring.errors import UserError
from gridmonitoring.runtime.client import open_grid
from gridmonitoring.runtime.grid_port import Grid
from gridmonitoring.runtime.meter_agent import MeterAgent
from gridmonitoring.runtime.meter_home import meter_at_home
from gridmonitoring.runtime.meter_run import MINUTE_MS, Bell, Line, MeterRun, Pace, Progress
from gridmonitoring.user_layer.cli.money import energy_text, money_text, parse_decimal
from gridmonitoring.user_layer.cli.options import DirectoryPath, MeterText, find_meter
from gridmonitoring.user_layer.cli.output import Json, Output, facts, note, progress
from gridmonitoring.user_layer.cli.times import parse_time, time_text
from gridmonitoring.user_layer.demo.household import Household, MinuteSeries, open_household
from gridmonitoring.user_layer.screen.content import Wording
from gridmonitoring.user_layer.screen.words import wording

DAY_MS = 86_400_000
"""Milliseconds of a day."""
MINUTES_PER_DAY = 1440
SCREEN = "gridmonitoring.user_layer.screen.app"
"""Where the screen is; loaded when it is shown."""
SCREEN_SPEED = 1200.0
"""Recorded over real time on the screen where time is simulated: a day takes 72 seconds."""

app = typer.Typer(help="Run a simulated meter.", rich_markup_mode=None)


@app.callback()
def group() -> None:
    """Run a simulated meter."""


@app.command()
def run(
    directory: DirectoryPath,
    meter: MeterText,
    days: Annotated[
        int, typer.Option(min=1, max=1400, help="Days of readings, from where the meter is.")
    ] = 7,
    speed: Annotated[
        str | None, typer.Option(metavar="X", help="Recorded over real time; 1 where time is the machine's.")
    ] = None,
    full_speed: Annotated[
        bool, typer.Option("--full-speed", help="As fast as it goes; up to now where time is the machine's.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="The original recording; the packaged one if not given."),
    ] = None,
    recorded: Annotated[
        str | None,
        typer.Option("--from", metavar="DATE", help="Recorded day to begin with; else one by the MID."),
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Lines instead of the in-home display on the screen.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Replay recorded readings of a house through a meter: reports, credit, cut and reconnection.

    Ends with the recording or Ctrl-C; another run goes on where this one ended. In a network made with `init
    --start` the readings move the time. In a terminal the meter's in-home display is shown, and an hour of
    readings takes about three seconds if nothing else is asked for.

    Example: gridmon meter run my-grid --meter 3fa2 --days 7 --full-speed
    """
    household = open_household(data)
    line = Line(open_grid(directory))
    try:
        grid = line.grid
        mid = find_meter(grid, meter)
        screen = not plain and not as_json and _has_screen()
        pace = _pace(grid, speed, full_speed, SCREEN_SPEED if screen else 0.0)
        with meter_at_home(grid, line, mid) as agent:
            begin = -(-agent.time // MINUTE_MS) * MINUTE_MS
            ahead = 0 if pace.simulated else max(grid.clock.now_ms() - begin, 0)
            minutes = _minutes(household, mid, begin, ahead // MINUTE_MS + days * MINUTES_PER_DAY, recorded)
            note(household.source)
            if screen:
                end = _shown(agent, line, minutes, pace)
            else:
                end = _play(MeterRun(agent, line, minutes, pace), begin, minutes)
            _tell(agent, end, begin, grid, Output(as_json))
    finally:
        line.grid.close()


def _has_screen() -> bool:
    """Tell whether there is a terminal, and what a screen needs is installed."""
    return sys.stdin.isatty() and sys.stdout.isatty() and find_spec("textual") is not None


def _shown(agent: MeterAgent, line: Line, minutes: MinuteSeries, pace: Pace) -> Progress:
    """Show the in-home display until it is closed."""
    show: Callable[[Wording, MeterAgent, Line, MinuteSeries, Pace], Progress] = import_module(SCREEN).show
    return show(wording(agent, line.grid), agent, line, minutes, pace)


def _pace(grid: Grid, speed: str | None, full_speed: bool, usual: float) -> Pace:
    """Return how fast to play; `usual` is the speed of simulated time where none is asked for."""
    simulated = grid.status().simulated
    if full_speed and speed is not None:
        raise UserError("--speed and --full-speed exclude each other")
    factor = None if speed is None else parse_decimal(speed, 3, "--speed") / 1000
    if factor == 0:
        raise UserError("--speed: time goes on, by more than 0")
    if not simulated and factor not in (None, 1.0):
        raise UserError("--speed: time is the machine's here; a network of `init --start` can go faster")
    if factor is None:
        factor = 0.0 if full_speed else usual if simulated else 1.0
    return Pace(simulated, factor)


def _minutes(household: Household, mid: bytes, begin: int, count: int, recorded: str | None) -> MinuteSeries:
    """Return readings as if recorded from `begin` on; the time of day stays."""
    first = household.start_ms + (begin - household.start_ms) % DAY_MS
    choices = (household.end_ms - first - count * MINUTE_MS) // DAY_MS + 1
    if recorded is not None:
        day = (parse_time(recorded, "--from") - first) // DAY_MS + 1
    elif choices > 0:
        day = int.from_bytes(mid[:4], "big") % choices
    else:
        raise UserError(f"the recording is shorter than {count // MINUTES_PER_DAY} days; give fewer --days")
    return household.minutes(first + day * DAY_MS, count).aligned(begin)


def _play(run: MeterRun, begin: int, minutes: MinuteSeries) -> Progress:
    """Run until the end or a signal, with a progress bar."""
    bell = Bell()
    before = {
        number: signal.signal(number, lambda *_: bell.stop()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        with progress() as bar:
            task = bar.add_task("minutes", total=len(minutes))
            return run.run(bell, lambda at: bar.update(task, completed=(at.time - begin) // MINUTE_MS))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(agent: MeterAgent, end: Progress, begin: int, grid: Grid, output: Output) -> None:
    shown, digits, currency = agent.display(), grid.genesis.minor_digits, grid.genesis.currency
    mid = agent.meter.contract.identity.mid
    say, date = wording(agent, grid), time_text(shown.key_notice)
    notice = say.message(Message.KEY_REPLACEMENT, date) if shown.key_notice else None
    message = say.message(shown.message, date) if shown.message else None
    data = {
        "meter": mid,
        "from": begin,
        "to": max(end.time, begin),
        "minutes": max(end.time - begin, 0) // MINUTE_MS,
        "reports": end.reports,
        "refused": end.refused,
        "waiting": end.waiting,
        "state": shown.state.name.lower(),
        "relay": shown.relay.name.lower(),
        "credit": money_text(shown.credit, digits),
        "debt": money_text(shown.debt, digits),
        "registers_wh": {obis_text(code): energy for code, energy in agent.meter.registers()},
        "display": message,
        "notice": notice,
    }
    rows = [
        ("measured", f"{time_text(begin)} to {time_text(max(end.time, begin))}"),
        ("reports", f"{end.reports} made, {end.refused} refused, {end.waiting} messages waiting"),
        ("state, relay", f"{shown.state.name.lower().replace('_', ' ')}, {shown.relay.name.lower()}"),
        ("credit", f"{money_text(shown.credit, digits)} {currency}"),
        ("debt", f"{money_text(shown.debt, digits)} {currency}"),
        *((f"register {obis_text(code)}", energy_text(energy)) for code, energy in agent.meter.registers()),
        ("display", message or "-"),
        *([("notice", notice)] if notice else []),
    ]
    output.result(data, lambda out: out.print(facts(f"Meter {mid.hex()}", rows)))
