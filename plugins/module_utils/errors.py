# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person is told when something cannot be done: the object, the cause and the remedy."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong. None of the fields may contain a secret's value."""

    object: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        # A cause of several lines, a log for instance, ends before the remedy starts.
        between = "\n" if "\n" in self.cause else "; "
        return f"{self.object}: {self.cause}{between}{self.remedy}"


def numbered(faults: Sequence[Fault]) -> str:
    """The faults as a person reads them: one line each, numbered where there are several."""
    if len(faults) == 1:
        return str(faults[0])
    width = len(str(len(faults)))
    lines = [f"  {number:>{width}}. {fault}" for number, fault in enumerate(faults, start=1)]
    return "\n".join([f"{len(faults)} faults:", *lines])


class GroundworkError(Exception):
    """Raised by everything below a module's ``main``, which alone turns it into a failed task."""

    def __init__(self, object: str, cause: str, remedy: str) -> None:
        super().__init__(object, cause, remedy)
        self.object = object
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        return str(Fault(self.object, self.cause, self.remedy))


def system_error(error: OSError) -> GroundworkError:
    """What the operating system refused, a disk that is full for instance."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    what = f"file {error.filename}" if error.filename else "this host"
    remedy = "make room on its disk, then run again" if full else "see to it, then run again"
    return GroundworkError(what, error.strerror or str(error), remedy)


class Faults(GroundworkError):
    """Several faults at once, so that one run shows all there is to correct."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        first = faults[0]
        super().__init__(first.object, first.cause, first.remedy)
        self.faults = tuple(faults)

    def __str__(self) -> str:
        return numbered(self.faults)

    @classmethod
    def raise_all(cls, faults: Iterable[Fault]) -> None:
        """Raise if there is any; repetitions count once."""
        unique = list(dict.fromkeys(faults))
        if unique:
            raise cls(unique)

    @classmethod
    def gather(cls, *calls: Callable[[], Any]) -> list[Any]:
        """Results of the calls; what is wrong with any of them is raised when all were made."""
        results: list[Any] = []
        faults: list[Fault] = []
        for call in calls:
            try:
                results.append(call())
            except Faults as error:
                faults.extend(error.faults)
        cls.raise_all(faults)
        return results
