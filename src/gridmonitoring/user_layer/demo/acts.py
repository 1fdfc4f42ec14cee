"""What incidents have in common: how they run, what people sign in them, what the log says afterwards.

Left out: the incidents themselves (`incidents`, `attacks`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from gridmonitoring.blockchain.bodies import AppendSideBlock, ClearTamper, Kind, Supply
from gridmonitoring.blockchain.side_block import decode_side
from gridmonitoring.blockchain.transactions import Payload, decode_payload
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.keys.signatures import split
from gridmonitoring.processing.accounts import CLEAR_DOMAIN
from gridmonitoring.user_layer.cli.money import money_text
from gridmonitoring.user_layer.demo.plan import MINOR_DIGITS
from gridmonitoring.user_layer.demo.town import House, Town

Course = Generator[int, None, str]
"""Yields intervals to wait; returns the outcome."""

HOUR = 4
"""Reporting intervals in an hour."""


def wish(town: Town, house: House, *, on: bool) -> None:
    """Have the consumer sign what the own supply shall be, and the meter follow."""
    wanted = Supply(house.mid, on, power_limit=0)
    town.grid.require(house.consumer.transaction(Kind.SUPPLY, wanted, town.now))


def clear(town: Town, house: House, sequence: int) -> None:
    """Have two different operators sign a clear."""
    first, second = (town.grid.signer(name) for name in town.grid.roles(Role.OPERATOR)[:2])
    epoch = town.meter(house).epoch
    approval = second.document(CLEAR_DOMAIN, encode([house.mid, epoch, sequence]))
    body = ClearTamper(house.mid, epoch, second.id, approval, sequence)
    town.grid.require(first.transaction(Kind.CLEAR_TAMPER, body, town.now))


def euro(money: int) -> str:
    """Return money as text."""
    return f"{money_text(money, MINOR_DIGITS)} EUR"


def log_size(town: Town) -> int:
    """Return how many transactions the log has."""
    return town.grid.status().log_size


def side_blocks(town: Town, house: House, since: int) -> Iterator[Payload[AppendSideBlock]]:
    """Yield the side blocks of a house in the log from an index on."""
    for index in range(since, log_size(town)):
        payload = decode_payload(split(town.grid.transaction(index))[0])
        if isinstance(payload.body, AppendSideBlock) and payload.body.mid == house.mid:
            yield payload


def recorded(town: Town, house: House, violation: Violation, since: int) -> bool:
    """Tell whether a violation is in a side block of a house from a log index on."""
    return any(
        entry.message.violation == violation
        for payload in side_blocks(town, house, since)
        for entry in decode_side(payload.body.block).body.entries
    )
