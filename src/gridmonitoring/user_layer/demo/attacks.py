"""What goes wrong in the demonstration without consent: tampering, replays, bridged relays, lost nodes.

Each incident looks at what ledger, files and meter hold afterwards, and says what it finds (paper III-A-2,
V-A, V-B, V-C; Table 1: immutability, integrity).

Left out: what people and offices do in good faith (`incidents`).
"""

from __future__ import annotations

from contextlib import closing

import apsw

from gridmonitoring.blockchain.state_rows import LotRow, Table, height_key
from gridmonitoring.contracts.meter_rule import MeterState, Relay, Status
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.processing.threads import newest_parent
from gridmonitoring.user_layer.demo.acts import (
    HOUR,
    Course,
    clear,
    log_size,
    recorded,
    side_blocks,
    wish,
)
from gridmonitoring.user_layer.demo.plan import EXTRA_SHARE
from gridmonitoring.user_layer.demo.story import Story
from gridmonitoring.user_layer.demo.town import House, Town

ALTERED_NODE = "node-03"
"""The node in whose file somebody writes."""
BRIDGED_MINUTES, BRIDGED_WATTS = 30, 600
"""How long and how much is drawn past an open relay."""


def cover_opened(town: Town, house: House, story: Story) -> Course:
    """The meter's cover is opened: the relay opens, a violation is recorded, two operators clear it."""
    yield 0
    since = log_size(town)
    house.agent.sense(Status.METER_COVER, town.now)
    town.exchange([house])
    story.display(town, house)
    sequence = town.meter(house).tampered
    dark, before = house.dark, house.agent.meter.registers()
    yield HOUR
    still = house.agent.meter.registers() == before
    told = recorded(town, house, Violation.TAMPER, since)
    house.agent.sense(Status(0), town.now)
    clear(town, house, sequence)
    town.exchange([house])
    story.display(town, house)
    if not (dark and still and told) or not sequence or house.state is MeterState.TAMPERED:
        return "the tamper was not handled"
    return "power cut, violation recorded in a side block, cleared by two operators"


def replayed_report(town: Town, house: House, story: Story) -> Course:
    """Somebody on the line sends the reports of the last quarter of an hour again."""
    yield 0
    before = town.grid.status()
    wires = town.line.heard
    outcomes = town.grid.send(wires)
    taken = [outcome for outcome in outcomes if isinstance(outcome, int) and outcome >= before.log_size]
    after = town.grid.status()
    story.tell(town, house, f"{len(wires)} reports that went over the line are sent again")
    if taken or (after.app_hash, after.log_size) != (before.app_hash, before.log_size):
        return "a replayed report changed the ledger"
    return f"{len(wires)} sealed reports sent again, none counted twice, app_hash unchanged"


def use_behind_open_relay(town: Town, house: House, story: Story) -> Course:
    """The supply is switched off, but somebody bridges the relay: what flows is metered and told."""
    yield 0
    while house.dark:
        yield 1
    since = log_size(town)
    wish(town, house, on=False)
    town.exchange([house])
    opened = house.agent.meter.relay is Relay.DISCONNECTED
    yield HOUR
    energy = _bridge(house)
    story.tell(town, house, f"{energy} Wh are drawn past the open relay")
    yield HOUR
    wish(town, house, on=True)
    town.exchange([house])
    yield 1
    if not opened or not recorded(town, house, Violation.USE_WHILE_DISCONNECTED, since):
        return "power was used past an open relay, and nobody noticed"
    story.tell(town, house, "use while disconnected is recorded in a side block")
    return f"{energy} Wh past the open relay: use_while_disconnected recorded in a side block, and charged"


def _bridge(house: House) -> int:
    """Have the meter's measuring element see power though the relay is open; return the energy, Wh."""
    contract = house.agent.meter.contract
    before = contract.registers.total
    for _ in range(BRIDGED_MINUTES):
        contract.registers.imported(BRIDGED_WATTS)
        contract.channels.minute(BRIDGED_WATTS, 0, 0, 0, BRIDGED_WATTS)
    return contract.registers.total - before


def node_down(town: Town, house: House, story: Story) -> Course:
    """The node that owes a side block is down: another appends it; the first one catches up."""
    yield 0
    since, (drawn, owing) = log_size(town), _owing(town, house)
    names = {validator.node: validator for validator in town.grid.engine.validators}
    absent = names[owing]
    height = absent.height
    town.grid.take_down(absent, "its machine is switched off")
    story.tell(town, house, f"{absent.name}, which owes the side blocks of block {drawn}, is down")
    town.buy(house, house.share(EXTRA_SHARE))
    town.exchange([house])
    yield 2
    appended = [payload.signer for payload in side_blocks(town, house, since)]
    missed = town.grid.status().height - height
    done = town.grid.heal(absent.name)
    story.tell(town, house, f"{absent.name} is back: {'; '.join(done)}")
    yield 1
    heights = {validator.height for validator in town.grid.engine.voting()}
    if not appended or owing in appended or absent.halted is not None or len(heights) != 1:
        return "a node that is down held the others up"
    return f"{absent.name} down: {names[appended[0]].name} appended its side block; caught up {missed} blocks"


def _owing(town: Town, house: House) -> tuple[int, bytes]:
    """Return the height that the next message goes to, and the node that owes it its side block."""
    height = newest_parent(town.meter(house))
    lot: LotRow | None = town.grid.row(Table.LOT, height_key(house.mid, height))
    return height, lot.node if lot is not None else next(iter(town.grid.nodes))


def altered_row(town: Town, house: House, story: Story) -> Course:
    """Somebody with access to one node's machine changes a house's account in that node's file."""
    yield 0
    grid, since = town.grid, log_size(town)
    _alter(town, house)
    story.tell(town, house, f"its account is altered in the file of {ALTERED_NODE}")
    reports = grid.attend(grid.watcher.whole_pass())
    for report in reports:
        story.tell(town, house, f"found by the nodes' watch, and healed: {'; '.join(report.healed)}")
    yield 1
    town.exchange([house])
    story.display(town, house)
    again = grid.watcher.whole_pass()
    halted = [validator.name for validator in grid.engine.validators if validator.halted is not None]
    told = recorded(town, house, Violation.COPY_DIFFERS, since)
    if [report.node for report in reports] != [ALTERED_NODE] or not told or again or halted:
        return "an altered row was not found, or not healed"
    return f"found by the watch, {ALTERED_NODE} named on the ledger, healed with proofs of the others"


def _alter(town: Town, house: House) -> bytes:
    """Change a house's account in the file of one node, behind its back; return the row's key."""
    file = town.grid.directory.node(ALTERED_NODE) / "truth.db"
    with closing(apsw.Connection(str(file))) as connection:
        where = (int(Table.ACCOUNT), house.mid)
        ((value,),) = connection.execute("SELECT value FROM row WHERE tbl = ? AND key = ?", where)
        altered = bytes([*value[:-1], value[-1] ^ 1])
        connection.execute("UPDATE row SET value = ? WHERE tbl = ? AND key = ?", (altered, *where))
    return house.mid
