# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traffic to the new containers of a unit's services, step by step, and back.

The new containers are those of the trial. While they have all of the traffic the unit's own are replaced, and then the
traffic returns to these. So whatever ends a run, one of the two serves, and the next run finds out which.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.release.docker_engine import Container, DockerEngine
from ansible_collections.groundwork.supabase.plugins.module_utils.release.edge import Answers, Edge, EdgeSilent
from ansible_collections.groundwork.supabase.plugins.module_utils.release.traffic import (
    KEYS,
    Progress,
    Seen,
    Traffic,
    carries,
    decide,
    sample_of,
    trial_of,
    tried_by,
)

# Seconds between two looks at the figures, besides the second or two that the engine takes to tell the memory.
PAUSE = 1.0
# Looks in a row that the edge may fail to answer: so long a machine may be full, and nothing is known of the release.
SILENT_LOOKS = 5


@dataclass(frozen=True)
class Look:
    """One look at all there is to see. at: seconds since 1970. answers: since the look before. trials: new containers
    and own: the unit's, by service. memory: by container, running: requests by host."""

    at: float
    answers: Answers
    trials: Mapping[str, Container]
    own: Mapping[str, Container]
    memory: Mapping[str, float]
    running: Mapping[str, int]


@dataclass
class Judged:
    """A service whose new container is judged. began: when its step did, in seconds since 1970."""

    service: str
    limits: Traffic
    began: float
    progress: Progress = Progress()
    finished: bool = False
    answers: Answers = field(default_factory=dict)

    @property
    def share(self) -> int:
        return self.progress.share(self.limits)

    def see(self, look: Look) -> Seen:
        """What was seen of it since its step began, this look included."""
        new, old = trial_of(self.service), self.service
        for host in (new, old):
            self.answers.setdefault(host, []).extend(look.answers[host])
        trial, own = look.trials.get(new), look.own.get(old)
        elapsed = look.at - self.began
        return Seen(
            elapsed=elapsed,
            new=sample_of(self.answers[new], look.running.get(new, 0), elapsed),
            old=sample_of(self.answers[old], look.running.get(old, 0), elapsed),
            trouble="it is gone" if trial is None else "" if trial.serves else trial.condition,
            memory=look.memory.get(trial.name) if trial else None,
            old_memory=look.memory.get(own.name) if own else None,
        )


