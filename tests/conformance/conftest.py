"""What the paper's sections are held against: four validators, and a home that has lived a little."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.home import Home, tariff_of
from tests.support.network import SmallNetwork, small_network

MONEY = 10**9
"""What the home pays at a time: 10 EUR, 40 kWh."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallNetwork]:
    """A network of four validators, which the tests of a file share."""
    network = small_network(tmp_path_factory.mktemp("network") / "data", 4, 1)
    yield network
    network.close()


@pytest.fixture
def home(small: SmallNetwork, request: pytest.FixtureRequest) -> Home:
    """A home of its own for each test, of which nothing is registered yet."""
    return Home(small, tariff_of(small), request.node.name)


@pytest.fixture
def living(home: Home) -> Home:
    """A home that has moved in."""
    home.move_in(MONEY)
    return home


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home that used up two purchases and was warned, cut, and reconnected; read only."""
    network = small_network(tmp_path_factory.mktemp("lived") / "data", 4, 1)
    home = Home(network, tariff_of(network))
    home.move_in(MONEY)
    use_up(home)
    home.buy(MONEY)
    home.meet()
    home.agent.accept_reconnection(home.now)
    home.meet()
    use_up(home)
    home.live(15, 0)
    return home


def use_up(home: Home) -> None:
    """Use power until there is none."""
    while home.agent.meter.account.credit:
        home.live(120, 3000)
