from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gridmonitoring.blockchain.log import TransactionLog
from gridmonitoring.blockchain.merkle import consistency_proof, inclusion_proof, leaf_hash, root
from gridmonitoring.encoding.hashes import sha256

LEAVES = [leaf_hash(i.to_bytes(4, "big"), sha256) for i in range(1200)]


def plain_node(level: int, index: int) -> bytes:
    return root(LEAVES[index << level : index + 1 << level], sha256)


@given(st.lists(st.integers(1, 400), max_size=3), st.data())
def test_however_it_grew_and_restarted_the_log_is_the_same_tree(
    steps: list[int], data: st.DataObject
) -> None:
    log = TransactionLog()
    kept: dict[tuple[int, int], bytes] = {}

    def get_tile(level: int, number: int) -> bytes:
        return kept[level, number]

    for step in steps:
        trial = log.copy()
        leaves = LEAVES[log.size : log.size + step]
        if data.draw(st.booleans(), "at once"):
            trial.extend(leaves)
        else:
            for leaf in leaves:
                trial.append(leaf)
        if data.draw(st.booleans(), "commit"):
            kept.update({(tile.level, tile.index): tile.hashes for tile in trial.take_tiles()})
            log = trial
        if data.draw(st.booleans(), "restart"):
            tail = LEAVES[log.size - log.size % 256 : log.size]
            log = TransactionLog.rebuilt(log.size, get_tile, tail)
        assert log.root() == root(LEAVES[: log.size], sha256)
    if log.size:
        get_node = log.node_reader(get_tile)
        size = data.draw(st.integers(1, log.size), "size")
        index = data.draw(st.integers(0, size - 1), "index")
        expected = inclusion_proof(index, size, plain_node, sha256)
        assert inclusion_proof(index, size, get_node, sha256) == expected
        grown = consistency_proof(size, log.size, plain_node, sha256)
        assert consistency_proof(size, log.size, get_node, sha256) == grown
