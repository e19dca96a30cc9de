# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbook rollback over a real database: what goes back, in which order, and what it says where something cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from postgres_server import ROOT

# It is about the playbook; its SQL is tested elsewhere.
NEWEST_ONLY = True
FIRST, SECOND, THIRD = (f"2026010{day}T000000.000000Z" for day in (1, 2, 3))
FILES = {"1_t.sql": "create table t (a int, b int);", "2_t.sql": "alter table t add column c int;"}
BREAKING = {**FILES, "2_t.sql": "alter table t drop column b;"}
DOWN = {"down/2_t.sql": "alter table t drop column c;"}
COLUMNS = "select attname::text from pg_attribute where attrelid = 't'::regclass and attnum > 0 and not attisdropped"


class Host:
    """Releases of units without containers, a database, and the playbook."""

    def __init__(self, folder, database, project, run):
        self.root, self._database, self._project, self._run = folder / "root", database, project, run
        self._names = {}

    def deploy(self, deployment, *units, files=None):
        """What site.yml leaves behind: activations of that deployment, and migrations."""
        for unit in units:
            name = f"{deployment[:15]}Z-{unit}"
            self._names[unit] = [
                *self._names.get(unit, []),
                {"release": name, "deployment": deployment, "at": deployment},
            ]
            folder = self.root / unit / "releases" / name
            folder.mkdir(parents=True)
            manifest = {"name": name, "digest": unit, "created": deployment, "commit": "", "images": {}, "stored": []}
            (folder / "manifest.json").write_text(json.dumps({**manifest, "document": {"name": unit, "services": {}}}))
            (self.root / unit / "history.json").write_text(json.dumps(self._names[unit]))
        if files:
            migrated = {**self._project(files), **self._database.login, "deployment": deployment}
            assert self._run("migration", migrated).changed

    def roll_back(self, files, *options, **variables):
        login = {f"database_{name}": value for name, value in self._database.login.items()}
        login["database_ssl_mode"] = "prefer"
        paths = {"supabase_root": str(self.root), "supabase_secrets_dir": str(self.root / "secrets")}
        host = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable}
        path = self._project(files)["path"]
        inventory = {"supabase": {"hosts": {"host": {**host, **paths, **login, "database_migrations": path}}}}
        (self.root / "inventory.json").write_text(json.dumps(inventory))
        command = [
            Path(sys.executable).with_name("ansible-playbook"),
            "rollback.yml",
            "-i",
            self.root / "inventory.json",
        ]
        command += ["-e", json.dumps(variables), *options]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    @property
    def state(self):
        """Deployment that each unit's release came with, and the table's columns."""
        histories = {unit: json.loads((self.root / unit / "history.json").read_text()) for unit in self._names}
        columns = "".join(sorted(name for (name,) in self._database.query(COLUMNS)))
        return {unit: history[-1]["deployment"] for unit, history in histories.items()}, columns


@pytest.fixture
def host(tmp_path, database, project, run):
    return Host(tmp_path, database, project, run)


def test_code_first_then_the_schema(host):
    host.deploy(FIRST, "apps", "edge", files={"1_t.sql": FILES["1_t.sql"]})
    host.deploy(SECOND, "apps", files=FILES)
    code, said = host.roll_back({**FILES, **DOWN}, "--check")
    assert code == 0 and "Taken back: 2_t.sql" in said, said
    assert host.state == ({"apps": SECOND, "edge": FIRST}, "abc")
    code, said = host.roll_back({**FILES, **DOWN})
    assert code == 0 and "Taken back: 2_t.sql" in said and "changed=2 " in said, said
    assert said.index("[Go back to the release that served before]") < said.index("Run the down scripts]")
    assert host.state == ({"apps": FIRST, "edge": FIRST}, "ab")


def test_the_schema_first_where_the_former_code_breaks_on_it(host):
    host.deploy(FIRST, "apps", files={"1_t.sql": FILES["1_t.sql"]})
    host.deploy(SECOND, "apps", files=BREAKING)
    assert host.state == ({"apps": SECOND}, "a")
    code, said = host.roll_back({**BREAKING, "down/2_t.sql": "alter table t add column b int;"})
    assert code == 0, said
    assert said.index("Run the down scripts]") < said.index("[Go back to the release that served before]")
    assert host.state == ({"apps": FIRST}, "ab")


