"""Write the tables of docs/spec from the structures themselves: `python -m tools.spec_tables`, at the top.

A page holds its prose and, between `<!-- make: what -->` and `<!-- end -->`, what is made here: fields with
position, encoding and meaning, numbered lists, and the closed tables of transactions and rows. A test makes
them again and compares, so the pages cannot fall behind.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msgspec import inspect as shapes

from gridmonitoring.blockchain.bodies import BODIES, Kind
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.processing.rows import ROW_TYPES
from gridmonitoring.processing.state_transition import TRANSITIONS

PAGES = Path(__file__).resolve().parents[1] / "docs" / "spec"
_MADE = re.compile(r"(<!-- make: (\S+)((?: \S+)*) -->\n).*?(<!-- end -->)", re.DOTALL)
_BOUNDS: Mapping[int, str] = MappingProxyType(
    {2**63 - 1: "2^63-1", 2**32 - 1: "2^32-1", 1 - 2**63: "-(2^63-1)"}
)
_MODULE = re.compile(r"`(?:[a-z_]+\.)+([A-Z]\w*)`")


def made(page: str) -> str:
    """Return a page with everything in it that is made, made anew."""

    def again(found: re.Match[str]) -> str:
        return f"{found[1]}{_make(found[2], found[3].split())}{found[4]}"

    return _MADE.sub(again, page)


def _make(what: str, names: list[str]) -> str:
    if what == "transactions":
        return _transactions()
    if what == "bodies":
        return "\n".join(_body(kind, version) for kind, version in BODIES)
    if what == "rows":
        return "\n".join(_row(table) for table in Table)
    items = [_named(name) for name in names]
    return "\n".join(_values(item) if issubclass(item, Enum) else fields(item) for item in items)


def fields(cls: type[Any]) -> str:
    """Return the table of a structure's fields: position, name, encoding, meaning."""
    info = shapes.type_info(cls)
    assert isinstance(info, shapes.StructType)
    lines = ["| position | field | encoding | meaning |", "|---|---|---|---|"]
    if info.tag is not None:
        lines.append(f'| 0 |  | text "{info.tag}" | names the structure and its version |')
    meanings = _docstrings(cls)
    for position, field in enumerate(info.fields, 0 if info.tag is None else 1):
        lines.append(
            f"| {position} | {field.name} | {encoding(field.type)} | {_words(meanings[field.name])} |"
        )
    return "\n".join(lines) + "\n"


def encoding(shape: shapes.Type) -> str:
    """Return in words how a value of a type is encoded."""
    if isinstance(shape, shapes.IntType):
        low, high = shape.ge, shape.le if shape.le is not None else (shape.lt or 0) - 1
        return f"integer {_BOUNDS.get(low or 0, str(low))} .. {_BOUNDS.get(high or 0, str(high))}"
    if isinstance(shape, shapes.BytesType):
        return f"bytes {_size(shape.min_length, shape.max_length)}".rstrip()
    if isinstance(shape, shapes.StrType):
        pattern = f", `{shape.pattern}`" if shape.pattern else ""
        return f"text {_size(shape.min_length, shape.max_length)}{pattern}"
    if isinstance(shape, shapes.EnumType | shapes.StructType):
        return ("integer, " if isinstance(shape, shapes.EnumType) else "") + f"`{shape.cls.__name__}`"
    if isinstance(shape, shapes.TupleType):
        return "[" + ", ".join(map(encoding, shape.item_types)) + "]"
    if isinstance(shape, shapes.VarTupleType):
        size = _size(shape.min_length, shape.max_length)
        return f"array{' of ' + size if size else ''}: {encoding(shape.item_type)}"
    if isinstance(shape, shapes.UnionType):
        return " or ".join(map(encoding, shape.types))
    return {shapes.BoolType: "boolean", shapes.NoneType: "null"}[type(shape)]


def _size(low: int | None, high: int | None) -> str:
    if high is None:
        return f"{low} or more" if low else ""
    return str(high) if low == high else f"{low or 0} .. {high}"


