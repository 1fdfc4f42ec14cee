"""Making validators' files anew by replaying the blocks that files of the chain have (paper IV-D).

Every block is verified and executed; which file it came from does not matter. Left out: details, and
putting the new files in place (`healing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gridmonitoring.encoding.cbor import encode
from gridmonitoring.errors import StorageError
from gridmonitoring.processing.state_transition import genesis_rows
from gridmonitoring.runtime.chain_check import REMEMBERED, ChainCheck
from gridmonitoring.runtime.file_check import FileCheck
from gridmonitoring.runtime.findings import Finding
from gridmonitoring.runtime.replay import Replay
from gridmonitoring.runtime.signature_checker import SignatureChecker, VerifierPool
from gridmonitoring.runtime.storage.truth import Commit, Truth
from gridmonitoring.runtime.verification import NodeFiles


def rebuild(
    document: bytes, files: Sequence[NodeFiles], targets: Sequence[Path], pool: VerifierPool | None = None
) -> int:
    """Write the whole truth into new files; return how many blocks it has.

    Raises `StorageError` where no file has a block that verifies, or the new ones cannot be written.
    """
    replay = Replay(document, SignatureChecker(pool, REMEMBERED))
    rows = [(int(table), key, encode(value)) for table, key, value in genesis_rows(replay.genesis)]
    faults: list[Finding] = []
    truths: list[Truth] = []
    checks = [FileCheck(file.node, file.truth, None, faults.append) for file in files]
    try:
        for target in targets:
            target.parent.mkdir(parents=True, exist_ok=True)
            truths.append(Truth(target, hurried=True))
            truths[-1].create(document, rows)

        def write(commit: Commit) -> None:
            for truth in truths:
                truth.commit(commit)

        chain_check = ChainCheck(replay, checks, faults.append, _leave)
        chain_check.run(document, write)
    finally:
        for truth in truths:
            truth.close()
        for check in checks:
            check.close()
    if not chain_check.ended:
        raise StorageError(f"no file has a block {replay.height + 1} that verifies")
    return replay.height


def _leave(_: FileCheck) -> None:
    """Leave the state of a file as it is: only its blocks are wanted."""
