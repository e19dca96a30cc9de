# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.release import compose
from ansible_collections.groundwork.supabase.plugins.module_utils.release.live import declared_in, live_files
from ansible_collections.groundwork.supabase.plugins.module_utils.release.live_folder import LiveFolder

SECRETS = {"password": "real-value-of-a-secret"}
OWN = {"uid": os.getuid(), "gid": os.getgid()}


def live(**more):
    files = {
        "lds.yaml": {"content": "version: ${live_version}\n", **OWN},
        "sds.yaml": {"content": "key: ${secret:password}\n", **OWN},
    }
    return {"path": "/etc/envoy/live", "files": files, "accepted": ["bash", "-c", "[ $$LIVE_VERSION ]"], **more}


def unit(**services):
    return compose.build_unit("supabase", {name: {"image": "a:1", **entry} for name, entry in services.items()}, {}, {})


def document(secrets=None, **services):
    return compose.document(unit(**services), "/opt/supabase", secrets or SECRETS)


def version(spec, secrets=None):
    return live_files("envoy", spec).version(secrets or SECRETS)


def test_live_files_are_no_part_of_the_entry():
    other = {"lds.yaml": {"content": "other"}}
    before, after = document(envoy={"live": live()}), document(envoy={"live": live(files=other)})
    assert before["services"] == after["services"]
    assert compose.digest(before) != compose.digest(after)
    mount = before["services"]["envoy"]["volumes"][0]
    assert (mount["source"], mount["target"]) == ("/opt/supabase/live/envoy", "/etc/envoy/live")
    assert mount["read_only"] and compose.runs_twice(before["services"]["envoy"])


def test_a_unit_without_live_files_is_described_as_before():
    assert set(document(envoy={})) == {"name", "services"}
    assert declared_in(document(envoy={"live": None})) == ()


def test_the_document_tells_a_release_all_that_a_switch_needs():
    (declared,) = declared_in(document(envoy={"live": live(path="/etc/envoy/live/")}))
    assert (declared.service, declared.path, declared.timeout) == ("envoy", "/etc/envoy/live", 15)
    assert declared.command == ["bash", "-c", "[ $LIVE_VERSION ]"]
    assert declared.version == version(live())


def test_a_rotated_secret_is_another_version_without_showing():
    rotated = {"password": "another-value-of-a-secret"}
    assert version(live()) != version(live(), rotated)
    text = str(document(envoy={"live": live()}))
    assert SECRETS["password"] not in text and "${secret:" not in text


@pytest.mark.parametrize("change", [{"mode": "0440"}, {"uid": 4711}, {"gid": 4711}, {"content": "x"}])
def test_all_that_a_container_sees_counts(change):
    files = live()["files"]
    assert version(live()) != version(live(files={**files, "lds.yaml": {**files["lds.yaml"], **change}}))


def test_neither_the_order_of_files_nor_the_command_counts():
    files = dict(reversed(live()["files"].items()))
    assert version(live()) == version(live(files=files, accepted=[], timeout=1))


def test_a_name_that_moves_into_the_content_is_another_version():
    assert version(live(files={"a": {"content": "b"}})) != version(live(files={"ab": {"content": ""}}))


def test_the_version_stands_in_the_text_and_in_no_secret():
    secrets = {"password": "a-${live_version}"}
    texts = {file.path: text for file, text in live_files("envoy", live()).texts(secrets)}
    assert texts == {
        "/etc/envoy/live/current/lds.yaml": f"version: {version(live(), secrets)}\n",
        "/etc/envoy/live/current/sds.yaml": "key: a-${live_version}\n",
    }


def test_a_trial_has_the_version_that_is_not_in_force_yet():
    doc = document(
        envoy={"live": live(), "volumes": [{"type": "bind", "source": "/a", "target": "/b", "read_only": True}]}
    )
    own, mount = compose.trial(doc, {"envoy"}, set())["services"]["envoy-trial"]["volumes"]
    assert own["source"] == "/a"
    assert mount["source"] == f"/opt/supabase/live/envoy/{version(live())}"
    assert mount["target"] == "/etc/envoy/live/current"


def test_faults_of_the_shape_are_reported_together():
    wrong = {
        "path": "etc",
        "files": {"a/b": {"content": ""}, ".c": {"content": ""}},
        "accepted": "x",
        "timeout": 0.5,
        "d": 1,
    }
    with pytest.raises(GroundworkError) as error:
        live_files("envoy", wrong)
    for part in ("path etc is no folder", "file a/b", "file .c", "accepted is not a list", "timeout 0.5", "no key d"):
        assert part in str(error.value)
    for spec in ("x", {}, {"path": "/"}, live(timeout=True), live(timeout=-1)):
        with pytest.raises(GroundworkError, match="service envoy: live: "):
            live_files("envoy", spec)


