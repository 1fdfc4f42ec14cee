"""IV-C and IV-D: a paid request becomes a form, the form a block; a majority accepts it or sends it back."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Form
from gridmonitoring.blockchain.checkpoint import decode_note, verify_quorum
from gridmonitoring.blockchain.state_rows import CommandKind, CommandRow, LotRow, Table, height_key
from gridmonitoring.contracts.script import generate_script, script_hash
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.energy_center.dispatch import CapacityWindow
from gridmonitoring.errors import Refused
from gridmonitoring.keys.signatures import split, verify_signature
from gridmonitoring.processing.rows import CapacityRow
from gridmonitoring.runtime.offices import confirm_payment, form_body, make_form, request_purchase
from tests.conformance.conftest import MONEY
from tests.support.home import Home


def window(home: Home) -> CapacityWindow:
    """Return the window in which the home's forms are booked."""
    row: CapacityRow = home.network.row(Table.CAPACITY, b"")
    return row.windows[0]


def form_of(home: Home, raw: bytes) -> Form:
    """Return what a form says."""
    transaction = home.network.application.decode(raw)
    assert not isinstance(transaction, Exception)
    body: Form = transaction.payload.body
    return body


def running(home: Home, height: int) -> LotRow:
    """Return a parent block in the making."""
    lot: LotRow = home.network.row(Table.LOT, height_key(home.mid, height))
    return lot


def test_a_node_adds_meter_id_house_number_and_area_code(living: Home) -> None:
    form = form_of(living, living.buy(MONEY))
    assert (form.mid, form.house) == (living.mid, living.point().house)
    assert form.area == living.network.genesis.area


def test_the_contract_generators_script_is_attached(living: Home) -> None:
    """IV-D: a script for the agreement in force, named by its hash; form and meter have the same."""
    form = form_of(living, living.buy(MONEY))
    script = generate_script(living.agreement, living.network.genesis.contract_key)
    assert form.script == script_hash(script)
    assert living.agent.meter.contract.terms.script == form.script


def test_the_form_is_stamped_and_becomes_credit_and_a_block_at_once(living: Home) -> None:
    raw = living.buy(MONEY)
    height = living.meter().next_height - 1
    lot = running(living, height)
    assert lot.form == sha256d(split(raw)[0])
    assert lot.ttp <= lot.tpt == living.now
    assert (lot.amount, lot.energy) == (MONEY, 40_000)
    order: CommandRow = living.network.row(Table.COMMAND, height_key(living.mid, living.meter().commands))
    assert (order.kind, order.height, order.amount) == (CommandKind.CREDIT, height, MONEY)
    before = living.agent.meter.account.credit
    living.meet()
    assert living.agent.meter.account.credit == before + MONEY


def test_power_is_requested_from_the_energy_center(living: Home) -> None:
    before = window(living).booked
    form = form_of(living, living.buy(MONEY))
    assert form.dispatch == window(living).from_ms
    assert window(living).booked == before + form.energy


def test_a_majority_accepted_it(living: Home) -> None:
    """Each validator signed for itself what follows from the block; more than two thirds have to."""
    living.buy(MONEY)
    application = living.network.application
    blocks = list(application.truth.blocks())
    validators = application.validators().powers()
    note = blocks[-1].note
    assert len(verify_quorum(note, validators, verify_signature)) == 4
    assert decode_note(note).checkpoint.app_hash
    roots = {v.application.tree.root for v in living.network.engine.validators}
    assert len(roots) == 1


def test_a_refused_form_is_replaced_by_one_that_names_it(living: Home) -> None:
    """IV-C: what is not accepted goes back to its originator with the rule, and is reconsidered."""
    network, now = living.network, living.now
    request = request_purchase(living.consumer, living.mid, MONEY, "EUR", bytes(16), now)
    paid = confirm_payment(network.signer("vendor"), request, MONEY, "EUR", living.mid, now)
    body = form_body(network, request, paid, living.mid, MONEY, now)
    wrong = make_form(network.signer("node-02"), replace(body, house=bytes(32)), now)
    with pytest.raises(Refused) as refused:
        network.require(wrong)
    assert refused.value.rule == "wrong_house_number"
    again = replace(body, replaces=sha256d(split(wrong)[0]))
    network.require(make_form(network.signer("node-02"), again, now))
    lot = running(living, living.meter().next_height - 1)
    assert lot.replaces == sha256d(split(wrong)[0])
