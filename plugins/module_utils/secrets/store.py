# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder on a host that holds the secrets: one file each, and an index that knows which there have to be.

A run that writes says so in the index first, then writes the files, then closes the entries. A file that is missing
although its entry is closed was therefore lost, and a run that was killed half-way is told apart from a loss.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.plan import (
    NAME,
    Step,
    StoredSecret,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.turns import Turn
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.values import seal

INDEX = ".index.json"
UNFINISHED = ".new-"
RESTORE = "restore it from the backup"
# Another secret under the same name would lock services out of data that the lost one protects.
RESTORE_OR_FORGET = f"{RESTORE}, or, if nothing uses it any more, remove its entry from {INDEX}"


@dataclass(frozen=True)
class Contents:
    """What the store holds, and what is wrong with it."""

    secrets: Mapping[str, StoredSecret]
    index: Mapping[str, Mapping[str, Any]]
    repairs: tuple[str, ...] = ()
    too_open: tuple[Path, ...] = ()
    faults: tuple[Fault, ...] = ()


def read_values(folder: str) -> dict[str, str]:
    """Values by name; none where there is no store yet.

    Raises Faults where the store is damaged.
    """
    contents = SecretStore(folder).read()
    Faults.raise_all(contents.faults)
    return {name: secret.value for name, secret in contents.secrets.items()}


class SecretStore:
    """Reads and writes one store. Files belong to the user that runs this, who on a server is root."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs out, and make the folder where there is none."""
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise GroundworkError(
                f"store {self.folder}", str(error.strerror), "run as root, or set another path"
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def read(self, witnesses: Sequence[str] = ()) -> Contents:
        """Everything in the store; nothing is changed and nothing is raised for what is wrong with it.

        witnesses: paths that exist only where secrets are in use.
        """
        where = f"store {self.folder}"
        if not self.folder.exists():
            return Contents({}, {}, faults=tuple(_in_use(where, witnesses)))
        faults, too_open = _access_faults(where, self.folder, stat.S_ISDIR, "a folder")
        if faults:
            return Contents({}, {}, faults=tuple(faults))
        files = {path.name for path in self.folder.iterdir() if NAME.fullmatch(path.name)}
        try:
            index = self._read_index()
        except ValueError:
            return Contents({}, {}, faults=(Fault(f"{where}: {INDEX}", "it is damaged", RESTORE),))
        if index is None and files:
            cause = f"it is missing beside {len(files)} secrets, of which some may be lost too"
            remedy = f"{RESTORE}, or, if no secret is missing, create it with the content {{}}"
            return Contents({}, {}, faults=(Fault(f"{where}: {INDEX}", cause, remedy),))
        if not index and not files:
            return Contents({}, {}, too_open=tuple(too_open), faults=tuple(_in_use(where, witnesses)))
        return self._read_files(index or {}, files, too_open)

    def _read_files(self, index: Mapping[str, Mapping[str, Any]], files: set[str], too_open: list[Path]) -> Contents:
        secrets, faults, repairs = {}, [], []
        for name in sorted(files | set(index)):
            entry = index.get(name)
            where = f"secret {name} in {self.folder}"
            if name not in files:
                if entry is not None and not entry.get("unfinished"):
                    faults.append(Fault(where, "its file is gone", RESTORE_OR_FORGET))
                continue
            path = self.folder / name
            wrong, narrow = _access_faults(where, path, stat.S_ISREG, "a regular file")
            too_open.extend(narrow)
            secret = None if wrong else self._read_secret(path, entry)
            faults.extend(wrong or ([] if secret else [Fault(where, "its file is empty or damaged", RESTORE)]))
            if secret is not None:
                secrets[name] = secret
                if entry is None:
                    repairs.append(f"{name} joins the index")
        repairs.extend(f"{path}: only its owner may read it" for path in too_open)
        return Contents(secrets, index, tuple(repairs), tuple(too_open), tuple(faults))

    def _read_secret(self, path: Path, entry: Mapping[str, Any] | None) -> StoredSecret | None:
        """One secret, or None where its file does not hold what was written."""
        try:
            value = path.read_text(encoding="utf-8").rstrip("\n")
        except UnicodeDecodeError:
            return None
        if not value or not value.isprintable():
            return None
        if entry is None:
            created = datetime.fromtimestamp(path.stat().st_mtime, tz=timezone.utc).replace(microsecond=0)
            return StoredSecret(path.name, "opaque", created, value)
        unfinished = bool(entry.get("unfinished"))
        if not unfinished and entry["seal"] != seal(value):
            return None
        created = datetime.fromisoformat(entry["created"])
        delivered = Turn(*entry["delivered"]) if "delivered" in entry else None
        return StoredSecret(path.name, entry["kind"], created, value, unfinished, entry.get("follows", ""), delivered)

    def _read_index(self) -> dict[str, dict[str, Any]] | None:
        try:
            text = (self.folder / INDEX).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        index = json.loads(text)
        required = {"kind", "created", "seal"}
        if not isinstance(index, dict) or not all(isinstance(e, dict) and required <= e.keys() for e in index.values()):
            raise ValueError("not an index")
        return index

    def write(
        self,
        contents: Contents,
        steps: Sequence[Step],
        values: Mapping[str, str],
        now: datetime,
        delivered: Sequence[str] = (),
    ) -> None:
        """Put new values beside what is there, and narrow what is too open. Call it under the lock.

        values: for each step that is not kept, see secrets.new_values(). delivered: login names that services have.
        """
        os.chmod(self.folder, 0o700)
        for path in contents.too_open:
            os.chmod(path, 0o700 if path == self.folder else 0o600)
        for leftover in self.folder.glob(f"{UNFINISHED}*"):
            leftover.unlink()
        index = {name: dict(entry) for name, entry in contents.index.items()}
        for name, there in contents.secrets.items():
            index.setdefault(name, _entry(there.kind, there.created, there.value))
        for step in steps:
            name = step.secret.name
            if name in values:
                index[name] = _entry(step.secret.kind, now, values[name])
                if step.secret.kind == "turn":
                    index[name].update(_turn(step, contents, values))
        for name in delivered:
            index[name]["delivered"] = [contents.secrets[name].value, contents.secrets[name].follows]
        self._write_index({name: {**e, "unfinished": True} if name in values else e for name, e in index.items()})
        for name, value in values.items():
            self._replace(name, value)
        self._write_index(index)

    def _write_index(self, index: Mapping[str, Any]) -> None:
        self._replace(INDEX, json.dumps(index, indent=2, sort_keys=True) + "\n")

    def _replace(self, name: str, text: str) -> None:
        """Write a file so that a reader sees the old text or the new one, also after a power cut."""
        handle, temporary = tempfile.mkstemp(prefix=UNFINISHED, dir=self.folder)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), 0o600)
            os.fsync(file.fileno())
        os.replace(temporary, self.folder / name)
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _entry(kind: str, created: datetime, value: str) -> dict[str, Any]:
    return {"kind": kind, "created": created.isoformat(), "seal": seal(value)}


