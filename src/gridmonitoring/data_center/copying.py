"""Which copies a transaction leaves at the data center (paper IV-C: "copies of the form are sent to" it).

`copies_of` is asked after each transaction that holds, with the state just behind it, wherever the chain is
executed: at a node that decides a block, and when the copies are made anew by executing the chain again. So
both give the same rows.

Left out: interval reports without settlement; of their readings the ledger has a salted hash only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gridmonitoring.blockchain.bodies import (
    AppendSideBlock,
    Form,
    Kind,
    PaymentConfirmation,
    PurchaseRequest,
    Report,
)
from gridmonitoring.blockchain.side_block import decode_side
from gridmonitoring.blockchain.state_rows import SupplyPointRow, Table
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.contracts.agreement import Agreement
from gridmonitoring.contracts.meter_rule import Event
from gridmonitoring.data_center.copies import (
    AnyCopy,
    EventCopy,
    FormCopy,
    LineCopy,
    MessageCopy,
    ReadingCopy,
    SettlementCopy,
)
from gridmonitoring.encoding.bounds import EXPORT_TOTAL, obis_text
from gridmonitoring.encoding.cbor import decode
from gridmonitoring.energy_center.credit import Account
from gridmonitoring.energy_center.statements import Statement
from gridmonitoring.energy_center.tariffs import Tariff
from gridmonitoring.keys.signatures import split

ReadState = Callable[[Table, bytes], Any]
"""Returns the struct of a row of the state, or None."""
Copying = Callable[[ReadState, int, Transaction], list[AnyCopy]]
"""(state after it, log index, transaction) -> its copies: `copies_of`."""


def copies_of(read: ReadState, index: int, transaction: Transaction) -> list[AnyCopy]:
    """Return the copies of an accepted transaction, the state being that right after it."""
    copy = _COPIES.get(transaction.payload.kind)
    return list(copy(read, index, transaction)) if copy is not None else []


def _form(read: ReadState, index: int, transaction: Transaction) -> Iterator[AnyCopy]:
    payload = transaction.payload
    body: Form = payload.body
    request = decode(split(body.request)[0], PurchaseRequest)
    payment = decode(split(body.confirmation)[0], PaymentConfirmation)
    agreement = _agreement(read, body.mid)
    yield FormCopy(
        index,
        body.mid,
        transaction.id,
        body.area,
        agreement.utility,
        int(agreement.customer_class),
        body.tariff,
        _tariff_name(read, body.tariff),
        body.script,
        payment.vendor,
        payload.signer,
        request.time,
        payload.time,
        request.amount,
        request.currency,
        body.energy,
        body.dispatch,
        body.replaces,
    )


def _report(read: ReadState, index: int, transaction: Transaction) -> Iterator[AnyCopy]:
    payload = transaction.payload
    body: Report = payload.body
    if body.event != Event.INTERVAL or body.status:
        yield EventCopy(index, payload.signer, payload.time, body.event, body.status, body.relay)
    if not isinstance(body.reading, bytes):
        yield from _settled(read, index, transaction)


def _settled(read: ReadState, index: int, transaction: Transaction) -> Iterator[AnyCopy]:
    """Yield the statement that this transaction made, if it made one.

    A report whose registers could not be settled, or that fills a gap late, leaves the last statement in
    place.
    """
    payload = transaction.payload
    account: Account | None = read(Table.ACCOUNT, payload.signer)
    if account is None:
        return
    statement = account.statement
    if (statement.sequence, statement.time_ms) != (payload.sequence, payload.time):
        return
    yield _settlement(read, index, payload.signer, statement)
    for rate, energy, charge in statement.lines:
        yield LineCopy(index, payload.signer, statement.time_ms, rate, energy, charge)
    for code, before, after in statement.registers:
        yield ReadingCopy(index, payload.signer, statement.time_ms, obis_text(code), before, after)


def _settlement(read: ReadState, index: int, mid: bytes, statement: Statement) -> SettlementCopy:
    point: SupplyPointRow = read(Table.SUPPLY_POINT, mid)
    agreement = _agreement(read, mid)
    return SettlementCopy(
        index,
        mid,
        point.area,
        agreement.utility,
        int(agreement.customer_class),
        statement.tariff,
        _tariff_name(read, statement.tariff),
        statement.sequence,
        statement.number,
        statement.from_ms,
        statement.time_ms,
        sum(energy for _, energy, _ in statement.lines),
        sum(after - before for code, before, after in statement.registers if code == EXPORT_TOTAL),
        sum(charge for _, _, charge in statement.lines),
        statement.standing,
        statement.subscription,
        statement.tax,
        statement.charge,
        statement.topped_up,
        statement.taken,
        statement.recovered,
        statement.credit,
        statement.debt,
    )


def _messages(_: ReadState, index: int, transaction: Transaction) -> Iterator[AnyCopy]:
    body: AppendSideBlock = transaction.payload.body
    for entry in decode_side(body.block).body.entries:
        message = entry.message
        yield MessageCopy(
            index,
            body.mid,
            entry.number,
            int(message.kind),
            message.code,
            message.violation,
            message.tsv,
            message.tsm,
            message.state,
            message.count,
            message.action,
            message.receipt,
        )


def _agreement(read: ReadState, mid: bytes) -> Agreement:
    agreement: Agreement = read(Table.AGREEMENT, mid).agreement
    return agreement


def _tariff_name(read: ReadState, digest: bytes) -> str:
    tariff: Tariff = read(Table.TARIFF, digest).tariff
    return tariff.name


_COPIES: Mapping[int, Callable[[ReadState, int, Transaction], Iterator[AnyCopy]]] = {
    Kind.FORM: _form,
    Kind.REPORT: _report,
    Kind.INSTALLATION: _settled,
    Kind.SIDE_BLOCK: _messages,
}
"""Type of transaction -> what it leaves."""
