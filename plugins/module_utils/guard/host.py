# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's side of a guarded change: make it, confirm it, or wait until it was taken back."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.guard import change
from ansible_collections.groundwork.supabase.plugins.module_utils.guard.change import GuardedFile, Part, Plan

Run = Callable[[Sequence[str]], "tuple[int, str]"]
"""Runs a command; returns its exit code and what it said."""

LOOK_AT = f"see journalctl -u {change.SERVICE}"


class Host:
    """``run`` runs a command. ``patience``: seconds to wait for a change that somebody else has not confirmed yet."""

    def __init__(self, run: Run, patience: int) -> None:
        self._run = run
        self._patience = patience

    def plan(self, parts: Sequence[Part]) -> Plan:
        return change.plan(parts, {file.path: read(file.path) for part in parts for file in part.files})

    def attempt(self, parts: Sequence[Part], seconds: int) -> tuple[Plan, str]:
        """Put the parts into force, to be taken back after so many seconds. Returns what changed and its identifier.

        Raises GroundworkError where a check or a command fails; everything is as before then.
        """
        deadline = time.monotonic() + self._patience
        while True:
            self.await_settled(deadline)
            with lock():
                # Somebody may have been quicker.
                if pending() is not None:
                    continue
                planned = self.plan(parts)
                if not planned.parts:
                    return planned, ""
                identifier = self._arm(planned, seconds)
                fault = self._carry_out(planned)
                break
        if fault is not None:
            self.revert()
            raise fault
        return planned, identifier

    def _arm(self, planned: Plan, seconds: int) -> str:
        """Keep the former files and start the timer, before anything is changed."""
        identifier = str(uuid.uuid4())
        new = beside(".new")
        for left_over in (new, beside(".done")):
            shutil.rmtree(left_over, ignore_errors=True)
        (new / "former").mkdir(parents=True, mode=0o700)
        new.chmod(0o700)
        for position, file in enumerate(planned.files):
            if planned.former[file.path].content is not None:
                self._demand(["cp", "-a", "--", file.path, str(new / "former" / str(position))])
        (new / "revert").write_text(change.revert_script(planned, identifier), encoding="utf-8")
        (new / "identifier").write_text(identifier, encoding="utf-8")
        new.rename(change.FOLDER)
        try:
            for name, text in change.units(seconds).items():
                (change.UNITS / name).write_text(text, encoding="utf-8")
            change.boot_link().parent.mkdir(exist_ok=True)
            change.boot_link().unlink(missing_ok=True)
            change.boot_link().symlink_to(change.UNITS / change.TIMER)
            for command in change.arm_commands():
                self._demand(command)
        except (GroundworkError, OSError):
            # Without a timer nothing may begin, and nothing may wait for it.
            shutil.rmtree(change.FOLDER)
            raise
        return identifier

    def _carry_out(self, planned: Plan) -> GroundworkError | None:
        for file in planned.files:
            try:
                write(file)
            except OSError as error:
                return GroundworkError(
                    file.path, str(error.strerror), "everything is as before; see that root may write there"
                )
        for commands, remedy in (
            (planned.checks, "it was not put into force; correct what it complains about"),
            (planned.commands, "everything is as before; correct what it complains about"),
        ):
            for command in commands:
                code, said = self._run(command)
                if code != 0:
                    return GroundworkError(" ".join(command), f"it ended with {code}: {said}", remedy)
        return None

    def _demand(self, command: Sequence[str]) -> None:
        code, said = self._run(command)
        if code != 0:
            remedy = "nothing was changed; correct what it complains about"
            raise GroundworkError(" ".join(command), f"it ended with {code}: {said}", remedy)

    def revert(self) -> None:
        """Do at once what the timer would do."""
        code, said = self._run(["/bin/sh", str(change.FOLDER / "revert")])
        if code != 0:
            raise GroundworkError("revert", f"it ended with {code}: {said}", f"it is tried again by itself; {LOOK_AT}")

    def confirm(self, identifier: str) -> None:
        """Keep the change. Raises GroundworkError if it was taken back in the meantime.

        May be called again: the first call's answer may have been lost with its connection.
        """
        with lock():
            if identifier_in(beside(".done")) == identifier:
                return
            if pending() != identifier:
                raise GroundworkError(
                    "confirmation",
                    "it came too late, the change was taken back",
                    f"give it more seconds, or find out what took so long; {LOOK_AT}",
                )
            # Gone in one piece; a timer that fires now finds nothing to do.
            change.FOLDER.rename(beside(".done"))
            shutil.rmtree(beside(".done") / "former", ignore_errors=True)
            # Still under the lock, or it could be the next change's timer that is stopped.
            for command in change.disarm_commands():
                self._run(command)

    def await_settled(self, deadline: float | None = None) -> None:
        """Wait until no change is waiting for its confirmation."""
        deadline = time.monotonic() + self._patience if deadline is None else deadline
        while pending() is not None:
            if time.monotonic() > deadline:
                raise GroundworkError(
                    f"folder {change.FOLDER}",
                    "another change still waits to be confirmed or taken back",
                    f"wait for the other run to end; {LOOK_AT}",
                )
            time.sleep(0.5)


@contextlib.contextmanager
def lock() -> Iterator[None]:
    """Held while a change begins, is confirmed, or is taken back."""
    with open(change.LOCK, "w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def beside(ending: str) -> Path:
    """The folder before it is complete, or on its way out."""
    return change.FOLDER.with_name(f"{change.FOLDER.name}{ending}")


def pending() -> str | None:
    """Identifier of the change that waits for its confirmation."""
    return identifier_in(change.FOLDER)


def identifier_in(folder: Path) -> str | None:
    try:
        return (folder / "identifier").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def read(path: str) -> GuardedFile:
    try:
        mode = stat.S_IMODE(Path(path).stat().st_mode)
        return GuardedFile(path, Path(path).read_text(encoding="utf-8", errors="surrogateescape"), mode)
    except FileNotFoundError:
        return GuardedFile(path)


def write(file: GuardedFile) -> None:
    """Put the file in place in one piece, owned by root, or remove it."""
    path = Path(file.path)
    if file.content is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.write_text(file.content, encoding="utf-8", errors="surrogateescape")
    new.chmod(file.mode)
    new.replace(path)
