"""A network for tests of commands, made once for each file of tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.shell import done, install

START = "2026-01-01"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network in simulated time with a consumer and a meter without credit; tests only add to it."""
    path = tmp_path_factory.mktemp("cli") / "grid"
    done("init", path, "--validators", "1", "--meters", "80", "--start", START)
    done("register", path, "--name", "alice")
    install(path, "14")
    return path


@pytest.fixture(scope="module")
def paid(home: Path) -> str:
    """A meter with a little credit."""
    mid = install(home, "12", "--tariff", "time-of-use")
    done("pay", home, "--meter", mid, "--amount", "3.00", "--reference", "first")
    return mid
