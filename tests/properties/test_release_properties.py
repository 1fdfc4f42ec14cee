"""Floors under attack: no combination of what left tells of fewer meters than the floors allow.

The attacker here has every released sum and adds and subtracts them in any way (linear algebra over the
rationals), also with rows of exports. What can be reached so is computed from the releases alone, not from
the register: two settlements that are in exactly the same releases cannot be told apart, so what is reached
is made of whole classes of such settlements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridmonitoring.data_center.floors import MIN_METERS, Contribution, Floors, meets_floors
from gridmonitoring.data_center.releases import ContributionsOf, ReleasesInMemory, disclose, release
from gridmonitoring.errors import Withheld

TEN = Floors(MIN_METERS, 250)
Population = dict[int, Contribution]


def population(values: Sequence[int], days: int) -> Population:
    """Meters that settle once a day."""
    found: Population = {}
    for day in range(days):
        for meter, value in enumerate(values):
            entry = day * len(values) + meter
            found[entry] = Contribution(entry, meter.to_bytes(16, "big"), (value + day, 2 * value + 1))
    return found


@st.composite
def attacks(draw: st.DrawFn) -> tuple[Population, list[frozenset[int]]]:
    """A population and sets that an attacker asks for, each often little different from one before."""
    meters = draw(st.integers(10, 45))
    values = draw(st.lists(st.integers(0, 400), min_size=meters, max_size=meters))
    everyone = population(values, draw(st.integers(1, 2)))
    entries = st.sampled_from(sorted(everyone))
    asked: list[frozenset[int]] = []
    for _ in range(draw(st.integers(1, 8))):
        start = draw(st.sampled_from([frozenset(everyone), *asked]))
        changed = draw(st.frozensets(entries, max_size=draw(st.sampled_from([1, 3, 25]))))
        asked.append(draw(st.sampled_from([start - changed, start ^ changed, start & changed or start])))
    return everyone, asked


def ask(everyone: Population, sets: Sequence[frozenset[int]], floors: Floors) -> list[frozenset[int]]:
    """Ask for sums over sets, one after the other; return those that left."""
    register = ReleasesInMemory()
    given_out = []
    for wanted in sets:
        try:
            release(register, {entry: everyone[entry] for entry in wanted}, everyone_of(everyone), floors)
        except Withheld:
            continue
        given_out.append(wanted)
    return given_out


def everyone_of(everyone: Population) -> ContributionsOf:
    return lambda entries: {entry: everyone[entry] for entry in entries}


def classes(given_out: Sequence[frozenset[int]]) -> list[frozenset[int]]:
    """Settlements that no release tells apart, of those that are in any."""
    found: dict[tuple[bool, ...], set[int]] = {}
    for entry in frozenset().union(*given_out):
        found.setdefault(tuple(entry in one for one in given_out), set()).add(entry)
    return [frozenset(members) for members in found.values()]


def reaches(rows: list[list[Fraction]], target: list[Fraction]) -> bool:
    """Tell whether a row is a linear combination of others (Gauss, exactly)."""
    basis: list[tuple[int, list[Fraction]]] = []

    def reduced(row: list[Fraction]) -> list[Fraction]:
        for pivot, known in basis:
            if row[pivot]:
                factor = row[pivot]
                row = [a - factor * b for a, b in zip(row, known, strict=True)]
        return row

    for row in rows:
        rest = reduced(row)
        pivot = next((at for at, value in enumerate(rest) if value), None)
        if pivot is not None:
            basis.append((pivot, [value / rest[pivot] for value in rest]))
    return not any(reduced(target))


def indicator(entries: frozenset[int], size: int) -> list[Fraction]:
    return [Fraction(int(at in entries)) for at in range(size)]


@given(attacks())
def test_whatever_is_combined_reaches_whole_classes_that_meet_the_floors(
    attack: tuple[Population, list[frozenset[int]]],
) -> None:
    everyone, asked = attack
    for members in classes(ask(everyone, asked, TEN)):
        assert meets_floors((everyone[entry] for entry in members), TEN)


@settings(max_examples=25)
@given(attacks())
def test_no_linear_combination_gives_a_meters_value(
    attack: tuple[Population, list[frozenset[int]]],
) -> None:
    everyone, asked = attack
    given_out = ask(everyone, asked, TEN)
    rows = [indicator(one, len(everyone)) for one in given_out]
    meters = {contribution.mid for contribution in everyone.values()}
    for mid in meters:
        mine = frozenset(entry for entry, one in everyone.items() if one.mid == mid)
        for target in [mine, *(frozenset({entry}) for entry in mine)]:
            assert not reaches(rows, indicator(target, len(everyone)))


@given(attacks())
def test_differences_unions_and_intersections_of_two_and_three_are_none_or_enough(
    attack: tuple[Population, list[frozenset[int]]],
) -> None:
    everyone, asked = attack
    given_out = ask(everyone, asked, TEN)
    for a, b in combinations(given_out, 2):
        for reached in (a - b, b - a, a ^ b, a & b):
            assert not reached or meets_floors((everyone[entry] for entry in reached), TEN)
    for a, b, c in combinations(given_out, 3):
        for reached in (a - b - c, (a & b) - c, a & b & c, a ^ b ^ c):
            assert not reached or meets_floors((everyone[entry] for entry in reached), TEN)


@given(attacks(), st.data())
def test_rows_of_an_export_do_not_uncover_the_rest_of_a_sum(
    attack: tuple[Population, list[frozenset[int]]], data: st.DataObject
) -> None:
    everyone, asked = attack
    register = ReleasesInMemory()
    opened: frozenset[int] = frozenset()
    given_out: list[frozenset[int]] = []
    for wanted in asked:
        rows = data.draw(st.frozensets(st.sampled_from(sorted(everyone)), max_size=30))
        opened |= disclose(register, rows, everyone_of(everyone), TEN)
        try:
            release(register, {entry: everyone[entry] for entry in wanted}, everyone_of(everyone), TEN)
        except Withheld:
            continue
        given_out.append(wanted)
    for members in classes(given_out):
        rest = members - opened
        assert not rest or meets_floors((everyone[entry] for entry in rest), TEN)


@pytest.mark.parametrize("target", range(20))
def test_the_tracker_attack_works_on_floors_alone_and_not_on_the_register(target: int) -> None:
    """Everyone, and everyone but one: each meets the floors, and the difference is the one (Denning 1979)."""
    everyone = population([100 + meter for meter in range(20)], 1)
    whole, tracker = frozenset(everyone), frozenset(everyone) - {target}
    both = [whole, tracker]
    assert all(meets_floors((everyone[entry] for entry in one), TEN) for one in both)
    energy = [sum(everyone[entry].values[0] for entry in one) for one in both]
    assert energy[0] - energy[1] == everyone[target].values[0]
    assert reaches([indicator(one, 20) for one in both], indicator(frozenset({target}), 20))
    assert ask(everyone, both, TEN) == [whole]
    assert ask(everyone, both[::-1], TEN) == [tracker]


def test_pairs_that_differ_by_enough_can_isolate_one_together_so_pairs_are_not_what_is_judged() -> None:
    everyone = population([100] * 61, 1)
    p, q, r = (frozenset(range(start, start + 20)) for start in (0, 20, 40))
    sets = [p | q | {60}, q | r, p | r, r]
    for one, other in combinations(sets, 2):
        assert all(len(found) >= 20 for found in (one - other, other - one) if found)
    assert reaches([indicator(one, 61) for one in sets], indicator(frozenset({60}), 61))
    assert ask(everyone, sets, TEN) == [sets[0], sets[1], sets[3]]


def test_these_attacks_succeed_where_each_sum_is_judged_by_itself() -> None:
    random = Random(7)
    isolated = refused = 0
    for _ in range(200):
        everyone = population([random.randint(50, 60) for _ in range(40)], 1)
        asked = [frozenset(everyone)]
        for _ in range(5):
            changed = frozenset(random.sample(range(40), random.choice([1, 3, 15])))
            asked.append(random.choice(asked) ^ changed)
        alone = [one for one in asked if meets_floors((everyone[entry] for entry in one), TEN)]
        small = [members for members in classes(alone) if len(members) < TEN.meters]
        isolated += bool(small)
        refused += len(alone) - len(ask(everyone, asked, TEN))
    assert isolated > 150
    assert refused > 300


@given(attacks())
def test_asking_again_gives_again_and_records_nothing(
    attack: tuple[Population, list[frozenset[int]]],
) -> None:
    everyone, asked = attack
    register = ReleasesInMemory()
    contributions = everyone_of(everyone)
    for wanted in asked:
        cell: Mapping[int, Contribution] = {entry: everyone[entry] for entry in wanted}
        try:
            release(register, cell, contributions, TEN)
        except Withheld:
            continue
        before = register.touched(frozenset(everyone))
        release(register, cell, contributions, TEN)
        assert register.touched(frozenset(everyone)) == before
