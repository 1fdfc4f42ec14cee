"""Making the data center's copies anew, by executing the chain again from genesis (design: views can be
rebuilt).

Every header, quorum and signature is verified on the way, so the copies are of what the quorums signed,
whatever was in the files before. They are put in place at once when all are written; what left the data
center stays on record. A running node goes on meanwhile, and its copies of later blocks stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import Struct

from gridmonitoring.blockchain.genesis import chain_id, decode_genesis
from gridmonitoring.data_center.copies import BlockCopies
from gridmonitoring.data_center.copying import copies_of
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import StorageError
from gridmonitoring.runtime.columns.parquet import (
    PART_ROWS,
    forget_unlisted,
    generation_of,
    runs,
    write_part,
)
from gridmonitoring.runtime.columns.paths import DataCenterPaths
from gridmonitoring.runtime.columns.spool import Part, Spool
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.opening import TRUTH
from gridmonitoring.runtime.replay import Replay
from gridmonitoring.runtime.signature_checker import SignatureChecker
from gridmonitoring.runtime.storage.truth import Truth

Progress = Callable[[int, int], None]
"""(blocks done, blocks in all)."""


class Rebuilt(Struct, frozen=True):
    """What was made anew."""

    blocks: int
    """Blocks that were executed."""
    copies: int
    """Rows that were written."""
    parts: int
    """Parts that they are in."""


def rebuild_columns(directory: Directory, progress: Progress, part_rows: int = PART_ROWS) -> Rebuilt:
    """Make the copies of a network anew, or for the first time; from then on a node that opens it keeps them.

    Raises `UserError` without a network or DuckDB, `StorageError` where the chain or the disk cannot be used.
    """
    directory.require()
    document = directory.genesis.read_bytes()
    paths = DataCenterPaths(directory)
    with paths.writing(wait=True):
        truth = _furthest(directory, document)
        spool = Spool(paths.copies)
        try:
            listed = spool.parts()
            generation = generation_of(listed[-1]) + 1 if listed else 1
            parts: list[Part] = []
            copies = 0
            for run in runs(_blocks(document, truth, progress), part_rows):
                parts.append(write_part(paths.parts, generation, run))
                copies += sum(len(block.copies) for block in run)
            spool.replace(chain_id(document), parts)
            forget_unlisted(paths.parts, parts)
        finally:
            spool.close()
            truth.close()
    return Rebuilt(parts[-1].last if parts else 0, copies, len(parts))


def _furthest(directory: Directory, document: bytes) -> Truth:
    """Open the truth of the validator that is furthest; what is in it is verified when it is executed."""
    truths: list[Truth] = []
    for validator in decode_genesis(document).validators:
        path = directory.node(validator.name) / TRUTH
        if path.is_file():
            truths.append(Truth(path, read_only=True))
    if not truths:
        raise StorageError(f"{directory.root}: no validator has a file")
    best = max(truths, key=Truth.height)
    for truth in truths:
        if truth is not best:
            truth.close()
    return best


def _blocks(document: bytes, truth: Truth, progress: Progress) -> Iterator[BlockCopies]:
    replay = Replay(document, SignatureChecker(None))
    replay.copying = copies_of
    height = truth.height()
    for block in truth.blocks():
        if block.header.height > height:
            return  # decided since
        replay.apply(block, replay.decode(block.body))
        header = block.header
        yield BlockCopies(header.height, header.time, sha256d(encode(header)), tuple(replay.copies))
        progress(header.height, height)
