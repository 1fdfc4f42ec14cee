"""Reports: a meter's signed claim moves its sequence, state and registers (paper IV-B, V-A).

A validly signed next report is never refused for its event: what the state does not expect moves
the registers and records a violation, because a refused report would block a store-and-forward
outbox forever. The transition depends on claims alone, so replaying the chain needs no secret.

Left out: opening the sealed report (`runtime`), and the effects on the meter's side
(`smart_meter`); both sides run the same rule.
"""

from __future__ import annotations

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Report, Settlement
from gridmonitoring.blockchain.ledger import Ledger, check_signed, refuse
from gridmonitoring.blockchain.merkle import append_leaf
from gridmonitoring.blockchain.parent_block import LockReason
from gridmonitoring.blockchain.state_rows import (
    CommandKind,
    DeviceRow,
    LotRow,
    MeterRow,
    Stage,
    SupplyPointRow,
    SupplyWishRow,
    Table,
    device_key,
    height_key,
)
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.contracts.effects import AlertConsumer, Display, RecordViolation
from gridmonitoring.contracts.effects import Report as ReportEffect
from gridmonitoring.contracts.fields import contract_fields
from gridmonitoring.contracts.meter_rule import SETTLING_EVENTS, Event, MeterState, Relay, Step
from gridmonitoring.contracts.script import generate_script, machine_for
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.energy_center.credit import Account, settle
from gridmonitoring.energy_center.lots import heights
from gridmonitoring.errors import AmountError, ContractError, RegisterError, TariffError, UnexpectedEvent
from gridmonitoring.processing.contract_keys import key_of_meter
from gridmonitoring.processing.findings import close_finding, violate
from gridmonitoring.processing.installations import installed, take_effect
from gridmonitoring.processing.rows import AgreementRow, money_on_meter, tariff_at
from gridmonitoring.processing.threads import complete, life_leaf, live, order, tell

MAX_GAPS = 16
"""Gaps in a meter's sequence that are remembered; older ones can no longer be filled."""
MAX_LEAP = 2**32
"""A sequence that leaps further is refused: no outbox holds that many reports."""


def process_report(ledger: Ledger, transaction: Transaction) -> None:
    """Apply one claim: 1 device and signature, 2 sequence and time, 3 settlement, 4 event, 5 life.

    Raises `Refused` (unknown_meter, wrong_epoch, revoked_key, bad_signature, replayed,
    time_not_monotonic, sequence_leap).
    """
    payload = transaction.payload
    body: Report = payload.body
    mid = payload.signer
    view = ledger.view
    # 1
    meter: MeterRow | None = view.get(Table.METER, mid)
    if meter is None:
        refuse("unknown_meter", f"no meter {mid.hex()[:8]} on this chain")
    _authenticate(ledger, transaction, mid, meter, body)
    # 2
    if payload.sequence <= meter.sequence:
        _fill_gap(ledger, transaction, mid, meter)
        return
    if payload.time <= meter.time:
        refuse("time_not_monotonic", "signed no later than this meter's last report")
    gap = payload.sequence != meter.sequence + 1
    before = meter
    acknowledged = min(body.carried_out, meter.commands)
    if acknowledged > meter.carried_out:
        _forget_commands(ledger, mid, meter.carried_out, acknowledged)
    else:
        acknowledged = meter.carried_out
    # 5, first, because the transaction that exhausts a lot is the last of its life
    peaks = append_leaf(meter.life_size, meter.life_peaks, life_leaf(transaction), sha256d)
    meter = MeterRow(
        meter.epoch,
        payload.sequence,
        payload.time,
        meter.state,
        body.relay,
        body.status,
        acknowledged,
        meter.commands,
        meter.messages,
        meter.height,
        meter.next_height,
        meter.life_size + 1,
        peaks,
        meter.life_actions,
        meter.tampered,
        meter.cut_off,
        meter.gaps,
    )
    if gap:
        meter = _record_gap(ledger, transaction, mid, meter, before.sequence)
    # 3
    settlement = body.reading if isinstance(body.reading, Settlement) else None
    if settlement is not None:
        meter = _settle(ledger, transaction, mid, meter, before, settlement)
    # 4
    if body.event != Event.INTERVAL or before.state not in _PLAIN:
        meter = _event(ledger, transaction, mid, meter, before.relay, settlement is not None)
    view.put(Table.METER, mid, meter)


