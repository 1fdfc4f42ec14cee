"""The in-home display on a real meter and a real network, its keys pressed by Textual's own pilot."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from gridmonitoring.blockchain.state_rows import MeterRow, Table
from gridmonitoring.contracts.consent import Data, Verdict
from gridmonitoring.contracts.meter_rule import TAMPER_BITS, MeterState, Relay, Status
from gridmonitoring.errors import NodeUnavailable
from gridmonitoring.processing.access import READERS
from gridmonitoring.runtime.client import open_grid
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.local_grid import LocalGrid
from gridmonitoring.runtime.meter_agent import MeterAgent
from gridmonitoring.runtime.meter_home import meter_at_home
from gridmonitoring.runtime.meter_run import MINUTE_MS, Line, Pace
from gridmonitoring.runtime.texts import languages
from gridmonitoring.smart_meter.channels import Channel
from gridmonitoring.user_layer.demo.household import MinuteSeries, open_household
from gridmonitoring.user_layer.screen.app import Explanation, HomeDisplay
from gridmonitoring.user_layer.screen.labels import ENGLISH, FRENCH, LABELS
from gridmonitoring.user_layer.screen.words import wording
from tests.support.serving import serving
from tests.support.shell import done, install, shell

AT_ONCE = Pace(simulated=True, speed=0)
SLOW = Pace(simulated=True, speed=1)
"""In its own time: an hour of readings takes an hour."""
PAUSES = 2000
"""Times that the screen may come to rest before what is waited for has to be there."""
Acts = Callable[["Screen"], Awaitable[None]]


def readings(agent: MeterAgent, minutes: int) -> MinuteSeries:
    """Minutes of a winter's day, from where the meter is on."""
    household = open_household()
    begin = -(-agent.time // MINUTE_MS) * MINUTE_MS
    offset = (begin - household.start_ms) % 86_400_000
    return household.minutes(household.start_ms + offset, minutes).aligned(begin)


class Screen:
    """A display under test."""

    def __init__(self, app: HomeDisplay, pilot: Pilot[None], agent: MeterAgent) -> None:
        self.app = app
        self.agent = agent
        self._pilot = pilot

    def text(self, name: str) -> str:
        """What a part of the screen says."""
        return str(self.app.screen_stack[0].query_one(f"#{name}", Static).render())

    async def until(self, holds: Callable[[], bool]) -> None:
        """Let the screen go on until it shows something, but not for ever."""
        for _ in range(PAUSES):
            if holds():
                return
            await self._pilot.pause()
        raise AssertionError([self.text(name) for name in ("title", "alarms", "state", "messages")])

    async def press(self, key: str) -> None:
        """Press a key."""
        await self._pilot.press(key)

    async def ended(self) -> None:
        """Wait until the recording has ended."""
        await self.until(lambda: self.app.at_rest)

    def told(self) -> list[str]:
        """What notices have said."""
        return [notice.message for notice in self.app._notifications]


class House:
    """A network of one validator and a house on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        done("init", path, "--validators", "1", "--meters", "80", "--start", "2026-01-01")
        done("register", path, "--name", "alice")
        self.mid = b""

    def install(self, *options: str) -> None:
        self.mid = bytes.fromhex(install(self.path, "12", *options))

    def pay(self, amount: str) -> None:
        done("pay", self.path, "--meter", self.mid.hex(), "--amount", amount)

    def watch(
        self, minutes: int, act: Acts, grid: LocalGrid | None = None, pace: Pace = AT_ONCE
    ) -> HomeDisplay:
        """Run the meter with its display, and do something at it."""
        with ExitStack() as stack:
            line = Line(grid or stack.enter_context(LocalGrid(Directory(self.path))))
            agent = stack.enter_context(meter_at_home(line.grid, line, self.mid))
            return watched(agent, line, minutes, act, pace)

    def row(self) -> MeterRow:
        with LocalGrid(Directory(self.path)) as grid:
            row: MeterRow = grid.row(Table.METER, self.mid)
            return row


def watched(agent: MeterAgent, line: Line, minutes: int, act: Acts, pace: Pace = AT_ONCE) -> HomeDisplay:
    """Show a display while something is done at it."""
    app = HomeDisplay(wording(agent, line.grid), agent, line, readings(agent, minutes), pace)

    async def scene() -> None:
        async with app.run_test(size=(100, 34)) as pilot:
            await act(Screen(app, pilot, agent))

    asyncio.run(scene())
    return app


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "grid")


def test_it_shows_what_the_meter_holds(house: House) -> None:
    house.install("--tariff", "time-of-use")
    house.pay("20")

    async def look(screen: Screen) -> None:
        await screen.ended()
        shown = screen.agent.display()
        assert house.mid.hex()[:8] in screen.text("title")
        assert "in credit" in screen.text("title")
        assert f"{shown.credit // 10**8}." in screen.text("credit")
        assert "lasts about" in screen.text("credit")
        assert f"{shown.power / 1000:.2f} kW" in screen.text("power")
        assert shown.tariff in screen.text("tariff")
        assert "until" in screen.text("tariff")
        assert f"{shown.energy_today / 1000:.2f} kWh" in screen.text("today")
        assert "Credit added" in screen.text("messages")
        assert not screen.app.query_one("#alarms").display
        svg = screen.app.export_screenshot()
        for words in ("kitchen", "rest", "Accept", "Quit"):
            assert words in svg

    app = house.watch(6 * 60, look)
    end = app.result()
    assert (end.refused, end.waiting) == (0, 0)
    assert end.reports >= 24
    assert house.row().state == MeterState.ACTIVE


def test_credit_runs_out_and_nothing_closes_the_relay_but_the_person_at_the_meter(house: House) -> None:
    house.install()
    house.pay("2.00")

    async def run_out(screen: Screen) -> None:
        await screen.press("a")
        await screen.until(lambda: screen.told() == [ENGLISH.nothing_offered])
        await screen.ended()
        assert "out of credit" in screen.text("title")
        assert f"No power: Meter with {house.mid.hex()[:8]} has no power" in screen.text("alarms")
        assert screen.text("power") == "-"

    house.watch(24 * 60, run_out)
    house.pay("20")

    async def accept(screen: Screen) -> None:
        await screen.ended()
        assert screen.agent.meter.relay is Relay.READY_FOR_RECONNECTION, "not without somebody at home"
        assert "Power can be switched on again" in screen.text("alarms")
        await screen.press("a")
        await screen.until(lambda: "in credit" in screen.text("title"))
        assert "Power is on" in screen.text("messages").splitlines()[0]

    house.watch(60, accept)
    assert house.row().relay == Relay.CONNECTED


def test_the_low_credit_warning_stands_out(house: House) -> None:
    house.install("--threshold", "19.99")
    house.pay("20")

    async def look(screen: Screen) -> None:
        await screen.ended()
        assert screen.app.query_one("#alarms").display
        assert screen.text("alarms") == "Power running down, top up"

    house.watch(60, look)


def test_the_consumer_switches_the_own_supply(house: House) -> None:
    house.install()
    house.pay("20")

    async def switch(screen: Screen) -> None:
        await screen.ended()
        await screen.press("s")
        await screen.until(lambda: "switched off" in screen.text("title"))
        assert "No power: Power is switched off at your request" in screen.text("alarms")
        assert screen.agent.meter.relay is Relay.DISCONNECTED
        await screen.press("s")
        await screen.until(lambda: "in credit" in screen.text("title"))
        assert screen.told() == [ENGLISH.ordered] * 2

    house.watch(30, switch)
    assert house.row().commands == house.row().carried_out


def test_without_the_consumers_key_nothing_is_switched(house: House) -> None:
    house.install()
    house.pay("20")
    (house.path / "keys" / "consumer-alice.json").unlink()
    (house.path / "keys" / "consumer-note.json").write_text("no key at all")

    async def switch(screen: Screen) -> None:
        await screen.ended()
        await screen.press("s")
        await screen.until(lambda: screen.told() == [ENGLISH.no_key])
        assert "in credit" in screen.text("title")

    house.watch(30, switch)


def test_a_tamper_is_told_with_what_was_found(house: House) -> None:
    house.install("--language", "fr")
    house.pay("20")

    async def look(screen: Screen) -> None:
        await screen.ended()
        assert "manipulé" in screen.text("title")
        told = screen.text("alarms").splitlines()
        assert told == [f"Le compteur {house.mid.hex()[:8]} a été manipulé", "constaté : capot ouvert"]
        await screen.press("a")
        await screen.until(lambda: screen.told() == [FRENCH.nothing_offered])

    with LocalGrid(Directory(house.path)) as grid:
        with meter_at_home(grid, grid, house.mid) as agent:
            agent.poll(grid.clock.now_ms())
            agent.sense(Status.METER_COVER, grid.clock.now_ms())
        house.watch(30, look, grid)


def test_help_and_quit(house: House) -> None:
    house.install()
    house.pay("20")

    async def read(screen: Screen) -> None:
        await screen.press("question_mark")
        await screen.until(lambda: isinstance(screen.app.screen, Explanation))
        assert ENGLISH.explained in str(screen.app.screen.query_one("#help", Static).render())
        await screen.press("escape")
        await screen.until(lambda: not isinstance(screen.app.screen, Explanation))
        await screen.press("q")

    with LocalGrid(Directory(house.path)) as grid:
        begun = grid.clock.now_ms()
        end = house.watch(60, read, grid, SLOW).result()
    assert end.time < begun + 30 * MINUTE_MS, "closing the screen ends the run, and ends its waiting"
    assert (end.refused, end.waiting) == (0, 0)


def test_the_owner_sees_who_was_let_in_and_who_asked(house: House) -> None:
    """Messages by proven commands on the screen itself; the ledger's access log at a key."""
    house.install()
    house.pay("20")
    done("register", house.path, "--name", "erin", "--researcher")
    meter = ("--meter", house.mid.hex())
    days = ("--from", "2026-01-01", "--to", "2026-01-01")
    purpose = ("--purpose", "study")

    async def nobody(screen: Screen) -> None:
        await screen.ended()
        await screen.press("d")
        await screen.until(lambda: isinstance(screen.app.screen, Explanation))
        assert ENGLISH.no_grants in page(screen)
        assert ENGLISH.no_requests in page(screen)

    house.watch(30, nobody)
    done("grant", house.path, *meter, "--reader", "erin", "--data", "settlements", *purpose, *days)
    asked = ("read", house.path, *meter, "--as", "erin", "--grant", "1", "--data", "settlements", *days)
    done(*asked, *purpose)
    done(*asked, *purpose)
    assert house.row().commands - house.row().carried_out == 2, "told once until the meter has heard it"
    done("read", house.path, *meter, *days)

    async def look(screen: Screen) -> None:
        await screen.ended()
        told = screen.text("messages").splitlines()
        assert "Somebody whom you let in asked for your data" in told[0]
        assert "You let somebody read your data" in told[1]
        await screen.press("d")
        await screen.until(lambda: isinstance(screen.app.screen, Explanation))
        assert "1  researcher " in page(screen)
        assert ": bills, 2026-01-01 to 2026-01-01, for: study" in page(screen)
        assert "2 requests allowed, 0 refused" in page(screen)
        assert page(screen).count("you: bills, load profile, appliances") == 1
        await screen.press("escape")
        await screen.until(lambda: not isinstance(screen.app.screen, Explanation))

    house.watch(30, look)
    done("revoke", house.path, *meter, "--grant", "1")
    assert shell(*asked, *purpose).code == 1

    async def ended(screen: Screen) -> None:
        await screen.ended()
        assert "asked for data beyond what was granted and was refused" in screen.text("messages")
        assert "You ended a grant" in screen.text("messages")
        await screen.press("d")
        await screen.until(lambda: isinstance(screen.app.screen, Explanation))
        assert "ended by you 2026-01-01" in page(screen)
        assert "2 requests allowed, 1 refused" in page(screen)
        assert "REFUSED: the grant has ended" in page(screen)

    house.watch(30, ended)


def page(screen: Screen) -> str:
    """What the page says that lies over the screen."""
    return str(screen.app.screen.query_one("#help", Static).render())


def test_what_breaks_the_run_is_told_after_the_screen(house: House) -> None:
    house.install()
    house.pay("20")
    with ExitStack() as node:
        node.enter_context(serving(Directory(house.path)))
        line = Line(open_grid(house.path))
        with meter_at_home(line.grid, line, house.mid) as agent:
            node.pop_all().close()

            async def wait(screen: Screen) -> None:
                await screen.until(lambda: screen.app._exit)

            app = watched(agent, line, 60, wait)
            with pytest.raises(NodeUnavailable):
                app.result()
        line.grid.close()


def test_every_language_of_the_messages_has_its_labels() -> None:
    assert set(languages()) == set(LABELS)
    for labels in LABELS.values():
        assert set(labels.states) == set(MeterState)
        assert set(labels.channels) == set(Channel)
        assert set(labels.inputs) == set(TAMPER_BITS)
        assert set(labels.data) == set(Data)
        assert set(labels.verdicts) == set(Verdict)
        assert set(labels.roles) == READERS
        assert all(getattr(labels, field) for field in labels.__struct_fields__)


def test_without_a_terminal_there_are_lines(house: House) -> None:
    """Neither a pipe nor --json nor --plain gets a screen."""
    house.install()
    house.pay("20")
    for option in ("--json", "--plain"):
        said = shell("meter", "run", house.path, "--meter", house.mid.hex(), "--days", "1", option)
        assert said.code == 0
        assert "\x1b" not in said.out
