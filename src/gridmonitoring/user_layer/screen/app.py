"""The screen itself: layout, colours and keys of the in-home display in a terminal (paper IV-B).

The meter runs on a thread of its own and tells the screen after each step what the display shows; keys become
wishes that the meter's thread carries out. The screen can be closed at any time: the meter goes on from there
at the next start.

Left out: the mouse, and terminals smaller than 80 x 24, which scroll.
"""

from __future__ import annotations

from asyncio import get_running_loop
from collections import deque
from collections.abc import Sequence
from signal import SIGTERM
from threading import current_thread, main_thread

from rich.table import Table
from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Footer, Sparkline, Static

from gridmonitoring.errors import GridMonitoringError
from gridmonitoring.runtime.meter_agent import MeterAgent
from gridmonitoring.runtime.meter_run import Bell, Line, MeterRun, Pace, Progress
from gridmonitoring.runtime.simulators.replay import Minutes
from gridmonitoring.smart_meter.display import DisplayState
from gridmonitoring.user_layer.screen.content import BAR, Wording, compose
from gridmonitoring.user_layer.screen.person import AtTheScreen, Wish

HISTORY = 96
"""Looks at the power that the small chart shows."""


class Step(Message):
    """The meter has made a step."""

    def __init__(self, shown: DisplayState, state: str) -> None:
        super().__init__()
        self.shown = shown
        self.state = state


class Said(Message):
    """Something to tell whoever pressed a key."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class Page(Message):
    """A page to show until any key."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class Failed(Message):
    """The meter's run has failed."""


