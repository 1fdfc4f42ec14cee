"""IV-B: readings in real time, a display in the home, a protocol that follows what happens at the meter."""

from __future__ import annotations

from gridmonitoring.blockchain.bodies import Report
from gridmonitoring.contracts.meter_rule import Event, Relay, Status
from gridmonitoring.encoding.bounds import IMPORT_TOTAL
from tests.support.home import Home, logged
from tests.support.network import INTERVAL_MS


def reports(home: Home) -> list[tuple[int, Report]]:
    """Return (time, claim) of every report of the meter, in order of the log."""
    payloads = [payload for _, payload in logged(home.small) if payload.signer == home.mid]
    return [(payload.time, payload.body) for payload in payloads if isinstance(payload.body, Report)]


def test_readings_are_sent_at_the_reporting_interval(living: Home) -> None:
    living.live(20, 500)
    before = len(reports(living))
    living.live(60, 500)
    times = [time for time, report in reports(living)[before:] if report.event == Event.INTERVAL]
    assert len(times) == 4
    assert {time % INTERVAL_MS for time in times} == {0}


def test_the_display_shows_what_is_being_used(living: Home) -> None:
    living.live(3, 1_500)
    shown = living.agent.display()
    assert (shown.power, shown.relay) == (1_500, Relay.CONNECTED)
    assert shown.energy_today == 75
    assert shown.credit == living.agent.meter.account.credit - 75 * 25_000
    living.live(1, 200)
    assert living.agent.display().power == 200


def test_the_register_counts_every_watt_minute(living: Home) -> None:
    for _ in range(7):
        living.live(1, 59)
    assert dict(living.agent.meter.registers())[IMPORT_TOTAL] == 7 * 59 // 60


def test_a_power_failure_is_logged_and_is_no_tamper(living: Home) -> None:
    living.agent.voltage(False, living.now)
    living.wait(1_000)
    living.agent.voltage(True, living.now)
    living.meet()
    last = [report for _, report in reports(living)[-2:]]
    assert [report.event for report in last] == [Event.POWER_FAILURE, Event.POWER_RESTORED]
    assert all(report.status & Status.POWER_FAILURE for report in last)
    assert living.meter().tampered == 0
    assert living.relay() is Relay.CONNECTED


def test_what_happens_at_the_meter_decides_what_follows(living: Home) -> None:
    """Nothing of note: a report. A cover that opens: the relay opens with it, and stays open."""
    living.live(15, 800)
    assert living.relay() is Relay.CONNECTED
    living.agent.sense(Status.TERMINAL_COVER, living.now)
    living.meet()
    before = living.agent.meter.registers()
    living.live(30, 800)
    assert living.relay() is Relay.DISCONNECTED
    assert living.agent.meter.registers() == before
