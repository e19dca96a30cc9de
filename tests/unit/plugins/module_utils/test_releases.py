# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import subprocess

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.release import folders
from ansible_collections.groundwork.supabase.plugins.module_utils.release.compose import ConfigFile
from ansible_collections.groundwork.supabase.plugins.module_utils.release.deployment import deployed_last
from ansible_collections.groundwork.supabase.plugins.module_utils.release.folders import (
    Activation,
    Attempt,
    History,
    Manifest,
)
from ansible_collections.groundwork.supabase.plugins.modules.release import goes_back


def history(*names):
    return History(tuple(Activation(name, f"run-{name}", f"2026-01-0{i + 1}") for i, name in enumerate(names)))


def names(value):
    return [activation.release for activation in value.activations]


def test_a_rollback_goes_to_what_served_before_even_when_that_is_newer():
    assert history("a", "b", "a").previous() == "b"


def test_activating_the_current_release_again_adds_nothing():
    assert names(history("a").activate(Activation("a", "x", "now"))) == ["a"]


def test_a_rollback_takes_activations_back():
    assert names(history("a", "b", "c").taken_back_to("b")) == ["a", "b"]
    assert names(history("a", "b", "a", "c").taken_back_to("a")) == ["a", "b", "a"]
    assert history("a").previous() is None


def test_what_served_before_and_after_one_that_is_pruned_counts_once():
    left = history("a", "b", "a", "c").without({"b"})
    assert [(each.release, each.deployment, each.at) for each in left.activations] == [
        ("a", "run-a", "2026-01-03"), ("c", "run-c", "2026-01-04")
    ]  # fmt: skip
    assert left.taken_back_to("a").previous() is None


def test_pruning_keeps_the_newest_the_current_and_the_way_back():
    assert folders.to_prune(["a", "b", "c", "d"], history("a", "b"), "b", 1) == {"c"}
    assert folders.to_prune(["a", "b", "c", "d"], history("c", "d"), "d", 1) == {"a"}
    assert folders.to_prune(["a", "b"], history("b"), "b", 0) == set()


def test_the_newest_deployment_names_the_units_to_take_back():
    current = {
        "supabase": Activation("s", "run-1", "2026-01-01T00:00:00"),
        "apps": Activation("a", "run-2", "2026-01-02T00:00:00"),
        "edge": Activation("e", "run-2", "2026-01-02T00:00:09"),
        "empty": None,
    }
    assert deployed_last(current) == ["apps", "edge"]
    assert deployed_last({}) == []
    assert deployed_last(current, "run-1") == deployed_last(current, "run-2") == ["apps", "edge"]
    assert deployed_last(current, "run-3") == []
    # One that failed or was killed is the newest all the same.
    current["supabase"] = Attempt("run-3", "2026-01-03T00:00:00")
    assert deployed_last(current) == deployed_last(current, "run-3") == ["supabase"]


OLD, GOOD, NEW = "20260101T000000.000000Z", "20260102T000000.000000Z", "20260103T000000.000000Z"


def serves(root, unit, *deployments):
    folder = folders.ReleaseFolder(str(root), unit)
    folder.path.mkdir()
    at = ("-".join((each[:4], each[4:6], each[6:8])) for each in deployments)
    folder.make_current(History(tuple(Activation(each, each, time) for each, time in zip(deployments, at))))


def test_a_deployment_that_only_brought_first_releases_does_not_have_an_older_one_taken_back(tmp_path):
    root = str(tmp_path)
    serves(root, "supabase", OLD, GOOD)
    serves(root, "edge", OLD)
    assert goes_back(root, None, None, "") == (GOOD, ["supabase"])
    serves(root, "apps", NEW)
    with pytest.raises(GroundworkError, match=f"deployment {NEW}: it only brought the first release of apps"):
        goes_back(root, None, None, "")
    assert goes_back(root, None, None, NEW) == (NEW, []), "its migrations go back"
    assert goes_back(root, "supabase", None, "") == (GOOD, ["supabase"]), "by name"
    # Gone as far as it can, it does not stand before the others for ever.
    folders.note_taken_back(root, NEW)
    assert goes_back(root, None, None, "") == (GOOD, ["supabase"])


