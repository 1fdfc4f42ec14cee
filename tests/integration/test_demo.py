"""The demonstration from end to end: three houses, two days, everything checked again from outside."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace

from gridmonitoring.blockchain.evidence import verify
from gridmonitoring.blockchain.state_rows import CommandKind, MeterRow, Table
from gridmonitoring.contracts.consent import Verdict
from gridmonitoring.encoding.bounds import IMPORT_TOTAL
from gridmonitoring.energy_center.credit import Account
from gridmonitoring.errors import CannotOpen, EvidenceError, Tampered
from gridmonitoring.processing.rows import AgreementRow, TariffRow
from gridmonitoring.runtime.access_log import read_access_log
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.key_files import read_keys
from gridmonitoring.runtime.local_grid import LocalGrid
from gridmonitoring.runtime.meter_home import meter_at_home
from gridmonitoring.smart_meter.channels import Channel
from gridmonitoring.user_layer.cli.app import run
from gridmonitoring.user_layer.demo.aftermath import Outcome
from gridmonitoring.user_layer.demo.consumer_book import ConsumerBook, open_book
from gridmonitoring.user_layer.demo.household import MS_PER_DAY, MinuteSeries
from gridmonitoring.user_layer.demo.logbook import Claim
from gridmonitoring.user_layer.demo.plan import CENT, STANDING, TAX, HousePlan
from gridmonitoring.user_layer.demo.report import Shown, commands
from gridmonitoring.user_layer.demo.run import Result, choose_cast, run_demo
from tools import verify_evidence

HOUSES, DAYS = 3, 2
KINDS = {"reading", "purchase", "block", "bill", "message", "command"}
SMALL = 16 * 1024
"""Bytes under which a bundle of one reading stays."""


class Stages:
    """Notes the stages of a run."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []
        self.ended: dict[str, int] = {}

    def stage(self, name: str, total: int) -> None:
        self.seen.append((name, total))

    def done(self, steps: int) -> None:
        self.ended[self.seen[-1][0]] = steps


class Demo(NamedTuple):
    root: Path
    result: Result
    stages: Stages
    plans: list[HousePlan]

    @property
    def outcome(self) -> Outcome:
        return self.result.outcome

    def bundle(self, kind: str) -> bytes:
        return self.outcome.evidence[kind].read_bytes()

    @property
    def genesis(self) -> bytes:
        return (self.root / "genesis.cbor").read_bytes()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    root = tmp_path_factory.mktemp("demo")
    stages = Stages()
    cast = choose_cast(HOUSES, DAYS, None)
    return Demo(root, run_demo(cast, Shown(root, "gridmon", "python"), stages), stages, cast.plans)


@pytest.fixture
def grid(demo: Demo) -> Iterator[LocalGrid]:
    with LocalGrid(Directory(demo.root)) as found:
        yield found


def test_everything_is_verified(demo: Demo) -> None:
    verification = demo.outcome.verification
    assert demo.outcome.verified
    assert [file.node for file in verification.files] == ["node-01", "node-02", "node-03", "node-04"]
    assert verification.findings == ()
    assert verification.transactions == demo.outcome.log.growth[-1].transactions
    assert all(demo.stages.ended[name] == total for name, total in demo.stages.seen)


def test_every_incident_comes_to_its_end(demo: Demo) -> None:
    outcomes = dict(demo.outcome.incidents)
    assert re.fullmatch(
        r"node-0(\d) down: node-0(?!\1)\d appended its side block; caught up [1-9]\d* blocks",
        outcomes.pop("node_down"),
    )
    assert re.fullmatch(
        r"read the \d\d+ intervals granted and no other; revoked, then refused; owner told each time",
        outcomes.pop("researcher_reads"),
    )
    assert outcomes == {
        "low_credit": "warned by the meter, topped up in time",
        "out_of_credit": "shut down at zero, no Wh used in the dark, reconnected after a purchase",
        "refused_form": (
            "refused (wrong_house_number), sent back to node-01, replaced by one that was accepted"
        ),
        "duplicate_payment": "refused (payment_reference_used)",
        "no_capacity": "refused (no_capacity)",
        "bounced_payment": "reversed, 0.73 EUR taken back",
        "supply_off": "switched off by the consumer for 3 hours, no Wh used, switched on again",
        "cover_opened": "power cut, violation recorded in a side block, cleared by two operators",
        "replayed_report": "3 sealed reports sent again, none counted twice, app_hash unchanged",
        "use_behind_open_relay": (
            "300 Wh past the open relay: use_while_disconnected recorded in a side block, and charged"
        ),
        "altered_row": "found by the watch, node-03 named on the ledger, healed with proofs of the others",
        "overcharging_node": (
            "its form outvoted (wrong_energy); its false bill set off the meter's alarm, and node-01 is named"
        ),
        "disputed_penalty": (
            "agreed penalty of 0.50 EUR disputed by the consumer, reversed to the unit by two operators"
        ),
    }


