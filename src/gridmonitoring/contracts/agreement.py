"""The agreement: the terms of one supply, signed by utility and consumer (paper III-A-5, VII).

One document holds whatever decides about money, power and data of a meter, so that the contract generator
(`script`), the state transition and the meter read the same terms. Both parties sign its bytes; where more
than one signature travels together it is an array of COSE_Sign1 over one payload, sorted by key.

Left out: names and addresses (never on the ledger), the tariff's prices (its hash is here), and the
signatures themselves (`keys.signatures`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Annotated

from msgspec import Meta, Struct

from gridmonitoring.contracts.guards import Guard, check_guard
from gridmonitoring.contracts.violations import AgreedAction, Violation, check_action, notice_only
from gridmonitoring.encoding.bounds import Bytes16, Bytes32, Millis, Watts
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.energy_center.calendar import DAY_MINUTES, DayType
from gridmonitoring.energy_center.credit import BillingTerms
from gridmonitoring.errors import ContractError

MINUTE_MS = 60_000
"""Shortest reporting interval, ms."""
DAY_MS = 86_400_000
"""Longest reporting and billing interval, ms: a meter settles at least daily."""
MAX_WINDOWS = 4
"""Most no-cut windows of an agreement."""
MAX_DAY_TYPES = 4
"""Most day types that a no-cut window names; without any it is for every day."""

Language = Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?\Z", max_length=6)]
"""A language tag, as `en` or `pt-BR`."""
Minute = Annotated[int, Meta(ge=0, le=DAY_MINUTES)]
"""Minute of the local day."""


class CustomerClass(IntEnum):
    """Who the consumer is (III-A-1: homes or offices, schools, healthcare facilities, corporations)."""

    HOME = 1
    SCHOOL = 2
    HEALTH = 3
    BUSINESS = 4


class NoCutWindow(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Hours in which the relay does not open for want of credit. Past midnight is two windows."""

    day_types: Annotated[tuple[DayType, ...], Meta(max_length=MAX_DAY_TYPES)]
    """Day types by the tariff's calendar, in order; empty for every day."""
    from_minute: Minute
    """First minute of the local day."""
    to_minute: Minute
    """Minute of the local day that is no longer in the window; 1440 is midnight."""


class Agreement(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="agreement/1"):
    """The terms of one supply; their hash is the agreement's ID."""

    utility: Bytes16
    """Party ID of the utility."""
    consumer: Bytes16
    """Party ID of the consumer."""
    mid: Bytes16
    """MID: the account at the supply point."""
    customer_class: CustomerClass
    """Who the consumer is."""
    tariff: Bytes32
    """Hash of the tariff; its successors, published with notice, follow it."""
    billing: BillingTerms
    """Subscription, threshold, emergency credit, debt recovery and tax."""
    reporting_interval_ms: Annotated[int, Meta(ge=MINUTE_MS, le=DAY_MS)]
    """Time between interval reports, ms; divides a day."""
    billing_interval_ms: Annotated[int, Meta(ge=MINUTE_MS, le=DAY_MS)]
    """Time between settlements, ms; a multiple of the reporting interval that divides a day."""
    power_limit: Watts
    """Power above which the meter acts, W; 0 for no limit."""
    custodian_may_read: bool
    """Whether period keys are also wrapped for the utility's custodian."""
    language: Language
    """Language of the messages."""
    never_cut: bool
    """Whether the relay never opens but by the consumer's wish or at closing (a hospital, a life support)."""
    no_cut: Annotated[tuple[NoCutWindow, ...], Meta(max_length=MAX_WINDOWS)]
    """No-cut hours and days, in order."""
    actions: Annotated[tuple[AgreedAction, ...], Meta(max_length=len(Violation))]
    """What is agreed for violations, in order of their numbers, each at most once."""
    valid_from_ms: Millis
    """When the agreement begins, ms; a later one of the same meter replaces it."""


def encode_agreement(agreement: Agreement) -> bytes:
    """Return the bytes that utility and consumer sign."""
    return encode(agreement)


