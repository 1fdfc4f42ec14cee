"""Offline verification: a directory, one file, a copy, a bundle; and what dishonest validators signed."""

from __future__ import annotations

from pathlib import Path
from shutil import copyfile, copytree, rmtree

import pytest

from gridmonitoring.blockchain.checkpoint import Checkpoint, app_hash, decode_note, encode_note
from gridmonitoring.blockchain.evidence_builders import build_reading
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.encoding.hashes import sha256, sha256d
from gridmonitoring.errors import UserError
from gridmonitoring.keys.signatures import sign_raw
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.evidence_source import ApplicationEvidence
from gridmonitoring.runtime.key_files import read_keys
from gridmonitoring.runtime.signature_checker import VerifierPool
from gridmonitoring.runtime.storage.tables import BLOCK
from gridmonitoring.runtime.storage.truth import BlockHeader, Truth, decode_body, encode_body
from gridmonitoring.runtime.verification import Progress, verify_path
from tests.support.network import open_small, report_wires, small_network
from tests.support.tampering import NODES, alter, file_of, rich_network


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chain") / "network"
    rich_network(path)
    return path


def test_a_directory(chain: Path) -> None:
    seen: list[Progress] = []
    result = verify_path(chain, progress=seen.append)
    truth = Truth(chain / "nodes" / "node-01" / "truth.db", read_only=True)
    last = truth.block(truth.height())
    rows = sum(1 for _ in truth.rows())
    truth.close()
    assert last is not None
    signed = decode_note(last.note).checkpoint
    assert result.verified
    assert result.kind == "directory"
    assert [(file.node, file.rows) for file in result.files] == [(name, rows) for name in NODES]
    assert (result.blocks, result.transactions) == (signed.height, signed.size)
    assert result.signatures > signed.size + 4 * signed.height
    assert result.app_hash == signed.app_hash
    assert seen[-1] == Progress(result.blocks, result.transactions)
    assert seen == sorted(seen, key=lambda step: step.blocks)


def test_one_file_and_a_copy_without_keys(chain: Path, tmp_path: Path) -> None:
    whole = verify_path(chain)
    alone = tmp_path / "alone"
    alone.mkdir()
    copyfile(chain / "nodes" / "node-02" / "truth.db", alone / "truth.db")
    copyfile(chain / "genesis.cbor", alone / "genesis.cbor")
    copyfile(chain / "genesis.cbor", tmp_path / "elsewhere.cbor")
    copy = tmp_path / "copy"
    copytree(chain, copy)
    rmtree(copy / "keys")
    before = sorted(file.name for file in alone.iterdir())
    for path in (alone, alone / "truth.db", copy, copy / "nodes" / "node-04"):
        result = verify_path(path)
        assert result.verified
        assert result.app_hash == whole.app_hash
    assert verify_path(alone / "truth.db", genesis=tmp_path / "elsewhere.cbor").verified
    assert sorted(file.name for file in alone.iterdir()) == before


def test_other_processes_check_the_same_signatures(chain: Path) -> None:
    pool = VerifierPool(1)
    try:
        assert verify_path(chain, pool=pool) == verify_path(chain)
    finally:
        pool.close()


def test_a_bundle(chain: Path, tmp_path: Path) -> None:
    small = open_small(chain)
    small.meters = small.meters[:1]
    (index,) = small.deliver(report_wires(small, 1))
    bundle = build_reading(ApplicationEvidence(small.network.application, small.network.document), index)
    small.close()
    file = tmp_path / "reading.bundle"
    file.write_bytes(bundle)
    copyfile(chain / "genesis.cbor", tmp_path / "genesis.cbor")
    result = verify_path(file)
    assert (result.verified, result.kind, result.proves) == (True, "bundle", "reading")
    file.write_bytes(bundle[:-1] + bytes([bundle[-1] ^ 1]))
    refused = verify_path(file)
    assert not refused.verified
    assert refused.refused.startswith("step ")


