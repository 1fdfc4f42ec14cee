"""Who is right: a node that charges too much is outvoted and named, a penalty is disputed and reversed.

Paper V-A ("You are being over charged"), III-A-5 (agreed actions and their receipts), VII ("penalties are
applied to defaulters").

Left out: other violations, which `gridmon show violation` lists.
"""

from __future__ import annotations

from msgspec.structs import replace

from gridmonitoring.blockchain.evidence_bundle import Bundle, EvidenceKind
from gridmonitoring.blockchain.state_rows import DeviceRow, FindingRow, FindingState, Table, device_key
from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, decode, encode
from gridmonitoring.energy_center.credit import Account
from gridmonitoring.errors import Refused
from gridmonitoring.runtime.contract_offices import decide_dispute, dispute
from gridmonitoring.runtime.entropy import random_bytes
from gridmonitoring.runtime.meter_port import seal_command, sign_delivery
from gridmonitoring.runtime.offices import confirm_payment, form_body, make_form, request_purchase
from gridmonitoring.user_layer.demo.acts import Course, euro
from gridmonitoring.user_layer.demo.plan import EXTRA_SHARE
from gridmonitoring.user_layer.demo.story import Story
from gridmonitoring.user_layer.demo.town import House, Town


def overcharging_node(town: Town, house: House, story: Story) -> Course:
    """A node sells a Wh too little for the money, then tells the meter of a bill that is a unit too high."""
    yield 0
    guilty = town.node
    rule = _short_form(town, house)
    story.tell(town, house, f"{guilty.name} sells a Wh too little for the money: outvoted ({rule})")
    town.line.instead[house.mid] = [_false_bill(town, house)]
    house.agent.poll(town.now)
    alarm = house.agent.display().message is Message.OVERCHARGED
    story.display(town, house)
    del town.line.instead[house.mid]
    town.exchange([house])
    named = [row.node for row in findings(town, house).values() if row.violation == Violation.OVERCHARGE]
    yield 1
    town.exchange([house])
    if rule is None or not alarm or named != [guilty.id]:
        return "an over-charge went unnoticed"
    story.tell(town, house, f"{guilty.name} is named on the ledger for what it signed")
    return f"its form outvoted ({rule}); its false bill set off the meter's alarm, and {guilty.name} is named"


def _short_form(town: Town, house: House) -> str | None:
    """Have the node make a form with a Wh too little; return the rule that refuses it."""
    grid, now, amount = town.grid, town.now, house.share(EXTRA_SHARE)
    currency = grid.genesis.currency
    request = request_purchase(house.consumer, house.mid, amount, currency, random_bytes(16), now)
    vendor = town.office(Role.VENDOR)
    paid = confirm_payment(vendor, request, amount, currency, town.reference(house), now)
    body = form_body(grid, request, paid, house.mid, amount, now)
    (receipt,) = grid.submit([make_form(town.node, replace(body, energy=body.energy - 1), now)])
    return receipt.error.rule if isinstance(receipt.error, Refused) else None


def _false_bill(town: Town, house: House) -> bytes:
    """Return what the node tells the meter: its last statement with a unit more, signed and sealed."""
    grid, mid = town.grid, house.mid
    bundle = decode(grid.evidence(EvidenceKind.STATEMENT, mid), Bundle, PACKAGE_LIMIT)
    account: Account = town.account(house)
    statement = replace(account.statement, charge=account.statement.charge + 1)
    value = encode(replace(account, statement=statement))
    false = encode(replace(bundle, rows=(replace(bundle.rows[0], value=value), *bundle.rows[1:])))
    kind, number = int(EvidenceKind.STATEMENT), account.statement.number + 1
    epoch = town.meter(house).epoch
    device: DeviceRow = grid.row(Table.DEVICE, device_key(mid, epoch))
    signed = sign_delivery(town.node, mid, epoch, kind, number, false)
    return seal_command(grid.chain_id, mid, epoch, kind, number, device.hpke_key, signed)


def disputed_penalty(town: Town, house: House, story: Story) -> Course:
    """The bridged relay costs an agreed penalty; it was a fitter's fault, so two operators reverse it."""
    while not (charged := _penalties(town, house)):
        yield 1
    number, finding = charged.popitem()
    penalty = euro(finding.amount)
    story.tell(town, house, f"an agreed penalty of {penalty} is charged; the consumer disputes it")
    town.grid.require(dispute(house.consumer, house.mid, number, town.now))
    yield 2
    first, second = (town.grid.signer(name) for name in town.grid.roles(Role.OPERATOR)[:2])
    held = town.account(house)
    town.grid.require(decide_dispute(first, second, house.mid, number, town.now, upheld=False))
    after, done = town.account(house), findings(town, house)[number]
    back = (after.credit - after.debt) - (held.credit - held.debt)
    town.exchange([house])
    story.display(town, house)
    yield 1
    same = town.account(house) == house.agent.meter.account
    if done.state is not FindingState.REVERSED or back != finding.amount or not same:
        return "a penalty was not given back"
    return f"agreed penalty of {penalty} disputed by the consumer, reversed to the unit by two operators"


def _penalties(town: Town, house: House) -> dict[int, FindingRow]:
    """Return the penalties that nobody has disputed, by number."""
    found = findings(town, house).items()
    return {n: row for n, row in found if row.amount and row.state is FindingState.RECORDED}


def findings(town: Town, house: House) -> dict[int, FindingRow]:
    """Return a house's violations by number."""
    keys = [key for key, _ in town.grid.rows(Table.FINDING, house.mid)]
    return {int.from_bytes(key[len(house.mid) :], "big"): town.grid.row(Table.FINDING, key) for key in keys}
