"""Which contract key is in force, and which has ended."""

from __future__ import annotations

from typing import Any

import pytest

from gridmonitoring.blockchain.contract_keys import ended, in_force, number_key, require_not_ended
from gridmonitoring.blockchain.genesis import Genesis
from gridmonitoring.blockchain.state_rows import ContractKeyRow, ContractKeysRow, Table
from gridmonitoring.errors import Refused
from tests.support.mini_chain import small_genesis

GENESIS: Genesis = small_genesis()
SECOND, THIRD = bytes((2,)) * 32, bytes((3,)) * 32
ROWS: dict[tuple[Table, bytes], Any] = {
    (Table.CONTRACT_KEYS, b""): ContractKeysRow(3),
    (Table.CONTRACT_KEY, number_key(1)): ContractKeyRow(1, GENESIS.contract_key, 0, 500),
    (Table.CONTRACT_KEY, number_key(2)): ContractKeyRow(1, SECOND, 10, 900),
    (Table.CONTRACT_KEY, number_key(3)): ContractKeyRow(1, THIRD, 20, None),
}


def read(table: Table, key: bytes) -> Any:
    return ROWS.get((table, key))


def nothing(table: Table, key: bytes) -> Any:
    return None


def test_without_a_rotation_there_is_the_key_of_genesis() -> None:
    number, row = in_force(nothing, GENESIS, 10**9)
    assert (number, row.key, row.since, row.ends) == (1, GENESIS.contract_key, 0, None)
    assert ended(nothing, GENESIS, 10**9, 2**63 - 1) == {}


@pytest.mark.parametrize(("size", "number"), [(0, 1), (9, 1), (10, 2), (19, 2), (20, 3), (10**9, 3)])
def test_a_key_is_in_force_from_its_place_of_the_log(size: int, number: int) -> None:
    assert in_force(read, GENESIS, size)[0] == number


@pytest.mark.parametrize(
    ("size", "time", "over"),
    [
        (9, 10**9, []),
        (10, 500, []),
        (10, 501, [1]),
        (19, 10**9, [1]),
        (20, 500, []),
        (20, 900, [1]),
        (20, 901, [1, 2]),
    ],
)
def test_a_key_ends_in_block_time_and_not_before_a_later_one_is_in_force(
    size: int, time: int, over: list[int]
) -> None:
    found = ended(read, GENESIS, size, time)
    assert sorted(found.values()) == over
    for number, key in enumerate((GENESIS.contract_key, SECOND, THIRD), 1):
        if number in over:
            with pytest.raises(Refused, match="contract_key_ended"):
                require_not_ended(key, found)
        else:
            require_not_ended(key, found)
