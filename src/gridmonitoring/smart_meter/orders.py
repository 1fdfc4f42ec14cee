"""What the grid tells the meter, carried out in order of number (paper V-A; commands of the contract).

A command is a row of the state with its proof (`command_check`). What a state does not expect, what has
expired and what comes twice is not done, and reported as ignored.

Commands about money and terms (credit, reversal, penalty, compensation, closing, script) tell what the
ledger has already done, so they hold however late they come: else consumer and grid would count differently
for ever. So does the command that says who may read, or a revoked reader would be let in for ever, and the
one that names the contract key, without which no node can open a report. The others are wishes about the
relay; an old one is not carried out.

Left out: opening and proof of commands, and the order in which they are handed over (`runtime`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gridmonitoring.blockchain.state_rows import CommandKind, CommandRow, ContractKeyDocument
from gridmonitoring.contracts.agreement import decode_agreement
from gridmonitoring.contracts.consent import decode_readers
from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.meter_rule import Event, MeterState
from gridmonitoring.encoding.cbor import decode
from gridmonitoring.energy_center.credit import Account, settle
from gridmonitoring.energy_center.in_flight import read_debt
from gridmonitoring.energy_center.statements import Statement
from gridmonitoring.energy_center.tariffs import Tariff
from gridmonitoring.errors import (
    BadPublicKey,
    ContractError,
    CreditError,
    EncodingError,
    MeterError,
    StatementDiffers,
    TariffError,
)
from gridmonitoring.keys.sealed_boxes import SuiteNumber, check_hpke_key
from gridmonitoring.smart_meter.books import Order
from gridmonitoring.smart_meter.claims import Draft
from gridmonitoring.smart_meter.contract import MeterContract
from gridmonitoring.smart_meter.terms import Terms

MONEY = frozenset(
    {
        CommandKind.CREDIT,
        CommandKind.REVERSAL,
        CommandKind.CLOSE,
        CommandKind.PENALTY,
        CommandKind.COMPENSATION,
    }
)
"""Commands that move money."""
LASTING = MONEY | {CommandKind.SCRIPT, CommandKind.GRANTS, CommandKind.CONTRACT_KEY}
"""Commands that hold after their expiry, because the ledger has done its part already."""

EVENTS: Mapping[CommandKind, Event] = {
    CommandKind.CREDIT: Event.CREDIT_RESTORED,
    CommandKind.REVERSAL: Event.CREDIT_REVERSED,
    CommandKind.DISCONNECT: Event.CUT_OFF,
    CommandKind.RECONNECT: Event.CUT_OFF_LIFTED,
    CommandKind.SUPPLY_OFF: Event.SUPPLY_OFF,
    CommandKind.SUPPLY_ON: Event.SUPPLY_ON,
    CommandKind.CLEAR_TAMPER: Event.TAMPER_CLEARED,
    CommandKind.SCRIPT: Event.SCRIPT_CHANGED,
    CommandKind.CLOSE: Event.CLOSED,
    CommandKind.PENALTY: Event.PENALTY_CHARGED,
    CommandKind.COMPENSATION: Event.CREDIT_RESTORED,
}
"""Command -> what is reported once it is carried out; the others are acknowledged only."""


def carry_out(
    contract: MeterContract, number: int, command: CommandRow, time: int, tariffs: Sequence[Tariff] = ()
) -> list[Draft]:
    """Carry out a proven command and return what there is to report; `tariffs` come with a script.

    1 it is the next of this device, 2 it has not expired, 3 by its kind. Whatever becomes of it, the meter
    has dealt with it then; only of another device's, or another than the next, it has not.
    """
    # 1
    if number != contract.carried_out + 1 or command.epoch != contract.identity.epoch:
        return ignore(contract, time)
    drafts = contract.catch_up(time)
    # 2
    if command.kind not in LASTING and time > command.expires:
        contract.carried_out = number
        return drafts + ignore(contract, time)
    # 3
    if command.kind is CommandKind.SCRIPT:
        return drafts + _change_terms(contract, number, command, time, tariffs)
    contract.carried_out = number
    if command.kind in MONEY:
        return drafts + _move_money(contract, number, command, time)
    if command.kind is CommandKind.MESSAGE:
        return drafts + _show(contract, command, time)
    if command.kind is CommandKind.POWER_LIMIT:
        contract.own_limit = command.amount
        return drafts
    if command.kind is CommandKind.GRANTS:
        return drafts + _let_in(contract, command, time)
    if command.kind is CommandKind.CONTRACT_KEY:
        return drafts + _change_key(contract, command, time)
    return drafts + _switch(contract, command, time)


def ignore(contract: MeterContract, time: int) -> list[Draft]:
    """Report that a command was ignored, where the state allows."""
    return contract.catch_up(time) + contract.report_expected(Event.COMMAND_IGNORED, time)


def distrust(contract: MeterContract, time: int) -> list[Draft]:
    """Report that a command or statement came without a valid proof."""
    return contract.catch_up(time) + contract.report_expected(Event.INTEGRITY_FAILURE, time)


def hear(contract: MeterContract, commands: Sequence[tuple[int, CommandRow]]) -> None:
    """Take note of proven commands that come next, in order.

    The ledger has moved the money of all of them before the meter carries out the first, so it is in the
    meter's account from here on, and in its credit one by one.
    """
    recovery = contract.terms.agreement.billing.debt_recovery_permille
    for number, command in commands:
        if command.kind is CommandKind.SCRIPT:
            recovery = _recovery(command, recovery)
        elif command.kind in MONEY:
            _hear(contract, number, command, recovery)


def _hear(contract: MeterContract, number: int, command: CommandRow, recovery: int) -> bool:
    """Put a command's money into the account, once; return whether it could be."""
    if not contract.books.heard(number):
        try:
            debt = read_debt(command.document)
            contract.books.hear(Order(number, command.kind, command.height, command.amount, recovery, debt))
        except (CreditError, EncodingError, TariffError):
            return False
    return True


