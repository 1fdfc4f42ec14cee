"""Comparing the nodes of a data directory, and naming every difference (paper III-A-2, V-B).

Blocks, log, index and details are compared along the chain that quorums signed, states tree against
tree from the root down, against a file whose state is the one that the last note signs. Where no file
is, or the chain does not tell, everything is executed anew instead, as `verification` does.

Left out: repairing (`healing`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import StorageError
from gridmonitoring.runtime.chain_check import REMEMBERED, ChainCheck
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.file_check import FileCheck
from gridmonitoring.runtime.findings import Finding
from gridmonitoring.runtime.signature_checker import SignatureChecker, VerifierPool
from gridmonitoring.runtime.signed_chain import SignedChain
from gridmonitoring.runtime.state_check import StoredState
from gridmonitoring.runtime.storage.tables import HANDOVER, stored_truth
from gridmonitoring.runtime.storage.truth import Commit
from gridmonitoring.runtime.verification import (
    FileVerification,
    NodeFiles,
    Progress,
    Verification,
    node_files,
    read_genesis,
    verify_files,
)


class _NeedsReplay(Exception):
    """The quorums' signatures alone do not tell what is right."""


def audit(
    directory: Directory,
    pool: VerifierPool | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Verification:
    """Compare every validator's files of a data directory; raises `UserError` where there is none."""
    directory.require()
    document = read_genesis(directory.genesis)
    return audit_files(document, node_files(directory, document), pool, progress)


def audit_files(
    document: bytes,
    files: Sequence[NodeFiles],
    pool: VerifierPool | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Verification:
    """Compare validators' files of one chain; every difference is a finding."""
    try:
        return _Comparison(document, files, pool, progress).run()
    except _NeedsReplay:
        return verify_files("audit", document, files, pool, progress)


class _Comparison:
    """One comparison of files along the quorums of their chain."""

    def __init__(
        self,
        document: bytes,
        files: Sequence[NodeFiles],
        pool: VerifierPool | None,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._document = document
        self._progress = progress
        self._checker = SignatureChecker(pool, REMEMBERED)
        self._chain = SignedChain(document, self._checker, offered_handovers(files))
        self._findings: dict[str, list[Finding]] = {file.node: [] for file in files}
        self._checks = [FileCheck(file.node, file.truth, file.details, self._report) for file in files]
        self._unsound: list[tuple[FileCheck, int]] = []
        self._sound: StoredState | None = None
        self._sound_at = 0

    def run(self) -> Verification:
        """Return what was found; raises `_NeedsReplay`."""
        try:
            chain_check = ChainCheck(self._chain, self._checks, self._report, self._at_end)
            chain_check.run(self._document, self._step)
            if not chain_check.ended:
                raise _NeedsReplay
            self._compare_states()
        finally:
            for check in self._checks:
                check.close()
        assert self._chain.signed is not None
        return Verification(
            "audit",
            sha256d(self._document),
            self._chain.height,
            self._chain.log.size,
            self._checker.checked,
            self._chain.signed.app_hash,
            tuple(
                FileVerification(check.node, check.matching_rows, tuple(self._findings[check.node]))
                for check in self._checks
            ),
            "",
            "",
        )

    def _report(self, finding: Finding) -> None:
        self._findings[finding.node].append(finding)

    def _step(self, _: Commit) -> None:
        if self._progress is not None:
            self._progress(Progress(self._chain.height, self._chain.log.size))

    def _at_end(self, check: FileCheck) -> None:
        """Compare a file's root with the one signed at its end; the sound file that is furthest is kept."""
        signed = self._chain.signed
        if signed is None:
            raise _NeedsReplay
        try:
            state = check.state(self._chain.genesis.parameters.bucket_bits)
        except StorageError:
            self._unsound.append((check, self._chain.height))
            return
        if state.odd or state.tree.root != signed.state_root:
            self._unsound.append((check, self._chain.height))
        else:
            check.matching_rows = state.count
            self._sound, self._sound_at = state, self._chain.height

    def _compare_states(self) -> None:
        """Compare the states that are not what was signed with one that is, under the last checkpoint."""
        head = self._chain.height
        if self._sound is None or self._sound_at != head:
            raise _NeedsReplay
        if self._sound.value(Table.VALIDATORS, b"") != encode(self._chain.history.latest()):
            raise _NeedsReplay
        if any(height != head for _, height in self._unsound):
            raise _NeedsReplay
        for check, _ in self._unsound:
            check.rows(self._sound)


def offered_handovers(files: Sequence[NodeFiles]) -> dict[int, list[bytes]]:
    """Return the handovers that the files have, by height; none is believed yet."""
    offered: dict[int, list[bytes]] = {}
    for file in files:
        try:
            stored = stored_truth(file.truth)
        except StorageError:
            continue
        try:
            for height, value in stored.scan(HANDOVER.select):
                if isinstance(value, bytes) and value not in offered.setdefault(height, []):
                    offered[height].append(value)
        except StorageError:
            continue  # a finding of the check that follows
        finally:
            stored.close()
    return offered
