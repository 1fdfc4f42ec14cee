"""The contract keys of a chain: which there are, which is in force, which has ended (paper II-B).

The first is genesis', number 1; the others were announced by governance. A key is in force from a size of the
log on, as every key of the ledger (ADR 27), so what scripts and commands name follows from the order of
transactions. When a key ends is a block time: no transaction depends on it, but whether a node still takes a
report that is sealed to it, and all nodes see the same block time.

Left out: secrets, which are `runtime`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gridmonitoring.blockchain.genesis import Genesis
from gridmonitoring.blockchain.ledger import refuse
from gridmonitoring.blockchain.state_rows import ContractKeyRow, ContractKeysRow, Table

FIRST = 1
"""Number of the key of genesis."""

ReadRow = Callable[[Table, bytes], Any]
"""(table, key) -> row, or None."""


def number_key(number: int) -> bytes:
    """Return the key of a contract key's row."""
    return number.to_bytes(8, "big")


def last_announced(read: ReadRow) -> int:
    """Return the number of the key that was announced last."""
    row: ContractKeysRow | None = read(Table.CONTRACT_KEYS, b"")
    return FIRST if row is None else row.last


def contract_key(read: ReadRow, genesis: Genesis, number: int) -> ContractKeyRow:
    """Return a key that was announced, or the one of genesis."""
    row: ContractKeyRow | None = read(Table.CONTRACT_KEY, number_key(number))
    return row or ContractKeyRow(genesis.suite, genesis.contract_key, 0, None)


def announced(read: ReadRow, genesis: Genesis) -> Iterator[tuple[int, ContractKeyRow]]:
    """Yield (number, key) of every key, the last first."""
    for number in range(last_announced(read), 0, -1):
        yield number, contract_key(read, genesis, number)


def in_force(read: ReadRow, genesis: Genesis, size: int) -> tuple[int, ContractKeyRow]:
    """Return number and key in force at a log size."""
    return next((number, row) for number, row in announced(read, genesis) if row.since <= size)


def ended(read: ReadRow, genesis: Genesis, size: int, block_time: int) -> Mapping[bytes, int]:
    """Return key -> number of those that no report may be sealed to any more.

    A key ends no sooner than a later one is in force, or there would be none to report under.
    """
    if last_announced(read) == FIRST:
        return {}
    current, _ = in_force(read, genesis, size)
    earlier = ((number, row) for number, row in announced(read, genesis) if number < current)
    return {row.key: number for number, row in earlier if row.ends is not None and row.ends < block_time}


def require_not_ended(key: bytes, over: Mapping[bytes, int]) -> None:
    """Require that reports may still be sealed to a key; `over` as `ended` has it.

    Raises `Refused` (contract_key_ended).
    """
    if key in over:
        refuse(
            "contract_key_ended",
            f"sealed to contract key {over[key]}, which has ended; a command names the next to the meter",
        )
