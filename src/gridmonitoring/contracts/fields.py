"""What a script's guards read, gathered the same way on the grid and on the meter (paper V-A).

Left out: `never_cut` and `no_cut_hours`, which the contract generator writes out as conditions.
"""

from __future__ import annotations

from gridmonitoring.contracts.agreement import Agreement, agreement_fields
from gridmonitoring.contracts.meter_rule import Relay, Status
from gridmonitoring.energy_center.calendar import day_type, local_time
from gridmonitoring.energy_center.tariffs import Tariff

COVERS = Status.TERMINAL_COVER | Status.METER_COVER
"""Status bits of an open cover."""


def contract_fields(
    agreement: Agreement,
    tariff: Tariff,
    *,
    credit: int,
    debt: int,
    time: int,
    relay: int,
    status: int,
    power: int,
    cut_off: bool,
    own_limit: int,
) -> dict[str, int]:
    """Return the fields of `contracts.guards.NAMES` at an event.

    `credit` is the money left in all lots and `debt` what is owed, millionths of the minor unit;
    `relay` the relay before the event; `power` in W (0 on the grid, which does not sense it);
    `own_limit` the consumer's power limit in W, 0 for none.
    """
    fields = dict(agreement_fields(agreement))
    if own_limit and (own_limit < fields["power_limit"] or not fields["power_limit"]):
        fields["power_limit"] = own_limit
    fields.update(
        credit=credit,
        debt=debt,
        power=power,
        relay_connected=int(relay == Relay.CONNECTED),
        cover_open=int(bool(status & COVERS)),
        magnet=int(bool(status & Status.MAGNET)),
        minute_of_day=local_time(tariff.calendar, time).minute,
        day_type=day_type(tariff.calendar, time),
        cut_off=int(cut_off),
    )
    return fields
