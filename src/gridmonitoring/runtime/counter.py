"""At the counter: what a person comes for, from keys to receipts (paper IV-A, IV-C; III-A-3).

Registering a consumer, installing a meter, paying. Each is a series of signed transactions by the offices
whose key files the directory holds, sent to whichever node there is (`grid_port`).

The registrar keeps what is personal in a file of its own, the ledger has the salted commitment to it; the
consumer's copy lies beside the consumer's key. Deleting both ends the link.

Left out: what the meter does once it has power (`meter_agent`).
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from msgspec import Struct

from gridmonitoring.blockchain.bodies import Authenticate, Form, Kind, SupplyPoint
from gridmonitoring.blockchain.state_rows import PaymentRow, SupplyPointRow, Table, party_key
from gridmonitoring.blockchain.transactions import decode_payload
from gridmonitoring.contracts.agreement import Agreement, check_agreement
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.energy_center.credit import Account
from gridmonitoring.energy_center.tariffs import Tariff
from gridmonitoring.errors import Refused, UserError
from gridmonitoring.keys.signatures import split
from gridmonitoring.processing.rows import TariffRow, TariffSeriesRow, series_key
from gridmonitoring.registration.installation_code import code_key
from gridmonitoring.runtime.entropy import new_keys, random_bytes
from gridmonitoring.runtime.grid_port import Grid, load_signer
from gridmonitoring.runtime.key_files import read_keys, write_keys
from gridmonitoring.runtime.meter_home import device_of, meter_keys_file, running
from gridmonitoring.runtime.offices import (
    NewMeter,
    agree,
    commitment,
    confirm_payment,
    give_access,
    new_meter,
    register,
    request_purchase,
)
from gridmonitoring.runtime.parties import Signer

CONSUMER_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,47}")
"""What a consumer's key file may be called after."""


class Registered(Struct, frozen=True):
    """A consumer who joined."""

    consumer: bytes
    """Party ID."""
    key_file: Path
    """Where the keys are."""
    index: int
    """Log index of the registration."""


class Installed(Struct, frozen=True):
    """A meter with access to electricity."""

    mid: bytes
    """Meter ID."""
    key_file: Path
    """Where the meter's keys are."""
    script: bytes
    """Hash of the script that it runs."""
    index: int
    """Log index of the transaction that gave access."""


class Paid(Struct, frozen=True):
    """A purchase that became credit."""

    form: bytes
    """Form transaction ID."""
    index: int
    """Its log index."""
    height: int
    """Height of its parent block in the meter's thread."""
    energy: int
    """Energy quoted, Wh."""
    credit: int
    """Credit of the account now, money."""
    debt: int
    """Debt of the account now, money."""


def consumer_file(folder: Path, name: str, role: Role = Role.CONSUMER) -> Path:
    """Return the key file of who registers; raises `UserError` for a name that cannot be part of one."""
    if CONSUMER_NAME.fullmatch(name) is None:
        raise UserError(
            f"{name!r} cannot name a key file: lower case letters, digits, dot, dash and underscore"
        )
    return folder / f"{role.name.lower()}-{name}.json"


def register_consumer(grid: Grid, name: str, folder: Path, role: Role = Role.CONSUMER) -> Registered:
    """Make a consumer's or researcher's keys and have the registrar register them.

    Keys that a call which did not end left behind are registered now. Raises `UserError` where the consumer
    is registered already, `Refused` where the registration is.
    """
    path = consumer_file(folder, name, role)
    registrar = grid.signer(grid_office(grid, Role.REGISTRAR))
    fresh = not path.exists()
    if fresh:
        keys = new_keys()
        write_keys(path, role, Signer(name, role, keys, grid.chain_id).id, keys)
    consumer = load_signer(grid, path)
    if grid.row(Table.PARTY, party_key(consumer.role, consumer.id)) is not None:
        raise UserError(f"{name} is registered already, as {consumer.id.hex()}")
    salt = random_bytes(32)
    try:
        raw = register(registrar, consumer, commitment(name, salt), grid.clock.now_ms())
        receipt = grid.require(raw)
    except Refused:
        if fresh:
            path.unlink()
        raise
    _keep_record(grid, folder, path.stem, {"name": name, "party": consumer.id.hex()}, salt)
    return Registered(consumer.id, path, receipt.index)


def find_tariff(grid: Grid, utility: bytes, name: str) -> Tariff | None:
    """Return the latest tariff of a utility's name, or None."""
    series: TariffSeriesRow | None = grid.row(Table.TARIFF_SERIES, series_key(utility, name))
    if series is None:
        return None
    row: TariffRow = grid.row(Table.TARIFF, series.latest)
    return row.tariff


def tariff_named(grid: Grid, utility: bytes, name: str, time: int) -> Tariff:
    """Return the tariff of a utility's name that is in force at a time; raises `UserError`."""
    published: list[Tariff] = [row.tariff for _, row in grid.rows(Table.TARIFF)]
    published = [tariff for tariff in published if tariff.utility == utility]
    valid = [tariff for tariff in published if tariff.name == name and tariff.valid_from_ms < time]
    if not valid:
        names = ", ".join(sorted({tariff.name for tariff in published})) or "none"
        raise UserError(f"no tariff {name!r} is in force; there are: {names}")
    return max(valid, key=lambda tariff: tariff.valid_from_ms)


