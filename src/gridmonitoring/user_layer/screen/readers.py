"""Who may read a household's data, and who asked, as the owner sees it at home (paper II-B, IV-C).

Left out: how it comes from the ledger (`runtime.access_log`), and what the meter says of it (`content`).
"""

from __future__ import annotations

from gridmonitoring.blockchain.state_rows import GrantRow, ReadRow, SupplyPointRow, Table
from gridmonitoring.contracts.consent import Data, Verdict
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.energy_center.calendar import Calendar, local_time
from gridmonitoring.runtime.access_log import AccessLog, read_access_log
from gridmonitoring.runtime.grid_port import Grid
from gridmonitoring.user_layer.cli.data_options import day_text
from gridmonitoring.user_layer.screen.labels import Labels

SHOWN = 8
"""Most grants, and most requests, that are shown; the newest."""


class ReadersView:
    """Tells an owner, in the words of one language and by the clock of the house."""

    def __init__(self, grid: Grid, mid: bytes, labels: Labels, calendar: Calendar) -> None:
        """Read the ledger."""
        point: SupplyPointRow = grid.row(Table.SUPPLY_POINT, mid)
        self._owner = point.consumer
        self._log: AccessLog = read_access_log(grid, mid)
        self._now = grid.clock.now_ms()
        self._labels, self._calendar = labels, calendar

    def text(self) -> str:
        """Return the whole page."""
        words, log = self._labels, self._log
        grants = [line for number, row in reversed(log.grants[-SHOWN:]) for line in self._grant(number, row)]
        requests = [self._request(row) for _, row in reversed(log.reads[-SHOWN:])]
        title = words.access_title.format(time=self._clock(self._now))
        heading = [words.requests.format(all=len(log.reads))] if requests else []
        return "\n".join(
            [title, "", *(grants or [words.no_grants]), "", *heading, *(requests or [words.no_requests])]
        )

    def _grant(self, number: int, row: GrantRow) -> tuple[str, str]:
        words = self._labels
        days = day_text(row.first), day_text(row.last)
        said = words.grant.format(
            number=number,
            reader=self._party(row.role, row.reader),
            data=self._data(row.data),
            first=days[0],
            last=days[1],
            purpose=row.purpose,
        )
        holds = words.revoked if row.revoked else words.in_force
        allowed, refused = self._log.of_grant(number)
        used = words.uses.format(allowed=len(allowed), refused=len(refused))
        return said, f"   {holds.format(time=self._clock(row.revoked or row.expires))}; {used}"

    def _request(self, row: ReadRow) -> str:
        verdict = self._labels.verdicts[Verdict(row.verdict)]
        days = f"{day_text(row.first)} - {day_text(row.last)}"
        who, what = self._party(row.role, row.reader), self._data(row.data)
        return f"{self._clock(row.time)}  {who}: {what}, {days}: {verdict}"

    def _party(self, role: int, party: bytes) -> str:
        if (role, party) == (Role.CONSUMER, self._owner):
            return self._labels.myself
        return f"{self._labels.roles.get(Role(role), Role(role).name.lower())} {party.hex()[:8]}"

    def _data(self, data: int) -> str:
        return ", ".join(name for kind, name in self._labels.data.items() if Data(data) & kind)

    def _clock(self, time: int) -> str:
        at = local_time(self._calendar, time)
        return f"{at.year}-{at.month:02d}-{at.day:02d} {at.minute // 60:02d}:{at.minute % 60:02d}"
