# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Auth with the environment that the role gives it, on real PostgreSQL: accounts, figures, sessions across a rotation.

Auth is in no package, so this runs where its image can be pulled: ``make integration IMAGES=upstream``.
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from subprocess import STDOUT
from typing import Any

import pytest
from gateway_server import ROLE, SETTINGS, render_service, render_variable
from postgres_server import ROOT, docker
from psycopg import sql
from test_signing_keys import part, rest, signing_key, token

NEWEST_ONLY = True
pytestmark = pytest.mark.skipif(
    os.environ.get("IMAGES") != "upstream", reason="the image has to be pulled: IMAGES=upstream"
)
READY_SECONDS = 60


@dataclass(frozen=True)
class Auth:
    """A running container, asked on its own ports as the gateway and the agent do."""

    container: str
    addresses: dict[int, str]

    def ask(self, path: str, body: Any = None, token: str = "", port: int = 9999) -> tuple[int, Any]:
        """Status of an answer, and the document or text in it."""
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.addresses[port]}{path}", content, headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        return status, json.loads(text) if text.startswith("{") else text

    def sign_in(self, grant: str, **body: str) -> tuple[int, Any]:
        return self.ask(f"/token?grant_type={grant}", body)

    def session(self, grant: str, **body: str) -> dict[str, Any]:
        status, answer = self.sign_in(grant, **body)
        assert status == 200, answer
        return dict(answer)


@pytest.fixture
def folder(run, tmp_path):
    """A store as site.yml leaves it."""
    store = tmp_path / "secrets"
    declared = render_variable(ROLE, "stack_secrets", SETTINGS)
    assert run("secret", {"path": str(store), "secrets": declared}).changed
    assert run("signing_keys", {"path": str(store)}).changed
    return store


@pytest.fixture
def take(run, folder):
    """Take a step of a rotation and have it confirmed, without the waiting."""

    def step(**arguments):
        ring = {"path": str(folder), "propagation": 0, "overlap": 0}
        taken = run("signing_keys", {**ring, **arguments})
        assert taken.changed and run("signing_keys", {**ring, "delivered": taken.result["serial"]}).changed

    return step


@pytest.fixture
def start_auth(load, database, folder):
    """Start Auth with what the store has now."""
    substitute = load("module_utils.secrets.placeholders").substitute
    password = database.server.password
    with database.server.connect() as connection:
        for role in ("supabase_auth_admin", "authenticator"):
            change = sql.SQL("alter role {} password {}")
            connection.execute(change.format(sql.Identifier(role), sql.Literal(password)))

    @contextmanager
    def started(**settings):
        lab = {**SETTINGS, "stack_database": database.name, "stack_database_tls": False, **settings}
        _files, entry = render_service("auth", lab)
        secrets = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("[a-z]*")}
        secrets["auth_admin_password"] = password
        environment = {name: substitute(scalar(value), secrets) for name, value in entry["environment"].items()}
        options = ["--link", f"{database.server.container}:db", "--label", "groundwork.integration"]
        options += ["--publish", "127.0.0.1::9999", "--publish", "127.0.0.1::9100", "--memory", entry["mem_limit"]]
        options += ["--cap-drop", "ALL", *(part for name in environment for part in ("--env", name))]
        container = docker("run", "--detach", *options, entry["image"], environment=environment).strip()
        try:
            addresses = {port: docker("port", container, f"{port}/tcp").splitlines()[0] for port in (9999, 9100)}
            yield wait_until_ready(Auth(container, addresses))
        finally:
            docker("rm", "--force", container)

    return started