class Explanation(ModalScreen[None]):
    """The help, or another page, until any key."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """Lay it out."""
        yield Static(self._text, id="help", markup=False)

    def on_key(self) -> None:
        """Close it."""
        self.dismiss()


class HomeDisplay(App[None]):
    """One meter's display."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { background: #10161c; color: #e8edf2; }
    #title { background: #1d3a57; color: #ffffff; text-style: bold; padding: 0 1; }
    #alarms { background: #9b1c11; color: #ffffff; text-style: bold; padding: 0 1; }
    #state { background: #3d3208; color: #ffe1a0; padding: 0 1; }
    #alarms.calm, #state.calm { display: none; }
    #figures { height: 6; }
    .card { border: round #6d8499; border-title-color: #a9cbea; padding: 0 1; }
    .narrow { width: 1fr; height: 6; }
    .wide { height: 6; }
    .rest { height: 1fr; min-height: 4; }
    #credit, #power, #today { text-style: bold; }
    #power-chart { height: 2; margin-top: 1; }
    Explanation { align: center middle; background: #10161c 60%; }
    #help {
        width: 90%; max-width: 96; height: auto; max-height: 100%; overflow-y: auto;
        border: round #a9cbea; background: #1a2530; padding: 1 2;
    }
    """

    def __init__(self, say: Wording, agent: MeterAgent, line: Line, minutes: Minutes, pace: Pace) -> None:
        super().__init__()
        self._say = say
        self._agent = agent
        self._bell = Bell()
        self._person = AtTheScreen(line, say.mid, say.labels, self._tell, self._explain)
        self._meter = MeterRun(agent, line, minutes, pace, self._person)
        self._power: deque[float] = deque(maxlen=HISTORY)
        self._usual = ""
        self._end: Progress | None = None
        self._failure: GridMonitoringError | None = None
        words = say.labels
        self.bind("a", "wish('accept')", description=words.accept)
        self.bind("s", "wish('switch')", description=words.switch)
        self.bind("d", "wish('access')", description=words.access)
        self.bind("question_mark", "explain", description=words.help, key_display="?")
        self.bind("q", "quit", description=words.close)
        self.bind("ctrl+c", "quit", show=False)

    def compose(self) -> ComposeResult:
        """Lay the display out."""
        words = self._say.labels
        yield Static(id="title", markup=False)
        yield Static(id="alarms", markup=False)
        with Horizontal(id="figures"):
            yield _card(words.credit, Static(id="credit", markup=False))
            chart = Sparkline(id="power-chart", min_color="#6fa8dc", max_color="#ffd48a")
            yield _card(words.power, Static(id="power", markup=False), chart)
            yield _card(words.tariff, Static(id="tariff", markup=False))
            yield _card(words.today, Static(id="today", markup=False))
        yield _card(words.appliances, Static(id="appliances", markup=False), classes="wide")
        yield _card(words.messages, Static(id="messages", markup=False), classes="rest")
        yield Static(id="state", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Show what there is, and set the meter to work."""
        self._show(self._agent.display())
        self._note("")
        if current_thread() is main_thread():
            get_running_loop().add_signal_handler(SIGTERM, self.exit)
        self.run_worker(self._run_meter, thread=True, exit_on_error=False)

    def on_unmount(self) -> None:
        """End the run: whoever closes the screen leaves the meter as it is."""
        self._bell.stop()
        if current_thread() is main_thread():
            get_running_loop().remove_signal_handler(SIGTERM)

    @property
    def at_rest(self) -> bool:
        """Whether the recording has ended and the screen says so."""
        shown = self.screen_stack[0].query_one("#state", Static)
        return str(shown.render()) == self._say.labels.ended

    def result(self) -> Progress:
        """Return how the run ended, after the screen was closed; raises what ended it early."""
        if self._failure is not None:
            raise self._failure
        assert self._end is not None
        return self._end

    # on the meter's thread

    def _run_meter(self) -> None:
        try:
            self._end = self._meter.run(self._bell, self._step)
            self._usual = self._say.labels.ended
            self._step(self._end)
            self._end = self._meter.stay(self._bell, self._step)
        except GridMonitoringError as error:
            self._failure = error
            self.post_message(Failed())

    def _step(self, progress: Progress) -> None:
        cut = self._say.labels.line_cut.format(reports=progress.waiting)
        state = cut if self._meter.cut_off_from_grid else self._usual
        self.post_message(Step(self._agent.display(), state))

    def _tell(self, text: str) -> None:
        self.post_message(Said(text))

    def _explain(self, text: str) -> None:
        self.post_message(Page(text))

    # on the screen's own

    def on_step(self, step: Step) -> None:
        """Show a step."""
        self._show(step.shown)
        self._note(step.state)

    def on_said(self, said: Said) -> None:
        """Show an answer to a key for a while."""
        self.notify(said.text)

    def on_page(self, page: Page) -> None:
        """Show a page in the place of the last one."""
        if isinstance(self.screen, Explanation):
            self.pop_screen()
        self.push_screen(Explanation(page.text))

    def on_failed(self) -> None:
        """Close: what ended the run is told where the screen was."""
        self.exit()

    def action_wish(self, name: str) -> None:
        """A key was pressed that the meter has to answer."""
        self._person.ask(Wish(name))
        self._bell.ring()

    def action_explain(self) -> None:
        """Show the help."""
        self.push_screen(Explanation(self._say.labels.explained))

    def _show(self, shown: DisplayState) -> None:
        panel = compose(shown, self._say)
        self._power.append(shown.power)
        self._put("title", panel.title)
        self._put("alarms", "\n".join(panel.alarms), calm=not panel.alarms)
        for name in ("credit", "power", "tariff", "today", "messages"):
            lines: tuple[str, ...] = getattr(panel, name)
            self._put(name, "\n".join(lines))
        self._put("appliances", _table(panel.appliances))
        self.screen_stack[0].query_one(Sparkline).data = list(self._power)

    def _note(self, text: str) -> None:
        self._put("state", text, calm=not text)

    def _put(self, name: str, content: str | Table, *, calm: bool = False) -> None:
        part = self.screen_stack[0].query_one(f"#{name}", Static)
        part.update(content)
        part.set_class(calm, "calm")


def show(say: Wording, agent: MeterAgent, line: Line, minutes: Minutes, pace: Pace) -> Progress:
    """Show a meter's display until it is closed; return how its run ended, raise what ended it early."""
    display = HomeDisplay(say, agent, line, minutes, pace)
    display.run()
    return display.result()


def _card(title: str, *parts: Widget, classes: str = "narrow") -> Vertical:
    """Return parts in a frame with a title."""
    card = Vertical(*parts, classes=f"card {classes}")
    card.border_title = title
    return card


def _table(rows: Sequence[tuple[str, str, str, str]]) -> Table:
    """Return the appliances in columns."""
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(width=BAR, style="#ffd48a")
    table.add_column(justify="right")
    table.add_column(justify="right")
    for row in rows:
        table.add_row(*row)
    return table
