# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guarded change on a real file system; systemd only takes notes, its part is in the end-to-end tests."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.guard import change
from ansible_collections.groundwork.supabase.plugins.module_utils.guard.change import GuardedFile, Part, find_faults
from ansible_collections.groundwork.supabase.plugins.module_utils.guard.host import Host


class Machine:
    """Runs what is no matter of systemd, and remembers what is."""

    def __init__(self, folder):
        self.folder = folder
        self.systemd = []
        self.host = Host(self.run, patience=0)

    def run(self, command):
        if command[0] == "systemctl":
            self.systemd.append(command)
            return 0, ""
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr.strip()

    def part(self, name, content, check="true", command="true"):
        file = GuardedFile(str(self.folder / name), content)
        return Part(name, (file,), ((check,),), (("sh", "-c", command),))

    def text(self, name):
        path = self.folder / name
        return path.read_text() if path.exists() else None

    def expire(self):
        """What the timer does. The script's own path to systemctl leads to a stand-in."""
        script = change.FOLDER / "revert"
        return subprocess.run(["/bin/sh", str(script)], env={"PATH": f"{self.folder}/bin:/usr/bin:/bin"}, check=False)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.setattr(change, "FOLDER", tmp_path / "state" / "guard")
    monkeypatch.setattr(change, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(change, "UNITS", tmp_path / "units")
    (tmp_path / "units").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "systemctl").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    return Machine(tmp_path)


def test_a_confirmed_change_stays_and_leaves_nothing_behind(machine):
    planned, identifier = machine.host.attempt([machine.part("new", "text")], seconds=60)
    assert [file.path for file in planned.files] == [str(machine.folder / "new")]
    assert (machine.folder / "units" / change.TIMER).read_text().count("OnActiveSec=60") == 1
    assert (machine.folder / "units" / "timers.target.wants" / change.TIMER).resolve().exists()
    assert ("systemctl", "restart", change.TIMER) in machine.systemd
    machine.host.confirm(identifier)
    assert machine.text("new") == "text"
    left = [path.name for path in (machine.folder / "units").rglob("*")]
    assert not change.FOLDER.exists() and left == ["timers.target.wants"]
    # The answer to the first call was lost with its connection.
    machine.host.confirm(identifier)
    assert machine.text("new") == "text"


def test_what_is_not_confirmed_is_taken_back_to_the_letter(machine):
    (machine.folder / "old name").write_text("before")
    (machine.folder / "old name").chmod(0o640)
    (machine.folder / "gone").write_text("kept")
    command = f"cat '{machine.folder}/old name' >>'{machine.folder}/log'"
    altered = machine.part("old name", "after", command=command)
    parts = [altered, machine.part("gone", None), machine.part("new", "text")]
    machine.host.attempt(parts, seconds=60)
    assert (machine.text("old name"), machine.text("gone"), machine.text("new")) == ("after", None, "text")
    assert machine.expire().returncode == 0
    assert (machine.text("old name"), machine.text("gone"), machine.text("new")) == ("before", "kept", None)
    assert (machine.folder / "old name").stat().st_mode & 0o777 == 0o640
    assert machine.text("log") == "afterbefore"
    assert not change.FOLDER.exists()


def test_a_confirmation_that_comes_too_late_says_so(machine):
    _planned, identifier = machine.host.attempt([machine.part("new", "text")], seconds=60)
    machine.expire()
    with pytest.raises(GroundworkError, match="it came too late, the change was taken back"):
        machine.host.confirm(identifier)
    # And a timer that fires after the confirmation finds nothing to do.
    _planned, identifier = machine.host.attempt([machine.part("new", "text")], seconds=60)
    script = (change.FOLDER / "revert").read_text()
    machine.host.confirm(identifier)
    assert subprocess.run(["/bin/sh", "-c", script], check=False).returncode == 0
    assert machine.text("new") == "text"


@pytest.mark.parametrize("fault", [{"check": "false"}, {"command": "exit 1"}])
def test_a_command_that_fails_brings_everything_back_at_once(fault, machine):
    (machine.folder / "old").write_text("before")
    command = fault.get("command", "true").replace("exit 1", f"grep -q before {machine.folder}/old")
    with pytest.raises(GroundworkError, match="it ended with 1"):
        machine.host.attempt([machine.part("old", "after", **{**fault, "command": command})], seconds=60)
    assert machine.text("old") == "before" and not change.FOLDER.exists()


def test_a_revert_that_fails_is_tried_again(machine):
    (machine.folder / "old").write_text("before")
    command = f"test ! -e {machine.folder}/broken"
    machine.host.attempt([machine.part("old", "after", command=command)], seconds=60)
    (machine.folder / "broken").touch()
    assert machine.expire().returncode == 1
    # The files are back whatever the commands say.
    assert change.FOLDER.exists() and machine.text("old") == "before"
    (machine.folder / "broken").unlink()
    assert machine.expire().returncode == 0 and not change.FOLDER.exists()


def test_nothing_begins_while_another_change_waits(machine):
    machine.host.attempt([machine.part("new", "text")], seconds=60)
    with pytest.raises(GroundworkError, match="another change still waits"):
        machine.host.attempt([machine.part("other", "text")], seconds=60)
    assert machine.text("other") is None


def test_a_timer_that_is_late_leaves_the_next_change_alone(machine):
    _planned, identifier = machine.host.attempt([machine.part("new", "first")], seconds=60)
    script = (change.FOLDER / "revert").read_text()
    machine.host.confirm(identifier)
    machine.host.attempt([machine.part("new", "second")], seconds=60)
    assert subprocess.run(["/bin/sh", "-c", script], check=False).returncode == 0
    assert machine.text("new") == "second" and change.FOLDER.exists()


def test_nothing_begins_without_a_timer(machine):
    def refuse(command):
        return (1, "no systemd") if command[0] == "systemctl" else machine.run(command)

    host = Host(refuse, patience=0)
    with pytest.raises(GroundworkError, match="no systemd"):
        host.attempt([machine.part("new", "text")], seconds=60)
    assert machine.text("new") is None and not change.FOLDER.exists()


def test_a_file_that_cannot_be_written_brings_everything_back(machine):
    # It would fit, but not under the name that it is first written to.
    parts = [machine.part("first", "text"), machine.part("n" * 253, "text")]
    with pytest.raises(GroundworkError, match="everything is as before"):
        machine.host.attempt(parts, seconds=60)
    assert machine.text("first") is None and not change.FOLDER.exists()


def test_parts_that_are_as_they_should_be_are_left_out(machine):
    (machine.folder / "same").write_text("text")
    (machine.folder / "same").chmod(0o644)
    planned, identifier = machine.host.attempt([machine.part("same", "text")], seconds=60)
    assert (planned.parts, identifier) == ((), "") and not change.FOLDER.exists()


def test_paths_that_cannot_be_guarded():
    file = GuardedFile("/etc/one", "text")
    faults = find_faults([Part("a", (file, GuardedFile("relative", "text"))), Part("b", (file,))])
    assert [fault.object for fault in faults] == ["part a: relative", "part b: /etc/one"]