def test_faults_of_the_content_are_those_of_other_files():
    accepted = ["sh", "-c", "${secret:password}"]
    faulty = unit(envoy={"live": live(files={"x": {"content": "${secret:lost|rot13}"}}, accepted=accepted)}, rest={})
    faults = [str(fault) for fault in compose.find_unit_faults(faulty)]
    assert [fault.split(";")[0] for fault in faults] == [
        "supabase: service envoy: a secret stands in live.accepted",
        "supabase: service envoy: /etc/envoy/live/current/x: unknown secret filter rot13",
    ]
    assert "there is no secret lost" in str(compose.find_missing_secrets(faulty, SECRETS)[0])
    dollar = unit(envoy={"live": live(accepted=["$HOME"])})
    assert "a single $ in live.accepted" in str(compose.find_unit_faults(dollar)[0])


@pytest.fixture
def folder(tmp_path):
    return LiveFolder(tmp_path / "live")


@pytest.fixture
def written(folder):
    """Folder of a version that was written and is in force."""
    asked = live_files("envoy", live())
    assert folder.write(asked, SECRETS)
    folder.point("envoy", version(live()))
    assert not folder.write(asked, SECRETS)
    return folder.path / "envoy" / version(live())


def test_a_container_may_read_the_folder_and_of_the_files_what_they_grant(folder, written):
    assert (written / "lds.yaml").read_text() == f"version: {written.name}\n"
    assert (written / "sds.yaml").read_text() == "key: real-value-of-a-secret\n"
    modes = {path.name: path.stat().st_mode & 0o777 for path in (written, written.parent, *written.iterdir())}
    assert modes == {written.name: 0o755, "envoy": 0o755, "lds.yaml": 0o444, "sds.yaml": 0o400}
    assert folder.path.stat().st_mode & 0o777 == 0o700


def change_content(path):
    (path / "lds.yaml").chmod(0o600)
    (path / "lds.yaml").write_text("other")


def link(path):
    (path / "lds.yaml").rename(path.parent / "aside")
    (path / "lds.yaml").symlink_to("../aside")


DAMAGE = {
    "content": change_content,
    "mode": lambda path: (path / "sds.yaml").chmod(0o444),
    "file gone": lambda path: (path / "lds.yaml").unlink(),
    "file renamed": lambda path: (path / "lds.yaml").rename(path / "cds.yaml"),
    "stray file": lambda path: (path / ".lds.yaml.new").write_text("half"),
    "stray folder": lambda path: (path / "more" / "still").mkdir(parents=True),
    "folder in place of a file": lambda path: ((path / "lds.yaml").unlink(), (path / "lds.yaml").mkdir()),
    "link in place of a file": link,
    "folder gone": lambda path: path.rename(path.parent / "elsewhere"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_shows_and_is_repaired(folder, written, damage):
    declared = declared_in(document(envoy={"live": live()}))
    assert folder.out_of_place(declared) == ()
    DAMAGE[damage](written)
    assert folder.out_of_place(declared) == ("envoy",)
    assert folder.write(live_files("envoy", live()), SECRETS)
    assert folder.out_of_place(declared) == ()
    assert sorted(path.name for path in written.iterdir()) == ["lds.yaml", "sds.yaml"]


def test_a_link_that_names_another_version_is_out_of_place(folder, written):
    declared = declared_in(document(envoy={"live": live()}))
    folder.point("envoy", "elsewhere")
    assert folder.out_of_place(declared) == ("envoy",)
    (written.parent / "current").unlink()
    assert folder.current("envoy") is None and folder.out_of_place(declared) == ("envoy",)


def test_the_link_is_replaced_and_never_missing(folder, written, monkeypatch):
    seen = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *paths: (seen.append(folder.current("envoy")), replace(*paths)))
    folder.point("envoy", "next")
    assert seen == [written.name] and folder.current("envoy") == "next"
    assert sorted(path.name for path in written.parent.iterdir()) == sorted([written.name, "current"])


def test_what_no_release_names_is_removed_but_not_what_is_in_force(folder, written):
    for name in ("kept", "old"):
        (written.parent / name).mkdir()
    (folder.path / "gone" / "v").mkdir(parents=True)
    folder.remove_unneeded({("envoy", "kept")})
    assert sorted(path.name for path in written.parent.iterdir()) == sorted([written.name, "current", "kept"])
    assert [path.name for path in folder.path.iterdir()] == ["envoy"]
    LiveFolder(folder.path / "nowhere").remove_unneeded(set())
