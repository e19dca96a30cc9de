# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets that an inventory looks up in HashiCorp Vault reach the host's store and nothing else.

The lookup is community.hashi_vault's own; what it asks is answered here in Vault's place.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from postgres_server import ROOT

TOKEN = "hvs.Zm4kRz1XbVt0MfSy9LgPj4NcHd2A"
JWT_SECRET = "Vb6kRz1XqWt0MfSy9LgPj4NcHd2AeUo8"
OTHER_JWT_SECRET = "Jd3nYc8sHu5GpEo6Kx7vQ2mZr9TfLw4B"
GIVEN = {"jwt_secret": JWT_SECRET, "smtp_password": "Kx7vQ2mZr9TfLw4B"}
# What the documentation tells to write.
EXAMPLE = re.compile(r"^stack_given_secrets: .*vault_kv2_get.*$", re.MULTILINE)
PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role:
        name: groundwork.supabase.stack
        tasks_from: preflight
        public: true
    - groundwork.supabase.secret:
        path: "{{ supabase_secrets_dir }}"
        secrets: "{{ __stack_secrets }}"
    - ansible.builtin.copy:
        content: "{{ __stack_services | to_json }}"
        dest: "{{ supabase_root }}/services.json"
        mode: "0600"
"""


class Vault(BaseHTTPRequestHandler):
    """Reading from a KV store of version 2 (Vault's documentation, HTTP API, "KV v2", "Read secret version")."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        entry = self.server.entries.get(self.path.removeprefix("/v1/secret/data/"))
        if self.headers["X-Vault-Token"] != TOKEN:
            self.answer(403, {"errors": ["permission denied"]})
        elif entry is None:
            self.answer(404, {"errors": []})
        else:
            self.answer(200, {"data": {"data": entry, "metadata": {"version": 1}}})

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


@pytest.fixture
def vault():
    with ThreadingHTTPServer(("127.0.0.1", 0), Vault) as server:
        server.entries, server.asked = {"supabase/prod": dict(GIVEN)}, []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def play(tmp_path, vault):
    """Run the playbook as talkatively as it can be; no value is on the screen, or in a file beside the store."""
    documented = EXAMPLE.search((ROOT / "docs" / "inventory.md").read_text(encoding="utf-8"))
    variables = {
        **yaml.safe_load(documented.group()),
        "supabase_environment": "dev",
        "supabase_domain": "lab.test",
        "supabase_email": "ops@lab.test",
        "supabase_api_domain": "api.lab.test",
        "supabase_studio_domain": "studio.lab.test",
        "supabase_public_url": "https://api.lab.test",
        "supabase_root": str(tmp_path),
        "supabase_secrets_dir": str(tmp_path / "secrets"),
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "stack_smtp": {"host": "smtp.lab.test", "user": "ops"},
        "stack_preflight": {
            "apps": {},
            "domains": {},
            "tls": "internal",
            "email": "",
            "require_digests": False,
        },
    }
    (tmp_path / "variables.yml").write_text(yaml.safe_dump(variables), encoding="utf-8")
    (tmp_path / "play.yml").write_text(PLAYBOOK, encoding="utf-8")
    values = {TOKEN, JWT_SECRET, OTHER_JWT_SECRET, *GIVEN.values()}

    def run(*options, token=TOKEN):
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "VAULT_ADDR": f"http://127.0.0.1:{vault.server_address[1]}",
            "VAULT_TOKEN": token,
        }
        command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", "-vvv", "--diff"]
        command += ["-e", f"@{tmp_path / 'variables.yml'}", *options, str(tmp_path / "play.yml")]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        files = "".join(path.read_text(encoding="utf-8") for path in tmp_path.glob("*") if path.is_file())
        assert not [value for value in values if value in done.stdout + files]
        return done

    return run


def stored(folder):
    return {path.name: path.read_text(encoding="utf-8") for path in (folder / "secrets").glob("[a-z]*")}


def changes(done):
    assert done.returncode == 0, done.stdout
    return int(re.search(r"changed=(\d+)", done.stdout).group(1))


def test_values_of_vault_reach_the_store_and_nothing_else(tmp_path, vault, play):
    assert changes(play("--check")) == 2
    assert stored(tmp_path) == {}

    assert changes(play()) == 2
    store = stored(tmp_path)
    assert {name: store[name] for name in GIVEN} == GIVEN
    assert "${secret:smtp_password}" in (tmp_path / "services.json").read_text(encoding="utf-8")
    assert changes(play()) == 0 and stored(tmp_path) == store

    vault.entries["supabase/prod"]["jwt_secret"] = OTHER_JWT_SECRET
    done = play()
    assert changes(done) == 1 and "jwt_secret: given (the inventory gives another value)" in done.stdout
    assert stored(tmp_path)["jwt_secret"] == OTHER_JWT_SECRET
    assert stored(tmp_path)["anon_key"] != store["anon_key"]
    assert set(vault.asked) == {"/v1/secret/data/supabase/prod"}


def test_a_weak_value_of_vault_is_refused_and_not_shown(tmp_path, vault, play):
    weak = "Zq8vR2mXp"
    vault.entries["supabase/prod"]["jwt_secret"] = weak
    done = play()
    assert done.returncode == 2
    assert "secret jwt_secret: its value has 9 characters, fewer than 32" in done.stdout
    assert weak not in done.stdout and stored(tmp_path) == {}


def test_without_vault_nothing_is_made_up(tmp_path, vault, play):
    for done in (play(token="hvs.of-somebody-else"), play("-e", "ansible_hashi_vault_engine_mount_point=other")):
        assert done.returncode == 2 and "supabase/prod" in done.stdout
        assert not (tmp_path / "secrets").exists()
