"""Where a simulated meter lives: its keys and its outbox beside the network's files (paper IV-A, IV-B).

keys/meter-<MID>.json   the meter's keys
meters/<MID>.db         its memory and outbox
meters/<MID>.lock       held while it runs: two agents with one sequence would contradict each other

What an installer puts into a meter is read from the ledger.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gridmonitoring.blockchain.state_rows import MeterRow, PartyRow, SupplyPointRow, Table, party_key
from gridmonitoring.contracts.agreement import Agreement
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.energy_center.tariffs import Tariff
from gridmonitoring.errors import UserError
from gridmonitoring.processing.rows import AgreementRow, TariffRow
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.entropy import KeyPair
from gridmonitoring.runtime.grid_port import Grid
from gridmonitoring.runtime.key_files import read_keys
from gridmonitoring.runtime.meter_agent import Device, MeterAgent
from gridmonitoring.runtime.meter_port import GridPort
from gridmonitoring.runtime.storage.outbox import Outbox


def meter_keys_file(directory: Directory, mid: bytes) -> Path:
    """Return a meter's key file."""
    return directory.key_file(f"meter-{mid.hex()}")


@contextmanager
def meter_at_home(grid: Grid, port: GridPort, mid: bytes) -> Iterator[MeterAgent]:
    """Run the agent of an installed meter; raises `UserError` where its keys are elsewhere or it runs."""
    _, _, keys = read_keys(meter_keys_file(grid.directory, mid))
    agreement: AgreementRow | None = grid.row(Table.AGREEMENT, mid)
    if agreement is None:
        raise UserError(f"meter {mid.hex()} has no agreement")
    with running(grid.directory, device_of(grid, mid, agreement.agreement), keys, port) as agent:
        yield agent


@contextmanager
def running(directory: Directory, device: Device, keys: KeyPair, port: GridPort) -> Iterator[MeterAgent]:
    """Run a meter's agent on its outbox, alone; raises `UserError` where it runs already."""
    folder = directory.root / "meters"
    folder.mkdir(mode=0o700, exist_ok=True)
    name = device.mid.hex()
    lock = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"meter {name} is running already") from error
        with closing(Outbox(folder / f"{name}.db")) as outbox:
            yield MeterAgent(device, keys, port, outbox)
    finally:
        os.close(lock)


def device_of(grid: Grid, mid: bytes, agreement: Agreement) -> Device:
    """Return what an installer puts into a meter; raises `UserError` where the meter is unknown."""
    point: SupplyPointRow | None = grid.row(Table.SUPPLY_POINT, mid)
    meter: MeterRow | None = grid.row(Table.METER, mid)
    if point is None or meter is None:
        raise UserError(f"no meter {mid.hex()} on this chain")
    consumer: PartyRow = grid.row(Table.PARTY, party_key(Role.CONSUMER, point.consumer))
    custodians = [party.hpke_key for party in grid.genesis.parties if party.role == Role.CUSTODIAN]
    return Device(
        grid.document,
        mid,
        meter.epoch,
        agreement,
        tariff_series(grid, agreement.tariff),
        consumer.hpke_key,
        custodians[0] if custodians else b"",
    )


def tariff_series(grid: Grid, first: bytes) -> tuple[Tariff, ...]:
    """Return a tariff and those that follow it, in order; raises `UserError`."""
    found: list[Tariff] = []
    key = first
    while key:
        row: TariffRow | None = grid.row(Table.TARIFF, key)
        if row is None:
            raise UserError(f"no tariff {key.hex()} is published")
        found.append(row.tariff)
        key = row.successor
    return tuple(found)
