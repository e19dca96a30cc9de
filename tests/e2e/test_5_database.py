"""The database as data, on the platform: tenants are apart over HTTP too, drift is found, what leaks stops the play."""

from __future__ import annotations

import json
import shlex
import time
import uuid

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets import jwt

API = "https://api.lab.test/rest/v1"
# Table and the column that says whose a row is.
TABLES = {"todos": "tenant_id", "payments": "tenant_id", "memberships": "tenant_id", "tenants": "id"}
REFUSED = ("401", "403")


@pytest.fixture(scope="module")
def database(node1):
    """Run SQL as the superuser, as somebody would by hand on the host."""

    def run(statement):
        command = f"docker exec supabase-db-1 psql -U supabase_admin -d postgres -qAtc {shlex.quote(statement)}"
        return node1.check_output(command)

    return run


@pytest.fixture(scope="module")
def request_as(client, secret):
    """Status and rows of a request: ``request_as(token, "GET", "/todos?tenant_id=eq.…")``."""

    def send(token, method, path, body=None):
        headers = {"apikey": secret("anon_key"), "Authorization": f"Bearer {token}", "Prefer": "return=representation"}
        flags = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
        if body is not None:
            flags += ["-H", "content-type: application/json", "--data", json.dumps(body)]
        trust = ["--cacert", "/etc/ssl/lab-ca.crt", "-w", "\n%{http_code}"]
        answer = client.check_output(shlex.join(["curl", "-s", *trust, "-X", method, *flags, API + path]))
        text, _newline, status = answer.rpartition("\n")
        return status, json.loads(text) if text.strip() else None

    return send


@pytest.fixture(scope="module")
def tenants(database, secret, request_as):
    """Two users with a tenant, a membership, a to-do and a payment each."""
    made = {}
    for name in ("ada", "bob"):
        user = str(uuid.uuid4())
        database(f"insert into auth.users (id, email) values ('{user}', '{user}@lab.test')")
        claims = {"sub": user, "role": "authenticated", "aud": "authenticated", "exp": int(time.time()) + 3600}
        token = jwt.encode(claims, secret("jwt_secret"))
        status, tenant = request_as(token, "POST", "/rpc/create_tenant", {"name": name})
        assert status == "200", tenant
        assert request_as(token, "POST", "/todos", {"tenant_id": tenant, "title": name})[0] == "201"
        database(
            "insert into public.payments (tenant_id, reference, status, amount_minor, currency) "
            f"values ('{tenant}', '{user}', 'success', 4500, 'NGN')"
        )
        made[name] = {"token": token, "tenant": tenant}
    return made


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(("actor", "owner"), [("ada", "bob"), ("bob", "ada"), (None, "ada")])
def test_nobody_reaches_what_is_the_others(tenants, request_as, secret, table, actor, owner):
    column, tenant = TABLES[table], tenants[owner]["tenant"]
    path = f"/{table}?{column}=eq.{tenant}"
    before = request_as(tenants[owner]["token"], "GET", path)
    assert before[0] == "200" and before[1], "the owner reaches the row, or the rest would prove nothing"
    token = tenants[actor]["token"] if actor else secret("anon_key")
    for method, body in (("GET", None), ("PATCH", {column: str(uuid.uuid4())}), ("DELETE", None)):
        status, rows = request_as(token, method, path, body)
        assert status in REFUSED or rows == [], (method, status, rows)
    assert request_as(token, "POST", f"/{table}", before[1][0])[0] in REFUSED
    assert request_as(tenants[owner]["token"], "GET", path) == before


def test_a_policy_changed_by_hand_is_found_and_put_back(play, database, tenants, request_as):
    foreign = f"/todos?tenant_id=eq.{tenants['bob']['tenant']}"
    database("alter policy member on public.todos using (true)")
    assert request_as(tenants["ada"]["token"], "GET", foreign)[1], "the hole is real"

    planned = play("site.yml", "--tags", "database", "--check", "--diff")
    assert planned.changed == 1 and "policy member on public.todos" in planned.output
    assert request_as(tenants["ada"]["token"], "GET", foreign)[1]

    assert play("site.yml", "--tags", "database").changed == 1
    assert request_as(tenants["ada"]["token"], "GET", foreign) == ("200", [])


def test_a_leak_that_no_declaration_covers_stops_the_play(play, database):
    database("create view public.everything as select * from public.todos; grant select on public.everything to anon")
    try:
        stopped = play("site.yml", "--tags", "database", expect=2)
        assert "public.everything" in stopped.output
    finally:
        database("drop view public.everything")
    assert play("site.yml", "--tags", "database").changed == 0
