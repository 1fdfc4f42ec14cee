"""Offline verification against nothing but genesis (paper III-A-2, V-B; docs/spec/storage.md).

Every block of a file is replayed, with every signature and rule, and everything that is stored is held
against what follows from it; each difference is named. No secret key is needed, so a copy will do.
A data directory's files are checked in one replay; a bundle of evidence by `blockchain.evidence`.

Left out: whether a whole network was rolled back, which no file can tell; a client's last checkpoint
and a consistency proof do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from gridmonitoring.blockchain.evidence import verify as verify_evidence
from gridmonitoring.blockchain.evidence_bundle import EvidenceKind
from gridmonitoring.blockchain.genesis import decode_genesis
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import EncodingError, EvidenceError, KeyMaterialError, UserError
from gridmonitoring.runtime.chain_check import REMEMBERED, ChainCheck
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.file_check import FileCheck
from gridmonitoring.runtime.findings import Finding
from gridmonitoring.runtime.opening import DETAILS, TRUTH
from gridmonitoring.runtime.replay import Replay
from gridmonitoring.runtime.signature_checker import SignatureChecker, VerifierPool
from gridmonitoring.runtime.storage.truth import Commit

GENESIS = "genesis.cbor"
"""Name of the genesis document."""
SQLITE = b"SQLite format 3\0"
"""How a database file begins."""


class Progress(Struct, frozen=True):
    """How far a verification is."""

    blocks: int
    """Blocks verified."""
    transactions: int
    """Transactions verified."""


class FileVerification(Struct, frozen=True):
    """What became of one validator's files."""

    node: str
    """The validator, or the file's name where it is not known."""
    rows: int
    """Rows of the state that are as they should be."""
    findings: tuple[Finding, ...]
    """Everything that is not what it should be."""

    @property
    def verified(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


class Verification(Struct, frozen=True):
    """The result of verifying a path."""

    kind: str
    """"directory", "truth" or "bundle"."""
    genesis: bytes
    """sha256d of the genesis document."""
    blocks: int
    """Consensus blocks verified."""
    transactions: int
    """Transactions executed again; of a bundle, those in it."""
    signatures: int
    """Signatures checked, those of notes included; 0 for a bundle, which counts none."""
    app_hash: bytes
    """Hash of log and state that everything led to."""
    files: tuple[FileVerification, ...]
    """One per validator's files."""
    proves: str
    """What a bundle proves, or empty."""
    refused: str
    """Why a bundle proves nothing, or empty."""

    @property
    def verified(self) -> bool:
        """Whether everything is what it should be."""
        return not self.refused and all(file.verified for file in self.files)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that is not what it should be, file by file."""
        return tuple(finding for file in self.files for finding in file.findings)


class NodeFiles(Struct, frozen=True):
    """Where one validator's files are."""

    node: str
    """Its name."""
    truth: Path
    """The truth."""
    details: Path | None
    """The detail store, or None to leave it out."""


def verify_path(
    path: Path,
    genesis: Path | None = None,
    pool: VerifierPool | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Verification:
    """Verify a data directory, one validator's truth.db, or a bundle of evidence.

    `genesis` is the genesis document, by default the directory's or the one beside the file. With a
    `pool`, signatures are checked by other processes. Raises `UserError` where there is nothing to verify.
    """
    if path.is_dir() and not (path / TRUTH).exists():
        return verify_directory(Directory(path), pool, progress)
    file = path / TRUTH if path.is_dir() else path
    if not file.is_file():
        raise UserError(f"{path} does not exist")
    document = read_genesis(genesis or _genesis_near(file))
    if file.suffix != ".db" and not _begins(file, SQLITE):
        return _verify_bundle(file, document)
    details = file.with_name(DETAILS)
    node = file.parent.name if file.name == TRUTH else file.name
    files = NodeFiles(node, file, details if details.exists() else None)
    return verify_files("truth", document, [files], pool, progress)


def verify_directory(
    directory: Directory,
    pool: VerifierPool | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Verification:
    """Verify every validator's files of a data directory; raises `UserError`."""
    directory.require()
    document = read_genesis(directory.genesis)
    return verify_files("directory", document, node_files(directory, document), pool, progress)


def node_files(directory: Directory, document: bytes) -> list[NodeFiles]:
    """Return where the files of every validator that a directory runs are."""
    names = [validator.name for validator in decode_genesis(document).validators]
    if directory.under_comet:
        names = [name for name in names if directory.comet(name).is_dir()]
    folders = [(name, directory.node(name)) for name in names]
    return [NodeFiles(name, folder / TRUTH, folder / DETAILS) for name, folder in folders]


def verify_files(
    kind: str,
    document: bytes,
    files: Sequence[NodeFiles],
    pool: VerifierPool | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Verification:
    """Verify validators' files of one chain by one replay of it."""
    findings: dict[str, list[Finding]] = {file.node: [] for file in files}

    def report(finding: Finding) -> None:
        findings[finding.node].append(finding)

    checker = SignatureChecker(pool, REMEMBERED)
    replay = Replay(document, checker)

    def step(_: Commit) -> None:
        if progress is not None:
            progress(Progress(replay.height, replay.log.size))

    checks = [FileCheck(file.node, file.truth, file.details, report) for file in files]
    try:
        ChainCheck(replay, checks, report, lambda check: check.rows(replay)).run(document, step)
    finally:
        for check in checks:
            check.close()
    return Verification(
        kind,
        sha256d(document),
        replay.height,
        replay.log.size,
        checker.checked,
        replay.app_hash(),
        tuple(
            FileVerification(check.node, check.matching_rows, tuple(findings[check.node])) for check in checks
        ),
        "",
        "",
    )


def _verify_bundle(path: Path, document: bytes) -> Verification:
    proves, refused, app_hash, transactions = "", "", b"", 0
    try:
        proven = verify_evidence(path.read_bytes(), document)
    except EvidenceError as error:
        refused = str(error)
    else:
        proves, app_hash = EvidenceKind(proven.kind).name.lower(), proven.checkpoint.app_hash
        transactions = len(proven.transactions)
    return Verification("bundle", sha256d(document), 0, transactions, 0, app_hash, (), proves, refused)


def read_genesis(path: Path) -> bytes:
    """Return a genesis document that holds together; raises `UserError`."""
    try:
        document = path.read_bytes()
        decode_genesis(document)
    except OSError as error:
        raise UserError(f"cannot read the genesis document {path}: {error.strerror}") from error
    except (EncodingError, KeyMaterialError) as error:
        raise UserError(f"{path} is not a genesis document: {error}") from error
    return document


def _genesis_near(file: Path) -> Path:
    """Return the genesis document beside a file, or of the data directory that it lies in."""
    folders = [file.parent, *file.parent.parents[:2]]
    return next(
        (folder / GENESIS for folder in folders if (folder / GENESIS).is_file()), file.with_name(GENESIS)
    )


def _begins(file: Path, head: bytes) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(head)) == head