def decode_agreement(data: bytes) -> Agreement:
    """Read and check an agreement; raises an `EncodingError` or `ContractError`."""
    agreement = decode(data, Agreement)
    check_agreement(agreement)
    return agreement


def agreement_hash(agreement: Agreement) -> bytes:
    """Return the agreement's ID: sha256d of its bytes."""
    return sha256d(encode_agreement(agreement))


def check_agreement(agreement: Agreement) -> None:
    """Check what the shape alone does not say; raises `ContractError`.

    1 the parties differ; 2 the intervals fit into each other and the day; 3 no-cut windows are in order and
    say something; 4 actions are in order and go the right way; 5 what is never cut is cut for nothing.
    """
    # 1
    if agreement.utility == agreement.consumer:
        raise ContractError("utility and consumer are the same party")
    # 2
    if (
        DAY_MS % agreement.billing_interval_ms
        or agreement.billing_interval_ms % agreement.reporting_interval_ms
    ):
        raise ContractError("the reporting interval divides the billing interval, and that divides a day")
    # 3
    for window in agreement.no_cut:
        _check_window(window)
    if list(agreement.no_cut) != sorted(set(agreement.no_cut), key=_window_order):
        raise ContractError("no-cut windows are in order, each once")
    if agreement.never_cut and agreement.no_cut:
        raise ContractError("what is never cut needs no no-cut hours")
    if agreement.no_cut:
        _check_size(no_cut_hours(agreement))
    # 4
    violations = [action.violation for action in agreement.actions]
    if violations != sorted(set(violations)):
        raise ContractError("agreed actions are in order of their violations, each once")
    for action in agreement.actions:
        check_action(action)
    # 5
    if agreement.never_cut and any(action.cut_off for action in agreement.actions):
        raise ContractError("what is never cut has no cut-off for a violation")


def _check_window(window: NoCutWindow) -> None:
    if window.from_minute >= window.to_minute:
        raise ContractError("a no-cut window ends after it starts; past midnight it is two")
    if list(window.day_types) != sorted(set(window.day_types)):
        raise ContractError("the day types of a no-cut window are in order, each once")


def _check_size(hours: tuple[Guard, ...]) -> None:
    """Check that the largest condition which the windows become part of is still a guard."""
    try:
        check_guard(("and", ("<=", "credit", 0), ("or", *hours, ("<", "debt", "emergency_credit"))))
    except ContractError as error:
        raise ContractError(f"too many no-cut windows and day types: {error}") from error


def _window_order(window: NoCutWindow) -> tuple[tuple[int, ...], int, int]:
    return window.day_types, window.from_minute, window.to_minute


def no_cut_hours(agreement: Agreement) -> tuple[Guard, ...]:
    """Return one condition for each no-cut window, on `minute_of_day` and `day_type`."""
    return tuple(_within(window) for window in agreement.no_cut)


def _within(window: NoCutWindow) -> Guard:
    minutes: tuple[Guard, Guard] = (
        (">=", "minute_of_day", window.from_minute),
        ("<", "minute_of_day", window.to_minute),
    )
    days: tuple[Guard, ...] = tuple(("=", "day_type", day_type) for day_type in window.day_types)
    if not days:
        return ("and", *minutes)
    return ("and", *minutes, days[0] if len(days) == 1 else ("or", *days))


def agreed_action(agreement: Agreement, violation: Violation) -> AgreedAction:
    """Return what is agreed for a violation; where nothing is, the consumer is told."""
    for action in agreement.actions:
        if action.violation is violation:
            return action
    return notice_only(violation)


def agreement_fields(agreement: Agreement) -> Mapping[str, int]:
    """Return the fields of guards that are the agreement's; the consumer may set a lower power limit."""
    return {
        "threshold": agreement.billing.threshold,
        "emergency_credit": agreement.billing.emergency_credit,
        "power_limit": agreement.power_limit,
        "never_cut": int(agreement.never_cut),
    }
