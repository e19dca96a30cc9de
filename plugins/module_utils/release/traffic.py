# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a service's traffic its new container gets, step by step, and when it is taken back.

Pure: figures in, the next action and its reason out. The new container is judged by the figures of the old one in the
same seconds, so what both suffer from (a database that is slow, a client that sends nonsense) condemns neither.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults

# Times the dwell that a service with few requests stays at a step, so that a quiet one can be deployed at all.
PATIENCE = 4
# Seconds after each step in which slowness is no reason: a process that has just started has nothing in its caches.
SETTLING = 5
# Milliseconds that an answer may take longer however fast the old ones are: so much is a busy machine's own doing.
SLACK = 50
# One request that failed is an accident, and one or two that wait may be uploads.
FEWEST_FAILURES = 2
FEWEST_WAITING = 3
# Part of its memory's limit from which a container is about to be killed.
FULL = 0.9
# With what each has where the inventory does not say.
KEYS: dict[str, Any] = {"steps": [10, 50], "dwell": 15, "requests": 30, "errors": 5, "latency": 2, "drain": 30}


@dataclass(frozen=True)
class Traffic:
    """What an inventory says of one service.

    steps: percent of the requests, rising; 100 follows by itself. dwell: seconds at each step, 100 included. requests:
    how many are enough to judge. errors: percentage points of failed ones, and latency: times as long an answer, that
    the new container may be worse by. drain: seconds that running requests get before their container is stopped.
    """

    steps: tuple[int, ...]
    dwell: int
    requests: int
    errors: float
    latency: float
    drain: int

    @property
    def shares(self) -> tuple[int, ...]:
        return (*self.steps, 100)

    @property
    def longest(self) -> int:
        """Seconds that all steps and both ways of the requests take at most."""
        return len(self.shares) * self.dwell * PATIENCE + 2 * self.drain


def traffic_of(service: str, spec: Any) -> Traffic:
    """A service's key ``traffic``. Raises all faults of its shape together."""
    Faults.raise_all(find_traffic_faults(f"service {service}", spec))
    given: dict[str, Any] = {key: spec.get(key, value) for key, value in KEYS.items()}
    return Traffic(**{**given, "steps": tuple(given["steps"])})


def find_traffic_faults(service: str, spec: Any) -> Iterator[Fault]:
    """What is wrong with the shape of a service's key ``traffic``."""
    where = f"{service}: traffic"
    if not isinstance(spec, Mapping):
        yield Fault(where, "it is not a mapping", "give it steps")
        return
    for key in sorted(set(spec) - KEYS.keys()):
        yield Fault(where, f"there is no key {key}", f"choose from {', '.join(sorted(KEYS))}")
    steps = spec.get("steps", KEYS["steps"])
    # True and False are integers to Python.
    whole = isinstance(steps, (list, tuple)) and steps and not any(isinstance(step, bool) for step in steps)
    whole = whole and all(isinstance(step, int) and 0 < step < 100 for step in steps)
    if not whole or list(steps) != sorted(set(steps)):
        yield Fault(where, f"steps {steps} are no rising percentages", "write [10, 50]; 100 follows by itself")
    for key, least in {"dwell": 1, "requests": 1, "errors": 0, "latency": 1, "drain": 0}.items():
        value = spec.get(key, KEYS[key])
        kinds = (int, float) if key in ("errors", "latency") else (int,)
        if type(value) not in kinds or value < least:
            yield Fault(where, f"{key} is {value}", f"give a number of at least {least}")


@dataclass(frozen=True)
class Sample:
    """What a container did in some seconds: requests that it answered, how many of them failed (status 500 and above),
    the milliseconds within which nine of ten were answered, None where there is no time; how many wait at the end."""

    requests: int = 0
    failed: int = 0
    latency: float | None = None
    waiting: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        return self.failed / self.requests if self.requests else 0.0

    @property
    def stay(self) -> float:
        """Seconds that a request is with the container, by Little's law, also where hardly any comes out again."""
        return self.waiting * self.seconds / (self.requests + 1)

    def __str__(self) -> str:
        time = "" if self.latency is None else f", nine of ten within {self.latency:.0f} ms"
        return f"{self.failed} of {self.requests} failed{time}"


@dataclass(frozen=True)
class Seen:
    """What was seen since the step began.

    elapsed: seconds. trouble: why the new container does not serve, "" where it does. memory, old_memory: part of the
    limit that is used, None where there is none or nobody knows.
    """

    elapsed: float
    new: Sample
    old: Sample
    trouble: str = ""
    memory: float | None = None
    old_memory: float | None = None


