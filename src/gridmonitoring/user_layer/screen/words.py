"""How a meter's display says things: language of the agreement, currency of the network (paper V-A).

Left out: languages that there are messages in but no labels; the tests allow none.
"""

from __future__ import annotations

from gridmonitoring.runtime.grid_port import Grid
from gridmonitoring.runtime.meter_agent import MeterAgent
from gridmonitoring.runtime.texts import load_texts
from gridmonitoring.user_layer.screen.content import Wording
from gridmonitoring.user_layer.screen.labels import LABELS


def wording(agent: MeterAgent, grid: Grid) -> Wording:
    """Return how things are said at a meter; raises `UserError` for a language without texts."""
    contract = agent.meter.contract
    texts = load_texts(contract.terms.agreement.language)
    genesis = grid.genesis
    return Wording(
        contract.identity.mid, texts, LABELS[texts.language], genesis.currency, genesis.minor_digits
    )
