# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What restic can, whose snapshots a repository elsewhere has, and snapshots whose own time is not to be trusted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from .choice import parse_time

# A clock of the source that is fast by an hour or set to another zone is no attack.
AHEAD = timedelta(days=1)
# A snapshot has the time of its begin, and the first one of much data takes days. Less than the 14 that all are kept.
BEHIND = timedelta(days=7)
# The first that knows --retry-lock (restic's changelog for 0.16.0); Debian 12 has 0.14.
WAITING_RESTIC = (0, 16)
# By what the database's snapshots are found among those elsewhere, and the tag that says which database it is.
OF_DATABASE = ("--host", "server", "--tag", "postgres")
IDENTIFIER = "database="


def lock_patience(version: str) -> tuple[str, ...]:
    """Arguments that let restic wait where another one has locked the repository, by what ``restic version`` prints."""
    found = re.match(r"restic (\d+)\.(\d+)", version)
    waits = found is not None and tuple(map(int, found.groups())) >= WAITING_RESTIC
    return ("--retry-lock", "5m") if waits else ()


def other_history(listing: Iterable[Mapping[str, Any]], system: str) -> str:
    """Why nothing may be sent elsewhere: the newest snapshot there is another database's, which a restore would miss.

    ``listing`` is what restic says of the database's snapshots, ``system`` the identifier of the one that runs
    (``pg_control_system()``).
    """
    tagged = [(taken_at(one["time"]), one["id"][:8], tag) for one in listing for tag in one.get("tags") or ()]
    newest = max((one for one in tagged if one[2].startswith(IDENTIFIER)), default=None)
    if newest is None or newest[2] == IDENTIFIER + system:
        return ""
    taken, snapshot, tag = newest
    return (
        f"repository elsewhere: has the history of database {tag.removeprefix(IDENTIFIER)} "
        f"(newest snapshot {snapshot} of {_text(taken)}), and the one that runs is {system}; bring that one back "
        "(docs/backups.md, Both hosts lost), or name another backup_offsite_repository for this one"
    )


@dataclass(frozen=True)
class Snapshot:
    """``taken`` is what the source says, ``arrived`` what the backup host saw. Both have a time zone."""

    id: str
    taken: datetime
    arrived: datetime


def taken_at(text: str) -> datetime:
    """When a snapshot was taken, in UTC. Python reads six digits of a second, restic writes nine."""
    return parse_time(re.sub(r"\.\d+", "", text)).astimezone(timezone.utc)


def misdated(snapshots: Iterable[Snapshot]) -> list[Snapshot]:
    """Those that say another time than that of their arrival.

    Of a day, a week or a month the last snapshot is kept. Somebody who makes up times could fill all of them and have
    the true ones thinned out.
    """
    return [one for one in snapshots if not -AHEAD <= one.arrived - one.taken <= BEHIND]


def refusal(snapshots: Iterable[Snapshot]) -> str:
    """Object, cause and remedy for each of them, one line a snapshot."""
    return "\n".join(
        f"snapshot {one.id[:8]}: says it is of {_text(one.taken)} and arrived {_text(one.arrived)}, "
        "so nothing is thinned out; take it away if nobody of you made it, or give its file its time back "
        "(docs/backups.md, Snapshots with a wrong time)"
        for one in snapshots
    )


def _text(moment: datetime) -> str:
    return f"{moment.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
