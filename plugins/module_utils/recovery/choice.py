# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backup and which WAL a restore takes, or why it cannot be done. Decided before anything is stopped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

from .wal import SEGMENT_BYTES, Timeline, format_lsn, segment_number, timeline_number

# What recovery writes beside what it restores: replayed segments and the new timeline's first ones.
HEADROOM = 1.1


@dataclass(frozen=True)
class BaseBackup:
    """A finished base backup as Barman's catalogue has it. Times have a time zone, sizes are bytes."""

    id: str
    begun: datetime
    ended: datetime
    first_segment: str
    end_lsn: int
    size: int


@dataclass(frozen=True)
class Target:
    """At most one of the three; none of them is the newest state there is."""

    time: datetime | None = None
    lsn: int | None = None
    name: str = ""
    backup: str = ""

    @property
    def text(self) -> str:
        if self.time:
            return f"target_time {self.time.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
        if self.lsn is not None:
            return f"target_lsn {format_lsn(self.lsn)}"
        return f"target_name {self.name}" if self.name else "the newest state"


@dataclass(frozen=True)
class Archive:
    """What there is to restore from.

    ``segments`` are names without a suffix, each with when the last of it was received; ``unfinished`` those of which
    more may come; ``seen`` is the last second known to have been received; ``timelines`` those with a history file,
    which the first one has not; ``ends`` when those that were left ended by the database's own clock, where that is
    known.
    """

    backups: tuple[BaseBackup, ...]
    segments: Mapping[str, datetime]
    seen: datetime | None
    timelines: tuple[Timeline, ...] = ()
    ends: Mapping[int, datetime] = field(default_factory=dict)
    unfinished: frozenset[str] = frozenset()

    def completes(self, backup: BaseBackup) -> bool:
        """Whether the WAL was received that was written while the backup was taken; nothing starts on it without.

        When a backup ends, PostgreSQL finishes the segment and goes on in the next one.
        """
        last = (backup.end_lsn - 1) // SEGMENT_BYTES
        own = [name for name in self.segments if name[:8] == backup.first_segment[:8] and name not in self.unfinished]
        return any(segment_number(name) >= last for name in own)

    def timeline(self, moment: datetime | None) -> Timeline:
        """The one in force then: the first that ended at that moment or later. Without one the newest.

        A restore begins the next one only after the former has ended. Where nobody noted when, it is when the last of
        it was received, by this host's clock.
        """
        ends: dict[int, datetime] = {one.number: datetime.min.replace(tzinfo=timezone.utc) for one in self.timelines}
        for name, received in self.segments.items():
            number = timeline_number(name)
            ends[number] = max(received, ends.get(number, received))
        ends.update((number, end) for number, end in self.ends.items() if number in ends)
        later = (number for number, end in sorted(ends.items()) if moment and end >= moment)
        number = next(later, max(ends, default=1))
        return next((one for one in self.timelines if one.number == number), Timeline(number))


@dataclass(frozen=True)
class Choice:
    """The backup to begin with and the segments it needs, oldest first, on the way to a timeline; or refusals: object,
    cause and remedy."""

    backup: BaseBackup | None = None
    segments: tuple[str, ...] = ()
    timeline: int = 1
    refusals: tuple[str, ...] = ()


def is_needed(name: str, first: str) -> bool:
    """Whether a backup that begins with segment ``first`` is restored with this one, on its timeline or a later one."""
    return name[:8] >= first[:8] and segment_number(name) >= segment_number(first)


def parse_time(text: str) -> datetime:
    """ISO 8601. Without a time zone it would mean something else on each host. Raises ValueError."""
    moment = datetime.fromisoformat(re.sub(r"\s*(Z|UTC)$", "+00:00", text.strip()))
    if moment.tzinfo is None:
        raise ValueError(f"target_time {text}: has no time zone; write it as {text.strip()}Z for UTC, or with +01:00")
    return moment


def missing_segments(names: Iterable[str], first: str) -> list[str]:
    """Gaps from a backup's first segment to the newest one, as names on the newest timeline below each gap.

    After a change of timeline the same number exists on both, so a number counts as there if any timeline has it.
    """
    begin, timeline = segment_number(first), first[:8]
    numbers = {segment_number(name): name[:8] for name in sorted(names) if name[:8] >= timeline}
    missing = []
    for number in range(begin, max([*numbers, begin]) + 1):
        timeline = numbers.get(number, timeline)
        if number not in numbers:
            missing.append(f"{timeline}{number >> 8:08X}{number & 0xFF:08X}")
    return missing


