"""Proposers that do wrong: one that charges too much in its own proposals, and what such a one signs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import AccountProof, AccuseProposer
from gridmonitoring.blockchain.checkpoint import Checkpoint, decode_note
from gridmonitoring.blockchain.proposals import proposal_of, sign_proposal
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.blockchain.state_tree import row_key_hash, row_value_hash
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.energy_center.credit import Account
from gridmonitoring.runtime.consensus.application import Application, Execution, _Run
from gridmonitoring.runtime.consensus.refused import proven_account
from gridmonitoring.runtime.consensus.validator import EmbeddedValidator
from gridmonitoring.runtime.key_files import read_keys
from gridmonitoring.runtime.network import Network
from gridmonitoring.runtime.opening import open_application
from gridmonitoring.runtime.storage.truth import BlockHeader

Alter = Callable[[dict[tuple[Table, bytes], Any]], None]
"""Changes rows that a proposal writes."""


class GuiltyApplication(Application):
    """An application whose node alters the result of what it proposes itself."""

    node: bytes
    alter: Alter

    def _finish(self, header: BlockHeader, body: bytes, run: _Run) -> Execution:
        if header.proposer == self.node:
            self.alter(run.view.rows)
        return super()._finish(header, body, run)


def charge_more(rows: dict[tuple[Table, bytes], Any]) -> None:
    """Charge a unit too much in every account that is written."""
    for (table, key), row in list(rows.items()):
        if table == Table.ACCOUNT:
            rows[table, key] = a_unit_more(row)


def a_unit_more(account: Account) -> Account:
    """Return an account that was charged a unit too much."""
    statement = replace(
        account.statement, charge=account.statement.charge + 1, credit=account.statement.credit - 1
    )
    (height, money), *others = account.lots
    return replace(account, lots=((height, money - 1), *others), statement=statement)


def corrupt(network: Network, name: str, alter: Alter = charge_more) -> EmbeddedValidator:
    """Have a validator of a running network do wrong from now on; return it."""
    validator = next(one for one in network.engine.validators if one.name == name)
    folder: Path = network.directory.node(name)
    validator.take_down("to be corrupted")
    application = open_application(folder, network.document, network.genesis)
    guilty = GuiltyApplication(application.truth, application.chain, application.genesis, application.checker)
    guilty.node, guilty.alter = validator.node, alter
    validator.resume(guilty)
    return validator


def last_checkpoint(network: Network) -> tuple[Checkpoint, bytes]:
    """Return the last checkpoint and its note."""
    block = network.application.truth.block(network.application.height)
    assert block is not None
    return decode_note(block.note).checkpoint, block.note


def wrong_result(network: Network, node: str, mid: bytes = b"", alter: Any = a_unit_more) -> AccuseProposer:
    """Return what shows that a node signed another result of the last block, of a meter's account or none."""
    checkpoint, note = last_checkpoint(network)
    tree = network.application.tree
    accounts: tuple[AccountProof, ...] = ()
    if mid:
        account: Account = network.row(Table.ACCOUNT, mid)
        decided = proven_account(tree, mid, encode(account))
        false = encode(alter(account))
        undo = tree.update([(row_key_hash(Table.ACCOUNT, mid), row_value_hash(false))])
        accounts = (proven_account(tree, mid, false), decided)
        root = tree.root
        tree.undo(undo)
    else:
        root = bytes(32)
    return AccuseProposer(mid, signed_result(network, node, checkpoint, state_root=root), note, accounts)


def signed_result(network: Network, node: str, checkpoint: Checkpoint, /, **said: Any) -> bytes:
    """Return a node's signed proposal of this result, but for what is given."""
    _, _, keys = read_keys(network.directory.key_file(f"{node}.validator"))
    proposal = replace(proposal_of(network.signer(node).id, checkpoint), **said)
    return sign_proposal(keys.seed, network.chain_id, proposal)
