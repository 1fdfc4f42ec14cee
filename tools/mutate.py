"""Mutation test: change one thing in a module, run the tests that guard it, list the changes they let pass.

Usage: python tools/mutate.py MODULE[:LINE,LINE] TEST...

    python tools/mutate.py gridmonitoring.encoding.cbor tests/unit/encoding/test_cbor.py

With line numbers only the mutants there are tried, as after a test was added for one that survived.

No file is touched: each mutant is compiled in memory and imported by a forked child that runs the tests.
Changed are comparisons, arithmetic, `and`, `or`, `not`, conditions, numbers, bytes, text that is no message,
keyword arguments, the exceptions that a handler names, returns, and statements (left out). A mutant is killed
where a test fails, or where it takes far more processor time or memory than the tests do unchanged.

Exit code 0 where the tests pass unchanged, survivors or not: whether one is equivalent is for a person to say
(docs/mutation_testing.md).

Left out: error messages, annotations, decorators, docstrings, the options of structures (a test of their own
looks at all of them), and mutants of more than one change.
"""

from __future__ import annotations

import ast
import copy
import importlib.machinery
import importlib.util
import os
import resource
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path

import cbor2
import hypothesis
import msgspec
import nacl.bindings
import pytest

ROOT = Path(__file__).resolve().parent.parent
MEMORY_LIMIT = 4 << 30
"""Address space of a run, bytes: some mutants shift by a wrong, huge number."""
OPTIONS = ("-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:xdist")
"""Of pytest."""
WARM = (cbor2, hypothesis, msgspec, nacl.bindings)
"""Imported once, before forking."""

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
SKIPPED: set[tuple[type[ast.AST], str]] = {
    (ast.AnnAssign, "annotation"),
    (ast.arg, "annotation"),
    (ast.FunctionDef, "returns"),
    (ast.FunctionDef, "decorator_list"),
    (ast.ClassDef, "decorator_list"),
    (ast.ClassDef, "keywords"),  # of structures: tests/unit/test_structures.py looks at all of them
}


def expression_mutants(node: ast.expr) -> Iterator[ast.expr]:
    """Yield what an expression may be changed to."""
    changed = copy.deepcopy(node)
    match changed:
        case ast.Compare():
            yield from comparison_mutants(changed)
        case ast.BoolOp(op=op):
            changed.op = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield changed
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.BinOp(op=binary) if type(binary) in OPERATORS:
            changed.op = OPERATORS[type(binary)]()
            yield changed
        case ast.IfExp(test=test):
            changed.test = ast.UnaryOp(ast.Not(), test)
            yield changed
        case ast.Constant(value=value):
            yield from (ast.Constant(new) for new in constant_mutants(value))
        case ast.Call(keywords=keywords):
            for at in range(len(keywords)):
                changed.keywords = keywords[:at] + keywords[at + 1 :]
                yield changed
        case _:
            pass


def comparison_mutants(changed: ast.Compare) -> Iterator[ast.Compare]:
    """Yield a comparison, or a chain of them, with one operator changed."""
    for at, old in enumerate(list(changed.ops)):
        for new in COMPARISONS[type(old)]:
            changed.ops[at] = new()
            yield changed
        changed.ops[at] = old


def constant_mutants(value: object) -> list[bool | int | str | bytes]:
    """Return what a constant may be changed to."""
    match value:
        case bool():
            return [not value]
        case int():
            return [value + 1, value - 1]
        case bytes():
            return [bytes([value[0] ^ 1]) + value[1:] if value else b"\x01"]
        case str():
            return [value + "Q"]
        case _:
            return []


def statement_mutants(node: ast.stmt) -> Iterator[ast.stmt]:
    """Yield what a statement may be changed to."""
    changed = copy.deepcopy(node)
    match changed:
        case ast.Expr(value=ast.Constant()):
            return
        case ast.Expr() | ast.Raise():
            yield ast.Pass()
        case ast.AugAssign(op=op):
            yield ast.Pass()
            changed.op = OPERATORS[type(op)]()
            yield changed
        case ast.Return(value=value) if value is not None and not is_none(value):
            changed.value = ast.Constant(None)
            yield changed
        case ast.If(test=test) | ast.While(test=test):
            changed.test = ast.UnaryOp(ast.Not(), test)
            yield changed
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()
        case _:
            pass


def is_none(node: ast.expr) -> bool:
    """Tell whether an expression is the constant None."""
    return isinstance(node, ast.Constant) and node.value is None