def choose(archive: Archive, target: Target, free: Mapping[str, int]) -> Choice:
    """The newest backup that ends before the target, on the way to the timeline that was in force there.

    Args:
        archive: what there is.
        target: what is wanted.
        free: bytes by place, for each place that the data will be written to.
    """
    timeline = archive.timeline(target.time)
    candidates, refusals = _candidates(archive, target, timeline)
    if refusals:
        return Choice(refusals=tuple(refusals))
    backup = max(candidates, key=lambda one: one.ended)
    on_the_way = list(filter(timeline.holds, archive.segments))
    needed = sorted(
        (name for name in on_the_way if is_needed(name, backup.first_segment)),
        key=lambda name: (segment_number(name), name),
    )
    missing = missing_segments(on_the_way, backup.first_segment)
    # What lies behind the target is not needed, and a gap there is no reason to refuse.
    if target.lsn is not None:
        missing = [name for name in missing if segment_number(name) * SEGMENT_BYTES <= target.lsn]
    elif target.time and missing and _received(archive, on_the_way, segment_number(missing[0]) - 1, target.time):
        missing = []
    if missing:
        refusals.append(
            f"WAL after backup {backup.id}: {len(missing)} segments are missing, the first is {missing[0]}; "
            "choose a target before it with an older backup, or the newest backup after it (-e backup=ID)"
        )
    need = int((backup.size + len(needed) * SEGMENT_BYTES) * HEADROOM)
    refusals += [
        f"{place}: {_size(have)} are free and backup {backup.id} with its WAL needs {_size(need)}; make room there"
        for place, have in sorted(free.items())
        if have < need
    ]
    return Choice(refusals=tuple(refusals)) if refusals else Choice(backup, tuple(needed), timeline.number)


def _received(archive: Archive, names: Iterable[str], number: int, moment: datetime) -> bool:
    """Whether what was written until that moment lies in those of the segments up to this number."""
    return any(archive.segments[name] >= moment for name in names if segment_number(name) == number)


def _candidates(archive: Archive, target: Target, timeline: Timeline) -> tuple[Sequence[BaseBackup], list[str]]:
    backups = [one for one in archive.backups if target.backup in ("", one.id)]
    if not backups:
        named = (
            f"backup {target.backup}: does not exist" if target.backup else "backups: there is none that is complete"
        )
        known = ", ".join(one.id for one in archive.backups)
        return [], [f"{named}; {f'there are {known}' if known else 'take one with playbooks/backup.yml'}"]
    cut_short = [one.id for one in backups if not archive.completes(one)]
    backups = [one for one in backups if one.id not in cut_short]
    if not backups:
        return [], [
            f"backup {', '.join(cut_short)}: the WAL that was written while it was taken has not been received, and no "
            "database starts without; wait until it is, or choose another one (-e backup=ID)"
        ]
    oldest = min(backups, key=lambda one: one.ended)
    if target.time:
        fitting = [one for one in backups if one.ended <= target.time]
        if archive.seen and target.time > archive.seen:
            return [], [
                f"{target.text}: lies after {archive.seen.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC, "
                "the last second that was received; leave target_time out for the newest state"
            ]
    elif target.lsn is not None:
        fitting = [one for one in backups if one.end_lsn <= target.lsn]
        newest = max((segment_number(name) + 1 for name in archive.segments if timeline.holds(name)), default=0)
        newest *= SEGMENT_BYTES
        if target.lsn > newest:
            return [], [
                f"{target.text}: lies after {format_lsn(newest)}, the end of what was received; "
                "leave it out for the newest state"
            ]
    else:
        fitting = backups
    if not fitting:
        return [], [
            f"{target.text}: lies before {oldest.ended.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC "
            f"({format_lsn(oldest.end_lsn)}), the end of the oldest backup; choose a later target"
        ]
    leading = [one for one in fitting if timeline.follows(one.first_segment, one.end_lsn)]
    if not leading:
        known = ", ".join(one.id for one in fitting)
        return [], [
            f"{target.text}: is on timeline {timeline.number}, to which none of {known} leads: "
            "a restore replaced what they go on with; choose a target_time before that restore, or take a backup now "
            "(playbooks/backup.yml) and restore from that"
        ]
    return leading, []


def recovery_file(own: str, target: Target, timeline: int) -> str:
    """``postgresql.auto.conf`` for the recovery: ``own`` without what an earlier restore left, and this one's settings.

    A target that is set to nothing beside another one counts as a second target for PostgreSQL. The recovery ends
    with a promotion, so the new history has a timeline of its own. Nobody receives that yet, so no commit waits for it.
    """
    dropped = ("restore_command", "recovery_target", "hot_standby ", "synchronous_standby_names")
    kept = [line for line in own.splitlines() if not line.startswith(dropped)]
    settings = {
        "restore_command": "cp groundwork_wal/%f %p",
        # By its number: the newest one may have replaced the target.
        "recovery_target_timeline": str(timeline),
        "recovery_target_action": "promote",
        # A server that only reads would look well to those who wait for it.
        "hot_standby": "off",
    }
    if target.time:
        settings["recovery_target_time"] = target.time.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f+00")
    elif target.lsn is not None:
        settings["recovery_target_lsn"] = format_lsn(target.lsn)
    elif target.name:
        settings["recovery_target_name"] = target.name.replace("'", "''")
    return "\n".join([*kept, *(f"{key} = '{value}'" for key, value in settings.items())]) + "\n"


def _size(count: int) -> str:
    return f"{count / 1024**3:.1f} GiB" if count >= 1024**3 else f"{count / 1024**2:.0f} MiB"