def _recovery(command: CommandRow, before: int) -> int:
    """Return the recovery share under new terms; as before where they cannot be read."""
    try:
        return decode_agreement(command.document).billing.debt_recovery_permille
    except (ContractError, EncodingError):
        return before


def hold_against(contract: MeterContract, theirs: Account, whole: bool, time: int) -> list[Draft]:
    """Hold the last statement of a proven account against the meter's own; report where they differ.

    `whole` tells whether every command that the meter has heard of is in the account.

    "You are being over charged" is reported with the meter's own figures. What more than two thirds of the
    validators signed is what can be spent, though: the meter goes on from there, with the dispute on record.
    """
    if theirs.statement.sequence == contract.disputed:
        return []
    try:
        contract.books.check(theirs, whole)
    except StatementDiffers:
        drafts = contract.catch_up(time) + contract.report_expected(Event.BILLING_DISCREPANCY, time)
        contract.disputed = contract.sequence
        _go_on_from(contract, theirs)
        return drafts
    return []


def _go_on_from(contract: MeterContract, theirs: Account) -> None:
    terms = contract.terms

    def again(account: Account, own: Statement) -> Account:
        reading = [(code, now) for code, _, now in own.registers]
        billing = terms.agreement.billing
        return settle(account, terms.tariff_at(own.time_ms), billing, reading, own.time_ms, own.sequence)[0]

    try:
        contract.books.adopt(theirs, again)
    except TariffError:
        return  # registers or times that are not this meter's: there is nothing to go on from


def _move_money(contract: MeterContract, number: int, command: CommandRow, time: int) -> list[Draft]:
    if not _hear(contract, number, command, contract.terms.agreement.billing.debt_recovery_permille):
        return ignore(contract, time)
    contract.books.carry_out(number)
    closed = contract.state is MeterState.CLOSED  # then it is a payout
    if command.kind is CommandKind.CLOSE and not contract.in_service and not closed:
        return [contract.report(Event.CLOSED, time)]
    return contract.report_expected(EVENTS[command.kind], time)


def _change_terms(
    contract: MeterContract, number: int, command: CommandRow, time: int, tariffs: Sequence[Tariff]
) -> list[Draft]:
    """Settle by the old terms, then go on by the new ones."""
    try:
        agreement = decode_agreement(command.document)
        terms = Terms(agreement, tariffs, contract.terms.contract_key)
        if agreement.mid != contract.identity.mid or terms.tariff_at(time).valid_from_ms >= time:
            raise MeterError("the agreement is another meter's, or its tariff is not in force yet")
    except (ContractError, EncodingError, MeterError, TariffError):
        contract.carried_out = number
        return ignore(contract, time)
    drafts = contract.report_expected(Event.END_OF_BILLING, time)
    contract.carried_out = number
    contract.change_terms(terms)
    return drafts + contract.report_expected(Event.SCRIPT_CHANGED, time)


def _show(contract: MeterContract, command: CommandRow, time: int) -> list[Draft]:
    message = _message(command)
    if message is None:
        return ignore(contract, time)
    contract.show(message, time)
    if message is Message.KEY_REPLACEMENT:
        contract.key_notice = command.amount
    return []


def _message(command: CommandRow) -> Message | None:
    """Return the message that a command has to be shown, where it is one of this version's."""
    return next((message for message in Message if message == command.height), None)


def _let_in(contract: MeterContract, command: CommandRow, time: int) -> list[Draft]:
    """Wrap the keys of the days to come for those in the command, and for nobody else."""
    try:
        decode_readers(command.document)
    except EncodingError:
        return ignore(contract, time)
    contract.readers = command.document
    if command.height:
        return _show(contract, command, time)
    return []


def _change_key(contract: MeterContract, command: CommandRow, time: int) -> list[Draft]:
    """Seal to another contract key from here on; the script names it, and says what it said before."""
    try:
        told = decode(command.document, ContractKeyDocument)
        if told.suite != SuiteNumber.X25519:
            return ignore(contract, time)
        check_hpke_key(told.key)
    except (BadPublicKey, EncodingError):
        return ignore(contract, time)
    contract.terms = Terms(contract.terms.agreement, contract.terms.tariffs, told.key)
    return []


def _switch(contract: MeterContract, command: CommandRow, time: int) -> list[Draft]:
    """Carry out a command about the relay; what the state does not expect is ignored."""
    if command.kind is CommandKind.RECONNECT and not contract.in_service:
        drafts = [contract.report(Event.INSTALLATION, time)]
        contract.plan_boundary(contract.signed)
        return drafts
    event = EVENTS[command.kind]
    stale = command.kind is CommandKind.CLEAR_TAMPER and command.amount != contract.tampered
    if stale or not contract.expects(event):
        return ignore(contract, time)
    return [contract.report(event, time)]
