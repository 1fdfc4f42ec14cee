"""What a command says: results on stdout, all else on stderr; one way for people and one for programs.

With `--json` a command writes exactly one line on stdout, its result or its error. Works without a
terminal, with LANG=C and NO_COLOR: colours and boxes are left out where they cannot be shown.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Annotated, Any, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gridmonitoring.errors import AccessDenied, GridMonitoringError

PIPED_WIDTH = 200
"""Columns where nothing says how wide the output is."""

Json = Annotated[
    bool,
    typer.Option("--json", help="One line of JSON on stdout, all else on stderr.", rich_help_panel="Output"),
]
"""The option of every command."""


class Output:
    """Where one command's result goes."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def result(self, data: Mapping[str, Any], show: Callable[[Console], None]) -> None:
        """Give the result: `data` as one line, or what `show` prints for people."""
        if self.as_json:
            write_line(data)
        else:
            show(console())


def console(*, stderr: bool = False) -> Console:
    """Return where to print for people."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else PIPED_WIDTH
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)


def write_line(data: Mapping[str, Any]) -> None:
    """Write one line of JSON on stdout, in ASCII."""
    sys.stdout.write(json.dumps(data, default=_plain, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else str(value)


def note(text: str) -> None:
    """Say something on stderr."""
    console(stderr=True).print(text)


def progress() -> Progress:
    """Return a progress bar on stderr; nothing is drawn without a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    target = console(stderr=True)
    return Progress(*columns, console=target, disable=not target.is_terminal)


def facts(title: str, rows: Sequence[tuple[str, str]]) -> Table:
    """Return a table of names and values."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return table


def listing(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table with a header."""
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    return table


class BadResult(Exception):
    """The result was given, and it is not a good one: exit code 1, and why on stderr."""


class Guard:
    """Turns whatever ends a command into one clear line and an exit code."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self.code = 0
        """0 where all went well, 1 where it did not, 2 for wrong usage."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            return True
        if isinstance(error, SystemExit):
            self.code = 1 if error.code else 0
        elif isinstance(error, BadResult):
            self._fail("BadResult", str(error), answered=True)
        elif isinstance(error, typer.TyperException):
            self._fail("UsageError" if error.exit_code == 2 else "UserError", error.format_message())
            self.code = error.exit_code
        elif isinstance(error, GridMonitoringError):
            rule = error.reason if isinstance(error, AccessDenied) else getattr(error, "rule", None)
            self._fail(type(error).__name__, str(error), rule)
        elif isinstance(error, typer.Abort | KeyboardInterrupt):
            self._fail("Interrupted", "interrupted")
        else:
            self._unexpected(error)
        return True

    def _unexpected(self, error: BaseException) -> None:
        if os.environ.get("GRIDMON_DEBUG"):
            traceback.print_exception(error, file=sys.stderr)
        what = " ".join(f"{type(error).__name__}: {error}".split())
        advice = "please report it, with what GRIDMON_DEBUG=1 prints"
        self._fail("Unexpected", f"an error that nobody foresaw ({what}); {advice}")

    def _fail(self, kind: str, message: str, rule: str | None = None, *, answered: bool = False) -> None:
        self.code = 1
        if self._as_json and not answered:
            write_line({"error": {"type": kind, "rule": rule, "message": message}})
        sys.stderr.write(f"error: {' '.join(message.split())}\n")