_PLAIN = frozenset(
    {
        int(MeterState.ACTIVE),
        int(MeterState.LOW_CREDIT),
        int(MeterState.OUT_OF_CREDIT),
        int(MeterState.SUPPLY_OFF),
        int(MeterState.READY_FOR_RECONNECTION),
        int(MeterState.TAMPERED),
        int(MeterState.CUT_OFF),
    }
)
"""States in which normal flow changes nothing; a test holds them against the table."""


def _authenticate(
    ledger: Ledger, transaction: Transaction, mid: bytes, meter: MeterRow, body: Report
) -> None:
    device: DeviceRow | None = ledger.view.get(Table.DEVICE, device_key(mid, body.epoch))
    if device is None or body.epoch != meter.epoch:
        refuse("wrong_epoch", f"the device in service is of epoch {meter.epoch}, the report of {body.epoch}")
    if not device.sign_key:
        refuse("revoked_key", "the key of this device was revoked")
    check_signed(ledger, device.sign_key, transaction.signed, transaction.signature)


def _fill_gap(ledger: Ledger, transaction: Transaction, mid: bytes, meter: MeterRow) -> None:
    """A late filler joins the life of the block and changes no charge; anything else is a replay."""
    sequence = transaction.payload.sequence
    gaps: list[tuple[int, int]] = []
    found = False
    for first, last in meter.gaps:
        if first <= sequence <= last:
            found = True
            gaps += [part for part in ((first, sequence - 1), (sequence + 1, last)) if part[0] <= part[1]]
        else:
            gaps.append((first, last))
    if not found:
        refuse("replayed", f"sequence {sequence} of this meter was accepted before")
    if transaction.payload.time > meter.time:
        refuse("time_not_monotonic", "a late report cannot be signed after the ones that followed it")
    ledger.view.put(Table.METER, mid, replace(live(meter, transaction), gaps=tuple(gaps[-MAX_GAPS:])))


def _record_gap(ledger: Ledger, transaction: Transaction, mid: bytes, meter: MeterRow, last: int) -> MeterRow:
    payload = transaction.payload
    if payload.sequence - last > MAX_LEAP:
        refuse("sequence_leap", f"the sequence leaps from {last} to {payload.sequence}")
    gaps = (*meter.gaps, (last + 1, payload.sequence - 1))[-MAX_GAPS:]
    return violate(ledger, transaction, mid, replace(meter, gaps=gaps), Violation.SEQUENCE_GAP)


def _forget_commands(ledger: Ledger, mid: bytes, carried_out: int, acknowledged: int) -> None:
    for number in range(carried_out + 1, acknowledged + 1):
        key = height_key(mid, number)
        take_effect(ledger, mid, ledger.view.get(Table.COMMAND, key))
        ledger.view.delete(Table.COMMAND, key)


def _settle(
    ledger: Ledger,
    transaction: Transaction,
    mid: bytes,
    meter: MeterRow,
    before: MeterRow,
    settlement: Settlement,
) -> MeterRow:
    """Settle the registers; what cannot be settled is a violation, and the account stays."""
    time = transaction.payload.time
    account: Account | None = ledger.view.get(Table.ACCOUNT, mid)
    if account is None:
        return violate(ledger, transaction, mid, meter, Violation.UNEXPECTED_EVENT)
    row: AgreementRow = ledger.view.get(Table.AGREEMENT, mid)
    tariff = tariff_at(ledger, row.agreement.tariff, time)
    try:
        after, settled = settle(
            account, tariff, row.agreement.billing, settlement.registers, time, transaction.payload.sequence
        )
    except (RegisterError, AmountError):  # no energy that was used has a price past 2^63-1
        return violate(ledger, transaction, mid, meter, Violation.REGISTER_FAULT)
    except TariffError:
        return violate(ledger, transaction, mid, meter, Violation.CLOCK_FAULT)
    ledger.view.put(Table.ACCOUNT, mid, after)
    meter = _reading_starts(ledger, mid, meter, account, time)
    if settled.exhausted:
        waiting = heights(after.lots)
        meter = complete(ledger, mid, meter, settled.exhausted, waiting, LockReason.FINISHED, time)
    money = money_on_meter(ledger, mid, after, meter)
    if settlement.credit != money.credit - money.debt:
        meter = violate(ledger, transaction, mid, meter, Violation.CREDIT_MISMATCH)
    if before.relay != Relay.CONNECTED and settled.statement.lines:
        meter = violate(ledger, transaction, mid, meter, Violation.USE_WHILE_DISCONNECTED)
    return meter


