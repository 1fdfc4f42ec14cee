"""What has left the data center, and why nothing can be computed from it about fewer than the floors allow.

Two sums that each meet the floors may differ by one household, and subtracting gives its consumption. So
every release is judged together with all before it. The released sets of settlements cut the settlements
into **atoms**: settlements that are in exactly the same releases. Rule: a release is given only if every
atom that then exists meets the floors by itself.

Why that is enough: a release is a sum over whole atoms, so all releases together are known from the table
of the atoms' sums, and each row of that table could have been given by itself. Whatever is added to or
subtracted from whatever has the same weight for all settlements of an atom; so what comes out either leaves
an atom out or has all of it in, and no combination singles out fewer than the floors.

Rows that left in an export are **open**: whoever has them can subtract them. So of every atom the settlements
that are not open must be none, or meet the floors as well.

A refusal does not say which floor was missed, nor where. Left out: what a person knows from elsewhere (a
member who subtracts the own consumption; days that resemble each other). Parties that pool what each was
given are covered: one register is kept for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

from gridmonitoring.data_center.floors import Contribution, Floors, meets_floors
from gridmonitoring.errors import Withheld

Atom = int
"""Number of an atom, from 1."""
Entries = frozenset[int]
"""Log indexes of settlements."""
ContributionsOf = Callable[[Entries], Mapping[int, Contribution]]
"""Returns the contributions of settlements, by log index."""


class Part(NamedTuple):
    """Settlements that become an atom of their own."""

    parent: Atom | None
    """The atom that they were of; None where no release has had them."""
    members: Entries
    """The settlements."""


class ReleaseRegister(Protocol):
    """Remembers which settlements are in which atom and which are open; forgets nothing."""

    def touched(self, entries: Entries) -> Mapping[Atom, Entries]:
        """Return every atom that holds one of these settlements, with all its settlements."""
        ...

    def opened(self, entries: Entries) -> Entries:
        """Return those of these settlements that are open."""
        ...

    def split(self, parts: Iterable[Part]) -> None:
        """Make atoms of parts."""
        ...

    def open(self, entries: Entries) -> None:
        """Note that these settlements are open."""
        ...


def release(
    register: ReleaseRegister,
    cell: Mapping[int, Contribution],
    contributions: ContributionsOf,
    floors: Floors,
) -> None:
    """Record that the sums over a set of settlements leave; raises `Withheld`, and nothing is recorded then.

    1 the set meets the floors; 2 so does each part that it cuts an earlier atom into; 3 and what is new in
    it; 2 and 3 also without the settlements that are open.
    """
    # 1
    if not meets_floors(cell.values(), floors):
        raise Withheld("small")
    wanted = frozenset(cell)
    parts: list[Part] = []
    new = wanted
    # 2
    for atom, members in register.touched(wanted).items():
        new -= members
        inside = members & wanted
        if inside == members:
            continue
        known = contributions(members)
        _require(register, inside, known, floors)
        _require(register, members - inside, known, floors)
        parts.append(Part(atom, inside))
    # 3
    if new:
        _require(register, new, cell, floors)
        parts.append(Part(None, new))
    register.split(parts)


def disclose(
    register: ReleaseRegister, entries: Entries, contributions: ContributionsOf, floors: Floors
) -> Entries:
    """Record that rows of settlements leave in an export, and return those that may.

    The rows of an atom stay where the rest of it, not open, would be some but less than the floors.
    """
    allowed = entries
    for members in register.touched(entries).values():
        rest = members - entries - register.opened(members)
        if rest and not meets_floors((contributions(rest)[entry] for entry in rest), floors):
            allowed -= members - register.opened(members)
    register.open(allowed)
    return allowed


def _require(
    register: ReleaseRegister, members: Entries, known: Mapping[int, Contribution], floors: Floors
) -> None:
    closed = members - register.opened(members)
    for part in (members, closed):
        if part and not meets_floors((known[entry] for entry in part), floors):
            raise Withheld("differencing")


class ReleasesInMemory:
    """A register without a file."""

    def __init__(self) -> None:
        self._atom: dict[int, Atom] = {}
        self._members: dict[Atom, Entries] = {}
        self._open: set[int] = set()
        self._last = 0

    def touched(self, entries: Entries) -> Mapping[Atom, Entries]:
        """Return every atom that holds one of these settlements, with all its settlements."""
        atoms = {self._atom[entry] for entry in entries if entry in self._atom}
        return {atom: self._members[atom] for atom in sorted(atoms)}

    def opened(self, entries: Entries) -> Entries:
        """Return those of these settlements that are open."""
        return entries & self._open

    def split(self, parts: Iterable[Part]) -> None:
        """Make atoms of parts."""
        for part in parts:
            self._last += 1
            if part.parent is not None:
                self._members[part.parent] -= part.members
            self._members[self._last] = part.members
            self._atom.update(dict.fromkeys(part.members, self._last))

    def open(self, entries: Entries) -> None:
        """Note that these settlements are open."""
        self._open |= entries
