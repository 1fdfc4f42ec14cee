"""What happens at the meter besides energy: tampering, voltage, the consumer's hand (paper IV-B, V-A).

state_tamper is a terminal cover, a meter cover, a magnet, or wrong passwords at the port. A sensor that goes
on showing what was reported is no news; a clear does not close a cover, so what is still open after it is a
new tamper. A power failure is logged and is no tamper.

Left out: how a sensor works.
"""

from __future__ import annotations

from gridmonitoring.contracts.meter_rule import TAMPER_BITS, Event, Status
from gridmonitoring.smart_meter.claims import Draft
from gridmonitoring.smart_meter.contract import MeterContract

WRONG_PASSWORDS = 3
"""Wrong passwords that are a tamper."""
SENSORS = TAMPER_BITS & ~Status.WRONG_PASSWORD
"""Tamper inputs that are open or closed; wrong passwords come and go."""


def happen(contract: MeterContract, event: Event, time: int) -> list[Draft]:
    """Report an event if the contract expects it; else it is without effect."""
    return contract.catch_up(time) + contract.report_expected(event, time)


def sense(contract: MeterContract, inputs: Status, time: int) -> list[Draft]:
    """Take what the sensors show now; what is new is a tamper."""
    inputs &= SENSORS
    new = inputs & ~contract.lasting
    contract.lasting = (contract.lasting & ~SENSORS) | inputs
    return happen(contract, Event.TAMPER, time) if new else []


def wrong_password(contract: MeterContract, time: int) -> list[Draft]:
    """Count a wrong password; several are a tamper."""
    contract.passwords += 1
    if contract.passwords < WRONG_PASSWORDS:
        return []
    contract.passwords = 0
    contract.lasting |= Status.WRONG_PASSWORD
    return happen(contract, Event.TAMPER, time)


def voltage(contract: MeterContract, present: bool, time: int) -> list[Draft]:
    """Log that the voltage is gone, or back."""
    contract.passing |= Status.POWER_FAILURE
    return happen(contract, Event.POWER_RESTORED if present else Event.POWER_FAILURE, time)


def after(contract: MeterContract, drafts: list[Draft], time: int) -> list[Draft]:
    """Return the drafts of a command, and a new tamper where it cleared one that goes on.

    What the sensors showed before the meter came into service is told then.
    """
    last = drafts[-1].event if drafts else None
    if last is Event.TAMPER_CLEARED:
        contract.passwords = 0
        contract.lasting &= ~Status.WRONG_PASSWORD
    if last in (Event.TAMPER_CLEARED, Event.INSTALLATION) and contract.lasting & TAMPER_BITS:
        return drafts + contract.report_expected(Event.TAMPER, time)
    return drafts
