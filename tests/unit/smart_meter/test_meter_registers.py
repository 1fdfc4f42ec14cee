"""Registers: nothing is rounded away, and the rates always add up."""

from __future__ import annotations

from random import Random

from gridmonitoring.encoding.bounds import EXPORT_TOTAL, IMPORT_TOTAL, import_rate
from gridmonitoring.energy_center.tariffs import active_rate
from gridmonitoring.smart_meter.registers import NEVER, Registers, RegisterState
from tests.support.billing import DAY, HOUR, MINUTE, flat, ms, time_of_use


def test_sixty_watt_minutes_are_a_watt_hour_and_the_rest_waits() -> None:
    registers = Registers(RegisterState())
    registers.switch(flat(), 0)
    registers.imported(59)
    assert registers.reading() == ((IMPORT_TOTAL, 0), (EXPORT_TOTAL, 0))
    registers.imported(62)
    assert registers.reading() == ((IMPORT_TOTAL, 2), (EXPORT_TOTAL, 0))
    assert registers.state() == RegisterState(2, 1)


def test_export_has_a_register_of_its_own() -> None:
    registers = Registers(RegisterState())
    registers.give(125)
    assert registers.reading() == ((IMPORT_TOTAL, 0), (EXPORT_TOTAL, 2))
    assert registers.state() == RegisterState(0, 0, (), 2, 5)


def test_a_year_of_minutes_is_counted_to_the_watt_minute() -> None:
    tariff, random = time_of_use(), Random(7)
    registers = Registers(RegisterState())
    until = exact = day = night = 0
    time = start = ms("2007-03-01T00:00:00")
    while time < start + 20 * DAY:
        if time >= until:
            until = registers.switch(tariff, time)
        energy = random.choice((0, 7, 59, 60, 333, 2_500))
        registers.imported(energy)
        exact += energy
        time += MINUTE
        (_, total), (_, day), (_, night), _ = registers.reading()
        assert total == day + night == exact // 60
    assert min(day, night) > 10_000


def test_each_watt_hour_is_in_the_register_of_the_rate_that_is_active() -> None:
    tariff = time_of_use()
    registers = Registers(RegisterState())
    start = ms("2007-03-01T12:00:00")  # a Thursday; 13 o'clock on the wall
    until = registers.switch(tariff, start)
    assert until == start + 9 * HOUR
    registers.imported(600)
    registers.switch(tariff, until)
    registers.imported(1_200)
    assert [active_rate(tariff, start), active_rate(tariff, until)] == [1, 2]
    assert registers.reading()[1:3] == ((import_rate(1), 10), (import_rate(2), 20))


def test_registers_of_an_older_tariff_stay_where_they_are() -> None:
    registers = Registers(RegisterState())
    registers.switch(time_of_use(), ms("2007-03-01T12:00:00"))
    registers.imported(600)
    assert registers.switch(flat(), ms("2007-03-02T12:00:00")) == NEVER
    registers.imported(300)
    again = Registers(registers.state())
    assert again.reading() == registers.reading()
    assert again.reading() == (
        (IMPORT_TOTAL, 15),
        (import_rate(1), 10),
        (import_rate(2), 0),
        (EXPORT_TOTAL, 0),
    )
