"""A home that was studied: some days behind it, and a researcher who is let in to three of them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from gridmonitoring.contracts.consent import ALL_DATA, DAY_MS, Data
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.runtime.local_grid import LocalGrid
from gridmonitoring.runtime.parties import Signer
from gridmonitoring.runtime.reading import Wanted
from gridmonitoring.runtime.sharing import Offer, grant
from tests.support.acts import new_researcher
from tests.support.home import Home, tariff_of
from tests.support.network import SmallNetwork

MONEY = 10**9
"""What the home pays: 10 EUR, 40 kWh."""
PURPOSE = "study of cooling"
HOUSE = "17 Sparrow Lane"


class Studied:
    """A home with some days behind it, and a researcher who is let in to one of them."""

    def __init__(self, small: SmallNetwork) -> None:
        small.close()
        self.grid = small.network = LocalGrid(small.directory, small.clock)
        self.home = Home(small, tariff_of(small), HOUSE)
        self.home.move_in(MONEY)
        self.first = self.today
        self.researcher = self.join()
        self.live_a_day()
        self.live_a_day()
        self.offer = Offer(
            *(self.home.mid, int(Role.RESEARCHER), self.researcher.id, Data.PROFILE),
            *(self.first + 1, self.first + 3, PURPOSE, self.home.now + 30 * DAY_MS),
        )
        self.granted = grant(self.grid, self.home.consumer, self.offer)
        self.home.meet()
        self.live_a_day()
        self.live_a_day()

    @property
    def today(self) -> int:
        """The day, since 1970."""
        return self.home.now // DAY_MS

    def join(self) -> Signer:
        """Register another researcher."""
        reader, joins = new_researcher(self.grid, self.home.now)
        self.grid.require(joins)
        return reader

    def live_a_day(self) -> None:
        """Live until a quarter of an hour past the next midnight."""
        end = (self.today + 1) * DAY_MS + 900_000
        while self.home.now < end:
            self.home.live(15, 300)

    def wanted(self, **changes: Any) -> Wanted:
        """Return what the researcher may read."""
        first = self.first + 1
        return replace(
            Wanted(self.home.mid, Data.PROFILE, first, first + 2, PURPOSE, self.granted.number), **changes
        )

    def own(self, **changes: Any) -> Wanted:
        """Return everything that the owner may read."""
        return replace(Wanted(self.home.mid, ALL_DATA, self.first, self.today, "my own", 0), **changes)
