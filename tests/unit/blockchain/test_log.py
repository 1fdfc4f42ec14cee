from __future__ import annotations

import pytest

from gridmonitoring.blockchain.log import TILE_SIZE, Tile, TransactionLog, node_reader, tile_root
from gridmonitoring.blockchain.merkle import (
    CompactRange,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root,
    verify_consistency,
    verify_inclusion,
)
from gridmonitoring.encoding.hashes import sha256
from gridmonitoring.errors import MerkleError

LEAVES = [leaf_hash(i.to_bytes(4, "big"), sha256) for i in range(70_000)]


class Kept:
    """Complete tiles, as storage keeps them."""

    def __init__(self, tiles: list[Tile]) -> None:
        self.tiles = {(tile.level, tile.index): tile.hashes for tile in tiles}

    def get(self, level: int, number: int) -> bytes:
        return self.tiles[level, number]


def grown(size: int) -> TransactionLog:
    log = TransactionLog()
    for leaf in LEAVES[:size]:
        log.append(leaf)
    return log


@pytest.fixture(scope="module")
def large() -> tuple[TransactionLog, Kept]:
    log = grown(70_000)
    return log, Kept(log.take_tiles())


def test_empty_log() -> None:
    log = TransactionLog()
    assert (log.size, log.root(), log.frontier(), log.take_tiles()) == (0, sha256(b""), CompactRange(), [])
    assert TransactionLog.rebuilt(0, Kept([]).get, []).root() == log.root()


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 1000])
def test_root_is_that_of_the_leaves(size: int) -> None:
    log = grown(size)
    frontier = CompactRange()
    for leaf in LEAVES[:size]:
        frontier = frontier.append(leaf, sha256)
    assert log.size == size
    assert log.root() == root(LEAVES[:size], sha256)
    assert log.frontier() == frontier


def test_tiles_come_once_complete_lower_levels_first() -> None:
    log = grown(255)
    assert log.take_tiles() == []
    log.append(LEAVES[255])
    assert log.take_tiles() == [Tile(0, 0, b"".join(LEAVES[:256]))]
    assert log.take_tiles() == []


def test_tiles_of_a_tree_of_70000(large: tuple[TransactionLog, Kept]) -> None:
    # The worked example of the tlog-tiles specification.
    log, kept = large
    assert sorted(kept.tiles) == [(0, number) for number in range(273)] + [(1, 0)]
    assert all(len(hashes) == TILE_SIZE for hashes in kept.tiles.values())
    assert kept.tiles[0, 272] == b"".join(LEAVES[272 * 256 : 273 * 256])
    assert kept.tiles[1, 0][:32] == tile_root(kept.tiles[0, 0]) == root(LEAVES[:256], sha256)
    assert tile_root(kept.tiles[1, 0]) == root(LEAVES[:65_536], sha256)
    read = log.tile_reader(kept.get)
    assert [len(read(level, number)) // 32 for level, number in [(0, 273), (1, 1), (2, 0)]] == [112, 17, 1]
    assert read(0, 273) == b"".join(LEAVES[273 * 256 :])
    assert read(0, 272) == kept.tiles[0, 272]


@pytest.mark.parametrize("index", [0, 255, 256, 65_535, 65_536, 69_887, 69_888, 69_999])
def test_proofs_from_tiles(large: tuple[TransactionLog, Kept], index: int) -> None:
    log, kept = large
    get_node = log.node_reader(kept.get)
    proof = inclusion_proof(index, log.size, get_node, sha256)
    verify_inclusion(LEAVES[index], index, log.size, proof, log.root(), sha256)
    old = root(LEAVES[: index + 1], sha256)
    proof = consistency_proof(index + 1, log.size, get_node, sha256)
    verify_consistency(index + 1, log.size, old, log.root(), proof, sha256)
    earlier = inclusion_proof(index, index + 1, get_node, sha256)
    verify_inclusion(LEAVES[index], index, index + 1, earlier, old, sha256)


def test_a_dropped_copy_leaves_the_log_as_it_was() -> None:
    log = grown(300)
    before = log.frontier()
    trial = log.copy()
    for leaf in LEAVES[300:600]:
        trial.append(leaf)
    assert log.frontier() == before
    assert [(tile.level, tile.index) for tile in trial.take_tiles()] == [(0, 0), (0, 1)]
    assert [(tile.level, tile.index) for tile in log.take_tiles()] == [(0, 0)]
    for leaf in LEAVES[300:600]:
        log.append(leaf)
    assert log.root() == trial.root() == root(LEAVES[:600], sha256)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_535, 65_536, 69_999])
def test_rebuilt_from_complete_tiles_and_the_last_leaves(
    large: tuple[TransactionLog, Kept], size: int
) -> None:
    _, kept = large
    whole = grown(size)
    log = TransactionLog.rebuilt(size, kept.get, LEAVES[size - size % 256 : size])
    assert log.frontier() == whole.frontier()
    assert log.take_tiles() == []
    whole.take_tiles()
    for leaf in LEAVES[size : size + 300]:
        log.append(leaf)
        whole.append(leaf)
    assert log.root() == whole.root()
    assert log.take_tiles() == whole.take_tiles()


@pytest.mark.parametrize("count", [0, 43, 45, 300])
def test_rebuilding_takes_the_exact_tail(large: tuple[TransactionLog, Kept], count: int) -> None:
    with pytest.raises(MerkleError, match="not 300"):
        TransactionLog.rebuilt(300, large[1].get, LEAVES[256 : 256 + count])


def test_incomplete_tiles_are_noticed(large: tuple[TransactionLog, Kept]) -> None:
    log, kept = large
    with pytest.raises(MerkleError, match="not complete"):
        TransactionLog.rebuilt(300, lambda _level, _number: bytes(TILE_SIZE - 32), LEAVES[256:300])
    short = node_reader(lambda level, number: kept.get(level, number)[:64])
    assert short(1, 0) == root(LEAVES[:2], sha256)
    with pytest.raises(MerkleError, match="too short"):
        short(2, 0)
    with pytest.raises(MerkleError, match="too short"):
        log.node_reader(kept.get)(4, 70_000 >> 4)