def _values(numbers: type[Enum]) -> str:
    meanings = _docstrings(numbers)
    lines = ["| number | name | meaning |", "|---|---|---|"]
    lines += [f"| {item.value} | {item.name} | {_words(meanings.get(item.name, ''))} |" for item in numbers]
    return "\n".join(lines) + "\n"


def _transactions() -> str:
    lines = ["| type | name | body | signed by | what it does |", "|---|---|---|---|---|"]
    for (kind, version), body in BODIES.items():
        roles, rule = TRANSITIONS[kind]
        says = _about(rule)
        who = ", ".join(sorted(role.name for role in roles))
        who = "any role but METER" if len(roles) == len(Role) - 1 else who
        named = f"[{body.__name__}](#{kind}-{Kind(kind).name.lower()}-version-{version})"
        lines.append(f"| {kind} | {Kind(kind).name} | {named} | {who} | {says} |")
    return "\n".join(lines) + "\n"


def _body(kind: int, version: int) -> str:
    body = BODIES[kind, version]
    heading = f"### {int(kind)} {Kind(kind).name}, version {version}"
    inner = [part for part in _inside(body) if part.__module__ == body.__module__]
    parts = [heading, "", f"`{body.__name__}`: {_about(body)}", "", fields(body)]
    for part in inner:
        parts += [f"`{part.__name__}`: {_about(part)}", "", fields(part)]
    return "\n".join(parts)


def _row(table: Table) -> str:
    value = ROW_TYPES[table]
    key = _docstrings(Table)[table.name].split(":")[0]
    parts = [f"### {int(table)} {table.name}", "", f"{key}. Value `{value.__name__}`: {_about(value)}", ""]
    parts.append(fields(value))
    for part in _inside(value):
        parts += [f"`{part.__name__}`: {_about(part)}", "", fields(part)]
    return "\n".join(parts)


def _inside(cls: type[Any]) -> list[type[Any]]:
    """Return the structures that a structure holds, each once, in order."""
    found: dict[type[Any], None] = {}
    for shape in _parts(shapes.type_info(cls)):
        if isinstance(shape, shapes.StructType) and shape.cls is not cls:
            found[shape.cls] = None
    return list(found)


def _parts(shape: shapes.Type) -> Iterator[shapes.Type]:
    yield shape
    if isinstance(shape, shapes.StructType):
        inner = [field.type for field in shape.fields]
    elif isinstance(shape, shapes.TupleType):
        inner = list(shape.item_types)
    elif isinstance(shape, shapes.VarTupleType):
        inner = [shape.item_type]
    else:
        inner = list(shape.types) if isinstance(shape, shapes.UnionType) else []
    for part in inner:
        yield from _parts(part)


def _about(item: object) -> str:
    return _words((inspect.getdoc(item) or "").split("\n\n")[0].replace("\n", " "))


def _words(text: str) -> str:
    """Return a docstring for readers of a table: one line, without the names of modules."""
    return _MODULE.sub(r"`\1`", " ".join(text.split())).replace("|", "\\|")


def _named(name: str) -> type[Any]:
    module, _, item = name.rpartition(".")
    found: type[Any] = getattr(importlib.import_module(f"gridmonitoring.{module}"), item)
    return found


def _docstrings(cls: type[Any]) -> Mapping[str, str]:
    """Return the docstring under each field or value of a class."""
    (tree,) = ast.parse(inspect.getsource(cls)).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for item, after in zip(tree.body, tree.body[1:], strict=False):
        target = item.target if isinstance(item, ast.AnnAssign) else None
        if isinstance(item, ast.Assign):
            target = item.targets[0] if isinstance(item.targets[0], ast.Name) else None
        if (
            isinstance(target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            found[target.id] = str(after.value.value)
    return MappingProxyType(found)


def main() -> int:
    """Write every page's tables anew; return 0."""
    for path in sorted(PAGES.glob("*.md")):
        page = path.read_text(encoding="utf-8")
        if made(page) != page:
            path.write_text(made(page), encoding="utf-8")
            print(f"{path.name} written anew")
    return 0


if __name__ == "__main__":
    sys.exit(main())