class Shift:
    """Shifts the traffic of one unit. say: told each step and its figures, as it happens. called_back: whether somebody
    waits to take back what is being judged."""

    def __init__(
        self,
        engine: DockerEngine,
        unit: str,
        root: Path,
        say: Callable[[str], None],
        called_back: Callable[[], bool],
    ) -> None:
        self.engine = engine
        self.unit = unit
        self.trial = f"{unit}-trial"
        self.edge = Edge(engine, root / "traffic")
        self.say = say
        self.called_back = called_back

    def find_faults(self, services: Collection[str]) -> None:
        """Raise where the edge would send nothing to the trial of one of the services."""
        known = self.edge.running() if services else {}
        remedy = "give its site in supabase_sites shift: true and deploy the edge, or leave traffic out"
        Faults.raise_all(
            Fault(f"{self.unit}: service {service}: traffic", "no site of the edge shares its requests", remedy)
            for service in sorted(services)
            if trial_of(service) not in known
        )

    def is_left(self, services: Collection[str]) -> bool:
        """Whether an earlier run left a trial of these services behind, or requests for it."""
        return bool(self.engine.containers(self.trial) or self.edge.asked() & set(services))

    def settle(
        self, services: Collection[str], limits: Mapping[str, Traffic], was_replacing: bool = False
    ) -> tuple[bool, bool]:
        """Take back a trial that an earlier run left behind, but for one that serves while its service does not.

        services: those that the unit is to have. was_replacing: that run was killed while it replaced containers, so
        one that still runs may just be ending. Returns whether there was anything, and whether it stays.
        """
        trials = {tried_by(each.service): each for each in self.engine.containers(self.trial)}
        asked = self.edge.asked() & {*services, *trials}
        if asked:
            trying = {service for service, container in trials.items() if container.serves}
            own = [] if was_replacing else self.engine.containers(self.unit)
            serving = {container.service for container in own if container.serves}
            if carries(asked & set(services), trying, serving):
                self.say("new containers of an interrupted run have the traffic until others serve")
                # All of it: their own containers are replaced in place, and whoever came to these would have to wait.
                for service in sorted(asked & trying):
                    self.edge.give(service, 100)
                return True, True
        if asked or trials:
            # A run that was killed may have taken the share already, and what runs there has not ended.
            try:
                reached = self.shared(trials)
            except EdgeSilent:
                reached = set(trials)
            self.end(asked | reached, limits)
        return bool(asked or trials), False

    def shared(self, services: Iterable[str]) -> set[str]:
        """Those to whose trial the edge can send requests. Raises EdgeSilent where it does not tell."""
        found = set(services)
        try:
            known = self.edge.running() if found else {}
        except EdgeSilent:
            raise
        except GroundworkError:
            return set()
        return {service for service in found if trial_of(service) in known}

    def bring(self, services: Collection[str]) -> None:
        """Give all of the traffic to the trial at once, which is known to be good, and let the own containers drain."""
        for service in sorted(services):
            self.edge.give(service, 100)
            self.say(f"{service}: all requests to the new container")
        self.drain({service: KEYS["drain"] for service in services})

    def end(self, services: Collection[str], limits: Mapping[str, Traffic]) -> None:
        """Give all traffic back to the unit's own containers and end the trial, when what runs there has ended."""
        for service in sorted(services):
            self.edge.give(service, 0)
        if services:
            drain = {service: limits[service].drain if service in limits else KEYS["drain"] for service in services}
            self.drain({trial_of(service): seconds for service, seconds in drain.items()})
            trials = self.engine.containers(self.trial)
            self.engine.stop([container.name for container in trials if container.state == "running"])
        self.engine.remove_containers(self.trial)

    def forward(self, limits: Mapping[str, Traffic]) -> str:
        """Bring all the traffic to the trial; why not, where it was worse than what serves. Who calls ends it then."""
        # Others were only to become healthy. A worker that runs twice for as long as this takes does its work twice.
        self.engine.remove_containers(self.trial, but=[trial_of(service) for service in limits])
        began, silent = time.time(), 0
        judged = [Judged(service, traffic, began) for service, traffic in limits.items()]
        for each in judged:
            self._give(each)
        while not all(each.finished for each in judged):
            time.sleep(PAUSE)
            if self.called_back():
                return "a rollback was asked for"
            try:
                look, silent = self._look(limits, began), 0
            except EdgeSilent:
                silent += 1
                if silent > SILENT_LOOKS:
                    raise
                continue
            began = look.at
            for each in judged:
                reason = self._act(each, look)
                if reason:
                    return reason
        self.drain({service: traffic.drain for service, traffic in limits.items()})
        return ""

    def drain(self, hosts: Mapping[str, int]) -> None:
        """Wait until no request runs at the hosts, for at most so many seconds each."""
        began = time.monotonic()
        while True:
            # First of all: what was on its way to a host a moment ago is not counted there yet.
            time.sleep(PAUSE)
            try:
                running = self.edge.running()
            except EdgeSilent:
                # Nobody knows, so they get all of their time.
                running = {host: 1 for host in hosts}
            except GroundworkError:
                # Without an edge that passes them on there are none.
                return
            passed = time.monotonic() - began
            if not any(running.get(host) and passed < most for host, most in hosts.items()):
                return

    def _look(self, services: Collection[str], since: float) -> Look:
        trials = {container.service: container for container in self.engine.containers(self.trial)}
        own = {container.service: container for container in self.engine.containers(self.unit)}
        names = [container.name for container in (*trials.values(), *own.values()) if container.state == "running"]
        memory, running, now = self.engine.memory(names), self.edge.running(), time.time()
        answers = self.edge.answers([host for service in services for host in (service, trial_of(service))], since, now)
        return Look(now, answers, trials, own, memory, running)

    def _act(self, each: Judged, look: Look) -> str:
        """Do what is decided; the reason where it is to go back."""
        decision = decide(each.limits, each.progress, each.see(look))
        if decision.action == "back":
            self.say(f"{each.service}: back, {decision.reason}")
            return f"service {each.service}: {decision.reason}"
        if decision.action == "forward" and not each.finished:
            self.say(f"{each.service}: well, {decision.reason}")
            # With all of the traffic it is judged on until the other services are there.
            each.finished = decision.progress.done(each.limits)
            if not each.finished:
                each.progress, each.began, each.answers = decision.progress, look.at, {}
                self._give(each)
        return ""

    def _give(self, each: Judged) -> None:
        self.edge.give(each.service, each.share)
        self.say(f"{each.service}: {each.share} % of the requests to the new container")
