# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases of a unit on a host, as folders.

``<root>/<unit>/store`` holds configuration files by content, ``releases/<name>`` what one release consists of,
``current`` points at the one that serves, ``history.json`` lists the activations that are still in force, oldest first,
``attempt.json`` is the deployment that came after them and has not succeeded. A folder appears whole or not at all: it
is written beside and renamed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.release.config_file import ConfigFile
from ansible_collections.groundwork.supabase.plugins.module_utils.release.live import declared_in
from ansible_collections.groundwork.supabase.plugins.module_utils.release.live_folder import LiveFolder
from ansible_collections.groundwork.supabase.plugins.module_utils.release.replacing import replace_file, replace_link
from ansible_collections.groundwork.supabase.plugins.module_utils.release.yaml_text import to_yaml
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.placeholders import substitute

# Folder that has a file for each deployment that was taken back, of the newest ones: their names sort by time.
TAKEN_BACK = "taken-back"
KEPT_NOTES = 20


@dataclass(frozen=True)
class Manifest:
    """What there is to know about a release apart from its files. Times are UTC, ISO 8601.

    ``document`` is what was asked for; compose.yml beside it has the images by the digest they resolved to.
    ``secrets`` has a seal of each secret whose value is in its files. ``timeout``: seconds that its services got to
    become healthy, which a rollback to it gives them too.
    """

    name: str
    digest: str
    created: str
    commit: str
    images: dict[str, str]
    stored: list[str]
    document: dict[str, Any]
    secrets: dict[str, str] = field(default_factory=dict)
    timeout: int = 180


@dataclass(frozen=True)
class Activation:
    """A release that was made current and not taken back since."""

    release: str
    deployment: str
    at: str


@dataclass(frozen=True)
class Attempt:
    """A deployment that was begun and has not made its release current: it is under way, failed or was killed."""

    deployment: str
    at: str


@dataclass(frozen=True)
class History:
    """Activations in force, oldest first; the last one is current."""

    activations: tuple[Activation, ...] = field(default=())

    def activate(self, activation: Activation) -> History:
        if self.activations and self.activations[-1].release == activation.release:
            return self
        return History((*self.activations, activation))

    def taken_back_to(self, release: str) -> History:
        """History after a rollback: everything after the last activation of that release is gone."""
        for index in range(len(self.activations) - 1, -1, -1):
            if self.activations[index].release == release:
                return History(self.activations[: index + 1])
        return self

    def previous(self) -> str | None:
        """Release that served before the current one."""
        return self.activations[-2].release if len(self.activations) > 1 else None

    def without(self, removed: set[str]) -> History:
        """History without releases that are gone. Where one served before and after them, the later time stays."""
        kept = [a for a in self.activations if a.release not in removed]
        return History(
            tuple(a for a, then in zip(kept, [*kept[1:], None]) if then is None or then.release != a.release)
        )


def to_prune(names: list[str], history: History, current: str | None, keep: int) -> set[str]:
    """Releases to remove: all but the newest ``keep`` beside the current one and the one a rollback would go to."""
    others = sorted(set(names) - {current, history.previous()})
    return set(others[:-keep]) if keep else set()


def units_below(root: str) -> list[str]:
    """Units that have a current release."""
    return sorted(path.parent.name for path in Path(root).glob("*/history.json"))


def units_tried_below(root: str) -> list[str]:
    """Units to which a deployment has come that has not succeeded, be it their first."""
    return sorted(path.parent.name for path in Path(root).glob("*/attempt.json"))


def note_taken_back(root: str, deployment: str) -> None:
    """Have a deployment that is still under way at another unit stop at the next one that it comes to."""
    folder = Path(root) / TAKEN_BACK
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / deployment).touch()
    for path in sorted(folder.iterdir())[:-KEPT_NOTES]:
        path.unlink()


def refuse_taken_back(root: str, deployment: str) -> None:
    if deployment and was_taken_back(root, deployment):
        cause = "rollback.yml has taken it back while it was under way"
        raise GroundworkError(f"deployment {deployment}", cause, "run site.yml again, which is a new one")


def was_taken_back(root: str, deployment: str) -> bool:
    return (Path(root) / TAKEN_BACK / deployment).exists()