def test_without_a_down_script_nothing_is_done_and_the_code_can_go_alone(host):
    host.deploy(FIRST, "apps", files={"1_t.sql": FILES["1_t.sql"]})
    host.deploy(SECOND, "apps", files=FILES)
    code, said = host.roll_back(FILES)
    assert code == 2 and host.state == ({"apps": SECOND}, "abc")
    reason = (
        f"Nothing was changed. migration 2_t.sql: it came with deployment {SECOND} or after it and has no down script"
    )
    assert reason in said and "rollback.yml -e schema=keep" in said, said

    code, said = host.roll_back(FILES, schema="keep")
    assert code == 0 and "The schema is as it was." in said, said
    assert host.state == ({"apps": FIRST}, "abc")
    # A run that was killed between code and schema leaves the same: what is left of that deployment goes alone.
    assert host.roll_back({**FILES, **DOWN})[0] == 0
    assert host.state == ({"apps": FIRST}, "ab")


def test_the_newest_deployment_may_have_migrated_only_or_not_at_all(host):
    host.deploy(FIRST, "apps", "edge", files={"1_t.sql": FILES["1_t.sql"]})
    host.deploy(SECOND, "apps")
    host.deploy(THIRD, files=FILES)
    assert host.roll_back({**FILES, **DOWN})[0] == 0
    assert host.state == ({"apps": SECOND, "edge": FIRST}, "ab")
    assert host.roll_back(FILES)[0] == 0
    assert host.state == ({"apps": FIRST, "edge": FIRST}, "ab")


def test_a_named_release_takes_nothing_from_under_the_others(host):
    host.deploy(FIRST, "apps", files={"1_t.sql": FILES["1_t.sql"]})
    host.deploy(SECOND, "apps", "edge")
    host.deploy(THIRD, "apps", "edge", files=FILES)
    code, said = host.roll_back({**FILES, **DOWN}, release=f"{FIRST[:15]}Z-apps")
    assert code == 0 and "The schema is as it was." in said, said
    assert host.state == ({"apps": FIRST, "edge": THIRD}, "abc")


def test_a_deployment_that_is_too_old_stays(host):
    host.deploy(FIRST, "apps", files={"1_t.sql": FILES["1_t.sql"]})
    host.deploy(SECOND, "apps", files=FILES)
    code, said = host.roll_back({**FILES, **DOWN}, max_age=3600)
    assert code == 2 and "more than 3600 seconds ago" in said and host.state == ({"apps": SECOND}, "abc"), said
    assert host.roll_back({**FILES, **DOWN}, max_age=10**9)[0] == 0
    assert host.state == ({"apps": FIRST}, "ab")


def test_a_first_release_holds_nothing_up(host):
    host.deploy(FIRST, "edge", files={"1_t.sql": FILES["1_t.sql"]})
    host.deploy(SECOND, "edge")
    host.deploy(THIRD, "edge", "apps", files=FILES)
    assert host.roll_back({**FILES, **DOWN})[0] == 0
    assert host.state == ({"apps": THIRD, "edge": SECOND}, "ab")
    assert host.roll_back({**FILES, **DOWN})[0] == 0
    assert host.state == ({"apps": THIRD, "edge": FIRST}, "ab")


def test_a_migration_that_was_repaired_away_is_no_deployment(host, database):
    host.deploy(FIRST, "apps", files={"1_t.sql": FILES["1_t.sql"]})
    host.deploy(SECOND, "apps")
    host.deploy(THIRD, files=FILES)
    database.query("delete from supabase_migrations.schema_migrations where version = '2'")
    assert host.roll_back({"1_t.sql": FILES["1_t.sql"]})[0] == 0
    assert host.state == ({"apps": FIRST}, "abc")


def test_a_database_that_does_not_answer_stops_all_but_the_code(host):
    host.deploy(FIRST, "apps", files={"1_t.sql": FILES["1_t.sql"]})
    host.deploy(SECOND, "apps")
    code, said = host.roll_back(FILES, database_login_port=1)
    assert code == 2 and "Nothing was changed." in said and "-e schema=keep" in said, said
    assert host.state[0] == {"apps": SECOND}
    assert host.roll_back(FILES, schema="keep", database_login_port=1)[0] == 0
    assert host.state[0] == {"apps": FIRST}


def test_a_word_that_is_not_keep_is_refused(host):
    host.deploy(FIRST, "apps", files={"1_t.sql": FILES["1_t.sql"]})
    code, said = host.roll_back(FILES, schema="kepe")
    assert code == 2 and "it can only be keep" in said
