"""A household's own book, from its own key: what each appliance used and cost (paper I, II-B, IV-B, VII).

The ledger has commitments and the detail store ciphertexts. The consumer unwraps the period keys that the
meter wrapped for the consumer, opens the details, holds each against its claim on the ledger, and prices it
by the published tariff. Nothing here comes from the meter or the recording.

Energies are those of the channels, in whole Wh; what is not sub-metered is the rest. In minutes where the
recorded sub-meters show more than the total the rest is 0, and each counter keeps its own fraction of a Wh,
so the channels add up to the register within a few Wh (`MinuteSeries` says by how much).

Left out: a screen for it; the charts are made of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from gridmonitoring.encoding.bounds import IMPORT_TOTAL
from gridmonitoring.encoding.hashes import sha256
from gridmonitoring.energy_center.calendar import billing_month
from gridmonitoring.energy_center.tariffs import TAX_WHOLE, Tariff, TariffKind, price_at
from gridmonitoring.errors import CannotOpen, Tampered
from gridmonitoring.keys.detail_keys import DetailKeys, KeyPlace, committed, open_keys
from gridmonitoring.runtime.entropy import KeyPair
from gridmonitoring.runtime.meter_keys import DAY_MS
from gridmonitoring.runtime.storage.details import DetailStore
from gridmonitoring.smart_meter.channels import Channel, Detail, open_detail
from gridmonitoring.user_layer.demo.logbook import Claim

Keys = Mapping[tuple[int, int], DetailKeys]
"""(meter epoch, period) -> keys of the day."""


class Entry(Struct, frozen=True):
    """One opened detail."""

    claim: Claim
    """The claim on the ledger that it belongs to."""
    detail: Detail
    """What it says."""
    register: int
    """Energy that the total register counted since the last entry, Wh."""
    price: int
    """What a kWh of it cost, without tax, money; for an interval across slabs their mean, rounded."""
    cost: int
    """What `register` cost, without tax, thousandths of a money unit."""


class ConsumerBook(Struct, frozen=True):
    """Everything a household reads of itself."""

    entries: Sequence[Entry]
    """Opened details, in order."""
    energy: Mapping[Channel, int]
    """Channel -> Wh."""
    cost: Mapping[Channel, int]
    """Channel -> money, tax included."""
    energy_cost: int
    """What the register's energy cost by the tariff, tax included, money."""
    fixed_cost: int
    """What was charged besides: standing charge and subscription, tax included, money."""


def unwrap(store: DetailStore, chain: bytes, mid: bytes, keys: KeyPair) -> Keys:
    """Return the period keys that were wrapped for a reader; raises `CannotOpen`."""
    reader = keys.hpke_key
    return {
        (epoch, period): open_keys(KeyPlace(chain, mid, epoch, period), keys.hpke_secret, reader, box)
        for epoch, period, box in store.wrapped(mid, reader)
    }


def open_book(
    store: DetailStore,
    chain: bytes,
    mid: bytes,
    keys: KeyPair,
    claims: Iterable[Claim],
    terms: tuple[Tariff, int],
    charged: int,
) -> ConsumerBook:
    """Open, check and price every detail of a household.

    `terms` are tariff and tax (parts per million), `charged` what the ledger charged in all, money. Raises
    `CannotOpen` where a key is missing, `Tampered` where a detail is not what its claim says.
    """
    tariff, tax = terms
    entries = _entries(store, chain, mid, unwrap(store, chain, mid, keys), claims, tariff)
    energy = dict.fromkeys(Channel, 0)
    cost = dict.fromkeys(Channel, 0)
    for entry in entries:
        for channel, used in entry.detail.appliances.channels:
            energy[channel] += used
            cost[channel] += used * entry.price
    whole = sum(entry.cost for entry in entries)
    energy_cost = _taxed(whole, tax)
    taxed = {channel: _taxed(money, tax) for channel, money in cost.items()}
    return ConsumerBook(entries, energy, taxed, energy_cost, charged - energy_cost)


def _entries(
    store: DetailStore, chain: bytes, mid: bytes, keys: Keys, claims: Iterable[Claim], tariff: Tariff
) -> list[Entry]:
    by_index = {claim.index: claim for claim in claims}
    entries: list[Entry] = []
    pricing = _Pricing(tariff)
    before = 0
    for index, _, ciphertext in store.details_of(mid):
        claim = by_index[index]
        detail = _opened(chain, mid, keys, claim, ciphertext)
        now = dict(detail.load.registers)[IMPORT_TOTAL]
        used, before = now - before, now
        cost = pricing.cost(used, claim.time)
        price = cost // used if used else price_at(tariff, claim.time - 1)
        entries.append(Entry(claim, detail, used, price, cost))
    return entries


def _opened(chain: bytes, mid: bytes, keys: Keys, claim: Claim, ciphertext: bytes) -> Detail:
    """Return a detail held against its claim: 1 the ciphertext, 2 the key, 3 what it opens to."""
    # 1
    if sha256(ciphertext) != claim.detail:
        raise Tampered("detail", str(claim.index), "the stored detail is not the one that the claim names")
    # 2
    day = claim.time // DAY_MS
    of_day = committed(keys, mid, claim.epoch, day)
    if not of_day:
        raise CannotOpen(f"no key of day {day} was wrapped for this reader")
    key = of_day.get(claim.period_key)
    if key is None:
        raise Tampered("detail", str(claim.index), "the period key is not the one that the claim names")
    # 3
    return open_detail(ciphertext, key, chain, mid, claim.epoch, claim.sequence)


class _Pricing:
    """The published tariff, applied interval by interval; a slab tariff counts the month's energy."""

    def __init__(self, tariff: Tariff) -> None:
        self._tariff = tariff
        self._month: int | None = None
        self._used = 0

    def cost(self, energy: int, time: int) -> int:
        """Return what an interval's energy costs, thousandths of a money unit."""
        tariff = self._tariff
        if tariff.kind != TariffKind.SLAB:
            return energy * price_at(tariff, time - 1)
        month = billing_month(tariff.calendar, time - 1)
        if month != self._month:
            self._month, self._used = month, 0
        cost, left = 0, energy
        for limit, price in tariff.slabs:
            room = left if limit is None else max(limit - self._used, 0)
            taken = min(left, room)
            cost, left, self._used = cost + taken * price, left - taken, self._used + taken
        return cost


def _taxed(thousandths: int, tax: int) -> int:
    return thousandths * (TAX_WHOLE + tax) // (TAX_WHOLE * 1000)
