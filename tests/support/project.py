"""Where the checkout's files are, for tests about the project itself."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "gridmonitoring"
PURE_FOLDERS = (
    "encoding",
    "keys",
    "blockchain",
    "energy_center",
    "contracts",
    "registration",
    "processing",
    "smart_meter",
    "data_center",
)

_TEXT_SUFFIXES = {
    "",
    ".cfg",
    ".editorconfig",
    ".gitignore",
    ".in",
    ".json",
    ".md",
    ".py",
    ".sh",
    ".toml",
    ".txt",
    ".yaml",
    ".yml",
}
_PROJECT_FOLDERS = (".ci", ".github", "docs", "requirements", "src", "tests", "tools")


def pure_files() -> list[Path]:
    """Every module that may not touch the world."""
    folders = [path for name in PURE_FOLDERS for path in sorted((SOURCE / name).rglob("*.py"))]
    return [SOURCE / "errors.py", *folders]


def source_files() -> list[Path]:
    """Every module of the package."""
    return sorted(SOURCE.rglob("*.py"))


def text_files() -> list[Path]:
    """Every text file of the project: its own folders and the files at the top, no environment, no cache."""
    # In a linked worktree `.git` is a file, which is no part of the project.
    candidates = [path for path in ROOT.iterdir() if path.is_file() and path.name != ".git"]
    for name in _PROJECT_FOLDERS:
        candidates += [path for path in (ROOT / name).rglob("*") if path.is_file()]
    return sorted(path for path in candidates if path.suffix in _TEXT_SUFFIXES)


def relative(path: Path) -> str:
    """A path as the documents write it."""
    return path.relative_to(ROOT).as_posix()
