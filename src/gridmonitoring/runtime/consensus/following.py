"""Taking over blocks that others decided: each verified by its note and executed anew (paper IV-D).

For a validator that stood still while the others went on. Left out: its own file being wrong, which
is `runtime.healing`'s.
"""

from __future__ import annotations

from gridmonitoring.blockchain.checkpoint import decode_note
from gridmonitoring.errors import CheckpointError, ConsensusError, EncodingError, Tampered
from gridmonitoring.runtime.consensus.application import Application
from gridmonitoring.runtime.storage.truth import StoredBlock, Truth, decode_body


def follow_block(application: Application, block: StoredBlock) -> None:
    """Append a decided block durably: 1 its quorum, 2 its place and transactions, 3 the state it led to.

    Raises `Tampered`, which names the block; nothing has changed then.
    """
    try:
        # 1
        checkpoint = decode_note(block.note).checkpoint
        application.history.require_quorum(application.height + 1, block.note)
        # 2
        transactions = [application.decode(raw) for raw in decode_body(block.body)]
        execution = application.process(block.header, block.body, transactions)
        # 3
        if execution.checkpoint != checkpoint:
            application.abandon()
            raise ConsensusError("it leads to another state than its note says")
    except (CheckpointError, ConsensusError, EncodingError) as error:
        raise Tampered("block", str(application.height + 1), str(error)) from error
    commit = application.finalize(block.note)
    application.truth.commit(commit)
    application.saved(execution.rows, commit.tiles)


def follow(application: Application, source: Truth) -> int:
    """Take over the blocks that another validator's file has beyond this one's; return how many.

    Raises `StorageError`, all blocks before the one at fault being kept.
    """
    taken = 0
    for block in source.blocks(application.height + 1):
        follow_block(application, block)
        taken += 1
    return taken
