"""The authenticator (paper III-A-3, IV-A): verifies what the registrar and the meter sent.

Logging on with the unique ID is a challenge that a node draws, signed by the key bound to that ID, and
checked here each time (III-A-3); it changes no state.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Access, Authenticate, LinkMeter
from gridmonitoring.blockchain.ledger import Ledger, refuse
from gridmonitoring.blockchain.state_rows import MeterRow, PartyRow, Stage, SupplyPointRow, Table
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.encoding.bounds import Bytes16, Bytes32, Role
from gridmonitoring.encoding.cbor import decode
from gridmonitoring.errors import BadSignature
from gridmonitoring.keys.signatures import CheckSignature, open_signed, signing_context, split

LOG_ON_DOMAIN = "gridmon/log-on/1"
"""Domain tag of a signed challenge."""


class LogOn(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="log-on/1"):
    """What somebody signs to log on."""

    challenge: Bytes32
    """Drawn by the node, good for one time."""
    role: Role
    """In which role."""
    party: Bytes16
    """The unique ID."""


def read_log_on(message: bytes) -> LogOn:
    """Return what a log-on says, its signature not yet checked; raises an `EncodingError`."""
    return decode(split(message)[0], LogOn)


def check_log_on(message: bytes, party: PartyRow, chain_id: bytes, check: CheckSignature) -> None:
    """Require a log-on to be signed by the key in force of its party; raises `BadSignature`."""
    if not party.sign_key:
        raise BadSignature("the key of this party was revoked")
    open_signed(message, party.sign_key, signing_context(LOG_ON_DOMAIN, chain_id), check)


def supply_point_at(ledger: Ledger, mid: bytes, stage: Stage) -> SupplyPointRow:
    """Return a supply point that stands at this stage; raises `Refused` (unknown_meter, wrong_stage)."""
    row: SupplyPointRow | None = ledger.view.get(Table.SUPPLY_POINT, mid)
    if row is None:
        refuse("unknown_meter", f"no meter {mid.hex()[:8]} on this chain")
    if row.stage != stage:
        refuse("wrong_stage", f"meter {mid.hex()[:8]} is {row.stage.name.lower()}, not {stage.name.lower()}")
    return row


def authenticate(ledger: Ledger, transaction: Transaction) -> None:
    """The authenticator verified the consumer's data and forwards it to the nodes (IV-A)."""
    body: Authenticate = transaction.payload.body
    row = supply_point_at(ledger, body.mid, Stage.REGISTERED)
    ledger.view.put(Table.SUPPLY_POINT, body.mid, replace(row, stage=Stage.AUTHENTICATED))


def link_meter(ledger: Ledger, transaction: Transaction) -> None:
    """A node adds the area code and links a device to the supply point (IV-A)."""
    body: LinkMeter = transaction.payload.body
    if body.area != ledger.chain.genesis.area:
        refuse("wrong_area", f"this chain serves area {ledger.chain.genesis.area}")
    row = supply_point_at(ledger, body.mid, Stage.AUTHENTICATED)
    linked = replace(row, stage=Stage.LINKED, area=body.area, device=body.device)
    ledger.view.put(Table.SUPPLY_POINT, body.mid, linked)


def give_access(ledger: Ledger, transaction: Transaction) -> None:
    """The installed meter's ID was verified: the user is given access to electricity (IV-A)."""
    body: Access = transaction.payload.body
    row = supply_point_at(ledger, body.mid, Stage.INSTALLED)
    meter: MeterRow = ledger.view.get(Table.METER, body.mid)
    if meter.epoch != body.epoch:
        refuse("wrong_epoch", f"the device in service is of epoch {meter.epoch}")
    ledger.view.put(Table.SUPPLY_POINT, body.mid, replace(row, stage=Stage.SUPPLIED))
