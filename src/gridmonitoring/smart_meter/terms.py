"""The terms that a meter runs under: agreement, script and its contract key, successive tariffs (IV-D, II-B).

The script is generated from the agreement as on the grid, so its hash is what form and parent block name.
The tariff in force at a time follows from the agreement's tariff by the same rule as on the grid.

Left out: where terms come from and their proofs (`command_check`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from gridmonitoring.contracts.agreement import Agreement, check_agreement
from gridmonitoring.contracts.script import ScriptMachine, generate_script, machine_for, script_hash
from gridmonitoring.energy_center.tariffs import TAX_WHOLE, Tariff, check_tariff
from gridmonitoring.errors import MeterError
from gridmonitoring.smart_meter.registers import NEVER, WATT_MINUTES


class TermsState(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="meter-terms/2"):
    """Agreement, tariffs and contract key, to be kept through a power cut."""

    agreement: Agreement
    """The agreement in force."""
    tariffs: tuple[Tariff, ...]
    """Its tariffs, in order of validity."""
    contract_key: Annotated[bytes, Meta(max_length=2048)]
    """HPKE key of the network that the script names and reports are sealed to."""


class Terms:
    """What a meter needs of an agreement, worked out once."""

    __slots__ = ("_state", "agreement", "contract_key", "machine", "script", "tariffs")

    def __init__(self, agreement: Agreement, tariffs: Sequence[Tariff], contract_key: bytes) -> None:
        """`tariffs` are the agreement's and all that are known to follow it; `contract_key` the one to name.

        Raises `ContractError`, `TariffError` or `MeterError`.
        """
        check_agreement(agreement)
        _check_succession(agreement.tariff, tariffs)
        script = generate_script(agreement, contract_key)
        self.agreement = agreement
        """The agreement in force."""
        self.tariffs = tuple(tariffs)
        """Its tariffs, in order of validity."""
        self.contract_key = contract_key
        """HPKE key of the network that the script names and reports are sealed to."""
        self.script = script_hash(script)
        """Hash of its script."""
        self.machine: ScriptMachine = machine_for(self.script, lambda: script)
        """The script, ready to run."""
        self._state = TermsState(agreement, self.tariffs, contract_key)

    def state(self) -> TermsState:
        """Return what is to be kept; the same object until it changes."""
        return self._state

    def learn(self, tariffs: Sequence[Tariff]) -> bool:
        """Take over a succession that goes on from the one known; return whether it does.

        Raises `TariffError` or `MeterError`.
        """
        if len(tariffs) <= len(self.tariffs) or tuple(tariffs[: len(self.tariffs)]) != self.tariffs:
            return False
        _check_succession(self.agreement.tariff, tariffs)
        self.tariffs = tuple(tariffs)
        self._state = TermsState(self.agreement, self.tariffs, self.contract_key)
        return True

    def tariff_at(self, time_ms: int) -> Tariff:
        """Return the tariff in force just before a time, as the grid settles by it."""
        found = self.tariffs[0]
        for following in self.tariffs[1:]:
            if following.valid_from_ms >= time_ms:
                break
            found = following
        return found

    def next_tariff_ms(self, time_ms: int) -> int:
        """Return when the next tariff after a time comes in force, or `NEVER`."""
        for following in self.tariffs[1:]:
            if following.valid_from_ms > time_ms:
                return following.valid_from_ms
        return NEVER

    def safe_watt_minutes(self, money: int, time_ms: int) -> int:
        """Return energy that costs less than an amount of money at any price from a time on.

        It counts on a Wh that is all but full and on a fraction of money carried, and without time charges
        and without another tariff, before both of which a meter settles. May be negative.
        """
        tariff = self.tariff_at(time_ms + 1)
        price = max(tariff.prices.values()) * (TAX_WHOLE + self.agreement.billing.tax_ppm)
        if not price:
            return NEVER
        return WATT_MINUTES * ((money - 1) * 1000 * TAX_WHOLE // price) - WATT_MINUTES


def _check_succession(first: bytes, tariffs: Sequence[Tariff]) -> None:
    if not tariffs or tariffs[0].digest != first:
        raise MeterError("the first tariff is not the one that the agreement names")
    for tariff in tariffs:
        check_tariff(tariff)
    times = [tariff.valid_from_ms for tariff in tariffs]
    if times != sorted(set(times)):
        raise MeterError("the tariffs are not in order of validity")
