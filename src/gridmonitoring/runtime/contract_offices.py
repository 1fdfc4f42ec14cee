"""What people do about a meter's contract, as signed transactions: supply, clearing, disputes (III-A-5, V-A).

Functions return encoded transactions and hold no state. Left out: who may sign what, which the rules decide.
"""

from __future__ import annotations

from gridmonitoring.blockchain.bodies import ClearTamper, Dispute, Kind, LiftCutOff, Resolve, Supply
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.processing.accounts import CLEAR_DOMAIN
from gridmonitoring.processing.disputes import RESOLVE_DOMAIN
from gridmonitoring.runtime.parties import Signer


def control_supply(consumer: Signer, mid: bytes, time: int, *, on: bool, power_limit: int = 0) -> bytes:
    """The consumer switches the own supply, or sets a power limit in W; 0 for the agreement's."""
    return consumer.transaction(Kind.SUPPLY, Supply(mid, on, power_limit), time)


def clear_tamper(first: Signer, second: Signer, mid: bytes, epoch: int, sequence: int, time: int) -> bytes:
    """Two operators clear the tamper that a meter reported under a sequence."""
    approval = second.document(CLEAR_DOMAIN, encode([mid, epoch, sequence]))
    return first.transaction(Kind.CLEAR_TAMPER, ClearTamper(mid, epoch, second.id, approval, sequence), time)


def dispute(party: Signer, mid: bytes, number: int, time: int, document: bytes = b"") -> bytes:
    """Consumer or utility disputes a violation; `document` is sha256d of what they say about it."""
    return party.transaction(Kind.DISPUTE, Dispute(mid, number, document), time)


def decide_dispute(
    first: Signer, second: Signer, mid: bytes, number: int, time: int, *, upheld: bool
) -> bytes:
    """Two operators uphold a disputed violation, or reverse it."""
    approval = second.document(RESOLVE_DOMAIN, encode([mid, number, upheld]))
    return first.transaction(Kind.RESOLVE, Resolve(mid, number, upheld, second.id, approval), time)


def give_claim_up(utility: Signer, mid: bytes, number: int, time: int) -> bytes:
    """The utility gives up what it claimed for a disputed violation."""
    return utility.transaction(Kind.RESOLVE, Resolve(mid, number, False, b"", b""), time)


def lift_cut_off(utility: Signer, mid: bytes, time: int) -> bytes:
    """The utility lifts an agreed cut-off."""
    return utility.transaction(Kind.LIFT_CUT_OFF, LiftCutOff(mid), time)
