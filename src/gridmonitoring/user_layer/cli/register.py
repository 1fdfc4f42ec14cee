"""`gridmon register`: a consumer joins, with keys of their own (paper III-A-3, IV-A)."""

from __future__ import annotations

from typing import Annotated

import typer

from gridmonitoring.runtime.client import open_grid
from gridmonitoring.runtime.counter import register_consumer
from gridmonitoring.user_layer.cli.options import DirectoryPath, KeysPath, keys_folder
from gridmonitoring.user_layer.cli.output import Json, Output, facts


def register(
    directory: DirectoryPath,
    name: Annotated[str, typer.Option(help="What the consumer's key file is called after.")],
    keys_dir: KeysPath = None,
    as_json: Json = False,
) -> None:
    """Register a consumer: make the keys, prove possession of them, get an ID.

    The name stays with the registrar and the consumer; the ledger has a salted commitment to it.

    Example: gridmon register my-grid --name alice
    """
    with open_grid(directory) as grid:
        done = register_consumer(grid, name, keys_folder(grid, keys_dir))
    data = {"consumer": done.consumer, "name": name, "key_file": str(done.key_file), "index": done.index}
    rows = [
        ("consumer ID", done.consumer.hex()),
        ("keys", str(done.key_file)),
        ("log entry", str(done.index)),
        ("next", f"gridmon install {directory} --consumer {name} --house-number 12"),
    ]
    Output(as_json).result(data, lambda out: out.print(facts(f"Consumer {name}", rows)))
