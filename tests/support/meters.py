"""A smart meter alone on the bench: the pure machine, with commands as a grid would order them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from gridmonitoring.blockchain.state_rows import CommandKind, CommandRow
from gridmonitoring.contracts.agreement import Agreement, encode_agreement
from gridmonitoring.contracts.meter_rule import Event
from gridmonitoring.energy_center.credit import BillingTerms
from gridmonitoring.energy_center.tariffs import Tariff
from gridmonitoring.smart_meter.claims import Draft
from gridmonitoring.smart_meter.memory import Identity
from gridmonitoring.smart_meter.meter import new_meter
from tests.support.agreements import HOME
from tests.support.billing import CENT, DAY, HOUR, MINUTE, flat

IDENTITY = Identity(b"chain of the tests is 32 bytes..", b"contract key", HOME.mid, 1)
NOON = 1_699_916_400_000 + 12 * HOUR
"""2023-11-14, noon at UTC+1."""
KILOWATT = flat(60 * CENT)
"""A tariff at which 1,000 W cost a cent a minute."""
CHEAP = BillingTerms(0, 10 * CENT)
"""Warns at ten cents."""


class Bench:
    """One meter, its commands numbered and its clock kept."""

    def __init__(
        self,
        tariff: Tariff = KILOWATT,
        terms: BillingTerms = CHEAP,
        *,
        start: int = NOON,
        following: Sequence[Tariff] = (),
        **agreed: object,
    ) -> None:
        self.agreement: Agreement = replace(HOME, tariff=tariff.digest, billing=terms, **agreed)
        self.tariffs = (tariff, *following)
        self.meter = new_meter(IDENTITY, self.agreement, self.tariffs)
        self.now = start
        self.lots = 0
        self.drafts: list[Draft] = []

    @property
    def events(self) -> list[Event]:
        """Events reported so far."""
        return [draft.event for draft in self.drafts]

    def keep(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Keep what was reported."""
        self.drafts += drafts
        return list(drafts)

    def in_service(self, credit: int = 0) -> Bench:
        """Install the meter, give it access and, where there is any, credit."""
        self.meter.install(self.now - 1)
        self.order(CommandKind.RECONNECT)
        if credit:
            self.credit(credit)
        return self

    def row(self, kind: CommandKind, **said: object) -> CommandRow:
        """Return a command that is valid for a day."""
        row = CommandRow(kind, 1, bytes(32), self.now, self.now + DAY, 0, 0, b"")
        return replace(row, **said)

    def order(self, kind: CommandKind, *, tariffs: Sequence[Tariff] = (), **said: object) -> list[Draft]:
        """Have the next command carried out."""
        number = self.meter.contract.carried_out + 1
        return self.keep(self.meter.command(number, self.row(kind, **said), self.now, tariffs))

    def credit(self, amount: int) -> list[Draft]:
        """Have a lot added."""
        self.lots += 1
        return self.order(CommandKind.CREDIT, height=self.lots, amount=amount)

    def script(self, agreement: Agreement, *tariffs: Tariff) -> list[Draft]:
        """Have other terms put in force."""
        return self.order(CommandKind.SCRIPT, document=encode_agreement(agreement), tariffs=tariffs)

    def run(self, minutes: int, watts: int = 1_000) -> list[Draft]:
        """Measure minutes from where the clock stands."""
        found: list[Draft] = []
        for _ in range(minutes):
            found += self.meter.minute(self.now, watts)
            self.now += MINUTE
        return self.keep(found)
