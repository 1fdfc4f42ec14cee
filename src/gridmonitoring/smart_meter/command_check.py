"""What a meter believes: commands and statements under a quorum's proof, for this device only (paper V-A).

No single node can credit, cut or clear: what commands a meter is a row of the state, proved up to more than
two thirds of the validators, and checked here by the code that checks any evidence
(`blockchain.evidence.verify`). A statement comes as evidence of the account, or as a bill, which also brings
the tariffs that follow; a command that changes the script brings those of the new agreement.

The node that delivers signs what it delivers, so that it can be named where the proof does not hold.

Left out: opening the box that it comes in (`keys.sealed_commands`), and doing what it says (`orders`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from gridmonitoring.blockchain.bodies import OptionalId
from gridmonitoring.blockchain.evidence import verify
from gridmonitoring.blockchain.evidence_bundle import EvidenceKind
from gridmonitoring.blockchain.evidence_contents import Proven
from gridmonitoring.blockchain.state_rows import CommandKind, CommandRow, Table
from gridmonitoring.contracts.agreement import Agreement, decode_agreement
from gridmonitoring.encoding.bounds import Bytes32
from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, decode
from gridmonitoring.energy_center.credit import Account
from gridmonitoring.energy_center.tariffs import Tariff
from gridmonitoring.errors import CommandIgnored, MeterError
from gridmonitoring.keys.sealed_commands import DELIVERY_DOMAIN, Delivery, SealedCommand, read_delivery
from gridmonitoring.keys.signatures import open_signed, signing_context, verify_signature

MID_SIZE = 16
"""Bytes of a meter ID, with which the key of a command begins."""


class Ordered(NamedTuple):
    """A proven command."""

    number: int
    """Its number."""
    command: CommandRow
    """What to do."""
    tariffs: tuple[Tariff, ...]
    """SCRIPT: the new agreement's tariffs, in order; else none."""
    size: int
    """Log size at the checkpoint that proves it."""


class Stated(NamedTuple):
    """A proven account."""

    account: Account
    """The account with its last statement."""
    tariffs: tuple[Tariff, ...]
    """The agreement's tariffs, in order, where a bill brought them; else none."""
    size: int
    """Log size at the checkpoint that proves it; commands proved by then are in the account."""


class _PublishedTariff(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A TARIFF row."""

    tariff: Tariff
    successor: OptionalId


class _AgreedTerms(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """An AGREEMENT row."""

    agreement: Agreement
    script: Bytes32


def check_delivery(
    signed: bytes, nodes: Mapping[bytes, bytes], chain_id: bytes, told: SealedCommand
) -> Delivery:
    """Return what a node delivered, given the keys of the nodes that the meter knows, from genesis.

    The signature of a node that joined later is looked at where it is accused. Raises an `EncodingError`
    where there is no such delivery, `BadSignature` where a known node did not sign it, `MeterError` where it
    was signed for another box than it came in.
    """
    delivery = read_delivery(signed)
    key = nodes.get(delivery.node)
    if key is not None:
        open_signed(signed, key, signing_context(DELIVERY_DOMAIN, chain_id), verify_signature)
    if (delivery.mid, delivery.epoch, delivery.kind, delivery.number) != (
        *(told.mid, told.epoch, told.kind, told.number),
    ):
        raise MeterError("the node signed this for another meter, or as something else")
    return delivery


def check_command(
    bundle: bytes, genesis: bytes, mid: bytes, epoch: int, carried_out: int
) -> Ordered | Stated:
    """Return what a bundle of evidence tells this meter, given genesis and the last command dealt with.

    1 the proof holds, 2 it is about this meter, 3 a command is for this device and past the last. Raises
    `EvidenceError` where the proof does not hold; `CommandIgnored` where it is another's, or came before;
    `MeterError` where it is evidence of something else; `EncodingError` where a row is not of its type.
    """
    # 1
    proven = verify(bundle, genesis)
    # 2
    if proven.kind is EvidenceKind.COMMAND:
        key = _key(proven, Table.COMMAND)
        _require_meter(key[:MID_SIZE], mid)
        number = int.from_bytes(key[MID_SIZE:], "big")
        command = proven.row(Table.COMMAND, key, CommandRow)
        # 3
        if command.epoch != epoch or number <= carried_out:
            raise CommandIgnored(number, f"it is for epoch {command.epoch}; {carried_out} were carried out")
        return Ordered(number, command, _tariffs_of_script(proven, command), proven.checkpoint.size)
    if proven.kind in (EvidenceKind.STATEMENT, EvidenceKind.BILL):
        key = _key(proven, Table.ACCOUNT)
        _require_meter(key, mid)
        account = proven.row(Table.ACCOUNT, key, Account)
        return Stated(account, _tariffs_of_bill(proven, mid), proven.checkpoint.size)
    raise MeterError(f"evidence of a {proven.kind.name.lower()} tells a meter nothing")


def in_order(orders: Mapping[int, Ordered], carried_out: int) -> list[Ordered]:
    """Return the commands that follow the last one without a gap; the others wait for what is missing."""
    found: list[Ordered] = []
    while (order := orders.get(carried_out + len(found) + 1)) is not None:
        found.append(order)
    return found


def _require_meter(found: bytes, mid: bytes) -> None:
    if found != mid:
        raise CommandIgnored(0, f"it is for meter {found.hex()[:8]}")


def _key(proven: Proven, table: Table) -> bytes:
    """Return the key of the only row of a table; which rows a kind has was checked with the proof."""
    return next(row.key for row in proven.rows if row.table == table)


def _tariffs_of_script(proven: Proven, command: CommandRow) -> tuple[Tariff, ...]:
    if command.kind is not CommandKind.SCRIPT:
        return ()
    return _succession(proven, decode_agreement(command.document).tariff)


def _tariffs_of_bill(proven: Proven, mid: bytes) -> tuple[Tariff, ...]:
    if proven.kind is not EvidenceKind.BILL:
        return ()
    agreed = proven.row(Table.AGREEMENT, mid, _AgreedTerms)
    return _succession(proven, agreed.agreement.tariff)


def _succession(proven: Proven, first: bytes) -> tuple[Tariff, ...]:
    """Return a tariff and all that follow it; that the rows are these was checked with the proof."""
    rows: Mapping[bytes, bytes] = {row.key: row.value for row in proven.rows if row.table == Table.TARIFF}
    found: list[Tariff] = []
    key = first
    while key:
        published = decode(rows[key], _PublishedTariff, PACKAGE_LIMIT)
        found.append(published.tariff)
        key = published.successor
    return tuple(found)
