"""Attacks on registration, signatures, payments and commands: each is tried, and gets nothing."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Installation, Kind, Report, Settlement
from gridmonitoring.blockchain.side_block import decode_side
from gridmonitoring.blockchain.state_rows import DeviceRow, Stage, Table, device_key
from gridmonitoring.blockchain.transactions import decode_payload, sign_transaction
from gridmonitoring.contracts.meter_rule import Event, Relay
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.encoding.bounds import IMPORT_TOTAL, Role
from gridmonitoring.encoding.cbor import TRANSACTION_LIMIT, loads
from gridmonitoring.errors import Refused
from gridmonitoring.keys.signatures import split
from gridmonitoring.registration.installation_code import installation_document, prove_code
from gridmonitoring.runtime.entropy import KeyPair, new_keys
from tests.support.home import Home, logged
from tests.support.mutations import leaves
from tests.support.network import INTERVAL_MS, SmallNetwork


def refused(home: Home, raw: bytes) -> str:
    """Return the rule by which a transaction is refused; the state stays as it was."""
    before = home.network.application.tree.root
    with pytest.raises(Refused) as caught:
        home.network.require(raw)
    assert home.network.application.tree.root == before
    return caught.value.rule


def installation_by(home: Home, keys: KeyPair, said: Installation, proof: bytes) -> bytes:
    """Return an installation of other keys, with what was said and this proof of the code."""
    body = replace(said, sign_key=keys.sign_key, hpke_key=keys.hpke_key, proof=proof, succeeded=True)
    return sign_transaction(
        *(keys.seed, home.network.chain_id, Role.METER, home.mid, 9, home.now, Kind.INSTALLATION, body)
    )


def test_enrolment_with_a_stolen_code(home: Home) -> None:
    """A thief sees a failed and, before the ledger does, a successful installation, and every transaction."""
    home.take_steps(5)
    home.wait()
    failed = home.agent.install(home.made.code, home.now, succeeded=False)
    home.network.require(failed)
    home.wait()
    succeeded = home.step("installation")
    thief = new_keys()
    seen = [failed, succeeded, *(raw for raw, _ in logged(home.small))]
    assert not any(home.made.code in raw for raw in seen)
    unproven: Installation = decode_payload(split(failed)[0]).body
    said: Installation = decode_payload(split(succeeded)[0]).body
    for proof in (unproven.proof, said.proof):
        assert refused(home, installation_by(home, thief, said, proof)) == "document_mismatch"
    document = installation_document(home.mid, 1, thief.sign_key, thief.hpke_key, True)
    words = {leaf for raw in seen for _, leaf in leaves(loads(split(raw)[0], TRANSACTION_LIMIT))}
    codes = [word for word in words if isinstance(word, bytes) and len(word) == 32]
    assert home.point().code_key in codes
    for code in codes:
        forged = installation_by(home, thief, said, prove_code(code, home.network.chain_id, document))
        assert refused(home, forged) == "wrong_code"
    # Nor can the failed device itself, with its own key, without the code.
    again = installation_by(home, home.keys, unproven, unproven.proof)
    assert refused(home, again) == "document_mismatch"
    home.network.require(succeeded)
    device: DeviceRow = home.network.row(Table.DEVICE, device_key(home.mid, 1))
    assert device.sign_key == home.keys.sign_key
    late = installation_by(home, thief, said, prove_code(home.made.code, home.network.chain_id, document))
    assert (refused(home, late), home.point().stage) == ("wrong_stage", Stage.INSTALLED)


def violations(small: SmallNetwork, mid: bytes) -> list[Violation]:
    """Return the violations of a meter that side blocks hold, in order."""
    bodies = [payload.body for _, payload in logged(small) if payload.kind == Kind.SIDE_BLOCK]
    blocks = [decode_side(body.block) for body in bodies if body.mid == mid]
    entries = sorted((e.number, e.message.violation) for block in blocks for e in block.body.entries)
    return [Violation(number) for _, number in entries if number]


@pytest.mark.parametrize("energy", [2**62, 2**63 - 1])
def test_a_register_that_leaps_past_all_money(small: SmallNetwork, energy: int) -> None:
    """A bent meter says so much that no account holds the price: the register is at fault, not the clock."""
    meter = small.meters[0]
    account = small.network.row(Table.ACCOUNT, meter.mid)
    before = len(violations(small, meter.mid))
    meter.sequence, meter.time = meter.sequence + 1, meter.time + INTERVAL_MS
    small.clock.move_to(meter.time)
    leap = Settlement(((bytes(IMPORT_TOTAL), energy),), 0)
    said = (1, Event.INTERVAL, 0, Relay.CONNECTED, meter.carried_out, bytes(32), bytes(32), leap)
    small.submit([meter.sign(Kind.REPORT, Report(*said))])
    assert small.network.row(Table.ACCOUNT, meter.mid) == account
    assert violations(small, meter.mid)[before:] == [Violation.REGISTER_FAULT]
    meter.resume()
    small.submit([meter.claim(Event.INTERVAL, Relay.CONNECTED, settles=True, time=meter.time + INTERVAL_MS)])
    small.clock.move_to(meter.time)
    assert len(violations(small, meter.mid)) == before + 1
    assert small.network.row(Table.ACCOUNT, meter.mid).statement.number == account.statement.number + 1
