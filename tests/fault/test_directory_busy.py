"""A data directory has one owner; whoever comes second is told so in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gridmonitoring.errors import DirectoryBusy, EncodingError
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.healing import heal
from gridmonitoring.runtime.network import Network
from tests.support.network import open_small, small_network

SECOND = """
import sys
from pathlib import Path
from gridmonitoring.errors import DirectoryBusy
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.network import Network
try:
    Network(Directory(Path(sys.argv[1])))
except DirectoryBusy as error:
    sys.stdout.write(str(error))
"""


def test_a_second_owner_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "network"
    small = small_network(path, validators=1, meters=0)
    for second in (lambda: Network(Directory(path)), lambda: heal(Directory(path))):
        with pytest.raises(DirectoryBusy) as refusal:
            second()
        assert "\n" not in str(refusal.value)
        assert str(path) in str(refusal.value)
    told = subprocess.run(
        [sys.executable, "-c", SECOND, str(path)], capture_output=True, text=True, check=True
    )
    assert told.stdout == f"{path} is in use by another process"
    small.close()
    open_small(path).close()


def test_who_fails_to_open_it_gives_it_up(tmp_path: Path) -> None:
    path = tmp_path / "network"
    small_network(path, validators=1, meters=0).close()
    genesis = path / "genesis.cbor"
    document = genesis.read_bytes()
    genesis.write_bytes(document[:-1])
    with pytest.raises(EncodingError):
        Network(Directory(path))
    genesis.write_bytes(document)
    open_small(path).close()
