# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schedules as pg_cron understands them, and what is wrong with others (pg_cron, src/entry.c and src/job_metadata.c).

pg_cron takes the first number of a field and ignores what follows it up to the next blank, and everything after the
fifth field. Here that is wrong, since it means something else than what was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
RANGE = re.compile(r"(?P<first>\*|[0-9A-Za-z]+)(?:-(?P<last>[0-9A-Za-z]+))?(?:/(?P<step>[0-9]+))?")
SECONDS = re.compile(r"(?P<number>[0-9]+) ?seconds?", re.IGNORECASE)
LAST_DAY = "$"
NICKNAMES = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@reboot", "@restart")
# pg_cron accepts them and sets month 0, which no date has.
NEVER = ("@yearly", "@annually")
# The first versions with seconds and with the last day of a month. Earlier ones than 1.4 cannot alter a job.
OLDEST, WITH_SECONDS, WITH_LAST_DAY = (1, 4), (1, 5), (1, 6)


class Field(NamedTuple):
    """One of the five fields: its lowest and highest number, and names of numbers from the lowest one on."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("day of week", 0, 7, DAYS),
)


def normalize(schedule: str) -> str:
    """The schedule with single blanks between its fields."""
    return re.sub(r"[ \t]+", " ", schedule).strip(" ")


def needed_version(schedule: str) -> tuple[int, int]:
    """Version of pg_cron that a normalized schedule needs."""
    if SECONDS.fullmatch(schedule):
        return WITH_SECONDS
    return WITH_LAST_DAY if LAST_DAY in schedule else OLDEST


def find_causes(schedule: str) -> list[str]:
    """Everything that is wrong with a normalized schedule."""
    seconds = SECONDS.fullmatch(schedule)
    if seconds:
        return [] if 1 <= int(seconds["number"]) <= 59 else ["seconds go from 1 to 59"]
    if schedule.startswith("@"):
        return _nickname_causes(schedule)
    fields = schedule.split(" ")
    if len(fields) != len(FIELDS):
        return [f"it has {len(fields) if schedule else 0} fields; pg_cron has five, the first of them is the minute"]
    return [cause for field, text in zip(FIELDS, fields) for cause in _field_causes(field, text)]


def _nickname_causes(schedule: str) -> list[str]:
    if schedule in NEVER:
        return [f"pg_cron never runs {schedule}; write 0 0 1 1 *"]
    return [] if schedule in NICKNAMES else [f"pg_cron knows {', '.join(NICKNAMES)} only"]


def _field_causes(field: Field, text: str) -> Iterator[str]:
    if text == LAST_DAY and field.name == "day of month":
        return
    for part in text.split(","):
        cause = _part_cause(field, part)
        if cause:
            yield f"{field.name} {part!r}: {cause}"


def _part_cause(field: Field, part: str) -> str | None:
    match = RANGE.fullmatch(part)
    if not match or (match["first"] == "*" and match["last"]):
        return "it is no number, range or *, with or without a step"
    first, last, step = match["first"], match["last"], match["step"]
    if step and first != "*" and not last:
        return "a step needs a range or *"
    if step and not 1 <= int(step) <= field.high:
        return f"steps go from 1 to {field.high}"
    if first == "*":
        return None
    numbers = [_number(field, name) for name in (first, last or first)]
    if None in numbers:
        names = f", or {field.names[0]} to {field.names[-1]}" if field.names else ""
        return f"numbers go from {field.low} to {field.high}{names}"
    return "its end comes before its start" if numbers[0] > numbers[1] else None  # type: ignore[operator]


def _number(field: Field, text: str) -> int | None:
    """The number that is meant, None where there is no such one."""
    if text.lower() in field.names:
        return field.names.index(text.lower()) + field.low
    return int(text) if text.isdigit() and field.low <= int(text) <= field.high else None
