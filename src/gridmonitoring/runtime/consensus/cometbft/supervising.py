"""`gridmon node` under CometBFT: the application and its CometBFT, two processes that live and die together.

If either ends, the other is stopped, and both start again: at once the first time, then after pauses that
double up to half a minute, and at once again after a minute of work. CometBFT replays to the
application what it lacks, so nothing is lost. The application reads a pipe from here, and ends when this
process does; CometBFT ends when its application has.

Left out: what they do.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Sequence
from pathlib import Path

from gridmonitoring.errors import StorageError
from gridmonitoring.runtime.consensus.cometbft.home import Home

_LOG = logging.getLogger("gridmonitoring.supervisor")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Pauses before starting again, seconds."""
STEADY_S = 60.0
"""Work after which a failure counts as the first, seconds."""
ENDING_S = 15.0
"""How long a process may take to end, seconds."""


class Supervisor:
    """Keeps one node's two processes up."""

    def __init__(self, home: Home, binary: Path, application: Sequence[str]) -> None:
        """`application` is the command line that serves; it prints a line once it does."""
        self._home = home
        self._binary = binary
        self._application = application
        self._stop = asyncio.Event()
        self.restarts = 0
        """Times that both were started again."""

    def stop(self) -> None:
        """Have `run` end both and return."""
        self._stop.set()

    async def run(self, ready: Callable[[int, int], None]) -> None:
        """Keep both up until `stop`; `ready` is told their process IDs each time both are started."""
        loop = asyncio.get_running_loop()
        pause = 0.0
        while not self._stop.is_set():
            began = loop.time()
            ended = await self._life(ready)
            if self._stop.is_set():
                return
            steady = loop.time() - began > STEADY_S
            pause = 0.0 if steady else min(max(2 * pause, FIRST_PAUSE_S), LONGEST_PAUSE_S)
            _LOG.warning("%s; both start again in %.1f s", ended, pause)
            self.restarts += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause)

    async def _life(self, ready: Callable[[int, int], None]) -> str:
        """Run both until one ends or `stop`; return what ended."""
        application = await asyncio.create_subprocess_exec(*self._application, stdin=PIPE, stdout=PIPE)
        comet: Process | None = None
        try:
            assert application.stdout is not None
            serving = asyncio.create_task(application.stdout.readline())
            await self._first(serving)
            if self._stop.is_set() or not serving.done() or not serving.result():
                return f"the application ended ({await application.wait()})" if serving.done() else "stopped"
            self._home.rpc_socket.unlink(missing_ok=True)  # a killed one leaves it, and none could start
            with self._home.log.open("ab") as log:
                comet = await asyncio.create_subprocess_exec(
                    *(str(self._binary), "start", "--home", "."),
                    cwd=self._home.root,
                    stdin=DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            ready(application.pid, comet.pid)
            lives = [asyncio.create_task(application.wait()), asyncio.create_task(comet.wait())]
            await self._first(*lives)
            names = ("the application", "CometBFT")
            ended = [
                f"{name} ended ({life.result()})"
                for name, life in zip(names, lives, strict=True)
                if life.done()
            ]
            return " and ".join(ended)
        finally:
            await _end(comet)
            await _end(application)

    async def _first(self, *tasks: asyncio.Task[bytes] | asyncio.Task[int]) -> None:
        """Wait for the first of these, or `stop`."""
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()


async def _end(process: Process | None) -> None:
    """Have a process end: asked first, then made to."""
    if process is None or process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), ENDING_S)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def application_command(directory: Path) -> list[str]:
    """Return the command line of a directory's application under a supervisor."""
    return [
        sys.executable,
        "-m",
        "gridmonitoring.user_layer.cli",
        "node",
        str(directory),
        "--application",
        "--json",
    ]


def only_home(homes: Sequence[Home]) -> Home:
    """Return the one CometBFT folder of a node's directory; raises `StorageError`."""
    if len(homes) != 1:
        raise StorageError(f"a node has one CometBFT, this directory has {len(homes)}")
    return homes[0]
