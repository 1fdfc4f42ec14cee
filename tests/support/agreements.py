"""Agreements for tests of contracts, and the fields that their guards read."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec.structs import replace

from gridmonitoring.contracts.agreement import Agreement, CustomerClass, NoCutWindow
from gridmonitoring.contracts.violations import BY_THE_GRID, ActionKind, AgreedAction, Violation
from gridmonitoring.encoding.bounds import MAX_INT
from gridmonitoring.energy_center.credit import BillingTerms

QUARTER = 900_000
DAY = 86_400_000

HOME = Agreement(
    utility=b"utility of tests",
    consumer=b"consumer of test",
    mid=b"meter of a house",
    customer_class=CustomerClass.HOME,
    tariff=b"t" * 32,
    billing=BillingTerms(0, 500),
    reporting_interval_ms=QUARTER,
    billing_interval_ms=DAY,
    power_limit=0,
    custodian_may_read=False,
    language="en",
    never_cut=False,
    no_cut=(),
    actions=(),
    valid_from_ms=0,
)
"""Every default of a household."""
HOSPITAL = replace(HOME, customer_class=CustomerClass.HEALTH, never_cut=True)
"""Never cut."""
NIGHTS = replace(HOME, no_cut=(NoCutWindow((), 0, 360), NoCutWindow((2,), 360, 1440)))
"""Not cut before six, nor on days of type 2."""
STRICT = replace(
    HOME,
    actions=(
        AgreedAction(Violation.TAMPER, ActionKind.PENALTY, 7_000, cut_off=True, notice=True),
        AgreedAction(
            Violation.BILLING_DISCREPANCY, ActionKind.COMPENSATION, 5_000, cut_off=False, notice=True
        ),
        AgreedAction(Violation.USE_WHILE_DISCONNECTED, ActionKind.PENALTY, 3_000, cut_off=True, notice=False),
    ),
)
"""Money for violations, both ways."""

FIELDS = {
    "credit": 1_000,
    "threshold": 500,
    "debt": 0,
    "emergency_credit": 0,
    "relay_connected": 1,
    "cut_off": 0,
    "never_cut": 0,
    "no_cut_hours": 0,
    "minute_of_day": 720,
    "day_type": 1,
}
"""A meter at noon, in credit and under power."""

money = st.integers(0, 5) | st.integers(0, MAX_INT)
minutes = st.integers(0, 1440)


@st.composite
def windows(draw: st.DrawFn) -> NoCutWindow:
    """A no-cut window on up to two day types."""
    start, end = sorted(draw(st.lists(minutes, min_size=2, max_size=2, unique=True)))
    return NoCutWindow(tuple(sorted(draw(st.sets(st.integers(0, 3), max_size=2)))), start, end)


@st.composite
def actions(draw: st.DrawFn, violation: Violation, cut: bool) -> AgreedAction:
    """An agreed action that goes the right way."""
    by_the_grid = violation in BY_THE_GRID
    kind = draw(
        st.sampled_from([ActionKind.NONE, ActionKind.COMPENSATION if by_the_grid else ActionKind.PENALTY])
    )
    amount = 0 if kind is ActionKind.NONE else draw(st.integers(1, MAX_INT))
    return AgreedAction(
        violation, kind, amount, cut and not by_the_grid and draw(st.booleans()), draw(st.booleans())
    )


@st.composite
def agreements(draw: st.DrawFn) -> Agreement:
    """Any agreement that passes its check."""
    never_cut = draw(st.booleans())
    found = set() if never_cut else draw(st.sets(windows(), max_size=3))
    violations = sorted(draw(st.sets(st.sampled_from(Violation), max_size=4)))
    terms = BillingTerms(
        draw(st.integers(0, 10**15)),
        draw(money),
        draw(st.integers(0, 1000)),
        draw(money),
        draw(st.integers(0, 10**6)),
    )
    return replace(
        HOME,
        mid=draw(st.binary(min_size=16, max_size=16)),
        customer_class=draw(st.sampled_from(CustomerClass)),
        billing=terms,
        never_cut=never_cut,
        no_cut=tuple(
            sorted(found, key=lambda window: (window.day_types, window.from_minute, window.to_minute))
        ),
        actions=tuple(draw(actions(violation, not never_cut)) for violation in violations),
    )
