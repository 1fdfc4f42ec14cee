"""Messages of the contract: the closed list of codes, and their texts as data.

Paper V-A and `comment()` of Algorithm 1. Ledger and reports carry codes only. A text file per language maps
each code to one line with its fields in braces; `contracts/texts/en.toml` has the paper's own wording. This
folder opens no files: `runtime.texts` parses one and hands the mapping to `texts_from`.

Left out: plural forms and the formatting of amounts and dates, which come as text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import IntEnum
from typing import TypeVar

from msgspec import Struct

from gridmonitoring.contracts.violations import Violation
from gridmonitoring.errors import ContractError


class Message(IntEnum):
    """Codes of the messages; numbers are never reused. The first six are the paper's."""

    INSTALLATION_SUCCESSFUL = 1
    """power_flow: the meter is installed and verified."""
    INSTALLATION_FAILED = 2
    """The installation did not succeed (V-A: "either a success or a failure message")."""
    LOW_CREDIT = 3
    """threshold_value: credit is at the threshold or below."""
    NO_POWER = 4
    """power_finished: credit is used up and the relay opens."""
    TAMPERED = 5
    """state_tamper."""
    OVERCHARGED = 6
    """data_tamper: a billing discrepancy or an integrity failure."""
    SUPPLY_STAYS_ON = 7
    """Credit is used up, but no-cut hours or emergency credit keep the relay closed."""
    CREDIT_ADDED = 8
    """A credit command was carried out."""
    PAYMENT_REVERSED = 9
    """A payment bounced and its credit was taken back."""
    CONFIRM_TO_RECONNECT = 10
    """The relay may close again once the consumer accepts."""
    POWER_ON = 11
    """The relay closed."""
    SWITCHED_OFF = 12
    """The consumer switched the supply off."""
    CUT_OFF = 13
    """An agreed cut-off was carried out."""
    POWER_LIMIT_EXCEEDED = 14
    """More power was drawn than the limit."""
    NEW_TERMS = 15
    """Another script is in force."""
    ACCOUNT_CLOSED = 16
    """The account is closed."""
    VIOLATION_RECORDED = 17
    """A violation was recorded."""
    PENALTY = 18
    """An agreed penalty was charged."""
    COMPENSATION = 19
    """An agreed compensation was credited."""
    ACTION_REVERSED = 20
    """A disputed violation was reversed, with what was done about it."""
    DATA_REFUSED = 21
    """A request to read beyond its grant was refused."""
    KEY_REPLACEMENT = 22
    """A new key was announced for the consumer."""
    TARIFF_NOTICE = 23
    """Another tariff will be in force."""
    DISPUTED = 30
    """A violation was disputed."""
    DISPUTE_REJECTED = 31
    """A dispute was decided: the violation stands, with what was done about it."""
    CUT_OFF_WAITS = 32
    """An agreed cut-off is to be carried out as soon as the relay may open."""
    COPY_ALTERED = 40
    """A node's copy of the consumer's data was altered; the other nodes' copies hold."""
    COPY_RESTORED = 41
    """That copy is again what the quorum signed."""
    NOT_HEARD = 42
    """The grid has had no report of the meter for longer than agreed."""
    ACCESS_GRANTED = 50
    """The owner let somebody read."""
    ACCESS_ENDED = 51
    """The owner ended a grant."""
    DATA_READ = 52
    """A request of somebody who may read was allowed."""


FIELDS: Mapping[Message, frozenset[str]] = {
    **{message: frozenset[str]() for message in Message},
    Message.NO_POWER: frozenset({"mid"}),
    Message.TAMPERED: frozenset({"mid"}),
    Message.VIOLATION_RECORDED: frozenset({"violation"}),
    Message.PENALTY: frozenset({"violation", "amount"}),
    Message.COMPENSATION: frozenset({"violation", "amount"}),
    Message.ACTION_REVERSED: frozenset({"violation"}),
    Message.DISPUTED: frozenset({"violation"}),
    Message.DISPUTE_REJECTED: frozenset({"violation"}),
    Message.KEY_REPLACEMENT: frozenset({"date"}),
    Message.TARIFF_NOTICE: frozenset({"date"}),
}
"""Fields that each message's text has in braces, all as text: `mid` (meter ID), `violation` (what it is
called), `amount` (money with currency), `date` (when it comes into force)."""

C = TypeVar("C", bound=IntEnum)

_FIELD = re.compile(r"\{([a-z_]*)\}")


class Texts(Struct, frozen=True):
    """The texts of one language, complete."""

    language: str
    """Language tag, as `en`."""
    messages: Mapping[Message, str]
    """Text of every message, fields in braces."""
    violations: Mapping[Violation, str]
    """What each type of violation is called."""


def texts_from(parsed: Mapping[str, object]) -> Texts:
    """Return the texts of a parsed language file: `language`, and tables `messages` and `violations`.

    The keys of the tables are the codes' names in lower case. Raises `ContractError` if one is missing,
    unknown, empty, or has other fields than its message.
    """
    if set(parsed) != {"language", "messages", "violations"}:
        raise ContractError("a language file has language, messages and violations, and nothing else")
    language = parsed["language"]
    if not isinstance(language, str) or not language:
        raise ContractError("a language file names its language")
    messages = _table(parsed["messages"], Message)
    for message, text in messages.items():
        fields = _FIELD.findall(text)
        if set(fields) != FIELDS[message] or len(fields) != text.count("{") or len(fields) != text.count("}"):
            raise ContractError(f"the text of {message.name} needs just the fields {sorted(FIELDS[message])}")
    return Texts(language, messages, _table(parsed["violations"], Violation))


def _table(table: object, codes: type[C]) -> dict[C, str]:
    by_name = {code.name.lower(): code for code in codes}
    if not isinstance(table, Mapping) or set(table) != set(by_name):
        raise ContractError(f"a language file has one text for each {codes.__name__.lower()}, no more")
    if not all(isinstance(text, str) and text.strip() for text in table.values()):
        raise ContractError(f"a text of a {codes.__name__.lower()} is empty")
    return {by_name[name]: str(text) for name, text in table.items()}


def render(code: Message, fields: Mapping[str, str], texts: Texts) -> str:
    """Return a message in a language, its fields filled in; fields that it does not have are passed over.

    Raises `ContractError` if one that it has is missing.
    """
    missing = FIELDS[code] - set(fields)
    if missing:
        raise ContractError(f"the message {code.name} needs {', '.join(sorted(missing))}")
    return _FIELD.sub(lambda found: fields[found[1]], texts.messages[code])
