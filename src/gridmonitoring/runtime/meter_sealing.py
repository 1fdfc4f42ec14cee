"""Which keys a meter seals under, and when it goes on under others (paper II-B, V-A).

A day begins with a key period. Where somebody may read less than the keys in use open, the next report
begins the day's next one; who has the former keys opens nothing of it. Whoever was let in for a while
counts, too: the owner's client wraps the keys of a period that has begun.

The channel of a period is wrapped to the contract key that the meter's terms name. When a command names
another, the period goes on under a channel that is wrapped to this one, and all that was not acknowledged
yet is sealed again under it. So once a meter has carried that command out, whoever has the key before opens
nothing that leaves it.

Left out: making and using keys (`meter_keys`), and keeping what is returned (`storage.outbox`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, decode, encode
from gridmonitoring.keys.detail_keys import day_of, first_period, next_period
from gridmonitoring.keys.signatures import SecretSeed
from gridmonitoring.runtime.meter_keys import (
    DAY_MS,
    ChannelKey,
    NewPeriod,
    PeriodKeys,
    new_period,
    renewed,
    reseal,
    seal_report,
)
from gridmonitoring.runtime.storage.details import WrappedKey
from gridmonitoring.runtime.storage.outbox import Outbox, Wire
from gridmonitoring.smart_meter.claims import Draft
from gridmonitoring.smart_meter.memory import Identity

Readers = Callable[[int], Mapping[bytes, int]]
"""Day -> HPKE keys of who may read its details, with the parts that each may read."""


class Parcels(Struct, frozen=True):
    """What a meter has to send and to keep."""

    wires: list[Wire]
    """Offers and sealed reports, in order."""
    wrapped: list[WrappedKey]
    """Keys of periods that began, for their readers."""
    anew: bool
    """Whether `wires` take the place of all that waited."""


class Sealing:
    """The keys that one meter is sealing under."""

    def __init__(
        self, identity: Identity, seed: SecretSeed, outbox: Outbox, stored: Mapping[str, bytes]
    ) -> None:
        """Go on with what is `stored` of the meter's memory; raises an `EncodingError`."""
        self._identity = identity
        self._seed = seed
        self._outbox = outbox
        self._period = decode(stored["keys"], PeriodKeys) if "keys" in stored else None
        earlier = decode(stored.get("channels", encode([])), tuple[ChannelKey, ...], PACKAGE_LIMIT)
        self._earlier = {one.channel: one.key for one in earlier}

    def prepare(
        self, drafts: Sequence[Draft], contract_key: bytes, readers: Readers, memory: dict[str, bytes]
    ) -> Parcels:
        """Seal drafts, and what waits where the contract key changed; `memory` gets what is to be kept."""
        made = Parcels([], [], self._period is not None and self._period.contract_key != contract_key)
        if made.anew:
            self._seal_anew(contract_key, made.wires, memory)
        self._note_readers(readers, memory)
        for draft in drafts:
            day = draft.time // DAY_MS
            number, period = self._due(day, readers), self._period
            if period is None or period.period != number:
                new = new_period(self._identity, contract_key, number, readers(day))
                period = self._begin(new, made.wires, memory)
                made.wrapped.extend(new.wrapped)
            made.wires.append(seal_report(self._identity, self._seed, draft, period))
        return made

    def _note_readers(self, readers: Readers, memory: dict[str, bytes]) -> None:
        """Note who may have the keys in use by now."""
        period = self._period
        if period is not None:
            self._period = period.shared_with(readers(day_of(period.period)))
            if self._period != period:
                memory["keys"] = encode(self._period)

    def _due(self, day: int, readers: Readers) -> int:
        """Return the number of the key period that the next report, of a day, belongs to."""
        period = self._period
        if period is None or day_of(period.period) != day:
            return first_period(day)
        return next_period(period.period) if period.known_to_others(readers(day)) else period.period

    def _begin(self, new: NewPeriod, wires: list[Wire], memory: dict[str, bytes]) -> PeriodKeys:
        """Go on under another channel. Those of earlier ones are kept while reports under them wait."""
        waiting = self._outbox.channels(self._identity.mid) | {wire.channel for wire in wires}
        earlier = {channel: key for channel, key in self._earlier.items() if channel in waiting}
        if self._period is not None:
            earlier[self._period.channel] = self._period.channel_key
        if earlier != self._earlier:
            self._earlier = earlier
            memory["channels"] = encode([ChannelKey(*one) for one in earlier.items()])
        self._period = new.keys
        memory["keys"] = encode(new.keys)
        wires.append(Wire(new.keys.channel, 0, 0, new.offer))
        return new.keys

    def _seal_anew(self, contract_key: bytes, wires: list[Wire], memory: dict[str, bytes]) -> None:
        """Have the period go on under the new contract key, and with it everything that waits."""
        assert self._period is not None
        mid = self._identity.mid
        waiting = [pending.wire for pending in self._outbox.pending(mid, self._outbox.count(mid))]
        period = self._begin(renewed(self._identity, contract_key, self._period), wires, memory)
        reports = [wire for wire in waiting if wire.sequence]
        wires += [reseal(self._identity, wire, self._earlier[wire.channel], period) for wire in reports]
