"""`gridmon grant`, `revoke`, `access-log` and `erase`: who may read a household's data (paper II-B, IV-C)."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gridmonitoring.blockchain.state_rows import ErasureRow, GrantRow, ReadRow
from gridmonitoring.contracts.consent import DAY_MS, Verdict
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.runtime import sharing
from gridmonitoring.runtime.access_log import read_access_log
from gridmonitoring.runtime.client import open_grid
from gridmonitoring.runtime.counter import erase_records, payer_of
from gridmonitoring.user_layer.cli.data_options import (
    DataText,
    FirstDay,
    LastDay,
    PurposeText,
    data_text,
    day_text,
    find_reader,
    parse_data,
    parse_days,
)
from gridmonitoring.user_layer.cli.options import DirectoryPath, KeysPath, MeterText, find_meter, keys_folder
from gridmonitoring.user_layer.cli.output import Json, Output, facts, listing
from gridmonitoring.user_layer.cli.times import time_text

GrantNumber = Annotated[
    int, typer.Option("--grant", min=1, metavar="N", help="Number of the grant, as `access-log` has it.")
]


def grant(
    directory: DirectoryPath,
    meter: MeterText,
    reader: Annotated[str, typer.Option(metavar="NAME", help="Who may read: the name of a key file.")],
    purpose: PurposeText,
    first: FirstDay,
    last: LastDay,
    data: DataText = "profile",
    days: Annotated[
        int, typer.Option(min=1, max=3660, metavar="N", help="Days until the grant expires.")
    ] = 365,
    keys_dir: KeysPath = None,
    as_json: Json = False,
) -> None:
    """Let somebody read a part of your data: which days, what, what for, until when.

    The keys of days that have begun are wrapped here, with your own key; the meter wraps those to come.

    Example: gridmon grant my-grid --meter 3fa2 --reader ann --purpose study --from 2007-06-01 --to 2007-06-09
    """
    with open_grid(directory) as grid:
        mid, folder = find_meter(grid, meter), keys_folder(grid, keys_dir)
        who = find_reader(grid, folder, reader)
        offer = sharing.Offer(
            mid,
            int(who.role),
            who.id,
            parse_data(data),
            *parse_days(first, last),
            purpose,
            grid.clock.now_ms() + days * DAY_MS,
        )
        done = sharing.grant(grid, payer_of(grid, mid, folder), offer)
    said = {
        "grant": done.number,
        "meter": mid,
        "reader": who.id,
        "role": who.role.name.lower(),
        "data": data_text(offer.data),
        "first": day_text(offer.first),
        "last": day_text(offer.last),
        "purpose": purpose,
        "expires": offer.expires,
        "days_wrapped": done.days,
        "index": done.index,
    }
    rows = [
        ("reader", f"{reader}  {who.id.hex()}"),
        ("may read", ", ".join(data_text(offer.data))),
        ("days", f"{day_text(offer.first)} to {day_text(offer.last)}"),
        ("purpose", purpose),
        ("expires", time_text(offer.expires)),
        ("keys wrapped now", f"of {done.days} days"),
        ("log entry", str(done.index)),
    ]
    Output(as_json).result(said, lambda out: out.print(facts(f"Grant {done.number}", rows)))


def revoke(
    directory: DirectoryPath,
    meter: MeterText,
    number: GrantNumber,
    keys_dir: KeysPath = None,
    as_json: Json = False,
) -> None:
    """End a grant: nothing is answered any more, and the meter goes on under keys that its reader has not.

    The meter does so with its next report after it hears. What was already read cannot be unread.

    Example: gridmon revoke my-grid --meter 3fa2 --grant 1
    """
    with open_grid(directory) as grid:
        mid = find_meter(grid, meter)
        index = sharing.revoke(grid, payer_of(grid, mid, keys_folder(grid, keys_dir)), mid, number)
    rows = [("meter", mid.hex()), ("log entry", str(index))]
    data = {"meter": mid, "grant": number, "index": index}
    Output(as_json).result(data, lambda out: out.print(facts(f"Grant {number} revoked", rows)))


def erase(
    directory: DirectoryPath,
    meter: MeterText,
    first: FirstDay,
    last: LastDay,
    personal: Annotated[
        bool, typer.Option("--personal", help="Also what opens the commitments to house number and name.")
    ] = False,
    keys_dir: KeysPath = None,
    as_json: Json = False,
) -> None:
    """Erase the details of days that have ended, at every node and for good; the ledger keeps their hashes.

    Copies that somebody made of a node's files are not reached.

    Example: gridmon erase my-grid --meter 3fa2 --from 2007-06-01 --to 2007-06-30
    """
    with open_grid(directory) as grid:
        mid, folder = find_meter(grid, meter), keys_folder(grid, keys_dir)
        owner = payer_of(grid, mid, folder)
        days = parse_days(first, last)
        index = sharing.erase(grid, owner, mid, *days, personal=personal)
        records = erase_records(grid, mid, owner.id, folder) if personal else []
    data = {
        "meter": mid,
        "first": day_text(days[0]),
        "last": day_text(days[1]),
        "records": [str(path) for path in records],
        "index": index,
    }
    rows = [
        ("days", f"{day_text(days[0])} to {day_text(days[1])}"),
        *(("erased", str(path)) for path in records),
        ("log entry", str(index)),
    ]
    Output(as_json).result(data, lambda out: out.print(facts(f"Details of meter {mid.hex()} erased", rows)))


def access_log(directory: DirectoryPath, meter: MeterText, as_json: Json = False) -> None:
    """Show who was let in to a meter's data, who asked for what, and what became of it.

    Example: gridmon access-log my-grid --meter 3fa2
    """
    with open_grid(directory) as grid:
        mid = find_meter(grid, meter)
        log = read_access_log(grid, mid)
    grants = [_grant(number, row) for number, row in log.grants]
    reads = [_read(number, row) for number, row in log.reads]
    erasures = [_erasure(number, row) for number, row in log.erasures]
    data = {"meter": mid, "grants": grants, "reads": reads, "erasures": erasures}

    def show(out: Any) -> None:
        for title, items in (("Grants", grants), ("Requests", reads), ("Erasures", erasures)):
            columns = list(items[0]) if items else []
            lines = [[_cell(item[name]) for name in columns] for item in items]
            out.print(listing(f"{title} of meter {mid.hex()}", columns, lines) if items else f"{title}: none")

    Output(as_json).result(data, show)


def _grant(number: int, row: GrantRow) -> dict[str, Any]:
    return {
        "grant": number,
        "role": Role(row.role).name.lower(),
        "reader": row.reader.hex(),
        "data": data_text(row.data),
        "first": day_text(row.first),
        "last": day_text(row.last),
        "purpose": row.purpose,
        "expires": time_text(row.expires),
        "revoked": time_text(row.revoked),
    }


def _read(number: int, row: ReadRow) -> dict[str, Any]:
    return {
        "request": number,
        "time": time_text(row.time),
        "role": Role(row.role).name.lower(),
        "reader": row.reader.hex(),
        "grant": row.grant,
        "data": data_text(row.data),
        "first": day_text(row.first),
        "last": day_text(row.last),
        "purpose": row.purpose,
        "verdict": Verdict(row.verdict).name.lower(),
        "answered_by": row.node.hex(),
        "tags": row.tags.hex(),
        "index": row.index,
    }


def _erasure(number: int, row: ErasureRow) -> dict[str, Any]:
    return {
        "erasure": number,
        "time": time_text(row.time),
        "first": day_text(row.first),
        "last": day_text(row.last),
        "personal": row.personal,
        "index": row.index,
    }


def _cell(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    text = str(value)
    return text[:16] if len(text) in (32, 64) else text
