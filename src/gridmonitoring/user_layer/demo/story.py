"""What a run of the demonstration leaves to tell: events, credit over time, kept evidence."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from gridmonitoring.contracts.messages import FIELDS, render
from gridmonitoring.runtime.texts import load_texts
from gridmonitoring.user_layer.demo.town import House, Town


class Told(Struct, frozen=True):
    """One thing that happened."""

    time: int
    """When, ms."""
    house: str
    """Where."""
    text: str
    """What, in a sentence."""


class Sample(NamedTuple):
    """One look at a display."""

    time: int
    """When, ms."""
    balance: int
    """Credit less debt, money."""
    dark: bool
    """Whether the relay is open."""


class Story:
    """Gathers while the demonstration runs."""

    def __init__(self) -> None:
        self.events: list[Told] = []
        """What happened, in order."""
        self.evidence: dict[str, bytes] = {}
        """Bundles that could be made at one moment only, by kind."""
        self.places: dict[str, int] = {}
        """Log index that a bundle of a kind is to be made of at the end."""
        self.samples: dict[str, list[Sample]] = {}
        """House -> what its display showed, in order."""

    def tell(self, town: Town, house: House, text: str) -> None:
        """Note what happened."""
        self.events.append(Told(town.now, house.name, text))

    def display(self, town: Town, house: House) -> None:
        """Note what the meter's display says, in the language of its agreement."""
        message = house.agent.display().message
        if message is not None:
            texts = load_texts(house.agreement.language)
            fields = {**dict.fromkeys(FIELDS[message], "-"), "mid": house.mid.hex()[:8]}
            self.tell(town, house, f'display: "{render(message, fields, texts)}"')

    def keep(self, kind: str, bundle: bytes) -> None:
        """Keep a bundle of evidence."""
        self.evidence[kind] = bundle

    def sample(self, houses: list[House]) -> None:
        """Note what every display shows of credit and power."""
        for house in houses:
            shown = house.agent.display()
            sample = Sample(shown.time, shown.credit - shown.debt, house.dark)
            self.samples.setdefault(house.name, []).append(sample)