def test_displays_say_it_in_the_words_of_the_paper(demo: Demo) -> None:
    told = [event.text for event in demo.outcome.events]
    mids = {house.name: house.mid.hex()[:8] for house in demo.outcome.houses}
    assert 'display: "Power running down, top up"' in told
    assert f'display: "Meter with {mids["house-02"]} has no power, system shutdown"' in told
    assert 'display: "You are being over charged"' in told
    assert f'display: "Meter with {mids["house-03"]} has been tampered with"' in told


def test_the_owner_is_told_of_grant_reads_and_refusal(demo: Demo, grid: LocalGrid) -> None:
    house = demo.outcome.houses[0]
    told = [event.text for event in demo.outcome.events if event.house == house.name]
    assert [text for text in told if "data" in text] == [
        'display: "You let somebody read your data"',
        *['display: "Somebody whom you let in asked for your data"'] * 2,
        'display: "Somebody asked for data beyond what was granted and was refused"',
    ]
    assert 'display: "You ended a grant; its reader gets nothing more"' in told
    log = read_access_log(grid, house.mid)
    assert [Verdict(row.verdict) for _, row in log.reads] == [Verdict.ALLOWED] * 2 + [Verdict.ENDED]
    assert [bool(row.tags) for _, row in log.reads] == [True, True, False]


def test_the_only_violations_are_the_scripted_ones(demo: Demo) -> None:
    assert {house.name: house.violations for house in demo.outcome.houses} == {
        "house-01": 2,
        "house-02": 3,
        "house-03": 1,
    }


def test_each_quarter_of_an_hour_was_reported(demo: Demo) -> None:
    for house in demo.outcome.houses:
        assert house.reports >= DAYS * 96
    assert demo.outcome.log.reports == sum(house.reports for house in demo.outcome.houses)


def test_meters_and_ledger_hold_the_same(demo: Demo, grid: LocalGrid) -> None:
    for house in demo.outcome.houses:
        account: Account = grid.row(Table.ACCOUNT, house.mid)
        meter: MeterRow = grid.row(Table.METER, house.mid)
        with meter_at_home(grid, grid, house.mid) as agent:
            assert agent.waiting == 0
            assert agent.meter.account == account
            assert agent.meter.state == meter.state
            registers = {code: now for code, _, now in account.statement.registers}
            assert dict(agent.meter.registers()) == registers
        assert account.statement.time_ms == demo.plans[0].series.start_ms + DAYS * MS_PER_DAY
        assert registers[IMPORT_TOTAL] == house.energy
        assert house.paid - house.reversed - house.charged == account.credit - account.debt


def test_the_replacing_form_names_the_refused_one(demo: Demo) -> None:
    (form,) = verify(demo.bundle("purchase"), demo.genesis).transactions
    refused: bytes = form.transaction.payload.body.replaces
    assert len(refused) == 32
    assert refused != form.transaction.id


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_stranger_accepts_each_bundle(demo: Demo, kind: str) -> None:
    assert set(demo.outcome.evidence) == KINDS
    beside = demo.outcome.evidence[kind].with_name("genesis.cbor").read_bytes()
    assert beside == demo.genesis
    proven = verify_evidence.verify(demo.bundle(kind), beside)
    assert proven["kind"] == kind
    assert verify_evidence.sentence(proven)


def test_the_bundles_prove_what_happened(demo: Demo) -> None:
    facts = {kind: verify_evidence.verify(demo.bundle(kind), demo.genesis)["facts"] for kind in sorted(KINDS)}
    one, two, three = (house.mid.hex() for house in demo.outcome.houses)
    assert (facts["reading"]["meter"], facts["bill"]["meter"]) == (one, one)
    assert facts["bill"]["registers"]["1.8.0"] == demo.outcome.houses[0].energy
    assert 0 < facts["reading"]["registers"]["1.8.0"] < demo.outcome.houses[0].energy
    assert facts["purchase"]["meter"] == three
    assert (facts["block"]["meter"], facts["block"]["height"]) == (two, 1)
    assert (facts["command"]["meter"], facts["command"]["command"]) == (two, CommandKind.CREDIT.name.lower())
    assert facts["message"]["meter"] == three


def test_a_reading_with_a_bit_flipped_anywhere_proves_nothing(demo: Demo) -> None:
    bundle = demo.bundle("reading")
    assert len(bundle) < SMALL
    for offset in range(len(bundle)):
        altered = bytearray(bundle)
        altered[offset] ^= 1 << offset % 8
        with pytest.raises(verify_evidence.NotProven):
            verify_evidence.verify(bytes(altered), demo.genesis)
        with pytest.raises(EvidenceError):
            verify(bytes(altered), demo.genesis)


