"""Parts of the CometBFT engine by themselves: packages, the program, its configuration, the voter's bytes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from msgspec.structs import replace

from gridmonitoring.blockchain.checkpoint import decode_note, minimal_quorum, verify_quorum
from gridmonitoring.blockchain.light_block import (
    CometHeader,
    LightBlock,
    Precommit,
    comet_address,
    comet_chain_id,
    header_hash,
    signed_bytes,
)
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.errors import CheckpointError, CometMissing
from gridmonitoring.keys.signatures import SecretSeed, public_key_of, sign_raw, verify_signature
from gridmonitoring.runtime.consensus.cometbft.binary import comet_binary
from gridmonitoring.runtime.consensus.cometbft.home import Home, Peer
from gridmonitoring.runtime.consensus.cometbft.messages import MESSAGES, new

SEEDS = {name: SecretSeed(bytes([number]) * 32) for number, name in enumerate(("a", "b", "c", "d"), 1)}
VALIDATORS = [(name, public_key_of(seed), 1) for name, seed in SEEDS.items()]
HEADER = CometHeader(
    (11, 0),
    8,
    (1_700_000_000, 5),
    (b"l" * 32, 1, b"p" * 32),
    b"c" * 32,
    b"",
    b"v" * 32,
    b"n" * 32,
    b"k" * 32,
    b"r" * 32,
    b"",
    b"a" * 20,
)


def light(names: str = "abcd", header: CometHeader = HEADER) -> bytes:
    block = LightBlock("gridmonitoring/x", 3, b"1" * 32, b"2" * 32, header, 0, (1, b"q" * 32), ())
    signed = header_hash(block)
    votes = []
    for name in names:
        vote = Precommit(name, (1_700_000_001, 0), bytes(64))
        votes.append(replace(vote, signature=sign_raw(SEEDS[name], signed_bytes(block, vote, signed))))
    return encode(replace(block, precommits=tuple(votes)))


def test_a_light_block_stands_for_the_checkpoint_before_its_header() -> None:
    note = decode_note(light())
    assert (note.checkpoint.height, note.signed_at) == (7, 8)
    assert (note.checkpoint.time_ms, note.checkpoint.block_hash) == (1_700_000_000_000, b"l" * 32)
    assert note.is_of("gridmonitoring/x", 7, 0, b"")
    assert not note.is_of("gridmonitoring/x", 8, 0, b"")
    assert verify_quorum(light(), VALIDATORS, verify_signature) == ["a", "b", "c", "d"]


def test_a_minimal_quorum_of_a_light_block_has_three_of_four() -> None:
    minimal = minimal_quorum(light(), VALIDATORS)
    assert verify_quorum(minimal, VALIDATORS, verify_signature) == ["a", "b", "c"]
    with pytest.raises(CheckpointError, match="2 of 4 voting power"):
        verify_quorum(light("ab"), VALIDATORS, verify_signature)
    with pytest.raises(CheckpointError, match="sorted by name"):
        decode_note(light("ba"))


def test_no_bit_of_a_light_block_can_be_changed() -> None:
    note = minimal_quorum(light(), VALIDATORS)
    for offset in range(len(note)):
        altered = bytearray(note)
        altered[offset] ^= 1 << offset % 8
        with pytest.raises(CheckpointError):
            verify_quorum(bytes(altered), VALIDATORS, verify_signature)


def test_a_vote_for_nil_or_another_block_does_not_count() -> None:
    block = LightBlock("gridmonitoring/x", 3, b"1" * 32, b"2" * 32, HEADER, 0, (1, b"q" * 32), ())
    vote = Precommit("a", (1, 0), bytes(64))
    of_nothing = signed_bytes(block, vote, b"")
    forged = replace(vote, signature=sign_raw(SEEDS["a"], of_nothing))
    note = encode(replace(block, precommits=(forged,)))
    with pytest.raises(CheckpointError, match="the precommit of a does not verify"):
        verify_quorum(note, VALIDATORS[:1], verify_signature)


def test_names_for_cometbft_fit_it() -> None:
    assert len(comet_chain_id("gridmonitoring/" + "x" * 64)) <= 50
    assert len(comet_address(VALIDATORS[0][1])) == 20


def test_messages_keep_their_numbers() -> None:
    request = new("Request", check_tx=new("RequestCheckTx", tx=b"x", type=1))
    assert request.SerializeToString() == b"\x42\x05\x0a\x01x\x10\x01"
    assert request.WhichOneof("value") == "check_tx"
    response = new("Response", process_proposal=new("ResponseProcessProposal", status=2))
    assert response.SerializeToString() == b"\x92\x01\x02\x08\x02"
    for kind in ("Request", "Response"):
        assert len({name for name, _ in MESSAGES[kind].values()}) == len(MESSAGES[kind])


def test_the_configuration_is_toml_and_loopback(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.config.mkdir()
    assert not home.exists
    home.configure("node-01", "127.0.0.1:26656", [Peer("ab", "127.0.0.1:26657")])
    assert home.exists
    settings = tomllib.loads((home.config / "config.toml").read_text(encoding="utf-8"))
    assert settings["p2p"]["persistent_peers"] == "ab@127.0.0.1:26657"
    assert settings["p2p"]["flush_throttle_timeout"] == "10ms"
    assert settings["consensus"]["skip_timeout_commit"] is True
    assert settings["consensus"]["create_empty_blocks"] is False
    assert settings["consensus"]["create_empty_blocks_interval"] == "60s"


def test_a_missing_or_wrong_program_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "cometbft"
    monkeypatch.setenv("GRIDMON_COMETBFT", str(program))
    with pytest.raises(CometMissing, match=r"does not run.*make cometbft"):
        comet_binary()
    program.write_text("#!/bin/sh\necho 1.0.0\n", encoding="utf-8")
    program.chmod(0o755)
    with pytest.raises(CometMissing, match=r"is CometBFT '1.0.0', not 0\.38\.x"):
        comet_binary()
