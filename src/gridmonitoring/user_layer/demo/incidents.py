"""What happens in the demonstration besides everyday life (paper III-A-4, III-A-6, IV-C, V-A).

Each incident is a generator: it does something, yields how many reporting intervals it waits, and at its end
returns its outcome in a few words. An incident looks at what ledger and meter hold afterwards, and says what
it finds, not what it hoped for.

Left out: when and where each begins (`plan`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Kind, ReversePayment
from gridmonitoring.blockchain.evidence_bundle import EvidenceKind
from gridmonitoring.blockchain.state_rows import PaymentRow, Table
from gridmonitoring.contracts.meter_rule import MeterState, Relay
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.errors import Refused
from gridmonitoring.runtime.counter import pay
from gridmonitoring.runtime.entropy import random_bytes
from gridmonitoring.runtime.offices import (
    commitment,
    confirm_payment,
    form_body,
    make_form,
    request_purchase,
)
from gridmonitoring.user_layer.demo.acts import HOUR, Course, euro, wish
from gridmonitoring.user_layer.demo.attacks import (
    altered_row,
    cover_opened,
    node_down,
    replayed_report,
    use_behind_open_relay,
)
from gridmonitoring.user_layer.demo.justice import disputed_penalty, overcharging_node
from gridmonitoring.user_layer.demo.plan import EXTRA_SHARE, PRICE
from gridmonitoring.user_layer.demo.research import researcher_reads
from gridmonitoring.user_layer.demo.story import Story
from gridmonitoring.user_layer.demo.town import House, Town


def low_credit(town: Town, house: House, story: Story) -> Course:
    """Credit comes down to the threshold: the meter warns, the consumer tops up."""
    while house.state is not MeterState.LOW_CREDIT:
        yield 1
    story.display(town, house)
    while house.state is MeterState.LOW_CREDIT:
        yield 1
    if house.state is MeterState.ACTIVE:
        return "warned by the meter, topped up in time"
    return f"warned by the meter, then {house.state.name.lower().replace('_', ' ')}"


def out_of_credit(town: Town, house: House, story: Story) -> Course:
    """Nobody heeds the warning: the meter cuts the power, and gives it again once credit is there."""
    while house.state is not MeterState.OUT_OF_CREDIT:
        yield 1
    story.display(town, house)
    relay, before = house.agent.meter.relay, house.agent.meter.registers()
    still, waited = True, 0
    while waited < 2 * HOUR and house.state is MeterState.OUT_OF_CREDIT:
        still = house.agent.meter.registers() == before
        waited += 1
        yield 1
    bought = town.buy(house, house.share(100))
    story.tell(town, house, f"buys {euro(house.share(100))} in the dark: block {bought.height}")
    story.keep("command", town.grid.evidence(EvidenceKind.COMMAND, house.mid))
    town.exchange([house])
    house.heeds = True
    while house.dark:
        yield 1
    story.display(town, house)
    if relay is not Relay.DISCONNECTED or not still:
        return "reconnected, but power flowed without credit"
    return "shut down at zero, no Wh used in the dark, reconnected after a purchase"


def refused_form(town: Town, house: House, story: Story) -> Course:
    """A node mistakes the house number: the others refuse its form, and it makes a right one."""
    grid, now = town.grid, town.now
    amount, currency = house.share(EXTRA_SHARE), grid.genesis.currency
    request = request_purchase(house.consumer, house.mid, amount, currency, random_bytes(16), now)
    vendor = town.office(Role.VENDOR)
    paid = confirm_payment(vendor, request, amount, currency, town.reference(house), now)
    node = town.node
    body = form_body(grid, request, paid, house.mid, amount, now)
    mistaken = replace(body, house=commitment("the house across the street", bytes(32)))
    (receipt,) = grid.submit([make_form(node, mistaken, now)])
    if not isinstance(receipt.error, Refused):
        return "a form with the wrong house number was accepted"
    rule = receipt.error.rule
    story.tell(town, house, f"a form of {node.name} is refused and sent back to it: {rule}")
    yield 1
    body = form_body(grid, request, paid, house.mid, amount, town.now)
    again = grid.require(make_form(node, replace(body, replaces=receipt.id), town.now))
    story.tell(town, house, f"{node.name} makes a right form, which names the refused one")
    story.places["purchase"] = again.index
    town.exchange([house])
    return f"refused ({rule}), sent back to {node.name}, replaced by one that was accepted"


def duplicate_payment(town: Town, house: House, story: Story) -> Course:
    """A payment's reference is used a second time, for another purchase."""
    yield 0
    before = town.grid.status().app_hash
    used = f"{house.name}/1".encode()
    try:
        pay(town.grid, house.consumer, house.mid, house.share(EXTRA_SHARE), used)
    except Refused as refusal:
        story.tell(town, house, f"a second purchase with the same payment is refused: {refusal.rule}")
        same = town.grid.status().app_hash == before
        return f"refused ({refusal.rule})" + ("" if same else ", but the state changed")
    return "a payment was credited twice"


