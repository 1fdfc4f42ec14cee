"""From supply point to power: agreement, installation, access, device swap (paper IV-A, V-A).

The rules of registrar and authenticator are in `registration`; here they meet the thread, the
account and the contract. Height 0 of a thread is the installation block; it is complete when the
meter reports "Installation successful".
"""

from __future__ import annotations

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Access, Agree, Installation, SwapDevice
from gridmonitoring.blockchain.ledger import (
    Ledger,
    check_signed,
    open_by,
    party_in_force,
    refuse,
    require_document,
)
from gridmonitoring.blockchain.parent_block import LockReason, parent_format
from gridmonitoring.blockchain.state_rows import (
    CommandKind,
    CommandRow,
    DeviceRow,
    LotRow,
    MeterRow,
    Stage,
    SupplyPointRow,
    Table,
    device_key,
    height_key,
)
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.contracts.agreement import Agreement, decode_agreement
from gridmonitoring.contracts.meter_rule import Event, MeterState, Relay, expects, step
from gridmonitoring.contracts.script import generate_script, script_hash
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.energy_center.credit import Account, open_account, settle, swap_device
from gridmonitoring.energy_center.lots import heights
from gridmonitoring.errors import ContractError, EncodingError, Refused, RegisterError, TariffError
from gridmonitoring.processing.access import retell_readers
from gridmonitoring.processing.contract_keys import key_of_meter, order_key, start_over, take_key_over
from gridmonitoring.processing.rows import AgreementRow, tariff_at
from gridmonitoring.processing.threads import NO_HASH, complete, live, live_on, meter_of, order
from gridmonitoring.registration.authenticator import authenticate, give_access, link_meter
from gridmonitoring.registration.installation_code import require_code
from gridmonitoring.registration.registrar import require_keys, require_sign_key, supply_point

AGREEMENT_DOMAIN = "gridmon/agreement/1"
"""Domain tag of the consumer's signature on an agreement."""
SWAP_DOMAIN = "gridmon/swap/1"
"""Domain tag of the operator's signature on a device's last registers."""


def begin_thread(ledger: Ledger, transaction: Transaction) -> None:
    """The registrar makes a meter ID; its thread begins with the installation block."""
    supply_point(ledger, transaction)
    mid = transaction.payload.body.mid
    time = transaction.payload.time
    lot = LotRow(
        transaction.id,
        parent_format(ledger.chain.id, mid, 0, transaction.id),
        time,
        time,
        None,
        None,
        None,
        transaction.payload.signer,
        transaction.payload.body.consumer,
        b"",
        0,
        0,
        NO_HASH,
        NO_HASH,
        0,
        ledger.log_root(),
        ledger.log_size,
        b"",
        0,
        b"",
        0,
        time,
        int(LockReason.OPEN),
    )
    ledger.view.put(Table.LOT, height_key(mid, 0), lot)
    meter = MeterRow(
        1, 0, 0, int(MeterState.NEW), int(Relay.DISCONNECTED), 0, 0, 0, 0, 0, 1, 0, b"", 0, 0, False, ()
    )
    ledger.view.put(Table.METER, mid, live(meter, transaction))


def authenticate_supply_point(ledger: Ledger, transaction: Transaction) -> None:
    """The authenticator's step, as part of the thread's life."""
    authenticate(ledger, transaction)
    live_on(ledger, transaction.payload.body.mid, transaction)


def link(ledger: Ledger, transaction: Transaction) -> None:
    """The node's step, as part of the thread's life; the installation block is this node's to lock."""
    link_meter(ledger, transaction)
    mid = transaction.payload.body.mid
    live_on(ledger, mid, transaction)
    key = height_key(mid, 0)
    lot: LotRow = ledger.view.get(Table.LOT, key)
    ledger.view.put(Table.LOT, key, replace(lot, node=transaction.payload.signer))


def agree(ledger: Ledger, transaction: Transaction) -> None:
    """Utility and consumer sign the agreement; the contract generator makes its script (IV-D).

    One that replaces the agreement of an installed meter is in force once the meter has carried it out, so
    that both settle by the same terms at every moment (`take_effect`).
    """
    payload = transaction.payload
    body: Agree = payload.body
    point: SupplyPointRow | None = ledger.view.get(Table.SUPPLY_POINT, body.mid)
    if point is None:
        refuse("unknown_meter", f"no meter {body.mid.hex()[:8]} on this chain")
    if point.stage == Stage.CLOSED:
        refuse("account_closed", "the account is closed")
    if payload.signer != point.utility:
        refuse("wrong_utility", "another utility supplies this meter")
    agreement = _read_agreement(body, payload.signer, point.consumer)
    consumer = party_in_force(ledger, Role.CONSUMER, point.consumer)
    signed = open_by(ledger, consumer.sign_key, AGREEMENT_DOMAIN, body.consent)
    require_document(body.agreement, signed, "agreement")
    tariff = tariff_at(ledger, agreement.tariff, payload.time)
    if tariff.utility != point.utility:
        refuse("wrong_utility", "the agreed tariff is another utility's")
    meter = live_on(ledger, body.mid, transaction)
    if agreement.valid_from_ms <= _last_agreed(ledger, body.mid, meter):
        refuse("bad_agreement", "an agreement is replaced only by one that begins later")
    if point.stage in (Stage.INSTALLED, Stage.SUPPLIED):
        if tariff.valid_from_ms >= payload.time:
            refuse("bad_agreement", "the agreed tariff is not in force yet")
        meter = order(ledger, body.mid, meter, CommandKind.SCRIPT, transaction, document=body.agreement)
        ledger.view.put(Table.METER, body.mid, meter)
    else:
        _put_in_force(ledger, agreement)


