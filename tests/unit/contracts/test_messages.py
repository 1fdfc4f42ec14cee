"""Messages: every code has a text with the right fields, and damaged language files are refused."""

from __future__ import annotations

from typing import Any

import pytest

from gridmonitoring.contracts.messages import FIELDS, Message, render, texts_from
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.errors import ContractError


def language_file() -> dict[str, Any]:
    """Return a parsed language file in which each text is its code's name and fields."""
    messages = {
        message.name.lower(): " ".join([message.name, *(f"{{{field}}}" for field in sorted(FIELDS[message]))])
        for message in Message
    }
    return {
        "language": "xx",
        "messages": messages,
        "violations": {violation.name.lower(): violation.name for violation in Violation},
    }


@pytest.mark.parametrize("message", Message)
def test_fields_are_filled_in_and_others_passed_over(message: Message) -> None:
    texts = texts_from(language_file())
    fields = {field: field.upper() for field in FIELDS[message]}
    expected = " ".join([message.name, *(field.upper() for field in sorted(FIELDS[message]))])
    assert render(message, {**fields, "unused": "X"}, texts) == expected


@pytest.mark.parametrize("message", [message for message in Message if FIELDS[message]])
def test_a_missing_field_is_an_error(message: Message) -> None:
    with pytest.raises(ContractError, match=min(FIELDS[message])):
        render(message, {}, texts_from(language_file()))


def test_a_fields_value_is_text_and_never_a_field() -> None:
    values = {"violation": "{amount} {0.__class__}", "amount": "{violation}"}
    assert (
        render(Message.PENALTY, values, texts_from(language_file()))
        == "PENALTY {violation} {amount} {0.__class__}"
    )


DAMAGED: list[tuple[str, str, Any]] = [
    ("messages", "no_power", None),
    ("messages", "no_power", ""),
    ("messages", "no_power", "  "),
    ("messages", "no_power", 4),
    ("messages", "no_power", "no meter named"),
    ("messages", "no_power", "{mid} and {mid"),
    ("messages", "no_power", "{mid} and }"),
    ("messages", "no_power", "{mid} {amount}"),
    ("messages", "no_power", "{MID}"),
    ("messages", "no_power", "{mid!r}"),
    ("messages", "power_on", "{mid}"),
    ("messages", "hello", "hello"),
    ("violations", "tamper", None),
    ("violations", "tamper", ""),
    ("violations", "other", "other"),
]


@pytest.mark.parametrize(("table", "name", "text"), DAMAGED)
def test_a_damaged_language_file_is_refused(table: str, name: str, text: object) -> None:
    parsed = language_file()
    if text is None:
        del parsed[table][name]
    else:
        parsed[table][name] = text
    with pytest.raises(ContractError):
        texts_from(parsed)


@pytest.mark.parametrize("table", ["language", "messages", "violations"])
def test_a_language_file_is_complete(table: str) -> None:
    with pytest.raises(ContractError):
        texts_from({name: value for name, value in language_file().items() if name != table})
    with pytest.raises(ContractError):
        texts_from({**language_file(), "more": {}})
    with pytest.raises(ContractError):
        texts_from({**language_file(), table: 7})


def test_numbers_of_messages_are_those_of_the_ledger() -> None:
    assert [message.value for message in Message] == [*range(1, 24), 30, 31, 32, *range(40, 43), 50, 51, 52]
    assert (Message.LOW_CREDIT, Message.NO_POWER, Message.TAMPERED, Message.OVERCHARGED) == (3, 4, 5, 6)
