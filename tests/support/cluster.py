"""A cluster of real processes for tests: applications and CometBFTs on the loopback, stopped at the end."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gridmonitoring.blockchain.genesis import Parameters
from gridmonitoring.runtime.client import Client, connect
from gridmonitoring.runtime.clock import SystemClock
from gridmonitoring.runtime.cluster import init_cluster
from gridmonitoring.runtime.consensus.cometbft.supervising import application_command
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.founding import Plan, bucket_bits_for
from tests.support.project import ROOT

PATIENCE_S = 90.0


class LiveCluster:
    """Nodes at work: `gridmon cluster up` in a process of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names = sorted(path.parent.name for path in root.glob("*/genesis.cbor"))
        self._process: subprocess.Popen[bytes] | None = None

    def directory(self, name: str) -> Directory:
        return Directory(self.root / name)

    def start(self) -> list[dict[str, Any]]:
        """Start every node; return their directories and process IDs."""
        program = [
            sys.executable,
            "-m",
            "gridmonitoring.user_layer.cli",
            "cluster",
            "up",
            str(self.root),
            "--json",
        ]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        with (self.root / "cluster.log").open("ab") as log:
            self._process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=log, env=environment)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, (self.root / "cluster.log").read_text()
        nodes: list[dict[str, Any]] = json.loads(line)["nodes"]
        return nodes

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            assert self._process.wait(60) == 0
        finally:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    @contextlib.contextmanager
    def node(self, name: str) -> Iterator[Client]:
        """Use a node, waiting until it serves."""
        found: list[Client] = []

        def try_it() -> bool:
            client = connect(self.directory(name))
            if client is not None:
                found.append(client)
            return client is not None

        wait_until(try_it)
        with found[0] as client:
            yield client

    def processes(self, name: str) -> tuple[int, int]:
        """Return the process IDs of a node's application and of its CometBFT, once both are up."""
        wanted = application_command(self.root / name)
        home = self.directory(name).comet(name).resolve()
        found: dict[str, int] = {}

        def both() -> bool:
            for entry in Path("/proc").iterdir():
                with contextlib.suppress(OSError, ValueError):
                    words = (entry / "cmdline").read_bytes().decode().split("\0")[:-1]
                    if words == wanted:
                        found["application"] = int(entry.name)
                    elif words[1:2] == ["start"] and (entry / "cwd").resolve() == home:
                        found["comet"] = int(entry.name)
            return len(found) == 2

        wait_until(both)
        return found["application"], found["comet"]


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until something holds; fails after a while."""
    waiting = socket.socketpair()
    with waiting[0], waiting[1]:
        waiting[0].settimeout(0.05)
        for _ in range(int(PATIENCE_S / 0.05)):
            if holds():
                return
            with contextlib.suppress(TimeoutError):
                waiting[0].recv(1)
    raise AssertionError("it did not come about")


def free_ports(count: int) -> int:
    """Return the first of so many ports that nobody listens on: at random, as others look for some too."""
    blocks = range(20_000, 32_000, 16)  # below those that systems give to outgoing connections
    for first in random.SystemRandom().sample(blocks, len(blocks)):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise AssertionError("no ports are free")


@contextlib.contextmanager
def live_cluster(root: Path, validators: int = 4) -> Iterator[LiveCluster]:
    """Make a cluster and run it while the block runs."""
    plan = Plan("test", "A1", validators=validators, parameters=Parameters(bucket_bits=bucket_bits_for(50)))
    init_cluster(root, plan, SystemClock().now_ms(), free_ports(validators))
    cluster = LiveCluster(root)
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


def heights(cluster: LiveCluster, names: Sequence[str]) -> list[int]:
    """Return the last block of each node."""
    found = []
    for name in names:
        with cluster.node(name) as node:
            found.append(node.status().height)
    return found
