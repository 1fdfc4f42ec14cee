"""Every structure of the pure folders is frozen, and what is encoded is an array without surplus fields."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import msgspec
import pytest

import gridmonitoring

PURE = (
    "blockchain",
    "contracts",
    "data_center",
    "encoding",
    "energy_center",
    "keys",
    "processing",
    "registration",
    "smart_meter",
)

VIEWS = {
    "BillTerms",
    "BillAgreement",
    "BillAgreementRow",
    "BillCalendar",
    "BillTariff",
    "BillStatement",
    "BillAccount",
}
"""What a bill reads of a longer row; the rows are held to their one form elsewhere."""


def structures() -> Iterator[type[msgspec.Struct]]:
    for module in pkgutil.walk_packages(gridmonitoring.__path__, "gridmonitoring."):
        if module.name.split(".")[1] in PURE:
            for thing in vars(importlib.import_module(module.name)).values():
                if (
                    isinstance(thing, type)
                    and issubclass(thing, msgspec.Struct)
                    and thing.__module__ == module.name
                ):
                    yield thing


STRUCTURES = list(structures())


def test_there_are_structures() -> None:
    assert len(STRUCTURES) > 100


@pytest.mark.parametrize("kind", STRUCTURES, ids=lambda kind: kind.__name__)
def test_structures_are_frozen_and_take_no_surplus_fields(kind: type[msgspec.Struct]) -> None:
    options = kind.__struct_config__
    assert options.frozen
    if options.array_like:
        assert options.forbid_unknown_fields != (kind.__name__ in VIEWS)
    assert options.array_like or not options.tag
