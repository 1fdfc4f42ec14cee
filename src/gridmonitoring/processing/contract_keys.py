"""Rotation of the authenticator contract key by governance (paper II-B; III-A-4: it is attached to scripts).

More than two thirds of the nodes' power announce a successor, in force from a size of the log on. Each meter
is told of it by a command, a row of the state that it believes under the proof of a quorum, and which does
not expire. What a meter's script names is the key that this meter has taken over: script and key change on
both sides where the meter acknowledges the command, as new terms do (`installations.take_effect`).

A device knows no key but genesis' when it comes; it is told of the one in force with its access to
electricity, before the command by which it begins to report.

Left out: sealing and opening, and which secrets a node holds (`runtime`).
"""

from __future__ import annotations

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import RotateContractKey, TellContractKey
from gridmonitoring.blockchain.contract_keys import (
    FIRST,
    announced,
    contract_key,
    in_force,
    last_announced,
    number_key,
)
from gridmonitoring.blockchain.genesis import Successor
from gridmonitoring.blockchain.ledger import Ledger, refuse
from gridmonitoring.blockchain.state_rows import (
    CommandKind,
    CommandRow,
    ContractKeyDocument,
    ContractKeyRow,
    ContractKeysRow,
    MeterKeyRow,
    MeterRow,
    Stage,
    Table,
)
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.contracts.script import generate_script, script_hash
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.errors import BadPublicKey, EncodingError, Refused
from gridmonitoring.keys.sealed_boxes import SuiteNumber, check_hpke_key
from gridmonitoring.processing.governance import require_quorum
from gridmonitoring.processing.rows import AgreementRow
from gridmonitoring.processing.threads import live_on, order
from gridmonitoring.registration.authenticator import supply_point_at

CONTRACT_KEY_DOMAIN = "gridmon/contract-key/1"
"""Domain tag of a node's approval of a successor."""
GENESIS_KEY = MeterKeyRow(FIRST, FIRST)
"""What a device knows when it comes."""


def rotate_contract_key(ledger: Ledger, transaction: Transaction) -> None:
    """Announce the successor of the contract key: 1 read, 2 quorum of approvals, 3 a new key, 4 rows."""
    body: RotateContractKey = transaction.payload.body
    read, genesis = ledger.view.get, ledger.chain.genesis
    # 1
    try:
        successor = decode(body.successor, Successor)
    except EncodingError as error:
        raise Refused("bad_proposal", str(error)) from error
    last = last_announced(read)
    if successor.number != last + 1:
        refuse("bad_proposal", f"the next contract key has number {last + 1}")
    # 2
    require_quorum(ledger, CONTRACT_KEY_DOMAIN, body.successor, body.approvals)
    # 3
    if successor.suite != SuiteNumber.X25519:
        refuse("bad_proposal", "reports are sealed by suite 1; a meter knows no other")
    try:
        check_hpke_key(successor.key)
    except BadPublicKey as error:
        raise Refused("bad_public_key", str(error)) from error
    if any(row.key == successor.key for _, row in announced(read, genesis)):
        refuse("former_key", "this key is, or was, a contract key of the network")
    # 4
    _end_earlier(ledger, last, successor.ends)
    row = ContractKeyRow(successor.suite, successor.key, max(successor.since, ledger.log_size), None)
    ledger.view.put(Table.CONTRACT_KEY, number_key(successor.number), row)
    ledger.view.put(Table.CONTRACT_KEYS, b"", ContractKeysRow(successor.number))


def _end_earlier(ledger: Ledger, last: int, ends: int) -> None:
    """Have every earlier key end at a time, or when it was to end before: ends never grow, nor move on."""
    for number in range(last, 0, -1):
        row = contract_key(ledger.view.get, ledger.chain.genesis, number)
        if row.ends is not None and row.ends <= ends:
            return
        ledger.view.put(Table.CONTRACT_KEY, number_key(number), replace(row, ends=ends))


def tell_contract_key(ledger: Ledger, transaction: Transaction) -> None:
    """Have a meter told of the contract key in force, once."""
    body: TellContractKey = transaction.payload.body
    supply_point_at(ledger, body.mid, Stage.SUPPLIED)
    number, _ = in_force(ledger.view.get, ledger.chain.genesis, ledger.log_size)
    if body.number != number:
        refuse("not_in_force", f"contract key {number} is in force")
    if _standing(ledger, body.mid).told >= number:
        refuse("already_told", f"meter {body.mid.hex()[:8]} was told of contract key {number}")
    meter = live_on(ledger, body.mid, transaction)
    ledger.view.put(Table.METER, body.mid, order_key(ledger, transaction, body.mid, meter))


def order_key(ledger: Ledger, transaction: Transaction, mid: bytes, meter: MeterRow) -> MeterRow:
    """Order a meter to take the key in force over, where it knows another; return its row (unwritten)."""
    number, key = in_force(ledger.view.get, ledger.chain.genesis, ledger.log_size)
    standing = _standing(ledger, mid)
    if standing.told >= number:
        return meter
    ledger.view.put(Table.METER_KEY, mid, replace(standing, told=number))
    document = encode(ContractKeyDocument(key.suite, key.key))
    return order(ledger, mid, meter, CommandKind.CONTRACT_KEY, transaction, height=number, document=document)


def take_key_over(ledger: Ledger, mid: bytes, command: CommandRow) -> None:
    """A meter has carried a CONTRACT_KEY command out: its script names this key from now on."""
    ledger.view.put(Table.METER_KEY, mid, replace(_standing(ledger, mid), taken=command.height))
    _rewrite(ledger, mid)


def start_over(ledger: Ledger, mid: bytes) -> None:
    """Another device is to come, which knows the key of genesis alone."""
    if ledger.view.get(Table.METER_KEY, mid) is not None:
        ledger.view.delete(Table.METER_KEY, mid)
        _rewrite(ledger, mid)


def key_of_meter(ledger: Ledger, mid: bytes) -> bytes:
    """Return the contract key that a meter's script names."""
    number = _standing(ledger, mid).taken
    return contract_key(ledger.view.get, ledger.chain.genesis, number).key


def _standing(ledger: Ledger, mid: bytes) -> MeterKeyRow:
    row: MeterKeyRow | None = ledger.view.get(Table.METER_KEY, mid)
    return row or GENESIS_KEY


def _rewrite(ledger: Ledger, mid: bytes) -> None:
    """Generate the script of the agreement in force anew."""
    row: AgreementRow = ledger.view.get(Table.AGREEMENT, mid)
    script = script_hash(generate_script(row.agreement, key_of_meter(ledger, mid)))
    ledger.view.put(Table.AGREEMENT, mid, replace(row, script=script))