def test_another_chain(chain: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    small_network(other, validators=1, meters=0).close()
    result = verify_path(chain / "nodes" / "node-01", genesis=other / "genesis.cbor")
    assert [(finding.table, finding.key) for finding in result.findings] == [("block", "1")]


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        verify_path(tmp_path / "nothing")
    with pytest.raises(UserError, match="holds no network"):
        verify_path(tmp_path)
    (tmp_path / "truth.db").write_bytes(b"")
    with pytest.raises(UserError, match="genesis"):
        verify_path(tmp_path / "truth.db")


def test_a_block_rebuilt_but_not_signed_again(tmp_path: Path) -> None:
    """A changed transaction with everything above it computed anew lacks the validators' signatures."""
    path = tmp_path / "network"
    small_network(path, validators=1, meters=1).close()
    file = path / "nodes" / "node-01" / "truth.db"
    truth = Truth(file, read_only=True)
    block = truth.block(truth.height())
    truth.close()
    assert block is not None
    (raw,) = decode_body(block.body)
    header, checkpoint, body = forged(block.header, decode_note(block.note).checkpoint, raw[:-1] + b"x")
    note = encode_note(checkpoint, [("node-01", bytes(32), bytes(64))])
    row = (header.height, encode(header), body, note)
    alter(file, BLOCK, lambda connection, shape: tuple(connection.execute(shape.insert, row)))
    (finding,) = verify_path(path).findings
    assert (finding.table, finding.key) == ("block", str(header.height))
    assert "signed, but is no validator with that key" in finding.found


def test_what_all_validators_signed_but_no_meter(tmp_path: Path) -> None:
    """A quorum can sign a block that breaks the rules; whoever executes it sees that it does."""
    path = tmp_path / "network"
    small_network(path, meters=1).close()
    truth = Truth(path / "nodes" / "node-01" / "truth.db", read_only=True)
    last = truth.block(truth.height())
    truth.close()
    assert last is not None
    (raw,) = decode_body(last.body)
    signed = decode_note(last.note).checkpoint
    following = BlockHeader(
        last.header.chain,
        last.header.height + 1,
        last.header.time + 1,
        signed.block_hash,
        last.header.proposer,
        signed.size,
        1,
        bytes(32),
    )
    header, checkpoint, body = forged(following, signed, raw[:-1] + bytes([raw[-1] ^ 1]))
    note = encode_note(checkpoint, [vote(path, name, checkpoint) for name in NODES])
    row = (header.height, encode(header), body, note)
    for name in NODES:
        alter(file_of(path, BLOCK, name), BLOCK, lambda db, shape: tuple(db.execute(shape.insert, row)))
    result = verify_path(path)
    assert {(finding.node, finding.table, finding.key) for finding in result.findings} == {
        (name, "block", str(header.height)) for name in NODES
    }
    assert all("breaks a rule: bad_signature" in finding.found for finding in result.findings)


def forged(header: BlockHeader, signed: Checkpoint, raw: bytes) -> tuple[BlockHeader, Checkpoint, bytes]:
    """Return header, checkpoint and body of a block with one other transaction, all hashes fitting."""
    body = encode_body([raw])
    made = BlockHeader(
        header.chain,
        header.height,
        header.time,
        header.previous,
        header.proposer,
        header.first,
        1,
        sha256(body),
    )
    size = header.first + 1
    return (
        made,
        Checkpoint(
            origin=signed.origin,
            size=size,
            log_root=signed.log_root,
            app_hash=app_hash(signed.log_root, size, signed.state_root),
            state_root=signed.state_root,
            height=header.height,
            time_ms=header.time,
            block_hash=sha256d(encode(made)),
        ),
        body,
    )


def vote(path: Path, name: str, checkpoint: Checkpoint) -> tuple[str, bytes, bytes]:
    _, _, keys = read_keys(Directory(path).key_file(f"{name}.validator"))
    return name, keys.sign_key, sign_raw(keys.seed, checkpoint.body())