def test_units_that_a_deployment_brought_stay_where_it_changed_others_too(tmp_path):
    serves(tmp_path, "supabase", OLD, NEW)
    serves(tmp_path, "apps", NEW)
    assert goes_back(str(tmp_path), None, None, "") == (NEW, ["supabase"])


def test_a_run_that_began_earlier_does_not_come_after_a_later_one(tmp_path):
    serves(tmp_path, "apps", OLD, NEW)
    apps = folders.ReleaseFolder(str(tmp_path), "apps")
    with pytest.raises(GroundworkError, match=f"deployment {GOOD} of apps: {NEW}, which began later"):
        apps.refuse_older(GOOD)
    for deployment in ("", NEW, "20260104T000000.000000Z"):
        apps.refuse_older(deployment)


@pytest.fixture
def folder(tmp_path):
    return folders.ReleaseFolder(str(tmp_path), "supabase")


def config(text, path="/etc/x.conf"):
    return ConfigFile("auth", path, text, 0o400, os.getuid(), os.getgid())


def write(folder, name, *files):
    stored = folder.write_store(tuple(files), {"password": "real-value"})
    doc = {"services": {"auth": {"image": "a:1"}}}
    folder.write_release(Manifest(name, name[-1], "now", "", {"auth": "a@sha256:1"}, stored, doc), doc, tuple(files))


def test_the_images_are_those_of_the_release_that_serves(folder):
    assert folder.images() == {}
    write(folder, "r-1", config("one"))
    assert folder.images() == {}
    folder.make_current(history("r-1"))
    assert folder.images() == {"auth": "a:1"}


def test_the_store_has_the_secret_and_the_release_the_placeholder(folder):
    write(folder, "r-1", config("key ${secret:password}"))
    stored = list(folder.store.iterdir())
    assert [path.read_text() for path in stored] == ["key real-value"]
    assert stored[0].stat().st_mode & 0o777 == 0o400
    assert folder.store.stat().st_mode & 0o777 == 0o700
    printed = folder.printable("r-1")
    assert printed["auth/etc/x.conf"] == "key ${secret:password}"
    assert "real-value" not in json.dumps(printed)


def test_current_moves_with_the_history(folder):
    write(folder, "r-1")
    write(folder, "r-2")
    folder.make_current(history("r-1"))
    folder.make_current(history("r-1", "r-2"))
    assert folder.current() == "r-2"
    assert (folder.path / "current" / "manifest.json").is_file()
    assert folder.history().previous() == "r-1"
    assert folders.units_below(str(folder.path.parent)) == ["supabase"]


def test_a_kill_between_history_and_link_changes_nothing_about_what_is_current(folder):
    write(folder, "r-1")
    write(folder, "r-2")
    folder.make_current(history("r-1"))
    folder.make_current(history("r-1", "r-2"))
    (folder.path / "current").unlink()
    (folder.path / "current").symlink_to("releases/r-1")
    assert folder.current() == "r-2"
    folder.point_link()
    assert (folder.path / "current").resolve().name == "r-2"


def test_an_attempt_is_the_newest_deployment_until_it_or_a_later_one_succeeds(folder):
    assert folder.latest() is None
    write(folder, "r-1")
    write(folder, "r-2")
    folder.make_current(history("r-1"))
    assert folder.latest().deployment == "run-r-1"
    folder.begin(Attempt("run-r-2", "2026-01-01T12"))
    assert (folder.latest().deployment, folder.current()) == ("run-r-2", "r-1")
    folder.make_current(history("r-1", "r-2"))
    assert folder.attempt() is None, "a kill before its file was removed"
    folder.begin(Attempt("run-3", "2026-01-03"))
    folder.begin(Attempt("run-4", "2026-01-04"))
    assert folder.latest().deployment == "run-4"
    folder.end_attempt()
    assert folder.latest().deployment == "run-r-2"