@dataclass(frozen=True)
class Progress:
    """Where a service is. reference: figures of the old container at the step before, for when it has no requests any
    more."""

    step: int = 0
    reference: Sample = Sample()

    def share(self, limits: Traffic) -> int:
        """Percent that the new container gets; it stays at 100 when there is nothing left to judge."""
        return limits.shares[min(self.step, len(limits.steps))]

    def done(self, limits: Traffic) -> bool:
        return self.step > len(limits.steps)


@dataclass(frozen=True)
class Decision:
    """action: ``stay``, ``forward`` (to the next share, or to the end) or ``back``. reason: fit for a person."""

    action: str
    reason: str
    progress: Progress


def decide(limits: Traffic, progress: Progress, seen: Seen) -> Decision:
    """The next action of a service that is at a step."""
    share, new = progress.share(limits), seen.new
    # With all requests at the new one, the old one's answers are of seconds before.
    beside = share < 100 and (seen.old.requests >= limits.requests or not progress.reference.requests)
    old = seen.old if beside or not progress.reference.requests else progress.reference
    enough = new.requests >= limits.requests
    over = seen.elapsed >= limits.dwell * (1 if enough else PATIENCE)
    worse = _condition(seen) or _silence(seen, old)
    if not worse and (enough or over):
        worse = _failures(limits, new, old)
    # Times of a few requests say more about the requests, and those of other seconds more about the machine, unless
    # that lasts for the whole step.
    if not worse and enough and old.requests >= limits.requests and (over or (beside and seen.elapsed >= SETTLING)):
        worse = _slowness(limits, new, old)
    figures = f"at {share} % for {seen.elapsed:.0f} s: {new}; the old one: {old}"
    if worse:
        return Decision("back", f"{worse} ({figures})", progress)
    if not over:
        return Decision("stay", figures, progress)
    few = "" if enough else f", too few to judge: {limits.requests} were wanted"
    return Decision("forward", figures + few, Progress(progress.step + 1, old))


def _condition(seen: Seen) -> str:
    if seen.trouble:
        return f"the new container does not serve: {seen.trouble}"
    if seen.memory is not None and seen.memory >= FULL > (seen.old_memory or 0):
        return f"the new container fills its memory: {seen.memory * 100:.0f} % of the limit"
    return ""


def _silence(seen: Seen, old: Sample) -> str:
    """A container that answers hardly anything has hardly any figures, but its requests wait. Whether they do so for
    longer than is their nature, as that of a websocket is, shows when those of the old one would have ended twice."""
    late = seen.elapsed >= max(SETTLING, 2 * old.stay) and seen.new.stay > 4 * old.stay + SETTLING
    if not late or seen.new.waiting < FEWEST_WAITING:
        return ""
    return f"hardly any request is answered: {seen.new.waiting} wait, {seen.new.requests} were"


def _failures(limits: Traffic, new: Sample, old: Sample) -> str:
    if new.failed < FEWEST_FAILURES or (new.rate - old.rate) * 100 <= limits.errors:
        return ""
    return f"more requests fail than before: {new.rate * 100:.1f} % instead of {old.rate * 100:.1f} %"


def _slowness(limits: Traffic, new: Sample, old: Sample) -> str:
    if new.latency is None or old.latency is None or new.latency <= old.latency * limits.latency + SLACK:
        return ""
    return f"answers take longer than before: {new.latency:.0f} ms instead of {old.latency:.0f} ms"


def carries(asked: Collection[str], trying: Collection[str], serving: Collection[str]) -> bool:
    """Whether a trial that an earlier run left behind has to stay, because it serves in place of what that run was
    replacing. Any other is taken back: what served before still does.

    asked: services whose trial gets requests. trying, serving: those whose trial, whose own container serves.
    """
    return any(service in trying and service not in serving for service in asked)


def trial_of(service: str) -> str:
    """Name of a service's new container on the networks, and of its service in the trial."""
    return f"{service}-trial"


def tried_by(name: str) -> str:
    """The service whose trial has that name."""
    return name.removesuffix("-trial")


def sample_of(answers: list[tuple[int, float | None]], waiting: int, seconds: float) -> Sample:
    """Figures of answers, each a status and the milliseconds until its headers, None where there were none."""
    times = sorted(time for _status, time in answers if time is not None)
    failed = sum(status >= 500 for status, _time in answers)
    return Sample(len(answers), failed, times[(len(times) - 1) * 9 // 10] if times else None, waiting, seconds)
