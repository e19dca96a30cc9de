# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files themselves: reading, replacing in one piece, and keeping what was there before.

The state folder has a record for each component and ``originals``, which mirrors the host's paths.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.host_files.plan import Found, Owned, Step

# Not every byte of a file that others wrote needs to be UTF-8; what is not comes back as it was.
ENCODING: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape"}

Run = Callable[[list[str]], "tuple[int, str]"]


@dataclass(frozen=True)
class Record:
    """What is known of a component: what it changed, and whether that still has to be applied."""

    owned: Mapping[str, Owned] = field(default_factory=dict)
    pending: bool = False


class HostDisk:
    """Files of this host, and the folder that remembers how they were."""

    def __init__(self, state_dir: str, component: str) -> None:
        self._state = Path(state_dir)
        self._record_file = self._state / f"{component}.json"

    def record(self) -> Record:
        if not self._record_file.exists():
            return Record()
        raw = json.loads(self._record_file.read_text(encoding="utf-8"))
        return Record({path: Owned(**owned) for path, owned in raw["owned"].items()}, raw["pending"])

    def find(self, path: str, kind: str) -> Found | None:
        return _read(Path(path), with_text=kind != "mode")

    def find_kept(self, path: str) -> Found | None:
        return _read(self._original(path), with_text=True)

    def validate(self, steps: list[Step], run: Run, dry: bool) -> None:
        """Let each new text be judged by the program that will read it. Raises Faults.

        dry: a program that an earlier task would have installed may be missing.
        """
        faults = []
        for step in steps:
            if not step.entry.validate or step.after is None or step.taken_away:
                continue
            if dry and shutil.which(step.entry.validate[0]) is None:
                continue
            with tempfile.TemporaryDirectory(prefix="groundwork-") as folder:
                trial = Path(folder, Path(step.entry.path).name)
                trial.write_text(step.after.text or "", **ENCODING)
                trial.chmod(step.after.mode)
                code, output = run([word.replace("%s", str(trial)) for word in step.entry.validate])
            if code:
                said = output.strip().replace(str(trial), step.entry.path)
                faults.append(
                    Fault(f"file {step.entry.path}", f"{step.entry.validate[0]} refuses it: {said}", "correct it")
                )
        Faults.raise_all(faults)

    def write(self, steps: Sequence[Step], pending: bool) -> None:
        """Put aside, note, write, forget: in this order, so that a call that is killed is made good by the next."""
        for step in steps:
            if step.keep:
                self._keep(step)
        owned = {**{step.entry.path: _owned(step) for step in steps}, **self.record().owned}
        self._save(Record(owned, pending))
        for step in steps:
            _write(step)
        gone = {step.entry.path for step in steps if step.taken_away}
        self._save(Record({path: owned[path] for path in owned if path not in gone}, pending))
        for step in steps:
            if step.restore:
                self._original(step.entry.path).unlink()

    def applied(self) -> None:
        """What was written is in force."""
        self._save(Record(self.record().owned))

    def _save(self, record: Record) -> None:
        if record == Record():
            self._record_file.unlink(missing_ok=True)
            return
        text = json.dumps(asdict(record), indent=2, sort_keys=True)
        _replace(self._record_file, Found(0o644, 0, 0, f"{text}\n"))

    def _original(self, path: str) -> Path:
        return self._state / "originals" / path.lstrip("/")

    def _keep(self, step: Step) -> None:
        path, original = Path(step.entry.path), self._original(step.entry.path)
        if original.is_symlink() or original.exists():
            # A call that was killed had put it aside already.
            return
        # A copy is as open as the file was; the folder is not.
        (self._state / "originals").mkdir(mode=0o700, parents=True, exist_ok=True)
        original.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, original, follow_symlinks=False)
        if step.before is not None:
            os.chown(original, step.before.uid, step.before.gid, follow_symlinks=False)


def _owned(step: Step) -> Owned:
    if step.entry.kind == "mode" and step.before is not None:
        return Owned("mode", step.before.mode, step.before.uid, step.before.gid)
    return Owned(step.entry.kind)


def _write(step: Step) -> None:
    path = Path(step.entry.path)
    if step.entry.kind == "mode":
        if step.after is not None:
            os.chown(path, step.after.uid, step.after.gid)
            os.chmod(path, step.after.mode)
    elif step.after is not None:
        _replace(path, step.after)
    elif step.before is not None:
        path.unlink()


def _read(path: Path, with_text: bool) -> Found | None:
    try:
        status = path.lstat() if with_text else path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISLNK(status.st_mode):
        return Found(0o777, status.st_uid, status.st_gid, link=os.readlink(path))
    text = path.read_text(**ENCODING) if with_text and stat.S_ISREG(status.st_mode) else None
    return Found(stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, text)


def _make_folder(folder: Path) -> None:
    """For everybody to read, whatever umask root has: services that run as somebody else look there."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir()
        folder.chmod(0o755)


def _replace(path: Path, after: Found) -> None:
    _make_folder(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        if after.link is not None:
            os.unlink(name)
            os.symlink(after.link, name)
        else:
            Path(name).write_text(after.text or "", **ENCODING)
            os.chown(name, after.uid, after.gid)
            os.chmod(name, after.mode)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
