"""A researcher is let in, reads, and is kept out again (paper II-B, IV-C; Table 1: information sharing).

Everything is as from the shell: the owner's client grants and revokes, the researcher's asks, logs on, and
believes nothing unchecked. What the researcher got is held against what the ledger says there is.

Left out: those who never had a grant, which the attacks on privacy try.
"""

from __future__ import annotations

from gridmonitoring.contracts.consent import DAY_MS, Data
from gridmonitoring.contracts.messages import Message
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.errors import AccessDenied
from gridmonitoring.runtime.access_log import read_access_log
from gridmonitoring.runtime.counter import register_consumer
from gridmonitoring.runtime.grid_port import load_signer
from gridmonitoring.runtime.parties import Signer
from gridmonitoring.runtime.reading import Reading, Wanted, read
from gridmonitoring.runtime.sharing import Offer, grant, revoke
from gridmonitoring.user_layer.demo.acts import HOUR, Course
from gridmonitoring.user_layer.demo.story import Story
from gridmonitoring.user_layer.demo.town import House, Town

NAME, PURPOSE = "erin", "study of cooling"
"""The researcher, and what the data are for."""
EXPIRY_DAYS = 30
"""How long the grant would hold, days."""


def researcher_reads(town: Town, house: House, story: Story) -> Course:
    """A researcher is granted the load profile of two days, reads it twice, is revoked, and is refused."""
    yield 0
    grid = town.grid
    researcher = _join(town)
    today = town.now // DAY_MS
    scope = int(Role.RESEARCHER), researcher.id, Data.PROFILE, today - 1, today, PURPOSE
    offer = Offer(house.mid, *scope, town.now + EXPIRY_DAYS * DAY_MS)
    number = grant(grid, house.consumer, offer).number
    story.tell(town, house, f"lets researcher {NAME} read the load profile of two days, for a {PURPOSE}")
    told = _told(town, house, story, Message.ACCESS_GRANTED)
    wanted = Wanted(house.mid, offer.data, offer.first, offer.last, PURPOSE, number)
    exact, intervals = True, 0
    for _ in range(2):
        found = read(grid, researcher, wanted)
        exact = exact and _exact(town, house, found, wanted)
        intervals = len(found.details)
        story.tell(town, house, f"{NAME} reads {intervals} quarters of an hour (request {found.number})")
        told = _told(town, house, story, Message.DATA_READ) and told
        yield 2 * HOUR
    revoke(grid, house.consumer, house.mid, number)
    told = _told(town, house, story, Message.ACCESS_ENDED) and told
    yield HOUR
    reason = _refused(town, researcher, wanted)
    story.tell(town, house, f"{NAME} asks again: {reason or 'and is answered'}")
    told = _told(town, house, story, Message.DATA_REFUSED) and told
    allowed, refused = read_access_log(grid, house.mid).of_grant(number)
    if not exact or reason != "ended" or not told or (len(allowed), len(refused)) != (2, 1):
        return "a researcher read what was not granted, or the owner did not hear of it"
    return f"read the {intervals} intervals granted and no other; revoked, then refused; owner told each time"


def _join(town: Town) -> Signer:
    """Register the researcher."""
    grid = town.grid
    keys = register_consumer(grid, NAME, grid.directory.keys, Role.RESEARCHER).key_file
    return load_signer(grid, keys)


def _exact(town: Town, house: House, found: Reading, wanted: Wanted) -> bool:
    """Tell whether an answer holds every detail there is of the days granted, and nothing beside."""
    there = {
        index
        for index, time, _ in town.grid.details[town.grid.engine.first().name].details_of(house.mid)
        if wanted.first <= time // DAY_MS <= wanted.last
    }
    got = {detail.item.index for detail in found.details}
    beside = found.settlements or any(detail.appliances is not None for detail in found.details)
    profiles = all(detail.load is not None for detail in found.details)
    return got == there and profiles and not beside and not found.shut


def _told(town: Town, house: House, story: Story, message: Message) -> bool:
    """Have the meter hear what there is; tell whether its display says so."""
    town.exchange([house])
    story.display(town, house)
    return message in [shown for shown, _ in house.agent.display().messages]


def _refused(town: Town, researcher: Signer, wanted: Wanted) -> str:
    """Ask, and return why nothing is answered; empty where something is."""
    try:
        read(town.grid, researcher, wanted)
    except AccessDenied as denied:
        return denied.reason
    return ""
