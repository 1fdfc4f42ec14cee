"""The grid's end of a meter's line: reports in, proven commands and statements out (paper IV-D, V-A).

A command is a row of the state; what makes a meter obey is its proof up to a quorum, not the node
that delivers it; the node signs what it delivers, so that it can be named. Statements are delivered once
each per gateway; a meter that missed one gets the next, which says all that the account is.

Left out: the transport.
"""

from __future__ import annotations

from collections.abc import Sequence

from gridmonitoring.blockchain.evidence_builders import build_command, build_statement
from gridmonitoring.blockchain.evidence_bundle import EvidenceKind
from gridmonitoring.blockchain.state_rows import DeviceRow, MeterRow, Table, device_key
from gridmonitoring.energy_center.credit import Account
from gridmonitoring.errors import EncodingError, UserError
from gridmonitoring.keys.sealed_commands import read_delivery
from gridmonitoring.runtime.accusing import delivery_bodies
from gridmonitoring.runtime.erasure import Erasures
from gridmonitoring.runtime.evidence_source import ApplicationEvidence
from gridmonitoring.runtime.meter_port import seal_command, sign_delivery
from gridmonitoring.runtime.network import Network, Outcome
from gridmonitoring.runtime.storage.details import WrappedKey


class MeterGateway:
    """Serves meters of one network; a `GridPort`."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._stated: dict[bytes, int] = {}

    def send(self, wires: Sequence[bytes]) -> Sequence[Outcome]:
        """Take channel offers and sealed reports; one outcome each, of what is durable."""
        return self._network.deliver(wires)

    def commands(self, mid: bytes) -> Sequence[bytes]:
        """Return sealed commands that the meter has not acknowledged, and its last statement if new."""
        network = self._network
        meter: MeterRow | None = network.row(Table.METER, mid)
        device: DeviceRow | None = None
        if meter is not None:
            device = network.row(Table.DEVICE, device_key(mid, meter.epoch))
        if meter is None or device is None:
            return []
        account: Account | None = network.row(Table.ACCOUNT, mid)
        stated = account is not None and account.statement.number > self._stated.get(mid, 0)
        if meter.carried_out == meter.commands and not stated:
            return []
        source = ApplicationEvidence(network.application, network.document)
        bundles = [
            (EvidenceKind.COMMAND, number, build_command(source, mid, number))
            for number in range(meter.carried_out + 1, meter.commands + 1)
        ]
        if account is not None and stated:
            number = account.statement.number
            bundles.append((EvidenceKind.STATEMENT, number, build_statement(source, mid)))
            self._stated[mid] = number
        node = network.node_for(mid)
        return [
            seal_command(
                *(network.chain_id, mid, meter.epoch, int(kind), number, device.hpke_key),
                sign_delivery(node, mid, meter.epoch, int(kind), number, bundle),
            )
            for kind, number, bundle in bundles
        ]

    def accuse(self, mid: bytes, delivery: bytes) -> Outcome:
        """Have a node name another that signed a delivery whose proof does not hold."""
        network = self._network
        try:
            accused = read_delivery(delivery).node
        except EncodingError as error:
            return error
        others = [node for node in network.nodes.values() if node.id != accused]
        if not others:
            return UserError("there is no other node that could accuse this one")
        now = network.clock.now_ms()
        raws = [others[0].transaction(kind, body, now) for kind, body in delivery_bodies(mid, delivery)]
        receipts = network.submit(raws)
        return next((one.error for one in receipts if one.error is not None), receipts[-1].index)

    def wrap(self, keys: Sequence[WrappedKey]) -> None:
        """Keep period keys wrapped for their readers, at every node, durably; of erased days none is kept."""
        network = self._network
        truth = network.application.truth
        erased = {mid: Erasures.of(truth, mid) for mid in {key[0] for key in keys}}
        kept = [key for key in keys if not erased[key[0]].shuts(key[0], key[2])]
        for details in network.details.values():
            details.wrap(kept)