def mutate(node: ast.AST, in_message: bool = False) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Put each mutant into the tree in turn; yield (what was, what is there now) while it is in it."""
    for field, value in ast.iter_fields(node):
        if (type(node), field) in SKIPPED or is_docstring(node):
            continue
        quiet = in_message or isinstance(node, ast.Raise | ast.JoinedStr)
        for at, child in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(child, ast.AST):
                continue
            mutants: Iterator[ast.AST] = iter(())
            if isinstance(child, ast.stmt):
                mutants = statement_mutants(child)
            elif isinstance(child, ast.expr) and not quiet:
                mutants = expression_mutants(child)
            elif isinstance(child, ast.ExceptHandler) and isinstance(child.type, ast.Tuple):
                mutants = handler_mutants(child)
            for new in mutants:
                put(node, field, at, new)
                yield child, new
            put(node, field, at, child)
            yield from mutate(child, quiet)


def handler_mutants(handler: ast.ExceptHandler) -> Iterator[ast.AST]:
    """Yield the handler without one of the exceptions it names."""
    assert isinstance(handler.type, ast.Tuple)
    for at in range(len(handler.type.elts)):
        changed = copy.deepcopy(handler)
        assert isinstance(changed.type, ast.Tuple)
        del changed.type.elts[at]
        yield changed


def is_docstring(node: ast.AST) -> bool:
    """Tell whether a node is a string that stands alone."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def put(node: ast.AST, field: str, at: int, child: ast.AST) -> None:
    """Set a child of a node; `at` counts where the field is a list."""
    held = getattr(node, field)
    if isinstance(held, list):
        held[at] = child
    else:
        setattr(node, field, child)


class OneModule(importlib.machinery.SourceFileLoader):
    """Finds and loads one module: the code of a tree instead of its file's."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        super().__init__(name, str(path))
        self.code = compile(ast.fix_missing_locations(tree), str(path), "exec")

    def find_spec(self, fullname: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        """Claim the module."""
        return importlib.util.spec_from_loader(fullname, self) if fullname == self.name else None

    def get_code(self, fullname: str) -> types.CodeType | None:
        """Return what to run."""
        assert fullname == self.name
        return self.code


class FirstExampleWillDo:
    """Makes hypothesis stop at a failing example: nobody reads a smaller one."""

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self) -> None:
        """Change the profile that conftest.py chose."""
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("mutants", hypothesis.settings.get_profile("ci"), phases=phases)
        hypothesis.settings.load_profile("mutants")


def run(finder: OneModule, tests: Sequence[str], seconds: int) -> bool:
    """Run the tests in a child that imports the tree; return whether they pass."""
    child = os.fork()
    if not child:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
        sys.meta_path.insert(0, finder)
        os._exit(pytest.main([*OPTIONS, *tests], plugins=[FirstExampleWillDo()]))
    _, status = os.waitpid(child, 0)
    return status == 0


def main(name: str, *tests: str) -> int:
    """Test the module; print survivors as they are found, then the count."""
    name, _, chosen = name.partition(":")
    lines = {int(number) for number in chosen.split(",") if number}
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT / "src"))
    path = ROOT / "src" / Path(*name.split(".")).with_suffix(".py")
    tree = ast.parse(path.read_text("utf-8"))
    if not run(OneModule(name, path, tree), tests, 600):
        print("the tests fail without any change")
        return 1
    seconds = 2 + 2 * int(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime + 1)
    count = survivors = 0
    for old, new in mutate(tree):
        line = getattr(old, "lineno", 0)
        if lines and line not in lines:
            continue
        try:
            finder = OneModule(name, path, tree)
        except (SyntaxError, ValueError):
            continue
        count += 1
        print(f"{count}", end="\r", file=sys.stderr, flush=True)
        if run(finder, tests, seconds):
            survivors += 1
            print(f"{path.name}:{line}: {shown(old)}  ->  {shown(new)}", flush=True)
    print(f"{name}: {count} mutants, {count - survivors} killed, {survivors} survived")
    return 0


def shown(node: ast.AST) -> str:
    """Return a node's code in one line, cut off."""
    return " ".join(ast.unparse(node).split())[:90]


if __name__ == "__main__":
    if len(sys.argv) < 3:
        print(__doc__)
        sys.exit(2)
    sys.exit(main(*sys.argv[1:]))