def _last_agreed(ledger: Ledger, mid: bytes, meter: MeterRow) -> int:
    """Return when the last agreement of a meter begins, in force or on its way; -1 for none.

    Without this a utility could send terms again that the consumer signed once and has left.
    """
    row: AgreementRow | None = ledger.view.get(Table.AGREEMENT, mid)
    begins = -1 if row is None else row.agreement.valid_from_ms
    for number in range(meter.carried_out + 1, meter.commands + 1):
        command: CommandRow | None = ledger.view.get(Table.COMMAND, height_key(mid, number))
        if command is not None and command.kind == CommandKind.SCRIPT:
            begins = max(begins, decode_agreement(command.document).valid_from_ms)
    return begins


def take_effect(ledger: Ledger, mid: bytes, command: CommandRow | None) -> None:
    """Put in force what the meter has carried out, or will not need to: terms, or a contract key.

    Every other command took effect on the ledger when it was ordered.
    """
    if command is None:
        return
    if command.kind == CommandKind.SCRIPT:
        _put_in_force(ledger, decode_agreement(command.document))
    elif command.kind == CommandKind.CONTRACT_KEY:
        take_key_over(ledger, mid, command)


def _put_in_force(ledger: Ledger, agreement: Agreement) -> None:
    row = AgreementRow(
        agreement, script_hash(generate_script(agreement, key_of_meter(ledger, agreement.mid)))
    )
    ledger.view.put(Table.AGREEMENT, agreement.mid, row)


def _read_agreement(body: Agree, utility: bytes, consumer: bytes) -> Agreement:
    try:
        agreement = decode_agreement(body.agreement)
    except (EncodingError, ContractError) as error:
        raise Refused("bad_agreement", str(error)) from error
    if (agreement.mid, agreement.utility, agreement.consumer) != (body.mid, utility, consumer):
        refuse("bad_agreement", "the agreement is for another meter, utility or consumer")
    return agreement


def install(ledger: Ledger, transaction: Transaction) -> None:
    """The meter's contract made its keys and reports; success uses up the registrar's code (V-A).

    Proof of possession is the envelope: the key in the body signs it. That of the code names this key and
    outcome, so that whoever sees it can enrol no other device, nor this one after it failed.
    """
    payload = transaction.payload
    body: Installation = payload.body
    mid = payload.signer
    point: SupplyPointRow | None = ledger.view.get(Table.SUPPLY_POINT, mid)
    if point is None:
        refuse("unknown_meter", f"no meter {mid.hex()[:8]} on this chain")
    if point.stage != Stage.LINKED:
        refuse("wrong_stage", f"meter {mid.hex()[:8]} is {point.stage.name.lower()}, not linked")
    require_keys(body.sign_key, body.hpke_key)
    check_signed(ledger, body.sign_key, transaction.signed, transaction.signature)
    meter = meter_of(ledger, mid)
    if body.epoch != meter.epoch:
        refuse("wrong_epoch", f"the device to install is of epoch {meter.epoch}")
    if payload.sequence <= meter.sequence:
        refuse("replayed", f"sequence {payload.sequence} of this meter was used before")
    if payload.time <= meter.time:
        refuse("time_not_monotonic", "signed no later than this meter's last transaction")
    require_code(ledger, point, mid, body)
    agreement: AgreementRow | None = ledger.view.get(Table.AGREEMENT, mid)
    if agreement is None:
        refuse("no_agreement", "utility and consumer have not signed an agreement")
    if body.script != agreement.script:
        refuse("wrong_script", "the meter runs another script than the agreement's")
    meter = replace(live(meter, transaction), sequence=payload.sequence, time=payload.time)
    ledger.view.put(Table.METER, mid, meter)
    if not body.succeeded:
        return
    _open_account(ledger, transaction, agreement)
    device = DeviceRow(body.sign_key, body.hpke_key, ledger.log_size, ())
    ledger.view.put(Table.DEVICE, device_key(mid, body.epoch), device)
    ledger.view.put(Table.SUPPLY_POINT, mid, replace(point, stage=Stage.INSTALLED, code_key=b""))


