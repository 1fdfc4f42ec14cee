"""A node that serves a directory in a thread of this process, for tests of client and service."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from gridmonitoring.runtime.clock import Clock
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.grid_port import Status
from gridmonitoring.runtime.local_grid import LocalGrid
from gridmonitoring.runtime.service import Pace, Service


@contextlib.contextmanager
def serving(
    directory: Directory, clock: Clock | None = None, pace: Pace | None = None
) -> Iterator[LocalGrid]:
    """Serve a directory while the block runs; the grid belongs to the service's thread meanwhile."""
    grid = LocalGrid(directory, clock)
    ready = threading.Event()
    stops: list[tuple[asyncio.AbstractEventLoop, Service]] = []

    async def run() -> None:
        service = Service(grid, pace)
        stops.append((asyncio.get_running_loop(), service))

        def serves(_: Status) -> None:
            ready.set()

        await service.run(serves)

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="service")
    thread.start()
    try:
        assert ready.wait(30)
        yield grid
    finally:
        loop, service = stops[0]
        loop.call_soon_threadsafe(service.stop)
        thread.join(30)
        grid.close()
    assert not thread.is_alive()
