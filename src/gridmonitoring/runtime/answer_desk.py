"""Where a node answers: who asks logs on, the request is final, the answer is tagged and sealed (II-B, IV-C).

Left out: what an answer holds (`answers`), and who may ask (`processing.access`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridmonitoring.blockchain.bodies import Answer, Kind
from gridmonitoring.blockchain.state_rows import PartyRow, ReadRow, Table, height_key
from gridmonitoring.contracts.consent import Verdict
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.errors import AccessDenied, EncodingError
from gridmonitoring.keys.sealed_boxes import Purpose, box_info
from gridmonitoring.processing.access import verdict_at
from gridmonitoring.registration.authenticator import read_log_on
from gridmonitoring.runtime.answers import Computed, compute, seal_answer
from gridmonitoring.runtime.entropy import seal_box
from gridmonitoring.runtime.log_on import Challenges

if TYPE_CHECKING:
    from gridmonitoring.registration.authenticator import LogOn
    from gridmonitoring.runtime.network import Network


def failures_info(chain_id: bytes, reader: bytes) -> bytes:
    """Return HPKE's info for what auditors are told."""
    return box_info(Purpose.FAILURES, chain_id, b"", 0, 0, reader)


def _claimed(message: bytes) -> bytes:
    """Return whom a log-on that failed pretends to be of, or nothing."""
    try:
        return read_log_on(message).party
    except EncodingError:
        return b""


class AnswerDesk:
    """One operator's nodes, as readers meet them."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._challenges = Challenges(network.row, network.chain_id)

    def challenge(self) -> bytes:
        """Return a challenge for somebody who wants to log on."""
        return self._challenges.draw(self._network.clock.now_ms())

    def log_on(self, message: bytes) -> tuple[LogOn, PartyRow]:
        """Return who logs on; raises `AccessDenied`, of which the nodes keep a record."""
        network, now = self._network, self._network.clock.now_ms()
        try:
            return self._challenges.check(message, now)
        except AccessDenied as denied:
            network.key_failures.refused(_claimed(message), str(denied), now)
            raise

    def failures(self, message: bytes) -> bytes:
        """Return what every node's secure database has, sealed to the auditor who logs on."""
        network = self._network
        said, party = self.log_on(message)
        if said.role != Role.AUDITOR:
            raise AccessDenied("not_granted", "what failed of the nodes' work with keys is for auditors")
        found = [(v.name, network.key_failures.entries(v.name)) for v in network.engine.validators]
        return seal_box(party.hpke_key, failures_info(network.chain_id, party.hpke_key), encode(found))

    def answer(self, message: bytes, mid: bytes, number: int) -> bytes:
        """Return the sealed answer to a request of who logs on.

        1 log on; 2 the request is final, of this party, and allowed, also now; 3 compute; 4 record the tags,
        or require those on record; 5 seal to who asked. Raises `AccessDenied`, `Refused` or `StorageError`.
        """
        network, now = self._network, self._network.clock.now_ms()
        # 1
        said, party = self.log_on(message)
        # 2
        row: ReadRow | None = network.row(Table.READ, height_key(mid, number))
        if row is None or (row.role, row.reader) != (said.role, said.party):
            raise AccessDenied("not_granted", f"there is no request {number} of yours about this meter")
        verdict = Verdict(row.verdict)
        if verdict is Verdict.ALLOWED:
            verdict = verdict_at(network.row, mid, row, now)
        if verdict is not Verdict.ALLOWED:
            reason = verdict.name.lower()
            raise AccessDenied(reason, f"request {number} is not allowed, or no longer: {reason}")
        # 3
        computed = self._compute(mid, row, party.hpke_key)
        # 4
        if not row.tags:
            self._record(mid, number, computed)
        elif row.tags != computed.tags_hash:
            raise AccessDenied("erased", f"what request {number} was answered with was erased; ask anew")
        # 5
        return seal_answer(network.chain_id, mid, number, party.hpke_key, computed.document)

    def _compute(self, mid: bytes, row: ReadRow, reader: bytes) -> Computed:
        network = self._network
        voting = network.engine.first()
        node = network.nodes[row.node if row.tags else voting.node]
        return compute(voting.application, network.details[voting.name], node, mid, row, reader)

    def _record(self, mid: bytes, number: int, computed: Computed) -> None:
        network = self._network
        node = network.nodes[network.engine.first().node]
        body = Answer(mid, number, computed.tags_hash)
        network.require(node.transaction(Kind.ANSWER, body, network.clock.now_ms()))