def install_meter(
    grid: Grid, consumer: Signer, meter: NewMeter, agreement: Agreement, serial: str
) -> Installed:
    """Do all of IV-A: supply point, verification, link, agreement, the meter's own keys, access.

    The meter's key file is made first, so that no meter is on the ledger whose keys are lost. At the end the
    meter has heard that it may give power, and has reported so. Raises `Refused`, `UserError`, or
    `ContractError` for terms that contradict each other.
    """
    check_agreement(agreement)
    registrar, authenticator, utility = (
        grid.signer(grid_office(grid, role)) for role in (Role.REGISTRAR, Role.AUTHENTICATOR, Role.UTILITY)
    )
    time = grid.clock.now_ms()
    point = SupplyPoint(meter.mid, consumer.id, agreement.utility, meter.house, code_key(meter.code))
    _all_of(
        grid,
        registrar.transaction(Kind.SUPPLY_POINT, point, time),
        authenticator.transaction(Kind.AUTHENTICATE, Authenticate(meter.mid), time),
    )
    grid.link(meter.mid, commitment(serial, meter.salt))
    keys, path = new_keys(), meter_keys_file(grid.directory, meter.mid)
    write_keys(path, Role.METER, meter.mid, keys)
    with running(grid.directory, device_of(grid, meter.mid, agreement), keys, grid) as agent:
        time = grid.clock.now_ms()
        access = _all_of(
            grid,
            agree(utility, consumer, agreement, time),
            agent.install(meter.code, time),
            give_access(authenticator, meter.mid, 1, time),
        )
        agent.poll(grid.clock.now_ms())
        agent.flush()
        script = agent.meter.contract.terms.script
    return Installed(meter.mid, path, script, access)


def new_supply_point(grid: Grid, house_number: str) -> NewMeter:
    """Make a meter ID for a house; the registrar keeps the number and its salt."""
    meter = new_meter(house_number)
    record = {"house_number": house_number, "mid": meter.mid.hex()}
    _write_private(_registrar(grid) / f"meter-{meter.mid.hex()}.json", record, meter.salt)
    return meter


def pay(
    grid: Grid, payer: Signer, mid: bytes, amount: int, reference: bytes, vendor: str | None = None
) -> Paid:
    """Buy power: the payer's request, the vendor's confirmation, a node's form.

    Raises `Refused`, or `UserError` where the meter is unknown or nothing can be dispatched.
    """
    seller = grid.signer(vendor or grid_office(grid, Role.VENDOR))
    time, currency = grid.clock.now_ms(), grid.genesis.currency
    request = request_purchase(payer, mid, amount, currency, random_bytes(16), time)
    receipt = grid.process(request, confirm_payment(seller, request, amount, currency, reference, time))
    form: Form = decode_payload(split(grid.transaction(receipt.index))[0]).body
    paid: PaymentRow = grid.row(Table.PAYMENT, seller.id + reference)
    account: Account = grid.row(Table.ACCOUNT, mid)
    return Paid(receipt.id, receipt.index, paid.height, form.energy, account.credit, account.debt)


def payer_of(grid: Grid, mid: bytes, folder: Path) -> Signer:
    """Return the signer of the consumer who holds a meter's account; raises `UserError`."""
    point: SupplyPointRow = grid.row(Table.SUPPLY_POINT, mid)
    for path in sorted(folder.glob("consumer-*.json")):
        if not path.name.endswith(".record.json") and read_keys(path)[1] == point.consumer:
            return load_signer(grid, path)
    raise UserError(
        f"{folder} has no key file of consumer {point.consumer.hex()}; say who pays: --payer NAME"
    )


def grid_office(grid: Grid, role: Role) -> str:
    """Return the name of the first founding party of a role; raises `UserError` where there is none."""
    names = [party.name for party in grid.genesis.parties if party.role == role]
    if not names:
        raise UserError(f"this network has no {role.name.lower().replace('_', ' ')}")
    return names[0]


def erase_records(grid: Grid, mid: bytes, consumer: bytes, folder: Path) -> list[Path]:
    """Erase what opens the commitments to a house number and a name; return the files that are gone.

    The registrar's records, and the consumer's copy: overwritten, then deleted. After that nobody can tell
    what the ledger's commitments are of. Raises `UserError` where a file cannot be erased.
    """
    registrar = _registrar(grid)
    paths = [registrar / f"meter-{mid.hex()}.json"]
    paths += [*registrar.glob("consumer-*.json"), *folder.glob("consumer-*.record.json")]
    found = [path for path in sorted(paths) if path.is_file() and _is_of(path, mid, consumer)]
    for path in found:
        _erase_file(path)
    return found


def _is_of(path: Path, mid: bytes, consumer: bytes) -> bool:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    return bool(consumer.hex() == record.get("party") or mid.hex() == record.get("mid"))


def _erase_file(path: Path) -> None:
    try:
        with path.open("r+b") as stream:
            stream.write(bytes(path.stat().st_size))
            stream.flush()
            os.fsync(stream.fileno())
        path.unlink()
    except OSError as error:
        raise UserError(f"cannot erase {path}: {error.strerror}") from error


def _all_of(grid: Grid, *raws: bytes) -> int:
    """Have transactions decided together; return the last one's log index, or raise the first refusal."""
    receipts = grid.submit(raws)
    for receipt in receipts:
        if receipt.error is not None:
            raise receipt.error
    return receipts[-1].index


def _registrar(grid: Grid) -> Path:
    return grid.directory.root / "registrar"


def _keep_record(grid: Grid, folder: Path, name: str, record: dict[str, str], salt: bytes) -> None:
    """Keep personal data with the registrar, and a copy with the consumer."""
    _write_private(_registrar(grid) / f"{name}.json", record, salt)
    _write_private(folder / f"{name}.record.json", record, salt)


def _write_private(path: Path, record: dict[str, str], salt: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump({**record, "salt": salt.hex()}, stream, indent=1)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
