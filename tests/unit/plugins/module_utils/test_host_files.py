# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.host_files.disk import HostDisk, Record
from ansible_collections.groundwork.supabase.plugins.module_utils.host_files.settings_text import (
    with_settings,
    without_settings,
)
from ansible_collections.groundwork.supabase.plugins.modules.host_files import converge

LOGIN_DEFS = "# comment\nUMASK\t\t022\n#PASS_MIN_DAYS 3\nPASS_MAX_DAYS\t99999\n"


def quiet(_command):
    return 0, ""


def refusing(_command):
    return 1, "no\n"


def file(path, **more):
    plain = {"content": None, "settings": None, "separator": " ", "mode": None, "validate": []}
    return {"path": str(path), "owner": "root", "group": "root", **plain, **more}


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "chown", lambda *_arguments, **_options: None)

    def converged(*files, state="present", run=quiet, dry=False, apply=()):
        params = {"name": "test", "files": list(files), "state": state, "apply": list(apply)}
        return converge({**params, "state_dir": str(tmp_path / "state")}, run, dry)

    return converged


def record(tmp_path):
    return HostDisk(str(tmp_path / "state"), "test").record()


def test_settings_replace_what_was_set_and_are_added_where_nothing_was():
    text = with_settings(LOGIN_DEFS, {"UMASK": "027", "PASS_MIN_DAYS": "1"}, " ")
    values = [line for line in text.splitlines() if not line.startswith("#")]
    assert values == ["UMASK 027", "PASS_MAX_DAYS\t99999", "PASS_MIN_DAYS 1"]


def test_settings_are_the_same_when_set_again_and_can_be_changed():
    once = with_settings(LOGIN_DEFS, {"UMASK": "027"}, " ")
    assert with_settings(once, {"UMASK": "027"}, " ") == once
    assert with_settings(once, {"UMASK": "077"}, " ") == with_settings(LOGIN_DEFS, {"UMASK": "077"}, " ")


def test_settings_taken_out_leave_the_text_as_it_was_with_what_others_added():
    text = with_settings(LOGIN_DEFS, {"UMASK": "027", "NEW": "1"}, " ")
    assert without_settings(text) == LOGIN_DEFS
    assert without_settings(text + "THEIRS 1\n") == LOGIN_DEFS + "THEIRS 1\n"


def test_a_setting_that_has_its_value_already_is_left_alone():
    assert with_settings("a = 1\n", {"a": "1"}, " = ") == "a = 1\n"


def test_a_new_file_is_written_once_and_taken_away(call, tmp_path):
    path = tmp_path / "etc" / "x.conf"
    wanted = file(path, content="a\n", mode="0640")
    assert call(wanted, dry=True)["changed"] and not path.exists()
    assert call(wanted)["files"] == [str(path)]
    assert path.read_text() == "a\n" and path.stat().st_mode & 0o777 == 0o640
    assert not call(wanted)["changed"]
    assert call(file(path, content="b\n", mode="0640"))["changed"]
    assert call(wanted, state="absent")["changed"]
    assert not path.exists() and record(tmp_path) == Record()
    assert not call(wanted, state="absent")["changed"]


@pytest.mark.skipif(os.getuid() != 0, reason="the owner is part of what is compared")
def test_what_was_there_before_comes_back(call, tmp_path):
    whole, mode, settings = tmp_path / "issue", tmp_path / "crontab", tmp_path / "login.defs"
    whole.write_text("vendor\n")
    whole.chmod(0o604)
    mode.write_text("jobs\n")
    mode.chmod(0o644)
    settings.write_text(LOGIN_DEFS)
    wanted = [
        file(whole, content="ours\n", mode="0644"),
        file(mode, mode="0600"),
        file(settings, settings={"UMASK": "027"}),
    ]
    call(*wanted)
    call(file(whole, content="ours, again\n", mode="0644"), *wanted[1:])
    assert mode.stat().st_mode & 0o777 == 0o600
    mode.write_text("other jobs\n")
    call(*wanted, state="absent")
    assert whole.read_text() == "vendor\n" and whole.stat().st_mode & 0o777 == 0o604
    assert mode.read_text() == "other jobs\n" and mode.stat().st_mode & 0o777 == 0o644
    assert settings.read_text() == LOGIN_DEFS


def test_a_link_comes_back_as_a_link(call, tmp_path):
    path = tmp_path / "motd"
    path.symlink_to("/run/motd")
    call(file(path, content="ours\n"))
    assert not path.is_symlink()
    call(file(path, content="ours\n"), state="absent")
    assert os.readlink(path) == "/run/motd"


def test_a_file_that_is_no_longer_listed_is_taken_away(call, tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    call(file(first, content="1\n"), file(second, content="2\n"))
    assert call(file(second, content="2\n"))["files"] == [str(first)]
    assert not first.exists() and second.exists()


def test_a_file_that_was_never_ours_stays(call, tmp_path):
    path = tmp_path / "theirs"
    path.write_text("same\n")
    assert not call(file(path, content="same\n"))["changed"]
    call(file(path, content="same\n"), state="absent")
    assert path.exists()


def test_nothing_is_written_when_one_file_is_refused(call, tmp_path):
    good, bad = tmp_path / "good", tmp_path / "bad"
    with pytest.raises(Faults, match="bad: sh refuses it: no"):
        call(file(good, content="1\n"), file(bad, content="2\n", validate=["sh", "%s"]), run=refusing)
    assert not good.exists() and not bad.exists()


def test_in_a_check_a_judge_that_is_not_installed_yet_says_nothing(call, tmp_path):
    assert call(file(tmp_path / "x", content="1\n", validate=["no-such-program", "%s"]), run=refusing, dry=True)[
        "changed"
    ]


def test_what_was_not_taken_over_is_taken_over_by_the_next_call(call, tmp_path):
    ran = []
    wanted = file(tmp_path / "x", content="1\n")
    with pytest.raises(Exception, match="restart failed: no"):
        call(wanted, apply=[["restart"]], run=refusing)
    assert call(wanted, apply=[["restart"]], dry=True)["changed"]
    assert call(wanted, apply=[["restart"]], run=lambda command: (ran.append(command), (0, ""))[1])["applied"]
    assert ran == [["restart"]]
    assert not call(wanted, apply=[["restart"]])["changed"]


def test_several_faults_are_told_together(call, tmp_path):
    with pytest.raises(Faults) as raised:
        call(file(tmp_path / "a", mode="rw"), file(tmp_path / "b", owner="nobody-at-all"))
    assert len(raised.value.faults) == 2
