"""`gridmon register`: a consumer joins, with keys of their own (paper III-A-3, IV-A)."""

from __future__ import annotations

from typing import Annotated

import typer

from gridmonitoring.encoding.bounds import Role
from gridmonitoring.runtime.client import open_grid
from gridmonitoring.runtime.counter import register_consumer
from gridmonitoring.user_layer.cli.options import DirectoryPath, KeysPath, keys_folder
from gridmonitoring.user_layer.cli.output import Json, Output, facts


def register(
    directory: DirectoryPath,
    name: Annotated[str, typer.Option(help="What the consumer's key file is called after.")],
    researcher: Annotated[
        bool, typer.Option("--researcher", help="Somebody who reads what consumers grant, and has no meter.")
    ] = False,
    keys_dir: KeysPath = None,
    as_json: Json = False,
) -> None:
    """Register a consumer or researcher: make the keys, prove possession of them, get an ID.

    The name stays with the registrar and who it is of; the ledger has a salted commitment to it.

    Example: gridmon register my-grid --name alice
    """
    role = Role.RESEARCHER if researcher else Role.CONSUMER
    with open_grid(directory) as grid:
        done = register_consumer(grid, name, keys_folder(grid, keys_dir), role)
    what = role.name.lower()
    data = {what: done.consumer, "name": name, "key_file": str(done.key_file), "index": done.index}
    rows = [
        (f"{what} ID", done.consumer.hex()),
        ("keys", str(done.key_file)),
        ("log entry", str(done.index)),
    ]
    if role is Role.CONSUMER:
        rows.append(("next", f"gridmon install {directory} --consumer {name} --house-number 12"))
    Output(as_json).result(data, lambda out: out.print(facts(f"{what.capitalize()} {name}", rows)))
