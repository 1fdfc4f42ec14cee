"""The package's language files: complete, and in English the paper's own words."""

from __future__ import annotations

import pytest

from gridmonitoring.contracts.messages import Message, render
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.errors import UserError
from gridmonitoring.runtime.texts import languages, load_texts

PAPER = {
    Message.INSTALLATION_SUCCESSFUL: "Installation successful",
    Message.TAMPERED: "Meter with 4711 has been tampered with",
    Message.LOW_CREDIT: "Power running down, top up",
    Message.OVERCHARGED: "You are being over charged",
    Message.NO_POWER: "Meter with 4711 has no power, system shutdown",
}


def test_english_and_french_are_there() -> None:
    assert languages() == ("en", "fr")


@pytest.mark.parametrize("language", languages())
def test_every_code_has_its_text_in_every_language(language: str) -> None:
    texts = load_texts(language)
    assert texts.language == language
    assert set(texts.messages) == set(Message)
    assert set(texts.violations) == set(Violation)
    assert len(set(texts.messages.values())) == len(Message)
    assert len(set(texts.violations.values())) == len(Violation)


@pytest.mark.parametrize(("message", "text"), PAPER.items())
def test_english_has_the_papers_words(message: Message, text: str) -> None:
    assert render(message, {"mid": "4711"}, load_texts("en")) == text


@pytest.mark.parametrize("language", ["xx", "", "../en", "en.toml"])
def test_another_language_is_refused_with_those_there_are(language: str) -> None:
    with pytest.raises(UserError, match="en, fr"):
        load_texts(language)
