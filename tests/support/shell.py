"""The program `gridmon` called in this process, and as a process of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import gridmonitoring
from gridmonitoring.user_layer.cli.app import run

PROGRAM = (sys.executable, "-m", "gridmonitoring.user_layer.cli")


class Said(NamedTuple):
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The one line of JSON on stdout."""
        assert self.out.count("\n") == 1, self
        assert self.out.endswith("\n"), self
        return json.loads(self.out)


def call(*arguments: object) -> Said:
    """Run a command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([str(argument) for argument in arguments])
    return Said(code, out.getvalue(), err.getvalue())


def done(*arguments: object) -> Any:
    """Run a command line with --json in this process, which must go well; return its result."""
    said = call(*arguments, "--json")
    assert said.code == 0, said
    return said.data


def shell(*arguments: object, **environment: str) -> Said:
    """Run a command line as a process of its own, with these variables set besides paths."""
    source = str(Path(gridmonitoring.__file__).parents[1])  # the package under test, wherever it is installed
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": source, "LANG": "C", **environment}
    command = [*PROGRAM, *(str(argument) for argument in arguments)]
    ended = subprocess.run(command, capture_output=True, env=variables, timeout=120, check=False)
    return Said(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


@contextlib.contextmanager
def node_process(directory: Path) -> Any:
    """A node that serves a directory as a process of its own; it has said that it does."""
    command = [*PROGRAM, "node", str(directory), "--json"]
    node = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert node.stdout is not None
        ready = node.stdout.readline()
        assert ready, node.communicate()
        assert json.loads(ready)["process"] == node.pid
        yield node
    finally:
        node.kill()
        node.communicate()


def install(path: Path, house: str, *options: str) -> str:
    """Install a meter for the consumer alice; return its ID."""
    return str(done("install", path, "--consumer", "alice", "--house-number", house, *options)["meter"])


def meters(path: Path) -> list[str]:
    """Return the meters of a network."""
    return [meter["mid"] for meter in done("show", "network", path)["first_meters"]]
