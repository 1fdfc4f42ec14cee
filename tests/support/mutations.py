"""Every single change of one field of a plain value, for tests that nothing can be changed unnoticed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Path = tuple[int, ...]


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Return the path and value of everything in nested arrays that is no array, and of empty arrays."""
    if isinstance(value, list | tuple) and value:
        for place, item in enumerate(value):
            yield from leaves(item, (*path, place))
    else:
        yield path, value


def with_leaf(value: Any, path: Path, leaf: Any) -> Any:
    """Return nested arrays with another value at a path."""
    if not path:
        return leaf
    changed = list(value)
    changed[path[0]] = with_leaf(value[path[0]], path[1:], leaf)
    return changed


def another(leaf: Any) -> Any:
    """Return a value of the same type that is not this one."""
    if isinstance(leaf, bool):
        return not leaf
    if isinstance(leaf, int):
        return leaf + 1
    if isinstance(leaf, bytes):
        return bytes((leaf[0] ^ 1,)) + leaf[1:] if leaf else b"\0"
    if isinstance(leaf, str):
        return leaf + "x"
    return 0 if leaf is None else [0]
