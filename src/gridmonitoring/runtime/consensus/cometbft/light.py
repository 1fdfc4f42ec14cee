"""Light blocks out of CometBFT's commits: verified here before anybody is shown one.

CometBFT takes some signatures that libsodium refuses, so a builder checks each by the rule that verifiers
have, and leaves out what only CometBFT takes.
"""

from __future__ import annotations

import logging

from msgspec import Struct

from gridmonitoring.blockchain.checkpoint import app_hash, decode_note, minimal_quorum
from gridmonitoring.blockchain.light_block import (
    LightBlock,
    Precommit,
    comet_address,
    header_hash,
    signed_bytes,
)
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.errors import BadSignature, CheckpointError
from gridmonitoring.keys.signatures import verify_signature
from gridmonitoring.runtime.consensus.application import Application
from gridmonitoring.runtime.consensus.cometbft.rpc import Signed
from gridmonitoring.runtime.storage.truth import StoredBlock

_LOG = logging.getLogger("gridmonitoring.cometbft")


class State(Struct, frozen=True):
    """Log and state after a block."""

    height: int
    """The block's height."""
    size: int
    """Transactions in the log."""
    log_root: bytes
    """Root of the log."""
    state_root: bytes
    """Root of the state tree."""


def present_state(application: Application) -> State:
    """Return log and state after the last committed block."""
    log = application.log.log
    return State(application.height, log.size, log.root(), application.tree.root)


def stored_state(block: StoredBlock) -> State:
    """Return log and state after an earlier block, as its note says."""
    said = decode_note(block.note).checkpoint
    return State(block.header.height, said.size, said.log_root, said.state_root)


def light_note(application: Application, state: State, signed: Signed) -> bytes | None:
    """Return the light block of a state from the next block's header, or None if it is not of it.

    1 the header is of the next block and carries this state's app_hash; 2 it has the hash that was signed;
    3 each precommit verifies; 4 they are a quorum.
    """
    # 1
    here = app_hash(state.log_root, state.size, state.state_root)
    if (signed.header.height, signed.app_hash) != (state.height + 1, here):
        return None
    # 2
    unsigned = LightBlock(
        application.genesis.origin(),
        state.size,
        state.log_root,
        state.state_root,
        signed.header,
        signed.round,
        signed.parts,
        (),
    )
    if header_hash(unsigned) != signed.block_hash:
        _LOG.error("block %s: CometBFT's header does not have its hash", signed.header.height)
        return None
    # 3
    validators = application.history.signing(signed.header.height)
    by_address = {comet_address(v.key): v for v in validators.validators}
    precommits = []
    for address, time, signature in signed.votes:
        if address not in by_address:
            continue
        vote = Precommit(by_address[address].name, time, signature)
        try:
            verify_signature(
                by_address[address].key, signed_bytes(unsigned, vote, signed.block_hash), signature
            )
        except BadSignature:
            _LOG.warning("block %s: a precommit of %s does not verify", signed.header.height, vote.name)
            continue
        precommits.append(vote)
    # 4
    whole = LightBlock(
        unsigned.origin,
        unsigned.size,
        unsigned.log_root,
        unsigned.state_root,
        unsigned.header,
        unsigned.round,
        unsigned.parts,
        tuple(sorted(precommits, key=lambda vote: vote.name)),
    )
    try:
        return minimal_quorum(encode(whole), validators.powers())
    except CheckpointError as error:
        _LOG.error("block %s: %s", signed.header.height, error)
        return None
