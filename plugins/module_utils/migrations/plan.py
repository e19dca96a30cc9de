# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run does: which migrations are taken back, which are applied, which seeds follow, and from which statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations.files import (
    Entry,
    History,
    Migration,
    Progress,
    Seed,
    compare,
    to_adopt,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations.statements import runs_alone

EDITED = (
    "restore it and put the change into a new migration, or if the change is to count as applied, run "
    "supabase migration repair --status applied {}"
)
UNKNOWN = "restore the file, or repair the history"


@dataclass(frozen=True)
class Wish:
    """What was asked for.

    target: the version to end at, "0" for before the first, None for the newest file.
    before_deployment: the run whose migrations are taken back, and those of later ones; nothing is applied then.
    resume: version to the number, from 1, of the statement to go on with where something else ran the ones before it.
    """

    migrations: Sequence[Migration]
    downs: Sequence[Migration] = ()
    seeds: Sequence[Seed] = ()
    target: str | None = None
    before_deployment: str | None = None
    allow_down: bool = False
    include_all: bool = False
    resume: Mapping[str, int] = field(default_factory=dict)

    @property
    def beyond(self) -> str:
        """Why something goes back, for a person."""
        if self.before_deployment is None:
            return f"is newer than the target {self.target}"
        return f"came with deployment {self.before_deployment} or after it"


@dataclass(frozen=True)
class Step:
    """A migration to apply or to take back. version: as the history has it, or will."""

    script: Migration
    version: str
    down: bool
    progress: Progress | None