def _spread(series: MinuteSeries) -> tuple[int, int]:
    """Return by how much channels may add up to less and to more than the total, Wh."""
    return len(Channel), -(-series.clamped_watt_minutes // 60) + 1


def test_appliances_and_rest_add_up_to_the_register(demo: Demo) -> None:
    for plan, house in zip(demo.plans, demo.outcome.houses, strict=True):
        less, more = _spread(plan.series)
        together = sum(demo.outcome.books[house.name].energy.values())
        assert house.energy - less <= together <= house.energy + more
        recorded = sum(plan.series.watts) // 60
        assert 0 < house.energy <= recorded


def test_what_appliances_cost_is_what_was_charged(demo: Demo) -> None:
    days_begun = DAYS + 1
    for house in demo.outcome.houses:
        book = demo.outcome.books[house.name]
        assert book.energy_cost + book.fixed_cost == house.charged
        standing = days_begun * STANDING * (1_000_000 + TAX) // 1_000_000
        assert standing <= book.fixed_cost <= standing + 2
        assert abs(sum(book.cost.values()) - book.energy_cost) < CENT * 100 // 2


def test_only_the_household_opens_its_details(demo: Demo, grid: LocalGrid) -> None:
    house = demo.outcome.houses[0]
    claims = demo.outcome.log.claims[house.mid]
    agreed: AgreementRow = grid.row(Table.AGREEMENT, house.mid)
    published: TariffRow = grid.row(Table.TARIFF, agreed.agreement.tariff)

    def read(number: int, wanted: list[Claim]) -> ConsumerBook:
        keys = read_keys(demo.root / "keys" / f"consumer-house-0{number}.json")[2]
        store, terms = grid.details["node-02"], (published.tariff, TAX)
        return open_book(store, grid.chain_id, house.mid, keys, wanted, terms, house.charged)

    assert read(1, claims) == demo.outcome.books[house.name]
    with pytest.raises(CannotOpen):
        read(2, claims)
    with pytest.raises(Tampered, match="is not the one that the claim names"):
        read(1, [*claims[:-1], replace(claims[-1], detail=claims[0].detail)])
    with pytest.raises(Tampered, match="the period key"):
        read(1, [*claims[:-1], replace(claims[-1], period_key=claims[0].period_key)])


def test_charts_can_be_opened_and_say_where_the_readings_come_from(demo: Demo) -> None:
    assert set(demo.outcome.charts) == {"energy", "cost", "load", "credit", "growth"}
    page = demo.result.report.read_text(encoding="utf-8")
    for path in demo.outcome.charts.values():
        picture = path.read_text(encoding="utf-8")
        text = " ".join(ET.fromstring(picture).itertext())
        for words in ("Georges Hebrail", "Alice Berard", "CC-BY-4.0", "different months of this one house"):
            assert words in " ".join(text.split())
        assert picture in page
    assert "different months of this one house" in page
    assert "house-03" in page
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_what_it_says_to_type_works(
    demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    typed = [line.split() for line in commands(demo.outcome, Shown(demo.root, "gridmon", "python"))]
    assert [words[1] for words in typed if words[0] == "gridmon"] == [
        *("show", "show", "show", "verify", "audit", "evidence")
    ]
    for program, *arguments in typed:
        if program == "gridmon":
            assert run(arguments) == 0
        else:
            assert arguments[0] == "tools/verify_evidence.py"
            assert verify_evidence.main(arguments[1:]) == 0
    assert "PROVEN" in capsys.readouterr().out
    proven = verify_evidence.verify((tmp_path / "bill.cbor").read_bytes(), demo.genesis)
    assert proven["facts"]["meter"] == demo.outcome.houses[1].mid.hex()


def test_a_second_run_takes_a_new_directory_and_says_all_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo-1").mkdir()
    assert run(["demo", "--houses", "1", "--days", "1", "--json"]) == 0
    line, rest = capsys.readouterr().out.split("\n", 1)
    said = json.loads(line)
    assert rest == ""
    assert said["verified"] is True
    assert said["data_dir"] == str(tmp_path / "demo-2")
    assert {Path(path).stem for path in said["evidence"]} == KINDS
    assert all(Path(path).is_file() for path in [*said["evidence"], *said["charts"], said["report"]])
    assert all(isinstance(outcome, str) for outcome in said["incidents"].values())
    assert said["incidents"]["out_of_credit"].startswith("shut down at zero")
    assert said["incidents"]["refused_form"].startswith("refused (wrong_house_number)")


def test_it_refuses_a_directory_that_holds_something(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "something").touch()
    assert run(["demo", "--dir", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "is not an empty directory" in said.err


def test_it_refuses_more_than_was_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--dir", str(tmp_path / "new"), "--houses", "100", "--days", "100"]) == 1
    assert "need 10000 recorded days" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
