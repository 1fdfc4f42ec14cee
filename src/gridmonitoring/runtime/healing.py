"""Repairing nodes' files from the others, with nothing but what quorums signed (paper V-B: tamper-proof).

A row comes with its state-tree proof, a block with its note, a detail under the hash in the log. What
cannot be mended so is made anew by replaying the blocks that the files have; one validator alone
replays its own. A file is replaced whole, made beside it and renamed, so a crash leaves the old one.

Left out: what is wrong, which `audit` says; and details that no node has any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from gridmonitoring.blockchain.checkpoint import decode_note
from gridmonitoring.blockchain.genesis import Genesis, decode_genesis
from gridmonitoring.blockchain.state_tree import row_key_hash, verify_row
from gridmonitoring.errors import CheckpointError, MerkleError, StorageError
from gridmonitoring.runtime.audit import audit_files
from gridmonitoring.runtime.consensus.application import Application
from gridmonitoring.runtime.consensus.following import follow
from gridmonitoring.runtime.detail_healing import DETAIL_PARTS, follow_details, mend_details, mends_of
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.findings import Finding
from gridmonitoring.runtime.opening import open_truth
from gridmonitoring.runtime.rebuilding import rebuild
from gridmonitoring.runtime.signature_checker import VerifierPool
from gridmonitoring.runtime.storage.replacing import (
    beside,
    copy_database,
    discard,
    mend,
    replace_database,
)
from gridmonitoring.runtime.verification import (
    FileVerification,
    NodeFiles,
    Progress,
    Verification,
    node_files,
    read_genesis,
)

MENDED_AT_MOST = 1000
"""With more than this wrong, a file is made anew."""


class Healed(Struct, frozen=True):
    """What was done to one validator's files."""

    node: str
    """The validator."""
    action: str
    """What was done, or why nothing could be."""


class Healing(Struct, frozen=True):
    """The result of healing a directory."""

    before: Verification
    """What was found."""
    after: Verification
    """What is left."""
    nodes: tuple[Healed, ...]
    """What was done, in order."""

    @property
    def healed(self) -> bool:
        """Whether nothing is left to heal."""
        return self.after.verified