def scalar(value):
    """As Compose reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def wait_until_ready(auth):
    end = time.monotonic() + READY_SECONDS
    while True:
        try:
            if auth.ask("/health")[0] == 200:
                return auth
        except OSError:
            pass
        assert time.monotonic() < end, f"Auth does not answer: {docker('logs', auth.container, errors=STDOUT)}"
        time.sleep(0.2)


def account():
    return {"email": f"{uuid.uuid4()}@lab.test", "password": str(uuid.uuid4())}


def header(token):
    part = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_a_user_signs_up_in_and_out(start_auth, database, folder):
    database.query(
        "create function public.who_am_i() returns text stable language sql "
        "as 'select coalesce(auth.uid()::text, current_user::text)'"
    )
    ada = account()
    with start_auth(stack_email_autoconfirm=True) as auth:
        status, up = auth.ask("/signup", ada)
        assert status == 200, up
        session = auth.session("password", **ada)
        token = session["access_token"]
        assert auth.ask("/user", token=token)[1]["id"] == up["user"]["id"]
        # By the function that policies call, as Auth's migrations have left it.
        with rest(database, folder) as call:
            assert call(token) == (200, up["user"]["id"])
        assert auth.sign_in("password", **{**ada, "password": "wrong"})[1]["error_code"] == "invalid_credentials"
        assert auth.ask("/admin/users", token=token)[0] == 403
        assert auth.ask("/admin/users", token=(folder / "service_role_token").read_text(encoding="utf-8"))[0] == 200
        assert auth.ask("/logout", {}, token)[0] == 204
        refused = auth.sign_in("refresh_token", refresh_token=session["refresh_token"])
        assert (refused[0], refused[1]["error_code"]) == (400, "refresh_token_not_found")


def test_a_user_of_elsewhere_keeps_id_and_password(start_auth, database, folder):
    service = (folder / "service_role_token").read_text(encoding="utf-8")
    database.query("create extension if not exists pgcrypto schema extensions")
    made = database.query("select extensions.crypt('of elsewhere', extensions.gen_salt('bf'))")[0][0]
    ada = {"id": str(uuid.uuid4()), "email": "ada@lab.test", "email_confirm": True, "password_hash": made}
    with start_auth() as auth:
        assert auth.ask("/admin/users", ada, service)[1]["id"] == ada["id"]
        assert auth.session("password", email=ada["email"], password="of elsewhere")["user"]["id"] == ada["id"]
        link = {"type": "recovery", "email": ada["email"]}
        action = auth.ask("/admin/generate_link", link, service)[1]["action_link"]
        assert action.startswith("https://api.lab.test/auth/v1/verify?token=")


def hostile(good, active):
    """Tokens that nobody signed who may."""
    head, body, _signature = good.split(".")
    public = {name: active[name] for name in ("kty", "crv", "x", "y")}
    shared = {"kty": "oct", "alg": "HS256", "kid": active["kid"], "k": part(json.dumps(public).encode())}
    yield f"{part({'alg': 'none', 'typ': 'JWT'})}.{body}."
    yield f"{head}.{body}."
    # Of a stranger who names our key, and by our public key as if it were a secret.
    yield token({**active, "d": part(os.urandom(31))})
    yield token(shared)


def test_a_session_outlives_the_key_that_signed_it(start_auth, take, folder):
    ada = account()
    with start_auth(stack_email_autoconfirm=True) as auth:
        assert auth.ask("/signup", ada)[0] == 200
        first = auth.session("password", **ada)
        assert header(first["access_token"])["alg"] == "HS256"
        assert auth.ask("/.well-known/jwks.json")[1]["keys"] == []

    take(step="publish")
    take(step="switch")
    with start_auth() as auth:
        assert auth.ask("/user", token=first["access_token"])[0] == 200
        second = auth.session("refresh_token", refresh_token=first["refresh_token"])
        signed = header(second["access_token"])
        public = auth.ask("/.well-known/jwks.json")[1]["keys"]
        assert (signed["alg"], signed["kid"]) == ("ES256", public[0]["kid"])
        assert not [key for key in public if {"d", "k"} & set(key)]
        for forged in hostile(second["access_token"], signing_key(folder)):
            refused = auth.ask("/user", token=forged)
            assert refused[0] == 403 and "unable to parse or verify signature" in refused[1]["msg"], refused

    take(revoke="jwt_secret", consent=True)
    with start_auth() as auth:
        refused = auth.ask("/user", token=first["access_token"])
        assert (refused[0], refused[1]["error_code"]) == (403, "bad_jwt")
        assert auth.ask("/user", token=second["access_token"])[0] == 200
        auth.session("refresh_token", refresh_token=second["refresh_token"])
        auth.session("password", **ada)


def test_many_sign_ins_leave_the_database_to_others(start_auth, database):
    held = "select count(*) from pg_stat_activity where usename = 'supabase_auth_admin'"
    ada = account()
    most = 0
    with start_auth(stack_email_autoconfirm=True) as auth, ThreadPoolExecutor(30) as users:
        assert auth.ask("/signup", ada)[0] == 200
        signing_in = [users.submit(auth.sign_in, "password", **ada) for _user in range(30)]
        while not all(each.done() for each in signing_in):
            most = max(most, database.query(held, user="supabase_admin")[0][0])
        assert {each.result()[0] for each in signing_in} == {200}
    assert 2 < most <= 10


def test_what_rules_and_dashboards_name_is_there(start_auth, database):
    monitoring = ROOT / "roles" / "monitoring"
    files = [*(monitoring / "templates" / "rules").glob("*.j2"), *(monitoring / "files" / "dashboards").glob("*.json")]
    text = " ".join(path.read_text(encoding="utf-8") for path in files)
    named = set(re.findall(r"\b(?:global_auth|http_status_codes)_\w+", text))
    # Nobody listens there, so no mail leaves.
    with start_auth(stack_smtp={"host": "127.0.0.1", "port": 1}) as auth:
        assert auth.ask("/signup", account())[1]["msg"] == "Error sending confirmation email"
        assert database.query("select count(*) from auth.users", user="supabase_admin") == [(0,)]
        figures = auth.ask("/metrics", port=9100)[1]
    assert named and named <= set(re.findall(r"^\w+", figures, re.MULTILINE))
    assert 'http_route="/signup"' in figures and 'code="500"' in figures