@dataclass(frozen=True)
class Plan:
    """In this order: take back, newest first; apply, oldest first; seed."""

    down: tuple[Step, ...]
    up: tuple[Step, ...]
    seeds: tuple[Seed, ...]
    adopted: tuple[Migration, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.down + self.up


def plan(wish: Wish, history: History) -> Plan:
    """Raises Faults with everything that stands in the way, before anything is done."""
    entries = compare(wish.migrations, history)
    if wish.before_deployment is not None:
        # Who goes back in a hurry is not held up by what is wrong with other files.
        down, faults = _plan_down(wish, history, _brought_since(wish.before_deployment, entries, history))
        Faults.raise_all([*_broken_off_downs(history, down), *faults])
        return Plan(tuple(down), (), (), ())
    end = _end(wish, entries)
    kept = [entry for entry in entries if end is None or int(entry.version) <= end]
    beyond = [entry for entry in entries if end is not None and int(entry.version) > end]
    down, faults = _plan_down(wish, history, beyond)
    up, more = _plan_up(wish, history, kept)
    seeds = [seed for seed in wish.seeds if wish.target is None and history.seeds.get(seed.file_name) != seed.checksum]
    for seed in seeds:
        more += _seed_faults(seed)
    Faults.raise_all([*_broken_off_downs(history, down), *faults, *more])
    return Plan(tuple(down), tuple(up), tuple(seeds), tuple(to_adopt(kept, history)))


def pending(migrations: Sequence[Migration], applied: Sequence[str]) -> list[Migration]:
    """Migrations that a history of these versions does not have; raises Faults as ``plan`` does."""
    return [step.script for step in plan(Wish(migrations), History(versions=tuple(applied))).up]


def _end(wish: Wish, entries: Sequence[Entry]) -> int | None:
    if wish.target is None:
        return None
    if wish.target.isdigit() and int(wish.target) in {0, *(int(entry.version) for entry in entries)}:
        return int(wish.target)
    remedy = "name a version of a file, or 0 for the state before the first"
    raise Faults([Fault(f"target {wish.target}", "no migration has this version", remedy)])


def _brought_since(deployment: str, entries: Sequence[Entry], history: History) -> list[Entry]:
    """What that deployment and later ones applied, and every version above, whoever applied it."""
    brought = [int(version) for version, by in history.deployments.items() if by >= deployment]
    return [entry for entry in entries if brought and int(entry.version) >= min(brought)]


def _plan_down(wish: Wish, history: History, beyond: Sequence[Entry]) -> tuple[list[Step], list[Fault]]:
    scripts = {script.number: script for script in wish.downs}
    steps: list[Step] = []
    faults: list[Fault] = []
    for entry in reversed(beyond):
        if entry.state == "partial":
            remedy = "let a run without target finish it before you go back"
            faults.append(Fault(entry.label, "it was applied in part", remedy))
        if entry.state not in ("applied", "edited", "unknown"):
            continue
        script = scripts.get(int(entry.version))
        if not script:
            cause = f"it {wish.beyond} and has no down script"
            file_name = entry.migration.file_name if entry.migration else f"{entry.version}_NAME.sql"
            faults.append(Fault(entry.label, cause, f"write down/{file_name}"))
            continue
        progress = history.down.get(entry.version)
        faults += script.faults() + _progress_faults(script, progress)
        steps.append(Step(script, entry.version, down=True, progress=progress))
    if steps and not wish.allow_down:
        name = f"target {wish.target}" if wish.before_deployment is None else f"deployment {wish.before_deployment}"
        cause = f"{len(steps)} newer migrations would be taken back, which can destroy data"
        faults.append(Fault(name, cause, "take a backup and set allow_down to consent"))
    return steps, faults


def _plan_up(wish: Wish, history: History, kept: Sequence[Entry]) -> tuple[list[Step], list[Fault]]:
    steps: list[Step] = []
    faults: list[Fault] = []
    resume = {int(version): number for version, number in wish.resume.items() if version.isdigit()}
    for entry in kept:
        if entry.state == "unknown":
            faults.append(Fault(entry.label, "it was applied, but no file has it", UNKNOWN))
        elif entry.state == "edited":
            cause = "it was edited after it was applied"
            faults.append(Fault(entry.label, cause, EDITED.format(entry.version)))
        elif entry.state == "late" and not wish.include_all:
            cause = f"it is older than {history.newest}, which was applied"
            faults.append(Fault(entry.label, cause, "give it a later version, or set include_all"))
        if entry.migration and entry.state in ("pending", "late", "partial"):
            number = resume.pop(int(entry.version), None)
            progress = history.up.get(entry.version) or _claimed(entry.migration, number)
            faults += entry.migration.faults() + _progress_faults(entry.migration, progress)
            steps.append(Step(entry.migration, entry.version, down=False, progress=progress))
    # What was applied meanwhile needs no resuming any more, so that a second run with the same arguments is quiet.
    done = {int(version) for version in history.versions}
    for version in sorted(set(resume) - done):
        faults.append(Fault(f"resume {version}", "no pending migration has this version", "correct it"))
    return steps, faults


def _claimed(migration: Migration, number: int | None) -> Progress | None:
    if number is None:
        return None
    return Progress(number - 1, migration.digest_of_first(number - 1))


def _progress_faults(script: Migration, progress: Progress | None) -> list[Fault]:
    if not progress:
        return []
    name = f"migration {script.file_name}"
    if not 0 <= progress.done <= len(script.statements):
        cause = f"it would go on with statement {progress.done + 1}, but has {len(script.statements)}"
        return [Fault(name, cause, "correct resume, or restore the file")]
    if script.digest_of_first(progress.done) != progress.digest:
        cause = f"statements 1 to {progress.done} ran already, and were edited since"
        return [Fault(name, cause, "restore them; what follows them may be corrected")]
    return []


def _broken_off_downs(history: History, down: Sequence[Step]) -> list[Fault]:
    """Going on as if a migration were there of which a part was taken back would build on ruins."""
    covered = {step.version for step in down}
    return [
        Fault(f"migration {version}", "its down script ran in part", "finish it with a target below this version")
        for version in sorted(history.down, key=int)
        if version not in covered
    ]


def _seed_faults(seed: Seed) -> list[Fault]:
    faults = [Fault(fault.object.replace("migration", "seed", 1), fault.cause, fault.remedy) for fault in seed.faults()]
    for number, statement in enumerate(seed.statements, 1):
        if runs_alone(statement):
            cause = f"statement {number} cannot run in a transaction"
            faults.append(Fault(f"seed {seed.file_name}", cause, "put it into a migration"))
    return faults
