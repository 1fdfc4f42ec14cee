"""What nodes owe the thread after each block: locks and side blocks (paper IV-D, V-B, V-C); keys told (II-B).

The form's node acts at once; the k-th node after it takes over 2k seconds later, should it be
down. The first in order wins, a repeat is refused and harms nothing. A proposer that signed a wrong result is
named with the next block.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gridmonitoring.blockchain.bodies import AppendSideBlock, Kind, Lock
from gridmonitoring.blockchain.parent_block import build_parent
from gridmonitoring.blockchain.side_block import MAX_ENTRIES, build_side, first_previous
from gridmonitoring.blockchain.state_rows import (
    BlockRow,
    DueRow,
    LotRow,
    MessageRow,
    PartyRow,
    SideRow,
    Table,
    height_key,
    party_key,
)
from gridmonitoring.errors import Refused
from gridmonitoring.processing.blocks import (
    parent_draft,
    parent_format_at,
    previous_parent,
    side_draft,
)
from gridmonitoring.processing.conduct import TAKEOVER_MS
from gridmonitoring.runtime.accusing import accusations
from gridmonitoring.runtime.key_rotation import KeyRotation
from gridmonitoring.runtime.parties import Signer

if TYPE_CHECKING:
    from gridmonitoring.runtime.consensus.engine import Decision
    from gridmonitoring.runtime.network import Network


class Duties:
    """Keeps what is due in mind and has the nodes do it."""

    def __init__(self, network: Network) -> None:
        self._network = network
        truth = network.application.truth
        self._due = {key for key, _ in truth.rows_of(Table.DUE)}
        self._messages = {key for key, _ in truth.rows_of(Table.MESSAGE)}
        self._accusations: list[bytes] = []
        self._rotation = KeyRotation(network)

    def after(self, decision: Decision) -> None:
        """Do what a decided block made due, and what that makes due in turn."""
        self._note(decision)
        self._append_blocks()
        self._tell_keys(decision)

    def _append_blocks(self) -> None:
        """Lock what is complete and append side blocks, as long as it leads anywhere."""
        stuck = False
        while self._due or self._messages or self._accusations:
            raws = [*self._accusations, *self._side_blocks(), *self._locks()]
            self._accusations = []
            if not raws:
                return
            following = self._network.engine.decide(raws, self._network.clock.now_ms())
            following.durable.result()
            self._note(following)
            refused = all(receipt.error is not None for receipt in following.receipts)
            if refused and stuck:
                return  # as when a node signed ahead of its clock: tried again after the next block
            if refused:
                self._number_on()
            stuck = refused

    def _tell_keys(self, decision: Decision) -> None:
        """Have some meters told of another contract key; the others are told after the next blocks."""
        for _ in range(2):  # once more where somebody else signed with the node's key
            raws = self._rotation.after(decision)
            if not raws:
                return
            told = self._network.engine.decide(raws, self._network.clock.now_ms())
            told.durable.result()
            self._note(told)
            if all(receipt.error is None for receipt in told.receipts):
                return
            self._number_on()

    def _number_on(self) -> None:
        """Have the nodes number on from the ledger: somebody else may have signed with their keys."""
        for node, signer in self._network.nodes.items():
            row: PartyRow | None = self._network.row(Table.PARTY, party_key(signer.role, node))
            if row is not None:
                signer.resume_after(row.nonce)

    def _note(self, decision: Decision) -> None:
        network = self._network
        self._accusations += accusations(network, decision)
        for table, key in decision.changed:
            if table == Table.ERASURE:
                decision.durable.result()
                network.erase(key)
            if table in (Table.DUE, Table.MESSAGE):
                pending = self._due if table == Table.DUE else self._messages
                if network.row(table, key) is None:
                    pending.discard(key)
                else:
                    pending.add(key)

    def _locks(self) -> Iterable[bytes]:
        """Yield a lock for each complete block whose predecessor is locked and whose node's turn has come."""
        network = self._network
        now = network.clock.now_ms()
        for key in sorted(self._due):
            mid, height = key[:16], int.from_bytes(key[16:], "big")
            due: DueRow = network.row(Table.DUE, key)
            signer = self._whose_turn(due.node, due.time, now)
            try:
                previous = previous_parent(network.row, network.chain_id, mid, height)
                if signer is None or self._waiting_messages(mid, height):
                    continue
                lot: LotRow = network.row(Table.LOT, key)
                body = parent_draft(network.row, network.genesis.area, mid, height, signer.id)
            except Refused:
                continue
            target = network.row(Table.PARAMETERS, b"").target
            life = (lot.life_size, lot.life_peaks)
            block = build_parent(network.chain_id, signer.keys.seed, lot.format, previous, target, life, body)
            yield signer.transaction(Kind.LOCK, Lock(mid, height, block), now)

    def _waiting_messages(self, mid: bytes, height: int) -> bool:
        """Tell whether messages of this parent still wait, so that its lock includes their side block."""
        return any(
            key[:16] == mid and self._network.row(Table.MESSAGE, key).height == height
            for key in self._messages
        )

    def _side_blocks(self) -> Iterable[bytes]:
        """Yield a side block for each parent that has messages waiting."""
        network = self._network
        now = network.clock.now_ms()
        waiting: dict[tuple[bytes, int], list[int]] = {}
        for key in sorted(self._messages):
            message: MessageRow = network.row(Table.MESSAGE, key)
            waiting.setdefault((key[:16], message.height), []).append(int.from_bytes(key[16:], "big"))
        for (mid, height), numbers in waiting.items():
            first: MessageRow = network.row(Table.MESSAGE, height_key(mid, numbers[0]))
            signer = self._whose_turn(self._node_of(mid, height), max(first.tsm, first.tsv), now)
            if signer is not None:
                block = self._side_block(signer, mid, height, numbers[:MAX_ENTRIES])
                yield signer.transaction(Kind.SIDE_BLOCK, AppendSideBlock(mid, height, block), now)

    def _side_block(self, signer: Signer, mid: bytes, height: int, numbers: list[int]) -> bytes:
        network = self._network
        parent = parent_format_at(network.row, mid, height)
        side: SideRow | None = network.row(Table.SIDE, height_key(mid, height))
        previous = side.last if side else first_previous(parent)
        siblings = (side.count, side.peaks) if side else (0, b"")
        body = side_draft(network.row, mid, height, signer.id, numbers)
        target = network.row(Table.PARAMETERS, b"").target
        return build_side(network.chain_id, signer.keys.seed, parent, previous, target, siblings, body)

    def _node_of(self, mid: bytes, height: int) -> bytes:
        lot: LotRow | None = self._network.row(Table.LOT, height_key(mid, height))
        if lot is not None:
            return lot.node
        locked: BlockRow | None = self._network.row(Table.BLOCK, height_key(mid, height))
        return locked.format if locked else b""

    def _whose_turn(self, node: bytes, since: int, now: int) -> Signer | None:
        """Return the node whose turn it is: the form's at once, the k-th after it 2k seconds later.

        Of nodes that others run, it is not known here whether they are up.
        """
        nodes = [validator.node for validator in self._network.genesis.validators]
        first = nodes.index(node) if node in nodes else 0
        voting = {validator.node for validator in self._network.engine.voting()}
        for k in range(len(nodes)):
            identifier = nodes[(first + k) % len(nodes)]
            if identifier in voting:
                due = not k or now >= since + k * TAKEOVER_MS
                return self._network.nodes[identifier] if due else None
        return None
