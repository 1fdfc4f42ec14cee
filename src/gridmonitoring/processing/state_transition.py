"""The state transition: the paper's rules, one function per type of transaction (III-A-2, IV-C, IV-D).

`TRANSITIONS` is the closed table: who may sign a type, and the function that carries it out. Block
and state go in, a new state or a typed refusal comes out; a refused transaction changes nothing.
The core reads no clock, file or entropy: time arrives in the block, signatures are checked by what
the caller passes in.

Left out: consensus, storage, and the opening of sealed reports, which are `runtime`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gridmonitoring.blockchain.bodies import Kind
from gridmonitoring.blockchain.genesis import Genesis, ValidatorSet
from gridmonitoring.blockchain.ledger import Ledger, authenticate_party, refuse
from gridmonitoring.blockchain.state_rows import GovernanceRow, PartyRow, Table, party_key
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.processing.access import READERS, answer, erase, grant, request_read, revoke_grant
from gridmonitoring.processing.accounts import (
    clear_tamper,
    control_supply,
    offer_capacity,
    publish_tariff,
    reverse_payment,
)
from gridmonitoring.processing.accusations import accuse, accuse_exhibit, accuse_proposer, exhibit
from gridmonitoring.processing.blocks import append_side_block, lock
from gridmonitoring.processing.closing import close, pay_out
from gridmonitoring.processing.contract_keys import rotate_contract_key, tell_contract_key
from gridmonitoring.processing.disputes import dispute, lift_cut_off, resolve
from gridmonitoring.processing.forms import process_form
from gridmonitoring.processing.governance import govern
from gridmonitoring.processing.installations import (
    access,
    agree,
    authenticate_supply_point,
    begin_thread,
    install,
    link,
    swap,
)
from gridmonitoring.processing.key_replacement import announce_key
from gridmonitoring.processing.monitoring import heal_copy, report_copy, report_silence
from gridmonitoring.processing.reports import process_report
from gridmonitoring.registration.registrar import confirm_key, register, revoke_key, rotate_key

Rule = Callable[[Ledger, Transaction], None]
"""Changes the view or raises `Refused`."""

_ANYONE = frozenset(Role) - {Role.METER}

TRANSITIONS: Mapping[int, tuple[frozenset[Role], Rule]] = {
    Kind.GOVERNANCE: (frozenset({Role.NODE}), govern),
    Kind.REGISTRATION: (frozenset({Role.REGISTRAR}), register),
    Kind.ROTATE_KEY: (_ANYONE, rotate_key),
    Kind.REVOKE_KEY: (_ANYONE, revoke_key),
    Kind.REPLACE_KEY: (frozenset({Role.REGISTRAR}), announce_key),
    Kind.CONFIRM_KEY: (frozenset({Role.REGISTRAR}), confirm_key),
    Kind.SUPPLY_POINT: (frozenset({Role.REGISTRAR}), begin_thread),
    Kind.AUTHENTICATE: (frozenset({Role.AUTHENTICATOR}), authenticate_supply_point),
    Kind.LINK_METER: (frozenset({Role.NODE}), link),
    Kind.AGREEMENT: (frozenset({Role.UTILITY}), agree),
    Kind.INSTALLATION: (frozenset({Role.METER}), install),
    Kind.ACCESS: (frozenset({Role.AUTHENTICATOR}), access),
    Kind.TARIFF: (frozenset({Role.UTILITY}), publish_tariff),
    Kind.CAPACITY: (frozenset({Role.ENERGY_CENTER}), offer_capacity),
    Kind.FORM: (frozenset({Role.NODE}), process_form),
    Kind.REPORT: (frozenset({Role.METER}), process_report),
    Kind.LOCK: (frozenset({Role.NODE}), lock),
    Kind.SIDE_BLOCK: (frozenset({Role.NODE}), append_side_block),
    Kind.REVERSE_PAYMENT: (frozenset({Role.VENDOR}), reverse_payment),
    Kind.CLOSE_ACCOUNT: (frozenset({Role.UTILITY}), close),
    Kind.SWAP_DEVICE: (frozenset({Role.REGISTRAR}), swap),
    Kind.SUPPLY: (frozenset({Role.CONSUMER}), control_supply),
    Kind.CLEAR_TAMPER: (frozenset({Role.OPERATOR}), clear_tamper),
    Kind.GRANT: (frozenset({Role.CONSUMER}), grant),
    Kind.REVOKE_GRANT: (frozenset({Role.CONSUMER}), revoke_grant),
    Kind.READ: (READERS, request_read),
    Kind.ANSWER: (frozenset({Role.NODE}), answer),
    Kind.ERASE: (frozenset({Role.CONSUMER}), erase),
    Kind.DISPUTE: (frozenset({Role.CONSUMER, Role.UTILITY}), dispute),
    Kind.RESOLVE: (frozenset({Role.OPERATOR, Role.UTILITY}), resolve),
    Kind.LIFT_CUT_OFF: (frozenset({Role.UTILITY}), lift_cut_off),
    Kind.ACCUSE: (frozenset({Role.NODE}), accuse),
    Kind.COPY_DIFFERS: (frozenset({Role.NODE}), report_copy),
    Kind.COPY_HEALED: (frozenset({Role.NODE}), heal_copy),
    Kind.SILENCE: (frozenset({Role.NODE}), report_silence),
    Kind.ROTATE_CONTRACT_KEY: (frozenset({Role.NODE}), rotate_contract_key),
    Kind.TELL_CONTRACT_KEY: (frozenset({Role.NODE}), tell_contract_key),
    Kind.ACCUSE_PROPOSER: (frozenset({Role.NODE}), accuse_proposer),
    Kind.PAYOUT: (frozenset({Role.UTILITY}), pay_out),
    Kind.EXHIBIT: (frozenset({Role.NODE}), exhibit),
    Kind.ACCUSE_EXHIBIT: (frozenset({Role.NODE}), accuse_exhibit),
}
"""Type -> (roles that may sign it, its rule)."""


def apply_transaction(ledger: Ledger, transaction: Transaction) -> list[Any]:
    """Apply one transaction to the view and return its effects, or raise `Refused` and change nothing."""
    payload = transaction.payload
    try:
        roles, rule = TRANSITIONS[payload.kind]
        if payload.role not in roles:
            refuse("wrong_role", f"a {payload.role.name.lower()} does not sign this type of transaction")
        if payload.time > ledger.block_time + ledger.parameters().future_bound:
            refuse("time_in_future", "signed further ahead of block time than the chain allows")
        if payload.role != Role.METER:
            authenticate_party(ledger, transaction)
        rule(ledger, transaction)
    except BaseException:
        ledger.view.drop()
        raise
    return ledger.view.keep()


def genesis_rows(genesis: Genesis) -> list[tuple[Table, bytes, Any]]:
    """Return the rows of the state before the first transaction."""
    rows: list[tuple[Table, bytes, Any]] = [
        (Table.PARAMETERS, b"", genesis.parameters),
        (Table.VALIDATORS, b"", ValidatorSet(genesis.validators)),
        (Table.GOVERNANCE, b"", GovernanceRow(0)),
    ]
    for party in genesis.parties:
        row = PartyRow(party.sign_key, party.hpke_key, 0, 0, 0, b"", None, ())
        rows.append((Table.PARTY, party_key(party.role, party.id()), row))
    return rows
