"""A meter goes over to another contract key by a proven command, and keeps to it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gridmonitoring.blockchain.state_rows import CommandKind, ContractKeyDocument
from gridmonitoring.contracts.meter_rule import Event
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.keys.sealed_boxes import hpke_public_key
from gridmonitoring.smart_meter.meter import Meter
from tests.support.billing import CENT, DAY, flat
from tests.support.meters import IDENTITY, Bench
from tests.support.mini_chain import seed

NEW = hpke_public_key(seed("contract 2"))
DOCUMENT = encode(ContractKeyDocument(1, NEW))


def test_the_script_names_the_key_that_the_meter_was_told() -> None:
    bench = Bench().in_service(100 * CENT)
    contract = bench.meter.contract
    script, events = contract.terms.script, list(bench.events)
    assert contract.terms.contract_key == IDENTITY.contract_key
    assert bench.order(CommandKind.CONTRACT_KEY, height=2, document=DOCUMENT) == []
    assert bench.events == events
    assert contract.terms.contract_key == NEW
    assert contract.terms.script != script
    assert Meter(IDENTITY, bench.meter.memory()).contract.terms.contract_key == NEW
    other = flat(70 * CENT)
    bench.now += 1
    bench.script(replace(bench.agreement, tariff=other.digest), other)
    assert contract.terms.contract_key == NEW


def test_it_holds_however_late_it_comes() -> None:
    bench = Bench().in_service(100 * CENT)
    bench.order(CommandKind.CONTRACT_KEY, height=2, document=DOCUMENT, expires=bench.now - 365 * DAY)
    assert bench.meter.contract.terms.contract_key == NEW


@pytest.mark.parametrize(
    "document",
    [
        b"",
        NEW,
        encode(ContractKeyDocument(2, NEW)),
        encode(ContractKeyDocument(1, bytes(32))),
        encode(["contract-key/2", 1, NEW]),
    ],
)
def test_what_is_no_key_is_ignored_and_reported(document: bytes) -> None:
    bench = Bench().in_service(100 * CENT)
    drafts = bench.order(CommandKind.CONTRACT_KEY, height=2, document=document)
    assert [draft.event for draft in drafts] == [Event.COMMAND_IGNORED]
    assert bench.meter.contract.terms.contract_key == IDENTITY.contract_key


def test_the_minutes_that_follow_are_billed_as_before() -> None:
    told, other = (Bench().in_service(100 * CENT) for _ in range(2))
    told.order(CommandKind.CONTRACT_KEY, height=2, document=DOCUMENT)
    told.run(600)
    other.run(600)
    assert told.meter.account == other.meter.account
    assert told.events == other.events
