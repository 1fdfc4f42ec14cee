"""A cluster on one machine: a directory per node with its own keys and CometBFT, on ports of the loopback.

What belongs to one node is in one directory, so that it can be carried to another machine as it is. The
offices' keys, which belong to no node, are in the first one's.

Left out: founding by parties who each make their own keys.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from gridmonitoring.blockchain.genesis import Genesis
from gridmonitoring.errors import UserError
from gridmonitoring.keys.signatures import SecretSeed
from gridmonitoring.runtime.consensus.cometbft.home import Home, Peer, node_id
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.entropy import random_bytes
from gridmonitoring.runtime.founding import FOUNDERS, Plan, found
from gridmonitoring.runtime.key_files import read_keys

FIRST_PORT = 26656
"""Port of the first node's CometBFT; the others' follow."""


def node_directories(root: Path) -> list[Directory]:
    """Return the directories of a cluster's nodes, by name; raises `UserError` where there are none."""
    found_ = [Directory(path.parent) for path in sorted(root.glob("*/genesis.cbor"))]
    if not found_:
        raise UserError(f"{root} holds no cluster; make one with: gridmon cluster init --output {root}")
    return found_


def init_cluster(root: Path, plan: Plan, now_ms: int, first_port: int = FIRST_PORT) -> Genesis:
    """Make a cluster in an empty directory; raises `UserError`."""
    if root.exists() and any(root.iterdir()):
        raise UserError(f"{root} is not an empty directory")
    staging = Directory(root / ".new")
    staging.acquire()
    try:
        genesis = found(staging, plan, now_ms)
        names = [validator.name for validator in genesis.validators]
        for name in names:
            _move(staging, Directory(root / name), name)
        for office, _ in FOUNDERS:
            shutil.copy(staging.key_file(office), Directory(root / names[0]).key_file(office))
        connect_homes({name: Directory(root / name) for name in names}, genesis, first_port)
    finally:
        staging.release()
        shutil.rmtree(staging.root, ignore_errors=True)
    return genesis


def _move(staging: Directory, own: Directory, name: str) -> None:
    """Give a node what is its own, and copies of what is everybody's."""
    own.keys.mkdir(parents=True, mode=0o700)
    for key in (name, f"{name}.validator"):
        shutil.move(staging.key_file(key), own.key_file(key))
    shutil.copy(staging.key_file("contract"), own.key_file("contract"))
    own.node(name).parent.mkdir()
    shutil.move(staging.node(name), own.node(name))
    shutil.copy(staging.genesis, own.genesis)


def connect_homes(places: dict[str, Directory], genesis: Genesis, first_port: int) -> None:
    """Make the CometBFT folder of each validator and have each know the others, on the loopback."""
    seeds = {name: SecretSeed(random_bytes(32)) for name in places}
    listens = {name: f"127.0.0.1:{first_port + number}" for number, name in enumerate(places)}
    for name, place in places.items():
        _, _, votes = read_keys(place.key_file(f"{name}.validator"))
        home = Home(place.comet(name))
        home.make(genesis, votes.seed, seeds[name])
        peers = [Peer(node_id(seeds[other]), listens[other]) for other in places if other != name]
        home.configure(name, listens[name], peers)