def _open_account(ledger: Ledger, transaction: Transaction, agreement: AgreementRow) -> None:
    payload = transaction.payload
    body: Installation = payload.body
    tariff = tariff_at(ledger, agreement.agreement.tariff, payload.time)
    account: Account | None = ledger.view.get(Table.ACCOUNT, payload.signer)
    try:
        if account is None:
            account = open_account(tariff, body.registers, payload.time, payload.sequence)
        else:
            account = swap_device(account, tariff, body.registers, payload.time, payload.sequence)
    except (RegisterError, TariffError) as error:
        raise Refused("bad_registers", str(error)) from error
    ledger.view.put(Table.ACCOUNT, payload.signer, account)


def access(ledger: Ledger, transaction: Transaction) -> None:
    """The authenticator verified the meter ID: the meter is told to give power (IV-A)."""
    give_access(ledger, transaction)
    body: Access = transaction.payload.body
    meter = live_on(ledger, body.mid, transaction)
    meter = order_key(ledger, transaction, body.mid, meter)
    meter = order(ledger, body.mid, meter, CommandKind.RECONNECT, transaction)
    meter = retell_readers(ledger, transaction, body.mid, meter)
    ledger.view.put(Table.METER, body.mid, meter)


def installed(ledger: Ledger, mid: bytes, meter: MeterRow, time: int) -> MeterRow:
    """The meter reported "Installation successful": the installation block is complete, once."""
    if meter.height != 0:
        return meter
    key = height_key(mid, 0)
    lot: LotRow = ledger.view.get(Table.LOT, key)
    agreement: AgreementRow = ledger.view.get(Table.AGREEMENT, mid)
    tariff = tariff_at(ledger, agreement.agreement.tariff, time)
    ledger.view.put(Table.LOT, key, replace(lot, tpr=time, tariff=tariff.digest, script=agreement.script))
    return complete(ledger, mid, meter, (0,), (), LockReason.INSTALLED, time)


def swap(ledger: Ledger, transaction: Transaction) -> None:
    """A device is swapped: its last registers settle, a new epoch begins; thread and credit stay."""
    payload = transaction.payload
    body: SwapDevice = payload.body
    point: SupplyPointRow | None = ledger.view.get(Table.SUPPLY_POINT, body.mid)
    if point is None or point.stage not in (Stage.INSTALLED, Stage.SUPPLIED):
        refuse("wrong_stage", "there is no installed device to swap")
    require_sign_key(body.code_key)
    operator = party_in_force(ledger, Role.OPERATOR, body.operator)
    document = encode([body.mid, body.epoch, body.registers, body.code_key])
    require_document(
        document, open_by(ledger, operator.sign_key, SWAP_DOMAIN, body.witness), "last registers"
    )
    meter = live_on(ledger, body.mid, transaction)
    if body.epoch != meter.epoch + 1:
        refuse("wrong_epoch", f"the next epoch is {meter.epoch + 1}")
    meter = _settle_last(ledger, transaction, meter)
    for number in range(meter.carried_out + 1, meter.commands + 1):
        key = height_key(body.mid, number)
        take_effect(ledger, body.mid, ledger.view.get(Table.COMMAND, key))
        ledger.view.delete(Table.COMMAND, key)
    start_over(ledger, body.mid)
    state = MeterState(meter.state)
    if expects(state, Event.DEVICE_REMOVED):  # not before access, nor where the device reported it itself
        state = step(state, Event.DEVICE_REMOVED, {}).state
    meter = replace(
        meter,
        epoch=body.epoch,
        sequence=0,
        state=int(state),
        relay=int(Relay.DISCONNECTED),
        carried_out=meter.commands,
        gaps=(),
    )
    ledger.view.put(Table.METER, body.mid, meter)
    linked = replace(point, stage=Stage.LINKED, code_key=body.code_key)
    ledger.view.put(Table.SUPPLY_POINT, body.mid, linked)


def _settle_last(ledger: Ledger, transaction: Transaction, meter: MeterRow) -> MeterRow:
    body: SwapDevice = transaction.payload.body
    time = transaction.payload.time
    account: Account = ledger.view.get(Table.ACCOUNT, body.mid)
    row: AgreementRow = ledger.view.get(Table.AGREEMENT, body.mid)
    tariff = tariff_at(ledger, row.agreement.tariff, time)
    try:
        account, settled = settle(
            account, tariff, row.agreement.billing, body.registers, time, meter.sequence
        )
    except (RegisterError, TariffError) as error:
        raise Refused("bad_registers", str(error)) from error
    ledger.view.put(Table.ACCOUNT, body.mid, account)
    waiting = heights(account.lots)
    return complete(ledger, body.mid, meter, settled.exhausted, waiting, LockReason.FINISHED, time)
