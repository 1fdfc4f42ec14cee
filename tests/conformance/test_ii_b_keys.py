"""II-B: a consumer's lost key is replaced in the owner's sight; what was approved once counts once."""

from __future__ import annotations

import pytest

from gridmonitoring.blockchain.bodies import Kind, Supply
from gridmonitoring.blockchain.state_rows import CommandKind, PartyRow, Table, height_key, party_key
from gridmonitoring.contracts.messages import Message
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.errors import Refused
from gridmonitoring.runtime.entropy import KeyPair, new_keys
from gridmonitoring.runtime.meter_agent import MeterAgent
from tests.conformance.conftest import MONEY
from tests.support.acts import closing, confirmation, replacement, rotation
from tests.support.home import Home
from tests.support.network import MeterInHand


def party(home: Home) -> PartyRow:
    """Return the consumer's row."""
    row: PartyRow = home.network.row(Table.PARTY, party_key(Role.CONSUMER, home.consumer.id))
    return row


def rule_of(home: Home, raw: bytes) -> str:
    """Return the rule by which a transaction is refused."""
    with pytest.raises(Refused) as caught:
        home.network.require(raw)
    return caught.value.rule


def announce(home: Home) -> tuple[KeyPair, int]:
    """Have a new key announced; return it and the time from which it can be confirmed."""
    home.wait()
    keys, notice = new_keys(), home.network.genesis.parameters.key_notice
    home.network.require(replacement(home.network, home.consumer.id, keys, home.now))
    return keys, home.now + notice


def test_the_notice_is_on_the_meters_display_until_the_key_is_in_force(living: Home) -> None:
    keys, effective = announce(living)
    assert party(living).pending
    number = living.meter().commands
    command = living.network.row(Table.COMMAND, height_key(living.mid, number))
    assert (command.kind, command.height, command.amount) == (
        CommandKind.MESSAGE,
        Message.KEY_REPLACEMENT,
        effective,
    )
    assert living.agent.display().key_notice == 0
    living.meet()
    shown = living.agent.display()
    assert (shown.message, shown.key_notice) == (Message.KEY_REPLACEMENT, effective)
    living.live(1, 100)
    assert living.told()[-1] is Message.KEY_REPLACEMENT
    living.buy(MONEY)
    living.meet()
    shown = living.agent.display()
    assert (shown.message, shown.key_notice) == (Message.CREDIT_ADDED, effective)
    early = confirmation(living.network, living.consumer.id, keys, effective - 1)
    living.small.clock.move_to(effective - 1)
    assert rule_of(living, early) == "notice_not_over"
    living.small.clock.move_to(effective)
    living.network.require(confirmation(living.network, living.consumer.id, keys, effective))
    living.live(1, 0)
    assert living.agent.display().key_notice == 0
    wish = Supply(living.mid, False, 0)
    assert rule_of(living, living.consumer.transaction(Kind.SUPPLY, wish, living.now)) == "bad_signature"
    living.consumer.keys = keys
    living.network.require(living.consumer.transaction(Kind.SUPPLY, wish, living.now))


def test_the_notice_outlasts_a_power_cut(living: Home) -> None:
    _, effective = announce(living)
    living.meet()
    again = MeterAgent(living.device, living.keys, living.line, living.outbox)
    assert again.display().key_notice == effective


def test_the_owner_objects_by_changing_the_key(living: Home) -> None:
    keys, effective = announce(living)
    own = new_keys()
    living.network.require(rotation(living.network, living.consumer, own, living.now, own))
    living.small.clock.move_to(effective)
    theirs = confirmation(living.network, living.consumer.id, keys, effective)
    assert rule_of(living, theirs) == "no_pending_key"
    assert party(living).sign_key == own.sign_key


def test_the_notice_cannot_be_dated_back(living: Home) -> None:
    """The registrar signed nothing for longer than the notice takes, the meter reported all along."""
    notice = living.network.genesis.parameters.key_notice
    before = living.now
    living.wait(2 * notice)
    living.live(1, 0)
    reported, keys = living.meter().time, new_keys()
    assert reported > before + notice
    living.network.require(replacement(living.network, living.consumer.id, keys, before))
    assert rule_of(living, confirmation(living.network, living.consumer.id, keys, living.now)) == (
        "notice_not_over"
    )
    pending = party(living).pending
    assert pending is not None
    assert pending.effective == reported + notice

    neighbour = living.small.meters[0]
    unmoved = living.network.row(Table.METER, neighbour.mid)
    hand = MeterInHand(living.network, living.mid, living.keys, living.consumer)
    vendor = living.network.signer("vendor").id
    living.network.require(closing(living.network, hand, living.now, vendor=vendor))
    closed = living.meter()
    announce(living)
    assert living.meter() == closed
    assert living.network.row(Table.METER, neighbour.mid) == unmoved


def test_a_meter_that_is_not_installed_yet_has_no_display(home: Home) -> None:
    home.take_steps(5)
    before = home.meter()
    announce(home)
    assert home.meter() == before
    assert party(home).pending
