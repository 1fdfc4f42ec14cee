"""The evidence that a run leaves: one bundle of each kind that people ask for (paper II-B, V-B, V-C).

Each proves itself to someone who has only the genesis document, which is copied beside them.

Left out: statements, which a bill contains; `gridmon evidence` makes more.
"""

from __future__ import annotations

from pathlib import Path

from gridmonitoring.blockchain.evidence_builders import build_message, build_purchase, build_reading
from gridmonitoring.blockchain.evidence_bundle import EvidenceKind, Opening
from gridmonitoring.blockchain.state_rows import BlockRow, Table, height_key
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.evidence_source import ApplicationEvidence
from gridmonitoring.user_layer.demo.consumer_book import ConsumerBook
from gridmonitoring.user_layer.demo.logbook import Logbook
from gridmonitoring.user_layer.demo.story import Story
from gridmonitoring.user_layer.demo.town import House, Town

FOLDER = "evidence"
"""Where the bundles are, in the data directory."""


def make_bundles(town: Town, story: Story, book: Logbook, books: dict[str, ConsumerBook]) -> dict[str, bytes]:
    """Return kind -> bundle. Those that could be made at one moment only come from the story."""
    grid = town.grid
    source = ApplicationEvidence(grid.application, grid.document)
    reader = town.houses[0]
    careless = next(house for house in town.houses if house.plan.careless)
    purchase = story.places.get("purchase", book.forms[reader.mid][-1])
    message = max(book.side_blocks[house.mid][-1][0] for house in town.houses)
    for blocks in book.side_blocks.values():
        message = next((index for index, violations in blocks if violations), message)
    return {
        "reading": _reading(source, books[reader.name]),
        "purchase": build_purchase(source, purchase),
        "block": grid.evidence(EvidenceKind.BLOCK, careless.mid, _locked(town, careless)),
        "bill": grid.evidence(EvidenceKind.BILL, reader.mid),
        "message": build_message(source, message),
        **story.evidence,
    }


def _reading(source: ApplicationEvidence, book: ConsumerBook) -> bytes:
    """Return evidence of a hidden reading, opened with the salt that only the household's key gives."""
    hidden = [entry for entry in book.entries if entry.claim.settled is None]
    entry = hidden[len(hidden) // 2]
    return build_reading(
        source, entry.claim.index, Opening(entry.detail.load.salt, entry.detail.load.registers)
    )


def _locked(town: Town, house: House) -> int:
    """Return the height of a house's first purchase where its block is locked, else of the installation."""
    row: BlockRow | None = town.grid.row(Table.BLOCK, height_key(house.mid, 1))
    return 1 if row is not None else 0


def write_bundles(directory: Directory, bundles: dict[str, bytes]) -> dict[str, Path]:
    """Write the bundles and a copy of the genesis document beside them; return kind -> file."""
    folder = directory.root / FOLDER
    folder.mkdir()
    (folder / "genesis.cbor").write_bytes(directory.genesis.read_bytes())
    files = {kind: folder / f"{kind}.cbor" for kind in sorted(bundles)}
    for kind, file in files.items():
        file.write_bytes(bundles[kind])
    return files
