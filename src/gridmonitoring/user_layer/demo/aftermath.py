"""What is made of a run: the household's books, evidence, charts, a report, and full verification.

Verification starts from the genesis document and the files alone, after the network that wrote them is
closed. Left out: showing it (`report`, and the command).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from gridmonitoring.blockchain.evidence import verify as verify_evidence
from gridmonitoring.errors import CannotOpen, EvidenceError
from gridmonitoring.keys.detail_keys import KeyPlace, open_keys
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.signature_checker import VerifierPool
from gridmonitoring.runtime.storage.details import DetailStore
from gridmonitoring.runtime.verification import Progress, Verification, verify_directory
from gridmonitoring.user_layer.demo.bundles import make_bundles, write_bundles
from gridmonitoring.user_layer.demo.charts import cost_chart, energy_chart, load_chart
from gridmonitoring.user_layer.demo.consumer_book import ConsumerBook, open_book, unwrap
from gridmonitoring.user_layer.demo.figures import HouseFigures, house_figures
from gridmonitoring.user_layer.demo.logbook import Logbook, read_log
from gridmonitoring.user_layer.demo.scenario import Scenario
from gridmonitoring.user_layer.demo.story import Story, Told
from gridmonitoring.user_layer.demo.timelines import CreditLine, credit_chart, growth_chart
from gridmonitoring.user_layer.demo.town import House, Town

LOAD_DAYS = 1
"""Days of the load chart."""
SEVERAL = "Several houses are different months of this one house."
"""Said wherever the readings are shown."""


class Steps(Protocol):
    """Is told how far a run is."""

    def stage(self, name: str, total: int) -> None:
        """A stage of so many steps begins."""
        ...

    def done(self, steps: int) -> None:
        """So many of its steps are done."""
        ...


class Outcome(Struct, frozen=True):
    """What a run came to."""

    houses: Sequence[HouseFigures]
    """Each house at the end."""
    incidents: Mapping[str, str]
    """Incident -> what became of it."""
    events: Sequence[Told]
    """What happened, in order."""
    books: Mapping[str, ConsumerBook]
    """House -> what it reads of itself."""
    log: Logbook
    """The log."""
    sealed: bool
    """Whether no other household's key opened a household's details."""
    evidence: Mapping[str, Path]
    """Kind -> bundle."""
    unproven: Mapping[str, str]
    """Kind -> why its bundle proves nothing; empty where all do."""
    charts: Mapping[str, Path]
    """Name -> chart."""
    verification: Verification
    """Every file of every node, replayed from genesis."""
    source: str
    """Where the readings come from."""

    @property
    def verified(self) -> bool:
        """Whether everything holds: files, evidence, and every meter equal to the ledger."""
        equal = all(house.equal for house in self.houses)
        return self.verification.verified and not self.unproven and equal and self.sealed


def conclude(scenario: Scenario, source: str, steps: Steps) -> Outcome:
    """Read the books, make evidence and charts, close the town, verify everything."""
    town, story = scenario.town, scenario.story
    directory = town.grid.directory
    log = read_log(town.grid.application.truth)
    houses = [house_figures(town, house, log) for house in town.houses]
    books = _books(town, houses, log, steps)
    sealed = _sealed(town)
    evidence = write_bundles(directory, make_bundles(town, story, log, books))
    charts = _write_charts(town, story, books, log, f"{source}. {SEVERAL}")
    town.close()
    verification = _verify(directory, log, steps)
    return Outcome(
        houses,
        scenario.outcomes,
        story.events,
        books,
        log,
        sealed,
        evidence,
        _unproven(evidence),
        charts,
        verification,
        source,
    )


def _store(town: Town) -> DetailStore:
    return town.grid.details[town.grid.engine.first().name]


def _books(
    town: Town, figures: Sequence[HouseFigures], log: Logbook, steps: Steps
) -> dict[str, ConsumerBook]:
    """Have each household open its details with its own key."""
    steps.stage("households open their books", len(figures))
    books = {}
    for place, (house, figure) in enumerate(zip(town.houses, figures, strict=True), 1):
        terms = house.tariff, house.agreement.billing.tax_ppm
        claims = log.claims[house.mid]
        books[house.name] = open_book(
            *(_store(town), town.grid.chain_id, house.mid, house.consumer.keys, claims, terms),
            figure.charged,
        )
        steps.done(place)
    return books


def _sealed(town: Town) -> bool:
    """Tell whether every household's keys stay shut to its neighbour's."""
    houses = town.houses
    return all(_shut(town, house, houses[(place + 1) % len(houses)]) for place, house in enumerate(houses))


def _shut(town: Town, house: House, neighbour: House) -> bool:
    """Tell whether a neighbour was given no key to a household, and cannot use the household's own."""
    if neighbour is house:
        return True
    store, chain, stranger = _store(town), town.grid.chain_id, neighbour.consumer.keys
    if unwrap(store, chain, house.mid, stranger):
        return False
    reader = house.consumer.keys.hpke_key
    for epoch, period, box in store.wrapped(house.mid, reader):
        place = KeyPlace(chain, house.mid, epoch, period)
        with suppress(CannotOpen):
            open_keys(place, stranger.hpke_secret, reader, box)
            return False
    return True


def _write_charts(
    town: Town, story: Story, books: Mapping[str, ConsumerBook], log: Logbook, source: str
) -> dict[str, Path]:
    folder = town.grid.directory.root / "charts"
    folder.mkdir()
    reader = next(iter(books))
    credit = {
        house.name: CreditLine(
            story.samples[house.name],
            house.agreement.billing.threshold,
            [told for told in story.events if told.house == house.name],
        )
        for house in town.houses
    }
    pictures = {
        "energy": energy_chart(books, source),
        "cost": cost_chart(books, source),
        "load": load_chart(reader, books[reader], LOAD_DAYS, source),
        "credit": credit_chart(credit, source),
        "growth": growth_chart(log.growth, source),
    }
    files = {name: folder / f"{name}.svg" for name in pictures}
    for name, file in files.items():
        file.write_text(pictures[name], encoding="utf-8")
    return files


def _verify(directory: Directory, log: Logbook, steps: Steps) -> Verification:
    steps.stage("everything is verified from genesis", len(log.growth))

    def tell(progress: Progress) -> None:
        steps.done(progress.blocks)

    pool = VerifierPool()
    try:
        return verify_directory(directory, pool, tell)
    finally:
        pool.close()


def _unproven(evidence: Mapping[str, Path]) -> dict[str, str]:
    """Return why bundles on disk prove nothing to one who has the genesis document beside them."""
    found = {}
    for kind, file in evidence.items():
        try:
            verify_evidence(file.read_bytes(), file.with_name("genesis.cbor").read_bytes())
        except EvidenceError as error:
            found[kind] = str(error)
    return found
