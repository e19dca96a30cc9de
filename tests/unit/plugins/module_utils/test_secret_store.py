# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
from datetime import datetime, timezone

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.plan import Secret, new_values, plan
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.store import INDEX, SecretStore, read_values

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
SECRETS = (Secret("a", "password"), Secret("b", "hex"))


def fill(folder, secrets=SECRETS):
    store = SecretStore(str(folder))
    with store.lock():
        contents = store.read()
        steps = plan(secrets, contents.secrets, NOW, contents.faults)
        store.write(contents, steps, new_values(steps, contents.secrets, NOW, os.urandom), NOW)
    return store


def mode(path):
    return path.stat().st_mode & 0o777


@pytest.fixture
def folder(tmp_path):
    fill(tmp_path / "secrets")
    return tmp_path / "secrets"


def causes(folder, witnesses=()):
    return [f"{fault.object}: {fault.cause}" for fault in SecretStore(str(folder)).read(witnesses).faults]


def test_modes_are_for_the_owner_only(folder):
    assert mode(folder) == 0o700
    assert {path.name: mode(path) for path in folder.iterdir()} == dict.fromkeys(["a", "b", INDEX], 0o600)


def test_what_was_written_is_read(folder):
    values = read_values(str(folder))
    assert values == {name: (folder / name).read_text() for name in ("a", "b")}
    contents = SecretStore(str(folder)).read()
    assert contents.secrets["b"].kind == "hex" and contents.secrets["b"].created == NOW
    assert contents.faults == () and contents.repairs == ()


def test_there_is_no_store_yet(tmp_path):
    assert read_values(str(tmp_path / "none")) == {}


def test_a_lost_secret_is_not_made_anew(folder):
    (folder / "a").unlink()
    assert causes(folder) == [f"secret a in {folder}: its file is gone"]
    before = (folder / INDEX).read_text()
    with pytest.raises(Faults):
        fill(folder)
    assert not (folder / "a").exists() and (folder / INDEX).read_text() == before


def test_an_entry_that_was_removed_on_purpose_is_made_anew(folder):
    (folder / "a").unlink()
    index = json.loads((folder / INDEX).read_text())
    del index["a"]
    (folder / INDEX).write_text(json.dumps(index))
    fill(folder)
    assert len((folder / "a").read_text()) == 40


@pytest.mark.parametrize("content", [b"", b"\n", b"cut", b"\xff\xfe", b"two\nlines"])
def test_a_damaged_secret_is_refused(folder, content):
    (folder / "a").write_bytes(content)
    assert causes(folder) == [f"secret a in {folder}: its file is empty or damaged"]


def test_a_lost_index_is_refused_beside_secrets(folder):
    (folder / INDEX).unlink()
    assert "it is missing beside 2 secrets" in causes(folder)[0]
    (folder / INDEX).write_text("{}")
    contents = SecretStore(str(folder)).read()
    assert contents.faults == () and contents.repairs == ("a joins the index", "b joins the index")


@pytest.mark.parametrize("text", ["{", "[]", '{"a": {}}', '{"a": 1}'])
def test_a_damaged_index_is_refused(folder, text):
    (folder / INDEX).write_text(text)
    assert "it is damaged" in causes(folder)[0]


def test_an_empty_store_is_refused_where_secrets_are_in_use(tmp_path):
    database = tmp_path / "database"
    assert causes(tmp_path / "secrets", [str(database)]) == []
    database.mkdir()
    assert "shows that they are in use" in causes(tmp_path / "secrets", [str(database)])[0]
    (tmp_path / "secrets").mkdir(mode=0o700)
    assert "shows that they are in use" in causes(tmp_path / "secrets", [str(database)])[0]


def test_a_mode_that_is_too_open_is_narrowed(folder):
    (folder / "a").chmod(0o644)
    folder.chmod(0o755)
    repairs = SecretStore(str(folder)).read().repairs
    assert repairs == (f"{folder}: only its owner may read it", f"{folder / 'a'}: only its owner may read it")
    fill(folder)
    assert mode(folder) == 0o700 and mode(folder / "a") == 0o600


def test_what_others_can_write_is_refused(folder):
    (folder / "a").chmod(0o660)
    assert "others than its owner can write to it" in causes(folder)[0]
    folder.chmod(0o777)
    assert causes(folder) == [f"store {folder}: others than its owner can write to it"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_others_own_is_refused(folder):
    os.chown(folder / "a", 12345, -1)
    assert "it belongs to user 12345" in causes(folder)[0]


def test_a_link_is_refused(folder):
    (folder / "a").rename(folder.parent / "elsewhere")
    (folder / "a").symlink_to(folder.parent / "elsewhere")
    assert "it is not a regular file" in causes(folder)[0]


@pytest.mark.parametrize("killed_at", range(1, 8))
def test_a_run_that_was_killed_anywhere_is_finished_by_the_next(tmp_path, monkeypatch, killed_at):
    folder, replace, calls = tmp_path / "secrets", os.replace, []

    def replace_until_killed(source, target):
        calls.append(target)
        if len(calls) >= killed_at:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_until_killed)
    if killed_at <= 4:
        with pytest.raises(KeyboardInterrupt):
            fill(folder)
    else:
        fill(folder)
    written = {name: (folder / name).read_text() for name in ("a", "b") if (folder / name).exists()}
    monkeypatch.undo()
    fill(folder)
    values = read_values(str(folder))
    assert set(values) == {"a", "b"} and written.items() <= values.items()
    assert sorted(path.name for path in folder.iterdir()) == [INDEX, "a", "b"]


def test_a_killed_change_of_a_value_is_finished_by_the_next(folder, monkeypatch):
    given = [Secret("a", "password", value="kR7vZq2LmX9pTw4BsN8c"), Secret("b", "hex")]
    replace = SecretStore._replace
    monkeypatch.setattr(
        SecretStore, "_replace", lambda self, name, text: None if name == "a" else replace(self, name, text)
    )
    original = SecretStore._write_index
    monkeypatch.setattr(
        SecretStore, "_write_index", lambda self, index: original(self, index) if "unfinished" in str(index) else None
    )
    fill(folder, given)
    monkeypatch.undo()
    fill(folder, given)
    assert read_values(str(folder))["a"] == "kR7vZq2LmX9pTw4BsN8c"
