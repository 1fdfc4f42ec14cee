"""Healing one validator while the others go on (design: a node that finds a tampered row stops voting).

The rows that its file has otherwise than its state tree are fetched with their proofs from another
validator; then its file is opened anew, and the blocks decided meanwhile are followed. A file that cannot be
opened so is audited and healed as `healing` does, the others' files being read only.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING

from gridmonitoring.blockchain.state_tree import StateTree, row_key_hash
from gridmonitoring.errors import MerkleError, StorageError, UserError
from gridmonitoring.runtime.audit import audit_files
from gridmonitoring.runtime.consensus.application import Application
from gridmonitoring.runtime.consensus.validator import EmbeddedValidator
from gridmonitoring.runtime.detail_healing import mends_of
from gridmonitoring.runtime.duties import Duties
from gridmonitoring.runtime.file_check import FileCheck
from gridmonitoring.runtime.findings import Finding
from gridmonitoring.runtime.healing import heal_files, require_proven_row
from gridmonitoring.runtime.opening import TRUTH
from gridmonitoring.runtime.storage.replacing import mend
from gridmonitoring.runtime.verification import Verification, node_files

if TYPE_CHECKING:
    from gridmonitoring.runtime.network import Network


class _Remembered:
    """A validator's own tree, with another's rows to name and replace what differs from it."""

    def __init__(self, own: Application, other: Application) -> None:
        self._other = other.truth
        self.tree: StateTree = own.tree

    def rows(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield the other validator's rows."""
        yield from self._other.rows()

    def value(self, table: int, key: bytes) -> bytes | None:
        """Return the other validator's value of a row, or None."""
        return self._other.row(table, key)


def heal_validator(network: Network, name: str) -> list[str]:
    """Have a validator vote again over files that are what quorums signed; return what was done.

    1 rows that its tree says are wrong; 2 its file opened anew, blocks followed; 3 else audit and heal.
    Raises `UserError` for an unknown name, `StorageError` where it cannot be healed; it stays halted then.
    """
    validators = {validator.name: validator for validator in network.engine.validators}
    if name not in validators:
        raise UserError(f"no validator is called {name}")
    validator = validators[name]
    network.engine.drain()
    # 1
    done = _mend_rows(network, validator)
    # 2
    before = validator.height
    _reopen(network, validator)
    if validator.height > before > 0:
        done.append(f"{validator.height - before} blocks followed")
    # 3
    if validator.halted is not None:
        network.take_down(validator, validator.halted)
        files = node_files(network.directory, network.document)
        found = audit_files(network.document, files)
        healed = heal_files(network.document, files, found, only=name)
        done += [one.action for one in healed]
        _reopen(network, validator)
    if validator.halted is not None:
        raise StorageError(f"{name} cannot be healed: {validator.halted}")
    network.duties = Duties(network)  # a block that nobody could write may have been in mind
    return done


def _reopen(network: Network, validator: EmbeddedValidator) -> None:
    network.take_down(validator, "is being healed")
    network.bring_up(validator)
    network.engine.level(network.details)


def _mend_rows(network: Network, validator: EmbeddedValidator) -> list[str]:
    """Put rows right that differ from the validator's own tree; return them by name.

    Nothing is done where its tree is not of its file, or another validator no longer has such a row.
    """
    findings = row_findings(network, validator)
    if not findings:
        return []
    own, other = validator.application, _other(network, validator).application
    try:
        for finding in findings:
            _require_own(own, other, finding)
        mend(network.directory.node(validator.name) / TRUTH, mends_of(findings))
    except (StorageError, MerkleError):
        return []
    return [str(finding) for finding in findings]


def row_findings(network: Network, validator: EmbeddedValidator) -> list[Finding]:
    """Return the rows that a validator's file has otherwise than its own tree; none where nobody can tell.

    Everything decided has to be on disk.
    """
    alone = not any(other is not validator for other in network.engine.voting())
    if not validator.is_open or validator.stuck or alone:
        return []
    findings: list[Finding] = []
    path = network.directory.node(validator.name) / TRUTH
    check = FileCheck(validator.name, path, None, findings.append)
    try:
        check.rows(_Remembered(validator.application, _other(network, validator).application))
    finally:
        check.close()
    return findings


def _other(network: Network, validator: EmbeddedValidator) -> EmbeddedValidator:
    return next(other for other in network.engine.voting() if other is not validator)


def heal_found(network: Network, name: str, found: Verification) -> list[str]:
    """Heal what an audit found of a validator, whether it votes or not; return what was done.

    Raises `StorageError` where it does not vote afterwards.
    """
    validator = next(one for one in network.engine.validators if one.name == name)
    network.take_down(validator, "is being healed")
    files = node_files(network.directory, network.document)
    done = [one.action for one in heal_files(network.document, files, found, only=name)]
    _reopen(network, validator)
    if validator.halted is not None:
        raise StorageError(f"{name} cannot be healed: {validator.halted}")
    network.duties = Duties(network)
    return done


def _require_own(own: Application, other: Application, finding: Finding) -> None:
    """Require another's row to be the one in the own tree, proved; raises `StorageError`, `MerkleError`."""
    if not finding.mendable:
        raise StorageError(str(finding))
    if finding.content is None:
        return  # the own tree has no such row
    table, key, value = finding.content
    if own.tree.value_hash(row_key_hash(table, key)) != sha256(value).digest():
        raise StorageError("the row has changed since")
    require_proven_row(other, table, key, value)