class ReleaseFolder:
    """The one place that reads and writes a unit's folder."""

    def __init__(self, root: str, unit: str) -> None:
        self.unit = unit
        self.path = Path(root) / unit
        self.store = self.path / "store"
        self.releases = self.path / "releases"
        self.live = LiveFolder(self.path / "live")
        self._attempt = self.path / "attempt.json"
        self._mark = self.path / ".replacing"
        self._call = self.path / ".called-back"

    @contextlib.contextmanager
    def lock(self, patience: int, by: str) -> Iterator[int]:
        """Hold the unit. A controller that was killed leaves its module running, so a second deployer waits a while.

        Yields the file descriptor that holds it: a process that inherits it goes on holding when this one is killed.
        patience: seconds to wait for another deployer. by: who holds it, which that one is told.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self.path / ".lock", "a+", encoding="utf-8") as handle:
            deadline = time.monotonic() + patience
            while not _try_lock(handle):
                if time.monotonic() >= deadline:
                    handle.seek(0)
                    cause = f"another run{handle.read()} is deploying it, for {patience} seconds and more"
                    raise GroundworkError(f"unit {self.unit}", cause, "wait for that run to end, then run again")
                time.sleep(0.5)
            handle.truncate(0)
            handle.write(f", of {by} since {datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} UTC," if by else "")
            handle.flush()
            yield handle.fileno()

    @contextlib.contextmanager
    def called_back(self) -> Iterator[None]:
        """Have a deployment that holds the unit and is judging its new containers take them back at once."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self._call, "w", encoding="utf-8") as handle:
            # Held and not only there: whoever is killed calls no more.
            fcntl.flock(handle, fcntl.LOCK_SH)
            yield

    def is_called_back(self) -> bool:
        if not self._call.exists():
            return False
        with open(self._call, encoding="utf-8") as handle:
            return not _try_lock(handle)

    def names(self) -> list[str]:
        """All releases, oldest first."""
        if not self.releases.is_dir():
            return []
        return sorted(entry.name for entry in self.releases.iterdir() if (entry / "manifest.json").is_file())

    def manifest(self, name: str) -> Manifest:
        path = self.releases / name / "manifest.json"
        try:
            return Manifest(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            known = ", ".join(self.names()) or "none"
            where = f"release {name} of {self.unit}"
            raise GroundworkError(where, "it does not exist", f"there are: {known}") from error
        except (ValueError, TypeError) as error:
            cause = f"its manifest cannot be read: {error}"
            raise GroundworkError(f"release {name} of {self.unit}", cause, f"remove {path.parent}") from error

    def compose_file(self, name: str) -> str:
        return str(self.releases / name / "compose.yml")

    def current(self) -> str | None:
        """The release that serves: the last activation. The link of that name is for people."""
        activations = self.history().activations
        return activations[-1].release if activations else None

    def images(self) -> dict[str, str]:
        """Image of each service of the release that serves, as it was asked for; empty where none serves."""
        current = self.current()
        services = self.manifest(current).document["services"] if current else {}
        return {service: entry["image"] for service, entry in services.items()}

    def history(self) -> History:
        path = self.path / "history.json"
        if not path.is_file():
            return History()
        try:
            return History(tuple(Activation(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))))
        except (ValueError, TypeError) as error:
            remedy = "move it away; a rollback then needs the release's name"
            raise GroundworkError(str(path), f"it cannot be read: {error}", remedy) from error

    def begin(self, attempt: Attempt) -> None:
        """Keep in mind what is about to be tried, for whoever has to take it back when nobody is left to do so."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(self._attempt, json.dumps(asdict(attempt), indent=2) + "\n", 0o600)

    def attempt(self) -> Attempt | None:
        """The newest deployment, where it has not made its release current."""
        try:
            attempt = Attempt(**json.loads(self._attempt.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            remedy = "move it away; a rollback then goes by the history alone"
            raise GroundworkError(str(self._attempt), f"it cannot be read: {error}", remedy) from error
        # A kill between the history and the end of the attempt; or a second try of what the same deployment brought.
        last = self.history().activations[-1:]
        over = any(each.deployment == attempt.deployment or each.at >= attempt.at for each in last)
        return None if over else attempt

    def end_attempt(self) -> None:
        self._attempt.unlink(missing_ok=True)

    def latest(self) -> Attempt | Activation | None:
        """The newest deployment, whatever came of it."""
        activations = self.history().activations
        return self.attempt() or (activations[-1] if activations else None)

    def refuse_older(self, deployment: str) -> None:
        """Raises where a run that began later has come first: what it deployed would be replaced by what is older."""
        latest = self.latest()
        if deployment and latest is not None and latest.deployment > deployment:
            cause = f"{latest.deployment}, which began later, has been deployed meanwhile"
            remedy = "run site.yml again; if nobody else did, set the controller's clock"
            raise GroundworkError(f"deployment {deployment} of {self.unit}", cause, remedy)

    @contextlib.contextmanager
    def replacing(self) -> Iterator[None]:
        """While containers are replaced. Whoever finds the mark later knows that one of them may be about to end."""
        self._mark.touch(mode=0o600)
        try:
            yield
        finally:
            self._mark.unlink(missing_ok=True)

    def was_replacing(self) -> bool:
        """Whether a run was killed at that. Said once."""
        found = self._mark.exists()
        self._mark.unlink(missing_ok=True)
        return found

    def find(self, digest: str) -> str | None:
        """Newest release of that digest."""
        return next((name for name in reversed(self.names()) if name.endswith(f"-{digest}")), None)

    def write_store(self, files: tuple[ConfigFile, ...], secrets: Mapping[str, str]) -> list[str]:
        """Put configuration files into the store, secrets included; what is there already is left alone."""
        self.store.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = []
        for file in files:
            name = file.stored_as(secrets)
            names.append(name)
            if not (self.store / name).exists():
                replace_file(self.store / name, substitute(file.text, secrets), file.mode, file.uid, file.gid)
        return names

    def write_release(self, manifest: Manifest, pinned: Mapping[str, Any], files: tuple[ConfigFile, ...]) -> None:
        final = self.releases / manifest.name
        staging = self.releases / f".{manifest.name}.new"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(mode=0o700, parents=True)
        for file in files:
            target = staging / "files" / file.printable_as
            target.parent.mkdir(parents=True, exist_ok=True)
            replace_file(target, file.text, 0o400)
        replace_file(staging / "compose.yml", to_yaml(pinned), 0o400)
        replace_file(staging / "manifest.json", json.dumps(asdict(manifest), indent=2) + "\n", 0o400)
        os.rename(staging, final)

    def write_trial(self, text: str) -> str:
        path = self.path / ".trial.yml"
        replace_file(path, text, 0o400)
        return str(path)

    def make_current(self, history: History) -> None:
        """Make a history's last activation current. One file decides, so a kill leaves the old state or the new."""
        text = json.dumps([asdict(entry) for entry in history.activations], indent=2)
        replace_file(self.path / "history.json", text + "\n", 0o600)
        self.point_link()

    def point_link(self) -> None:
        """Point the link ``current`` at the release that serves, where a killed run left it behind."""
        link, target = self.path / "current", f"releases/{self.current()}"
        if link.is_symlink() and os.readlink(link) == target:
            return
        replace_link(link, target)

    def printable(self, name: str | None) -> dict[str, str]:
        """Every text of a release, by file name, secrets as placeholders: one side of a diff."""
        if name is None:
            return {}
        folder = self.releases / name
        texts = {"compose.yml": to_yaml(self.manifest(name).document)}
        for path in sorted((folder / "files").rglob("*")) if (folder / "files").is_dir() else []:
            if path.is_file():
                texts[str(path.relative_to(folder / "files"))] = path.read_text(encoding="utf-8")
        return texts

    def remove(self, names: set[str]) -> None:
        """Remove releases, then the stored files and live versions that no release names any more."""
        for name in names:
            # Out of the way first: half a release must not be taken for a whole one.
            os.rename(self.releases / name, self.releases / f".{name}.gone")
        for leftover in self.releases.glob(".*"):
            shutil.rmtree(leftover)
        manifests = [self.manifest(name) for name in self.names()]
        needed = {stored for manifest in manifests for stored in manifest.stored}
        for path in self.store.iterdir() if self.store.is_dir() else []:
            if path.name not in needed:
                path.unlink()
        declared = (live for manifest in manifests for live in declared_in(manifest.document))
        self.live.remove_unneeded({(live.service, live.version) for live in declared})


def _try_lock(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