def no_capacity(town: Town, house: House, story: Story) -> Course:
    """Someone wants to buy more than the energy center generates that day."""
    yield 0
    amount = 2 * town.capacity * PRICE // 1000
    try:
        town.buy(house, amount)
    except Refused as refusal:
        story.tell(town, house, f"the energy center has no {euro(amount)} worth of power: {refusal.rule}")
        return f"refused ({refusal.rule})"
    return "more was sold than is generated"


def bounced_payment(town: Town, house: House, story: Story) -> Course:
    """A payment bounces: the vendor takes it back, and so do ledger and meter."""
    bought = town.buy(house, house.share(EXTRA_SHARE))
    reference = house.last_reference
    town.exchange([house])
    yield HOUR
    vendor = town.office(Role.VENDOR)
    town.grid.require(vendor.transaction(Kind.REVERSE_PAYMENT, ReversePayment(reference), town.now))
    town.exchange([house])
    story.tell(town, house, f"the payment for block {bought.height} bounces and is taken back")
    paid: PaymentRow = town.grid.row(Table.PAYMENT, vendor.id + reference)
    same = town.account(house) == house.agent.meter.account
    if not paid.reversed or not same:
        return "a bounced payment was not taken back"
    return f"reversed, {euro(paid.amount)} taken back"


def supply_off(town: Town, house: House, story: Story) -> Course:
    """The consumer switches the own supply off, and on again."""
    yield 0
    wish(town, house, on=False)
    story.keep("command", town.grid.evidence(EvidenceKind.COMMAND, house.mid))
    town.exchange([house])
    story.display(town, house)
    off, before = house.state is MeterState.SUPPLY_OFF, house.agent.meter.registers()
    yield 3 * HOUR
    still = house.agent.meter.registers() == before
    wish(town, house, on=True)
    town.exchange([house])
    story.display(town, house)
    if not off or not still or house.state is MeterState.SUPPLY_OFF:
        return "the meter did not follow the consumer"
    return "switched off by the consumer for 3 hours, no Wh used, switched on again"


INCIDENTS: Mapping[str, Callable[[Town, House, Story], Course]] = {
    "low_credit": low_credit,
    "out_of_credit": out_of_credit,
    "refused_form": refused_form,
    "duplicate_payment": duplicate_payment,
    "no_capacity": no_capacity,
    "bounced_payment": bounced_payment,
    "supply_off": supply_off,
    "cover_opened": cover_opened,
    "replayed_report": replayed_report,
    "use_behind_open_relay": use_behind_open_relay,
    "node_down": node_down,
    "altered_row": altered_row,
    "overcharging_node": overcharging_node,
    "disputed_penalty": disputed_penalty,
    "researcher_reads": researcher_reads,
}
"""Name -> what happens."""
