# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deploy and roll back one unit: plan, try beside, replace, judge by health, or resume what served before."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import (
    Fault,
    Faults,
    GroundworkError,
    system_error,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.release import compose
from ansible_collections.groundwork.supabase.plugins.module_utils.release.docker_engine import Container, DockerEngine
from ansible_collections.groundwork.supabase.plugins.module_utils.release.edge import EdgeSilent
from ansible_collections.groundwork.supabase.plugins.module_utils.release.folders import (
    Activation,
    Attempt,
    Manifest,
    ReleaseFolder,
    to_prune,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.release.live import declared_in
from ansible_collections.groundwork.supabase.plugins.module_utils.release.shifting import Shift
from ansible_collections.groundwork.supabase.plugins.module_utils.release.switching import Complaint, Switch, last_line
from ansible_collections.groundwork.supabase.plugins.module_utils.release.traffic import Traffic, trial_of, tried_by
from ansible_collections.groundwork.supabase.plugins.module_utils.release.yaml_text import to_yaml
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.placeholders import mask, secret_names
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.values import seal

LOG_LINES = 15
# That a rollback waits for a former release to become healthy beside the bad one, before it is replaced in place.
SECONDS_BESIDE = 60
REMEDY = "correct the service's image or settings, then run again"


@dataclass(frozen=True)
class Plan:
    """What a deployment would do.

    replaced: services whose container is made anew. live: services whose live files are not in force as wanted.
    """

    digest: str
    release: str | None
    current: str | None
    replaced: tuple[str, ...]
    removed: tuple[str, ...]
    down: tuple[str, ...]
    live: tuple[str, ...]
    before: dict[str, str]
    after: dict[str, str]

    @property
    def changed(self) -> bool:
        if self.current is None and not self.replaced:
            # Nothing was ever deployed and nothing is asked for. A first attempt that failed may have left containers.
            return bool(self.removed)
        return self.release is None or self.release != self.current or bool(self.down or self.live or self.removed)


@dataclass(frozen=True)
class Outcome:
    """What was done, for the module's result."""

    changed: bool
    release: str | None
    previous: str | None
    pruned: tuple[str, ...] = ()


def utc_now() -> datetime:
    # To the microsecond: an attempt that follows a success within its second is the newer one.
    return datetime.now(timezone.utc)


class Deployer:
    """Deploys units of one host.

    secrets: values of the host's store by name; they go into stored files and are masked in everything that is said.
    timeout: seconds that services get to become healthy. say: told what takes long, as it happens.
    """

    def __init__(
        self,
        folder: ReleaseFolder,
        engine: DockerEngine,
        secrets: Mapping[str, str],
        timeout: int,
        say: Callable[[str], None],
    ) -> None:
        self.folder = folder
        self.engine = engine
        self.secrets = secrets
        self.timeout = timeout
        self.shift = Shift(engine, folder.unit, folder.path.parent, say, folder.is_called_back)

    def plan(self, unit: compose.Unit) -> Plan:
        doc = compose.document(unit, str(self.folder.path), self.secrets)
        digest = compose.digest(doc)
        current, release = self.folder.current(), self.folder.find(digest)
        old = self.folder.manifest(current).document["services"] if current else {}
        running = self.engine.containers(unit.name) if self.engine.available() else []
        down = self._not_as_released(current, running) if current and release == current else ()
        return Plan(
            digest=digest,
            release=release,
            current=current,
            replaced=tuple(sorted(name for name, entry in doc["services"].items() if old.get(name) != entry)),
            removed=tuple(sorted({container.service for container in running} - set(doc["services"]))),
            down=down,
            live=self.folder.live.out_of_place(declared_in(doc)),
            before=self.folder.printable(current),
            after={"compose.yml": to_yaml(doc), **{file.printable_as: file.text for file in unit.texts}},
        )

    def is_settled(self, release: str) -> bool:
        """Whether the release is all there is: no container and no live files of another one, and no trial."""
        document, running = self.folder.manifest(release).document, self.engine.containers(self.folder.unit)
        others = {container.service for container in running} - set(document["services"])
        if others or self._not_as_released(release, running) or self.shift.is_left(document["services"]):
            return False
        return not self.folder.live.out_of_place(declared_in(document))

    def _not_as_released(self, release: str, running: list[Container]) -> tuple[str, ...]:
        """Services that do not serve, or that run with another release's settings because a run was killed."""
        wanted = fingerprints(self.folder.manifest(release).document)
        serving = {container.service: container.fingerprint for container in running if container.serves}
        return tuple(sorted(service for service, value in wanted.items() if serving.get(service) != value))

    def deploy(self, unit: compose.Unit, commit: str, deployment: str, keep: int) -> Outcome:
        """Bring the unit to the release that its services describe."""
        # A run that was killed may have left its trial behind, with traffic perhaps, or the link.
        trial_left, carried = self.shift.settle(unit.services, unit.traffic, self.folder.was_replacing())
        plan = self.plan(unit)
        if not plan.changed:
            if carried:
                self.shift.settle(unit.services, unit.traffic)
            if plan.current is not None:
                self.folder.point_link()
                self.folder.end_attempt()
            pruned = self._prune(keep)
            previous = self.folder.history().previous()
            return Outcome(bool(pruned) or trial_left, plan.current, previous, pruned)
        if plan.current is None and not unit.services:
            self.forget()
            return Outcome(True, None, None)
        deployment = deployment or plan.release or f"{utc_now():%Y%m%dT%H%M%SZ}-{plan.digest}"
        # A repair of what serves is nothing to go back from.
        if plan.release is None or plan.release != plan.current:
            self.folder.begin(Attempt(deployment, utc_now().isoformat()))
        stored = self.folder.write_store(unit.files, self.secrets)
        rewritten = [live.service for live in unit.live if self.folder.live.write(live, self.secrets)]
        release = plan.release or self._stage(unit, plan.digest, commit, stored)
        if (
            carried
            and plan.current is not None
            and release != plan.current
            and not self._is_tried(release, plan.current, unit.traffic)
        ):
            # Another one than this was judged, or not all of it.
            carried = not self._is_restored(unit, plan.current)
        # Of the current release too: a run that was killed may have left containers of another one, which serve.
        if plan.current is not None and (release != plan.current or plan.down) and not carried:
            self._try(unit.name, release, plan.current, unit.traffic)
        try:
            self._switch(unit.name, release, plan.current, rewritten)
            history = self.folder.history().activate(Activation(release, deployment, utc_now().isoformat()))
            self.folder.make_current(history)
            self.folder.end_attempt()
        finally:
            self.shift.settle(unit.services, unit.traffic)
        return Outcome(True, release, history.previous(), self._prune(keep))

    def _is_tried(self, release: str, current: str, traffic: Collection[str]) -> bool:
        """Whether what is left of a trial is that release's, and all of it whose traffic comes by steps."""
        wanted = fingerprints(self.folder.manifest(release).document)
        before = fingerprints(self.folder.manifest(current).document)
        tried = {tried_by(each.service): each.fingerprint for each in self.engine.containers(self.shift.trial)}
        needed = {service for service in traffic if before.get(service) not in (None, wanted[service])}
        return needed <= tried.keys() and all(wanted.get(service) == value for service, value in tried.items())

    def _is_restored(self, unit: compose.Unit, current: str) -> bool:
        """Whether the current release serves again in place of a trial that was left."""
        try:
            self._switch(unit.name, current, current)
        except GroundworkError:
            return False
        self.shift.settle(unit.services, unit.traffic)
        return True

    def forget(self) -> None:
        """Remove what the first deployment of a unit left that never served."""
        self.engine.remove_containers(self.shift.trial)
        self.engine.remove_containers(self.folder.unit)
        self.folder.end_attempt()

    def rollback_target(self, release: str | None) -> str:
        """The release to go back to: the named one, the one that served before, or the one that still serves where the
        newest deployment failed or was killed. Raises where there is none."""
        current, history = self.folder.current(), self.folder.history()
        target = release or (current if self.folder.attempt() else history.previous())
        if target is None:
            cause = "there is no earlier release to go back to"
            remedy = f"name one of: {', '.join(self.folder.names()) or 'none'}"
            raise GroundworkError(f"unit {self.folder.unit}", cause, remedy)
        manifest = self.folder.manifest(target)
        if target == current and self.is_settled(target):
            return target
        self._refuse_former_secrets(manifest)
        for live in declared_in(manifest.document):
            if not self.folder.live.is_whole(live.service, live.version):
                cause = f"the live files of service {live.service}, version {live.version}, are gone or damaged"
                raise GroundworkError(f"release {target} of {self.folder.unit}", cause, "deploy it from its commit")
        return manifest.name

    def _refuse_former_secrets(self, manifest: Manifest) -> None:
        """A release holds the values that secrets had: with it, keys that were dropped would be accepted again."""
        now = {name: seal(self.secrets[name]) for name in manifest.secrets.keys() & self.secrets.keys()}
        others = sorted(name for name, was in manifest.secrets.items() if now.get(name) != was)
        if others:
            cause = f"it was made with former values of {', '.join(others)}"
            remedy = f"deploy its commit {manifest.commit or 'again'}, which puts the present ones in"
            raise GroundworkError(f"release {manifest.name} of {self.folder.unit}", cause, remedy)

    def fetch(self, target: str) -> None:
        """Have the images of a release here. Raises where one is not to be had."""
        self.engine.pull_missing(self.folder.manifest(target).images.values())

    def roll_back(self, target: str) -> Outcome:
        """Make an earlier release current again, judged by health like any other."""
        history, current = self.folder.history(), self.folder.current()
        manifest = self.folder.manifest(target)
        services, self.timeout = manifest.document["services"], max(self.timeout, manifest.timeout)
        trial_left, carried = self.shift.settle(services, {}, self.folder.was_replacing())
        # After a run that was killed the current release may not be what runs.
        if target == current and not carried and self.is_settled(target):
            self.folder.end_attempt()
            return Outcome(trial_left, current, history.previous())
        if current is not None and not carried:
            self._bring_back(target, current)
        try:
            self._switch(self.folder.unit, target, current)
        finally:
            self.shift.settle(services, {})
        back = history.taken_back_to(target)
        if not back.activations or back.activations[-1].release != target:
            now = utc_now()
            back = history.activate(Activation(target, f"{now:%Y%m%dT%H%M%SZ}", now.isoformat()))
        self.folder.make_current(back)
        self.folder.end_attempt()
        return Outcome(True, target, current)

    def _stage(self, unit: compose.Unit, digest: str, commit: str, stored: list[str]) -> str:
        doc = compose.document(unit, str(self.folder.path), self.secrets)
        self.engine.validate(unit.name, to_yaml(doc))
        references = [entry["image"] for entry in doc["services"].values()]
        resolved = self.engine.pull_missing(references)
        now = utc_now()
        name = f"{now:%Y%m%dT%H%M%SZ}-{digest}"
        images = {service: resolved[entry["image"]] for service, entry in doc["services"].items()}
        named = {secret for file in unit.texts for secret in secret_names(file.text)}
        seals = {secret: seal(self.secrets[secret]) for secret in sorted(named)}
        created = now.isoformat(timespec="seconds")
        manifest = Manifest(name, digest, created, commit, images, sorted(stored), doc, seals, self.timeout)
        self.folder.write_release(manifest, compose.with_images(doc, images), unit.texts)
        return name

    def _try(self, unit: str, release: str, current: str, traffic: Mapping[str, Traffic]) -> None:
        """Start what changed beside what runs, and bring it the traffic of services that have steps for that; then it
        stays until their own containers are replaced. When that fails, the running release is as it was before."""
        doc = self._trial(unit, release, current)
        shifted = {service: limits for service, limits in traffic.items() if trial_of(service) in doc["services"]}
        self.shift.find_faults(shifted)
        switch = Switch(self.folder, self.engine, self.timeout)
        complaint = switch.ahead(release)
        symptoms = self._symptoms(unit, complaint) if complaint else self._try_beside(doc, shifted)
        if symptoms:
            again = switch.ahead(current)
            state = "serves on, untouched" if again is None else f"serves on, but {self._clean(again.text)}"
            what = f"release {current}" if release != current else "what an interrupted run left"
            raise GroundworkError(f"release {release} of {unit}", f"{symptoms}\n{what} {state}", REMEDY)

    def _bring_back(self, target: str, current: str) -> None:
        """Start what the edge can send requests to beside what runs, and give it all of them: the release that is left
        is out of their way when its successor is healthy, and gets its time to end what it has begun."""
        doc = self._trial(self.folder.unit, target, current)
        try:
            shared = self.shift.shared(map(tried_by, doc["services"]))
        except EdgeSilent:
            return
        chosen = {name: entry for name, entry in doc["services"].items() if tried_by(name) in shared}
        if not chosen or Switch(self.folder, self.engine, self.timeout).ahead(target) is not None:
            return
        project, path = doc["name"], self.folder.write_trial(to_yaml({**doc, "services": chosen}))
        try:
            self.engine.up(project, path, min(self.timeout, SECONDS_BESIDE))
        finally:
            os.unlink(path)
        # Of one without a health check nobody knows when it takes requests. What finds no room beside a release that
        # fills the machine is not given up here: it is replaced in place, and judged there.
        healthy = {tried_by(each.service) for each in self.engine.containers(project) if each.serves and each.health}
        if healthy:
            self.shift.bring(healthy)
        self.engine.remove_containers(project, but=[trial_of(service) for service in healthy])

    def _trial(self, unit: str, release: str, current: str) -> dict[str, Any]:
        """Document of what can be tried beside what runs."""
        manifest = self.folder.manifest(release)
        running = {container.service: container.fingerprint for container in self.engine.containers(unit)}
        wanted = fingerprints(manifest.document)
        changed = {service for service, value in wanted.items() if running.get(service) not in (None, value)}
        networks = set(self.folder.manifest(current).document.get("networks") or {})
        return compose.trial(compose.with_images(manifest.document, manifest.images), changed, networks)

    def _try_beside(self, doc: Mapping[str, Any], shifted: Mapping[str, Traffic]) -> str:
        """What is wrong with the trial, empty where nothing is."""
        if not doc["services"]:
            return ""
        project, path, carries = doc["name"], self.folder.write_trial(to_yaml(doc)), False
        try:
            complaint = self.engine.up(project, path, self.timeout)
            if complaint is not None:
                return self._symptoms(project, Complaint(f"it did not become healthy: {last_line(complaint)}"))
            self._refuse_unjudged(project, shifted)
            reason = self.shift.forward(shifted) if shifted else ""
            carries = bool(shifted) and not reason
            return self._symptoms(project, Complaint(reason, frozenset(map(trial_of, shifted)))) if reason else ""
        except GroundworkError as error:
            return self._clean(str(error))
        finally:
            if not carries:
                self.shift.end(shifted, shifted)
            os.unlink(path)

    def _refuse_unjudged(self, project: str, shifted: Mapping[str, Traffic]) -> None:
        """Without a health check a container counts as well when it has started, and would get requests before it
        listens."""
        trials = [each for each in self.engine.containers(project) if tried_by(each.service) in shifted]
        Faults.raise_all(
            Fault(
                f"service {tried_by(each.service)}: traffic",
                "neither the service nor its image has a health check, so nobody knows when it takes requests",
                "give it a healthcheck, or leave traffic out",
            )
            for each in trials
            if not each.health
        )

    def _switch(self, unit: str, release: str, current: str | None, rewritten: Collection[str] = ()) -> None:
        if not self.folder.manifest(release).document["services"]:
            # Compose has no word for a project without services.
            self.engine.remove_containers(unit)
            return
        switch = Switch(self.folder, self.engine, self.timeout)
        with self.folder.replacing():
            complaint = _complaint_of(lambda: switch.forward(release, rewritten))
        if complaint is None:
            return
        cause = self._symptoms(unit, complaint)
        if current is None or current == release:
            raise GroundworkError(f"release {release} of {unit}", cause, REMEDY)
        with self.folder.replacing():
            again = _complaint_of(lambda: switch.back(current))
        state = "serves again" if again is None else f"was started again, but {self._clean(again.text)}"
        raise GroundworkError(f"release {release} of {unit}", f"{cause}\nrelease {current} {state}", REMEDY)

    def _symptoms(self, project: str, complaint: Complaint) -> str:
        """The complaint, then the state, last probe and last log lines of each container that it may come from."""
        lines = [complaint.text]
        try:
            containers = self.engine.containers(project)
        except GroundworkError as error:
            containers = []
            lines.append(str(error))
        for container in containers:
            if not container.serves or container.service in complaint.about:
                lines.append(f"{container.service}: {container.condition}")
                lines.extend(f"    {line}" for line in self.engine.logs(container.name, LOG_LINES))
        return self._clean("\n".join(lines))

    def _clean(self, text: str) -> str:
        return mask(text, self.secrets.values())

    def _prune(self, keep: int) -> tuple[str, ...]:
        removed = to_prune(self.folder.names(), self.folder.history(), self.folder.current(), keep)
        if removed:
            self.folder.make_current(self.folder.history().without(removed))
            self.folder.remove(removed)
        return tuple(sorted(removed))


def _complaint_of(act: Callable[[], Complaint | None]) -> Complaint | None:
    """What it complains of, an engine or a disk that fails included: what served has to be brought back then, too."""
    try:
        return act()
    except GroundworkError as error:
        return Complaint(str(error))
    except OSError as error:
        return Complaint(str(system_error(error)))


def fingerprints(document: Mapping[str, Any]) -> dict[str, str]:
    """What each service's container has to be labelled with."""
    return {service: entry["labels"][compose.FINGERPRINT] for service, entry in document["services"].items()}


def deployed_last(latest: Mapping[str, Activation | Attempt | None], migrated: str = "") -> list[str]:
    """Units that the newest deployment changed, or tried to: what a rollback without arguments takes back.

    latest: of each unit. migrated: the newest deployment that migrated the database; where it is newer than that of any
    unit, there are none.
    """
    known = {unit: each for unit, each in latest.items() if each is not None}
    if not known:
        return []
    newest = max(known.values(), key=lambda each: each.at).deployment
    if newest < migrated:
        return []
    return sorted(unit for unit, each in known.items() if each.deployment == newest)
