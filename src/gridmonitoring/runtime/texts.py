"""Language files of the contract's messages (paper V-A): found in the package, parsed, checked.

Left out: choosing a language by the machine's locale; the agreement names one.
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib.resources import files

from gridmonitoring.contracts.messages import Texts, texts_from
from gridmonitoring.errors import ContractError, UserError

_FOLDER = files("gridmonitoring.contracts") / "texts"


def languages() -> tuple[str, ...]:
    """Return the languages that there are texts for, in order."""
    names = (entry.name for entry in _FOLDER.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@lru_cache(maxsize=16)
def load_texts(language: str) -> Texts:
    """Return the texts of a language; raises `UserError` where there are none or the file is damaged."""
    if language not in languages():
        raise UserError(f"no texts in {language!r}; there are {', '.join(languages())}")
    try:
        return texts_from(tomllib.loads((_FOLDER / f"{language}.toml").read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ContractError) as error:
        raise UserError(f"the texts in {language!r} are damaged: {error}") from error