def _turn(step: Step, contents: Contents, values: Mapping[str, str]) -> dict[str, Any]:
    """What an index knows of a login name beyond its value."""
    source, there = step.secret.source or "", contents.secrets.get(step.secret.name)
    password = values[source] if source in values else contents.secrets[source].value
    known: dict[str, Any] = {"follows": seal(password)}
    return {**known, "delivered": list(there.delivered)} if there and there.delivered else known


def _in_use(where: str, witnesses: Sequence[str]) -> list[Fault]:
    return [
        Fault(where, f"it has no secrets, but {path} shows that they are in use", f"{RESTORE}, or move {path} away")
        for path in witnesses
        if os.path.lexists(path)
    ]


def _access_faults(where: str, path: Path, is_type: Any, what: str) -> tuple[list[Fault], list[Path]]:
    """What is wrong with a path's type, owner and mode, and the path itself where its mode only has to be narrowed."""
    status = path.stat() if what == "a folder" else path.lstat()
    if not is_type(status.st_mode):
        return [Fault(where, f"it is not {what}", RESTORE)], []
    if status.st_uid != os.geteuid():
        remedy = f"make sure that its content is yours, then chown it to user {os.geteuid()}"
        return [Fault(where, f"it belongs to user {status.st_uid}", remedy)], []
    # Whoever could write here may have put in a value that they know: no chmod makes that good.
    if status.st_mode & 0o022:
        remedy = "make sure that its content is yours, then take that permission away"
        return [Fault(where, "others than its owner can write to it", remedy)], []
    return [], [path] if status.st_mode & 0o077 else []