def _reading_starts(ledger: Ledger, mid: bytes, meter: MeterRow, account: Account, time: int) -> MeterRow:
    """Note TPR on the lot being drawn, once."""
    lots = heights(account.lots)
    if not lots:
        return meter
    key = height_key(mid, lots[0])
    lot: LotRow = ledger.view.get(Table.LOT, key)
    if lot.tpr is None:
        ledger.view.put(Table.LOT, key, replace(lot, tpr=time))
    return meter


def _event(
    ledger: Ledger, transaction: Transaction, mid: bytes, meter: MeterRow, relay: int, settles: bool
) -> MeterRow:
    """Run the contract on the event; the unexpected is a violation and leaves the state."""
    payload = transaction.payload
    body: Report = payload.body
    try:
        event = Event(body.event)
        if event in SETTLING_EVENTS and not settles:
            raise UnexpectedEvent(MeterState(meter.state).name, f"{event.name} without registers")
        if event == Event.INSTALLATION and not _has_access(ledger, mid):
            raise UnexpectedEvent(MeterState(meter.state).name, f"{event.name} without access")
        step = run_rule(ledger, mid, meter, relay, event, payload.time)
    except (ValueError, UnexpectedEvent, ContractError):
        return violate(ledger, transaction, mid, meter, Violation.UNEXPECTED_EVENT)
    if event == Event.LOW_CREDIT:
        _threshold_reached(ledger, mid, meter, payload.time)
    tampered = payload.sequence if event == Event.TAMPER else meter.tampered
    if event == Event.TAMPER_CLEARED:
        tampered = 0
        close_finding(ledger, mid, Violation.TAMPER)
    cut_off = event == Event.CUT_OFF or (meter.cut_off and event != Event.CUT_OFF_LIFTED)
    meter = replace(meter, state=int(step.state), tampered=tampered, cut_off=cut_off)
    if event == Event.INSTALLATION:
        meter = installed(ledger, mid, meter, payload.time)
    return _carry_out(ledger, transaction, mid, meter, step)


def _has_access(ledger: Ledger, mid: bytes) -> bool:
    """Tell whether the authenticator gave this device access to electricity (IV-A)."""
    point: SupplyPointRow = ledger.view.get(Table.SUPPLY_POINT, mid)
    return point.stage in (Stage.SUPPLIED, Stage.CLOSED)  # closed, it was given before


def run_rule(ledger: Ledger, mid: bytes, meter: MeterRow, relay: int, event: int, time: int) -> Step:
    """Run the meter's script on the grid; `relay` is the relay before the event.

    Raises `UnexpectedEvent` or `ContractError`.
    """
    row: AgreementRow = ledger.view.get(Table.AGREEMENT, mid)
    machine = machine_for(row.script, lambda: generate_script(row.agreement, key_of_meter(ledger, mid)))
    if not machine.reads_fields(meter.state, event):
        return machine.run(meter.state, event, {})
    account: Account = ledger.view.get(Table.ACCOUNT, mid)
    money = money_on_meter(ledger, mid, account, meter)
    wish: SupplyWishRow | None = ledger.view.get(Table.SUPPLY_WISH, mid)
    fields = contract_fields(
        row.agreement,
        tariff_at(ledger, row.agreement.tariff, time),
        credit=money.credit,
        debt=money.debt,
        time=time,
        relay=relay,
        status=meter.status,
        power=0,
        cut_off=meter.cut_off,
        own_limit=wish.power_limit if wish else 0,
    )
    return machine.run(meter.state, event, fields)


def _threshold_reached(ledger: Ledger, mid: bytes, meter: MeterRow, time: int) -> None:
    key = height_key(mid, meter.height)
    lot: LotRow | None = ledger.view.get(Table.LOT, key)
    if lot is not None and lot.tprt is None:
        ledger.view.put(Table.LOT, key, replace(lot, tprt=time))


def _carry_out(ledger: Ledger, transaction: Transaction, mid: bytes, meter: MeterRow, step: Step) -> MeterRow:
    """Store what the contract reports and records, order its alerts to the meter; emit the rest.

    What is agreed for a violation is carried out where it is recorded: the agreement is the script's source.
    """
    time = transaction.payload.time
    for effect in step.effects:
        if isinstance(effect, ReportEffect) and effect.message is not None:
            meter = tell(ledger, mid, meter, effect.message, transaction.id, time, int(step.state))
        elif isinstance(effect, RecordViolation):
            meter = violate(ledger, transaction, mid, meter, effect.violation, told=True)
        elif not isinstance(effect, Display):
            if isinstance(effect, AlertConsumer):
                meter = order(ledger, mid, meter, CommandKind.MESSAGE, transaction, int(effect.message))
            ledger.view.emit((mid, effect))
    return meter
