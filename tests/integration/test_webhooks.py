# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example application's webhook on real Node and PostgreSQL: wrong calls are refused, a missing guard is found."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager

import pytest
import yaml
from npm_programs import packages_of
from postgres_server import ROOT

APPLICATION = ROOT / "examples" / "tenant-app"
INVENTORY = ROOT / "inventories" / "lab" / "group_vars" / "all" / "apps.yml"
KEY = "Wq4kRz1XbVt0MfSy9LgPj4NcHd2AeUo8"
REFUSED = [
    "unsigned",
    "signed with another key",
    "signed over another body",
    "older than its window",
    "from beyond its window",
    "old, under a new time that was not signed",
    "too large",
]
EVENTS = "select outcome, count(*) from private.payment_events group by 1"


@pytest.fixture(scope="module")
def application(run, server):
    """The application's database, with the password under which it logs in."""
    database = server.create_database("webhooks")
    assert run("migration", {"path": str(APPLICATION / "supabase" / "migrations"), **database.login}).changed
    database.query(f"alter role tenant_app login password '{KEY}'", user="supabase_admin")
    return database


@contextmanager
def serving(folder, database, changes=None):
    """The application on a port of its own; yields its address. changes to its source: FILE: (TEXT, OTHER TEXT)."""
    shutil.copytree(APPLICATION / "server", folder / "server")
    (folder / "dist").mkdir()
    shutil.copy(APPLICATION / "web" / "index.html", folder / "dist")
    shutil.copy(APPLICATION / "package.json", folder)
    (folder / "node_modules").symlink_to(packages_of(APPLICATION))
    for name, (old, new) in (changes or {}).items():
        source = (folder / "server" / name).read_text(encoding="utf-8")
        assert source.count(old) == 1, (name, old)
        (folder / "server" / name).write_text(source.replace(old, new), encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "SUPABASE_URL": "http://127.0.0.1:9",
        "SUPABASE_ANON_KEY": "sb_publishable_of_nobody",
        "DATABASE_URL": f"postgres://tenant_app:{KEY}@127.0.0.1:{database.server.port}/{database.name}",
        "WEBHOOK_SECRET": KEY,
    }
    with (folder / "log").open("w+b") as log:
        process = subprocess.Popen(
            ["node", "server/main.js"], cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            wait_for(port, process, folder / "log")
            yield f"http://127.0.0.1:{port}/webhooks/payments"
        finally:
            process.terminate()
            process.wait(timeout=20)


def wait_for(port, process, log):
    end = time.monotonic() + 30
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None and time.monotonic() < end, log.read_text(encoding="utf-8")
            time.sleep(0.05)


def declared(url, **more):
    """The webhook as the inventory declares it."""
    inventory = yaml.safe_load(INVENTORY.read_text(encoding="utf-8"))
    return {"webhooks": [{**inventory["supabase_webhooks"][0], "url": url, **more}]}


def statuses(outcome):
    assert outcome.code == 0, outcome.output
    return {check["name"].partition(", ")[2] or check["name"]: int(check["seen"]) for check in outcome.result["checks"]}


def test_the_application_refuses_what_it_has_to_and_processes_once(run, tmp_path, application, store):
    secrets = store({"payments_webhook_secret": KEY})
    with application.connect() as connection:
        tenant = connection.execute("insert into public.tenants (name) values ('a') returning id").fetchone()[0]
    with serving(tmp_path / "application", application) as url:
        checked = run("probe", {**declared(url), **secrets}, "--check", "-vvv")
        assert statuses(checked) == {**dict.fromkeys(REFUSED, 401), "too large": 413}
        assert application.query(EVENTS) == []

        verified = run("probe", {**declared(url), **secrets}, "-vvv")
        expected = {**dict.fromkeys(REFUSED, 401), "too large": 413, "signed": 200, "sent a second time": 409}
        assert statuses(verified) == expected
        assert application.query(EVENTS) == [("unmatched", 1)]
        assert application.query("select * from public.payments") == []

        # The same server takes websockets, but not just anywhere.
        socket = url.replace("http:", "ws:").replace("/webhooks/payments", "/ws")
        asked = [{"name": "a", "url": socket}, {"name": "b", "url": f"{socket}s", "status": [404]}]
        assert statuses(run("probe", {"websockets": asked})) == {"a": 101, "b": 404}

        # An event that does change something, to see that nothing but the call that is accepted does.
        payment = (
            '{"id":"{id}","event":"charge.success","data":{"reference":"{id}","amount":1,"currency":"NGN",'
            f'"metadata":{{"tenant_id":"{tenant}"}}}}}}'
        )
        assert statuses(run("probe", {**declared(url, body=payment), **secrets})) == expected
        assert sorted(application.query(EVENTS)) == [("processed", 1), ("unmatched", 1)]
        assert application.query("select status, amount_minor from public.payments") == [("success", 1)]
    log = (tmp_path / "application" / "log").read_text(encoding="utf-8")
    assert KEY not in log + checked.output + verified.output


def test_an_event_that_is_signed_anew_is_acknowledged_and_changes_nothing(application):
    record = "select private.record_payment_event('e', null, 'r', 'success', 1, 'NGN', now() + %s::interval)"
    outcomes = []
    with application.connect() as connection:
        for when in ("-5 s", "-5 s", "5 s"):
            outcomes.append(connection.execute(record, [when]).fetchone()[0])
    assert outcomes == ["unmatched", "replay", "duplicate"]


MISSING = {
    "no signature is asked for": (
        {"webhook.js": ("return timingSafeEqual(", "return true || timingSafeEqual(")},
        {"signed with another key", "signed over another body", "old, under a new time that was not signed"},
    ),
    "a call without a signature passes": (
        {
            "webhook.js": (
                '  if (typeof signature !== "string" ||',
                "  if (signature === undefined) return true;\n  if (",
            )
        },
        {"unsigned"},
    ),
    "the time is not signed": (
        {"webhook.js": (".update(`${timestamp}.`)", "")},
        {"signed"},
    ),
    "the window is open": (
        {"webhook.js": ("<= windowSeconds", ">= 0")},
        {"older than its window", "from beyond its window"},
    ),
    "bodies have no limit": (
        {"config.js": ('number("BODY_LIMIT_BYTES", 65536', 'number("BODY_LIMIT_BYTES", 10485760')},
        {"too large"},
    ),
    "a repeated call is accepted": (
        {"http.js": ("replay: [409,", "replay: [200,")},
        {"sent a second time"},
    ),
}


@pytest.mark.parametrize("missing", MISSING)
def test_a_guard_that_is_missing_is_found(run, tmp_path, application, store, missing):
    changes, found = MISSING[missing]
    with serving(tmp_path / "application", application, changes) as url:
        outcome = run("probe", {**declared(url), **store({"payments_webhook_secret": KEY})})
    for call in found:
        assert f"webhook payments, {call} (POST {url})" in outcome.error
    assert KEY not in outcome.output


def test_another_secret_in_the_application_than_in_the_store_is_found(run, tmp_path, application, store):
    with serving(tmp_path / "application", application) as url:
        outcome = run("probe", {**declared(url), **store({"payments_webhook_secret": KEY[::-1]})})
        assert f"webhook payments, signed (POST {url}): it answered 401 where 200 or 201" in outcome.error