def test_a_unit_is_known_by_its_first_attempt(folder):
    folder.begin(Attempt("run-1", "2026-01-01"))
    root = str(folder.path.parent)
    assert (folders.units_below(root), folders.units_tried_below(root)) == ([], ["supabase"])


def test_a_deployment_that_was_taken_back_goes_no_further(tmp_path):
    for number in range(10, 40):
        folders.note_taken_back(str(tmp_path), f"run-{number}")
    with pytest.raises(GroundworkError, match=r"run-39: rollback\.yml has taken it back"):
        folders.refuse_taken_back(str(tmp_path), "run-39")
    for other in ("run-40", "run-10", ""):
        folders.refuse_taken_back(str(tmp_path), other)
    assert len(list((tmp_path / "taken-back").iterdir())) == 20
    assert folders.units_below(str(tmp_path)) == []


def test_a_damaged_attempt_is_named(folder):
    folder.path.mkdir()
    (folder.path / "attempt.json").write_text("{}")
    with pytest.raises(GroundworkError, match=r"attempt\.json"):
        folder.attempt()


def test_a_run_that_was_killed_while_it_replaced_containers_is_told_of_once(folder):
    folder.path.mkdir()
    with folder.replacing():
        assert (folder.path / ".replacing").exists()
    assert not folder.was_replacing()
    (folder.path / ".replacing").touch()
    assert folder.was_replacing() and not folder.was_replacing()


def test_who_calls_back_a_deployment_does_so_as_long_as_it_lives(folder):
    assert not folder.is_called_back()
    with folder.called_back(), folder.called_back():
        assert folder.is_called_back() and folder.is_called_back()
    assert (folder.path / ".called-back").exists() and not folder.is_called_back()


def test_a_prune_that_was_killed_is_completed(folder):
    write(folder, "r-1")
    write(folder, "r-2")
    (folder.releases / "r-1").rename(folder.releases / ".r-1.gone")
    folder.remove({"r-2"})
    assert list(folder.releases.iterdir()) == []


def test_a_half_written_release_does_not_exist(folder):
    (folder.releases / "r-1").mkdir(parents=True)
    assert folder.names() == []
    with pytest.raises(GroundworkError, match="does not exist"):
        folder.manifest("r-1")


def test_removing_a_release_keeps_files_that_another_names(folder):
    write(folder, "r-1", config("shared"), config("old", "/etc/y.conf"))
    write(folder, "r-2", config("shared"))
    folder.remove({"r-1"})
    assert folder.names() == ["r-2"]
    assert [path.read_text() for path in folder.store.iterdir()] == ["shared"]


def test_a_second_deployer_is_turned_away(folder):
    busy = r"another run, of jane@laptop since 20\d\d-.+ UTC, is deploying it, for 0 seconds"
    with folder.lock(0, "somebody@a-controller-with-a-long-name"):
        pass
    with folder.lock(0, "jane@laptop"), pytest.raises(GroundworkError, match=busy), folder.lock(0, "joe@desk"):
        pass
    with folder.lock(0, ""), pytest.raises(GroundworkError, match="another run is deploying it"), folder.lock(0, "joe"):
        pass


def test_what_a_killed_deployer_has_begun_holds_the_unit_until_it_ends(folder):
    with folder.lock(0, "") as held:
        begun = subprocess.Popen(["sleep", "60"], pass_fds=[held])
    try:
        with pytest.raises(GroundworkError, match="another run"), folder.lock(0, ""):
            pass
    finally:
        begun.kill()
        begun.wait()
    with folder.lock(0, ""):
        pass


def test_a_damaged_history_is_named(folder):
    folder.path.mkdir()
    (folder.path / "history.json").write_text("{")
    with pytest.raises(GroundworkError, match=r"history\.json"):
        folder.history()
