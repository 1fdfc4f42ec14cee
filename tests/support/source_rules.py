"""What a syntax tree shows and an import linter can't: use of files, entropy and key generation."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_WORLD_CALLS = {"open", "input", "print", "exec", "eval", "compile", "__import__", "breakpoint"}
_FILE_MODULES = {"builtins", "bz2", "codecs", "gzip", "io", "lzma", "shelve", "sys", "zipfile"}
_ENTROPY_MODULES = {"secrets"}
_ENTROPY_NAMES = {
    "SystemRandom",
    "crypto_box_keypair",
    "crypto_kx_keypair",
    "crypto_sign_keypair",
    "generate",
    "generate_key",
    "generate_private_key",
    "getrandom",
    "getrandbits",
    "randombytes",
    "seal",
    "token_bytes",
    "token_hex",
    "urandom",
    "uuid1",
    "uuid4",
}
_ENTROPY_PATHS = {"nacl.utils.random", "utils.random"}


def world_findings(source: str) -> list[str]:
    """Calls that read or write the world, as `line: what`."""
    return [f"{node.lineno}: {what}" for node, what in _world(ast.parse(source))]


def entropy_findings(source: str) -> list[str]:
    """Uses of entropy: key generation, random bytes, sealing, as `line: what`.

    AES-GCM with a nonce that the caller gives draws none, so `.encrypt` is left alone on an `AESGCM`.
    """
    tree = ast.parse(source)
    return [f"{node.lineno}: {what}" for node, what in _entropy(tree)]


def _world(tree: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in _WORLD_CALLS:
            yield node, node.id
        elif isinstance(node, ast.Attribute) and _root(node) in _FILE_MODULES:
            yield node, dotted(node)


def _entropy(tree: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    ciphers = _aes_gcm_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            seals = node.attr == "encrypt" and not _is_aes_gcm(node.value, ciphers)
            if seals or node.attr in _ENTROPY_NAMES or dotted(node) in _ENTROPY_PATHS:
                yield node, dotted(node)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((node, name) for name in _imported(node) if _draws_entropy(name))


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    prefix = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
    return [prefix + alias.name for alias in node.names]


def _draws_entropy(imported: str) -> bool:
    parts = imported.split(".")
    return parts[0] in _ENTROPY_MODULES or parts[-1] in _ENTROPY_NAMES or imported in _ENTROPY_PATHS


def _aes_gcm_names(tree: ast.AST) -> set[str]:
    """Names bound to an AESGCM in this module, by assignment or as an annotated argument."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and _is_aes_gcm(node.value, set()):
            names |= {dotted(target) for target in node.targets}
        elif (
            isinstance(node, ast.arg) and node.annotation is not None and dotted(node.annotation) == "AESGCM"
        ):
            names.add(node.arg)
    return names


def _is_aes_gcm(node: ast.expr, names: set[str]) -> bool:
    if isinstance(node, ast.Call):
        return dotted(node.func).split(".")[-1] == "AESGCM"
    return dotted(node) in names


def _root(node: ast.Attribute) -> str:
    return dotted(node).split(".")[0]


def dotted(node: ast.expr) -> str:
    """`a.b.c` of nested attributes; other expressions are `?`."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return "?"
