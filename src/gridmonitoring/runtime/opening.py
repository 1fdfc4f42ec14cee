"""Opening a validator's files: nothing is voted on that does not lead to the last quorum-signed checkpoint.

A crash can leave one validator a block behind another, and details of a block that was never
committed; both are mended here, by what the others have. A file that is not what was committed keeps its
validator from voting, and the reason says why.

Left out: repairing such a file (`healing`), and naming all that is wrong with it (`audit`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from gridmonitoring.blockchain.checkpoint import decode_note
from gridmonitoring.blockchain.genesis import Genesis, chain_id
from gridmonitoring.blockchain.ledger import make_chain
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.blockchain.state_tree import StateTree, row_key_hash, row_value_hash
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.errors import CheckpointError, EncodingError, MerkleError, StorageError, Tampered
from gridmonitoring.processing.state_transition import genesis_rows
from gridmonitoring.runtime.consensus.application import Application
from gridmonitoring.runtime.consensus.following import follow
from gridmonitoring.runtime.consensus.validator import EmbeddedValidator
from gridmonitoring.runtime.detail_check import share_details, true_channels
from gridmonitoring.runtime.erasure import Erasures
from gridmonitoring.runtime.signature_checker import SignatureChecker, VerifierPool
from gridmonitoring.runtime.storage.details import DetailStore
from gridmonitoring.runtime.storage.truth import Truth

TRUTH = "truth.db"
"""Name of a validator's file of the truth, in its folder."""
DETAILS = "details.db"
"""Name of its detail store."""


def open_application(
    folder: Path,
    document: bytes,
    genesis: Genesis,
    pool: VerifierPool | None = None,
    *,
    vouched: bool = False,
) -> Application:
    """Open a validator's truth and require that it is what a quorum signed last; raises `StorageError`."""
    return open_truth(folder / TRUTH, document, genesis, pool, vouched=vouched)


def open_truth(
    path: Path,
    document: bytes,
    genesis: Genesis,
    pool: VerifierPool | None = None,
    *,
    read_only: bool = False,
    vouched: bool = False,
) -> Application:
    """As `open_application`, for a file of any name."""
    if not path.is_file():
        raise StorageError(f"{path.name} is missing")
    truth = Truth(path, read_only=read_only)
    try:
        if truth.genesis() != document:
            raise Tampered("meta", "genesis", "is not the genesis document of this chain")
        chain = make_chain(chain_id(document), genesis)
        application = Application(truth, chain, genesis, SignatureChecker(pool), vouched=vouched)
        require_head(application, vouched=vouched)
    except (EncodingError, MerkleError, CheckpointError) as error:
        truth.close()
        raise StorageError(f"{path.name}: {error}") from error
    except StorageError:
        truth.close()
        raise
    return application


def require_head(application: Application, *, vouched: bool = False) -> None:
    """Require state and log to be those that a quorum signed last; raises `StorageError`.

    `vouched` where CometBFT compares the app_hash with its own chain: there the last block's note is the
    node's own until the next one carries its app_hash.

    1 the note is signed by the set of its height; 2 it is of the last block; 3 of this log; 4 of this
    state; 5 the sets along the handovers end in the state's.

    Raises a `CheckpointError` or `StorageError`.
    """
    height, log = application.height, application.log.log
    if not height:
        _require_founding(application)
        return
    # 1
    block = application.truth.block(height)
    if block is None:
        raise Tampered("block", str(height), "is missing")
    if not vouched:
        application.history.require_quorum(height, block.note, empty=not block.header.count)
    note = decode_note(block.note)
    signed = note.checkpoint
    # 2
    place = (application.genesis.origin(), height, block.header.time, application.last_hash)
    if not note.is_of(*place, empty=not block.header.count):
        raise Tampered("block", str(height), "its note is of another block")
    # 3
    if (signed.size, signed.log_root) != (log.size, log.root()):
        raise Tampered("block", str(height), "transactions or tiles are not those that a quorum signed")
    # 4
    if signed.state_root != application.tree.root:
        raise Tampered("row", "", f"rows are not those that a quorum signed at block {height}")
    # 5
    if application.read((Table.VALIDATORS, b"")) != application.history.latest():
        raise Tampered("handover", "", "changes of the validator set are missing")


def _require_founding(application: Application) -> None:
    genesis = application.genesis
    rows = (
        (row_key_hash(table, key), row_value_hash(encode(value)))
        for table, key, value in genesis_rows(genesis)
    )
    if application.tree.root != StateTree(genesis.parameters.bucket_bits, rows).root:
        raise Tampered("row", "", "rows are not those of genesis")
    if application.log.log.size:
        raise Tampered("tile", "", "there is a log but no block")


def open_details(folder: Path, size: int) -> DetailStore:
    """Open a validator's detail store, without details of blocks that a crash kept from being committed.

    `size` is the log's. Raises `StorageError`.
    """
    path = folder / DETAILS
    if size and not path.is_file():
        raise StorageError(f"{DETAILS} is missing")
    details = DetailStore(path)
    try:
        details.trim(size)
    except StorageError:
        details.close()
        raise
    return details


def level(validators: Sequence[EmbeddedValidator], details: Mapping[str, DetailStore]) -> None:
    """Bring validators that a crash or a halt left behind up to the one that is furthest."""
    open_ones = [validator for validator in validators if validator.halted is None]
    if not open_ones:
        return
    ahead = max(open_ones, key=lambda validator: validator.height)
    for validator in open_ones:
        size = validator.application.log.log.size
        if validator.height == ahead.height:
            continue
        others = [details[other.name] for other in open_ones if other.height == ahead.height]
        try:
            follow(validator.application, ahead.application.truth)
            share_details(validator.application.truth, details[validator.name], others, size)
        except StorageError as error:
            validator.halt(f"is behind and cannot follow: {error}")
    _share_channels([validator for validator in open_ones if validator.halted is None], details)
    for validator in open_ones:
        if validator.halted is None:
            _erase_again(validator, details[validator.name])


def _share_channels(validators: Sequence[EmbeddedValidator], details: Mapping[str, DetailStore]) -> None:
    """Give every node the channels that a crash left with some: the block that brought them is gone.

    A validator whose store cannot be read or written halts, the others go on.
    """
    counts: set[int] = set()
    for validator in validators:
        with _halting(validator):
            counts.add(details[validator.name].channel_count())
    if len(counts) < 2:
        return
    channels: dict[bytes, bytes] = {}
    for validator in validators:
        if validator.halted is None:
            with _halting(validator):
                channels.update(true_channels(details[validator.name].channels()))
    for validator in validators:
        if validator.halted is None:
            with _halting(validator):
                details[validator.name].write((), channels.items())


@contextmanager
def _halting(validator: EmbeddedValidator) -> Iterator[None]:
    """Have a validator halt for what goes wrong with its channels."""
    try:
        yield
    except StorageError as error:
        validator.halt(f"its channels cannot be levelled: {error}")


def _erase_again(validator: EmbeddedValidator, details: DetailStore) -> None:
    """Erase what was to be erased while this validator was down, or when it was stopped."""
    try:
        Erasures.of(validator.application.truth).carry_out(details)
    except StorageError as error:
        validator.halt(f"cannot erase what its owner wants erased: {error}")
