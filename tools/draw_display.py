"""Draw the in-home display of a meter as a picture: `python -m tools.draw_display DIR METER FILE`.

DIR is a network in simulated time, as `gridmon demo` leaves one; the meter lives on for some hours of
recorded readings, then its screen is drawn. The picture names the source of the readings and loads nothing
from elsewhere.
"""

from __future__ import annotations

import asyncio
import re
import sys
from html import escape
from pathlib import Path

from gridmonitoring.runtime.client import open_grid
from gridmonitoring.runtime.meter_home import meter_at_home
from gridmonitoring.runtime.meter_run import MINUTE_MS, Line, Pace
from gridmonitoring.user_layer.cli.options import find_meter
from gridmonitoring.user_layer.demo.household import open_household
from gridmonitoring.user_layer.screen.app import HomeDisplay
from gridmonitoring.user_layer.screen.words import wording

MINUTES = 20 * 60
SIZE = (100, 30)
ELSEWHERE = re.compile(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", re.DOTALL)
"""Fonts to be loaded, and who drew the picture."""


def main(directory: str, meter: str, target: str) -> None:
    """Draw one display."""
    household = open_household()
    line = Line(open_grid(Path(directory)))
    mid = find_meter(line.grid, meter)
    with meter_at_home(line.grid, line, mid) as agent:
        begin = -(-agent.time // MINUTE_MS) * MINUTE_MS
        first = household.start_ms + 30 * 86_400_000
        minutes = household.minutes(first + (begin - first) % 86_400_000, MINUTES).aligned(begin)
        app = HomeDisplay(wording(agent, line.grid), agent, line, minutes, Pace(simulated=True, speed=0))
        picture = asyncio.run(_drawn(app))
    line.grid.close()
    said = f"<desc>{escape(household.source)}</desc>"
    head, rest = ELSEWHERE.sub("", picture).split(">", 1)
    Path(target).write_text(f"{head}>{said}{rest}", encoding="utf-8")


async def _drawn(app: HomeDisplay) -> str:
    async with app.run_test(size=SIZE) as pilot:
        while not app.at_rest:
            await pilot.pause()
        await pilot.pause()
        return app.export_screenshot(title="in-home display")


if __name__ == "__main__":
    main(*sys.argv[1:4])