def heal(
    directory: Directory,
    pool: VerifierPool | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Healing:
    """Compare a directory's nodes and repair what is wrong, owning the directory meanwhile.

    Raises `UserError` where there is no network, `DirectoryBusy` where another process owns it.
    """
    directory.require()
    directory.acquire()
    try:
        document = read_genesis(directory.genesis)
        files = node_files(directory, document)
        before = audit_files(document, files, pool, progress)
        done = heal_files(document, files, before, pool)
        after = audit_files(document, files, pool, progress) if done else before
    finally:
        directory.release()
    return Healing(before, after, tuple(done))


def heal_files(
    document: bytes,
    files: Sequence[NodeFiles],
    found: Verification,
    pool: VerifierPool | None = None,
    only: str = "",
) -> list[Healed]:
    """Repair the files of which an audit found something wrong, or those of `only` one node.

    None of the files to repair may be open elsewhere; the others are read.
    """
    return _Healer(document, files, found, pool).run(only)


class _Healer:
    """Repairs what one audit found."""

    def __init__(
        self, document: bytes, files: Sequence[NodeFiles], found: Verification, pool: VerifierPool | None
    ) -> None:
        self._document = document
        self._genesis: Genesis = decode_genesis(document)
        self._files = files
        self._found = {one.node: one for one in found.files}
        self._pool = pool
        self._followed: dict[str, int] = {}

    def run(self, only: str) -> list[Healed]:
        """Mend what can be, make the other truths anew, then put the details right."""
        wanted = [file for file in self._files if only in ("", file.node)]
        done: list[Healed] = []
        anew: list[NodeFiles] = []
        source = self._open_source()
        try:
            for file in wanted:
                wrong = _of_truth(self._found[file.node])
                if not wrong:
                    continue
                try:
                    done.append(Healed(file.node, self._mend_truth(file, wrong, source)))
                except (StorageError, MerkleError):
                    anew.append(file)
        finally:
            if source is not None:
                source.truth.close()
        done += self._make_anew(anew)
        for file in wanted:
            wrong = _of_details(self._found[file.node])
            if wrong:
                done.append(Healed(file.node, mend_details(file, self._files, wrong)))
            if file.node in self._followed:
                follow_details(file, self._files, self._followed[file.node])
        return done

    def _open_source(self) -> Application | None:
        """Open the first truth of which nothing was found; its state is one that a quorum signed."""
        for file in self._files:
            if not _of_truth(self._found[file.node]):
                return open_truth(file.truth, self._document, self._genesis, self._pool, read_only=True)
        return None

    def _mend_truth(self, file: NodeFiles, wrong: Sequence[Finding], source: Application | None) -> str:
        """Mend a copy of a truth, require it to be what was signed, and put it in place.

        Raises `StorageError` or `MerkleError` where it cannot be mended.
        """
        behind = any(finding.behind for finding in wrong)
        mendable = [finding for finding in wrong if not finding.behind]
        if not all(finding.mendable for finding in mendable) or len(wrong) > MENDED_AT_MOST:
            raise StorageError("more is wrong than rows")
        if behind and source is None:
            raise StorageError("no other file to follow")
        if source is not None and not behind:
            require_proofs(source, mendable)
        new = beside(file.truth)
        try:
            copy_database(file.truth, new)
            count = mend(new, mends_of(mendable))
            application = open_truth(new, self._document, self._genesis, self._pool)
            self._followed[file.node] = application.log.log.size
            try:
                blocks = follow(application, source.truth) if source is not None else 0
            finally:
                application.truth.close()
            replace_database(new, file.truth)
        except (StorageError, MerkleError):
            discard(new)
            raise
        parts = [f"{count} stored rows put right"] if count else []
        return ", ".join([*parts, *([f"{blocks} blocks followed"] if blocks else [])])

    def _make_anew(self, files: Sequence[NodeFiles]) -> list[Healed]:
        if not files:
            return []
        new = [beside(file.truth) for file in files]
        try:
            blocks = rebuild(self._document, self._files, new, self._pool)
            for path, file in zip(new, files, strict=True):
                file.truth.parent.mkdir(parents=True, exist_ok=True)
                replace_database(path, file.truth)
        except StorageError as error:
            for path in new:
                discard(path)
            return [Healed(file.node, f"cannot be healed: {error}") for file in files]
        return [Healed(file.node, f"made anew from {blocks} blocks") for file in files]


def require_proofs(source: Application, findings: Sequence[Finding]) -> None:
    """Require the rows that findings name to be as the source proves them under its signed root.

    Raises `StorageError` or `MerkleError`.
    """
    for finding in findings:
        if not finding.table.startswith("row."):
            continue
        table, key = finding.place
        if not isinstance(table, int) or not isinstance(key, bytes):
            continue  # no row of a state at all: it goes
        require_proven_row(source, table, key, None if finding.content is None else finding.content[2])


def require_proven_row(source: Application, table: int, key: bytes, value: bytes | None) -> None:
    """Require a row, or its absence, under the last state root that a quorum signed at the source.

    `MerkleError` where the proof does not lead there, `StorageError` where the source cannot be read.
    """
    block = source.truth.block(source.height)
    if block is None:
        raise StorageError("the source has no block yet")
    try:
        source.history.require_quorum(source.height, block.note)
        root = decode_note(block.note).checkpoint.state_root
    except CheckpointError as error:
        raise StorageError(f"the source's last block is not signed: {error}") from error
    proof = source.tree.prove(row_key_hash(table, key))
    verify_row(table, key, value, proof, root, source.genesis.parameters.bucket_bits)


def _of_details(found: FileVerification) -> list[Finding]:
    return [finding for finding in found.findings if finding.table in DETAIL_PARTS]


def _of_truth(found: FileVerification) -> list[Finding]:
    return [finding for finding in found.findings if finding.table not in DETAIL_PARTS]
