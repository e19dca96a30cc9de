# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of the security checklist: from what was seen, and from what a small web server answers."""

from __future__ import annotations

import ssl
import threading
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.checklist import database, edge, keys
from ansible_collections.groundwork.supabase.plugins.module_utils.checklist.incident_plan import incident_plan
from ansible_collections.groundwork.supabase.plugins.module_utils.checklist.model import (
    MET,
    NOT_MET,
    UNKNOWN,
    Answer,
    failing,
    judge,
    table,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.key_ring.record import write_ring
from ansible_collections.groundwork.supabase.plugins.module_utils.key_ring.ring import Key, Ring
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.plan import StoredSecret
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.store import Contents

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=timezone.utc)
KNOWN = "https://app.example.com"
SECRET = "c3VwZXItc2VjcmV0LXZhbHVl"
STATE = database.DatabaseState(
    "ddl, role", "on", NOW - timedelta(minutes=5), None, ("public.payments",), ("job purge",)
)
PAGES = {
    "/": '<script type="module" src="/assets/app.js"></script><link href="style.css"><a href="https://elsewhere.test/x.js">',
    "/assets/app.js": 'import { a } from "./part.js"; const title = "Never show the service_role key";',
    "/assets/part.js": "export const a = 1;",
    "/style.css": "body {}",
}


def test_judging_names_a_few_of_many_faults():
    answer = judge("cors", "nothing wrong", [f"fault {number}" for number in range(8)], "mend it")
    assert answer.status == NOT_MET and answer.remedy == "mend it"
    assert answer.evidence == "fault 0; fault 1; fault 2; fault 3; fault 4; and 3 more"
    assert judge("cors", "nothing wrong", [], "mend it") == Answer("cors", MET, "nothing wrong")


def test_what_fails():
    answers = [Answer("cors", MET, ""), Answer("tls", NOT_MET, ""), Answer("backups", UNKNOWN, "")]
    assert failing(answers, "never") == []
    assert failing(answers, "not_met") == answers[1:2]
    assert failing(answers, "unknown") == answers[1:]


def test_the_table_has_remedies_and_a_sum():
    text = table([Answer("cors", MET, "seen"), Answer("tls", NOT_MET, "TLS 1.1", "turn it off")])
    assert text.splitlines() == [
        "1   met      CORS for known origins only",
        "             seen",
        "2   not met  TLS for every connection from outside",
        "             TLS 1.1",
        "             -> turn it off",
        "1 of 2 are met",
    ]


@pytest.mark.parametrize(
    ("change", "status", "seen"),
    [
        ({}, MET, "archived at 2026-11-21 11:55 UTC"),
        ({"archive_mode": "off"}, NOT_MET, "archive_mode is off"),
        ({"archived": None}, NOT_MET, "nothing was ever archived"),
        ({"archived": NOW - timedelta(hours=3)}, NOT_MET, "nothing was archived since 2026-11-21 09:00 UTC"),
        ({"archive_failed": NOW}, NOT_MET, "the last try to archive failed"),
        ({"archive_failed": NOW - timedelta(days=1)}, MET, "archived at"),
        ({"archived": None, "archive_failed": NOW}, NOT_MET, "nothing was ever archived; the last try"),
        ({"archive_mode": "off", "receivers": "groundwork_backup"}, MET, "through slot groundwork_backup"),
    ],
)
def test_backups(change, status, seen):
    answer = database.backups(replace(STATE, **change), NOW)
    assert answer.status == status and seen in answer.evidence


def test_the_audit_log_is_either_of_two():
    assert "pgaudit logs ddl, role; rows of public.payments" in database.audit_log(STATE).evidence
    assert database.audit_log(replace(STATE, pgaudit="none")).status == MET
    assert database.audit_log(replace(STATE, audited=())).status == MET
    assert database.audit_log(replace(STATE, pgaudit="", audited=())).status == NOT_MET


def test_retention():
    assert database.retention(STATE) == Answer("retention", MET, "job purge")
    assert database.retention(replace(STATE, purges=())).status == NOT_MET


@pytest.mark.parametrize(
    ("text", "status", "seen"),
    [
        ("", NOT_MET, "none is named"),
        ("Call ops@example.com.\n\n**Reviewed:** 2026-10-01\n", MET, "reviewed on 2026-10-01"),
        ("Call +49 30 1234567.\nReviewed: 2025-01-01\nReviewed: 2026-01-02", MET, "reviewed on 2026-01-02"),
        ("Call somebody.\nReviewed: 2026-10-01", NOT_MET, "no contact"),
        ("Call ops@example.com.", NOT_MET, "does not say when"),
        ("Call ops@example.com.\nReviewed: 2026-02-31", NOT_MET, "does not say when"),
        ("Call ops@example.com.\nReviewed: 2025-10-01", NOT_MET, "more than a year ago"),
        ("Call ops@example.com.\nReviewed: 2027-10-01", NOT_MET, "still to come"),
    ],
)
def test_an_incident_plan(text, status, seen):
    answer = incident_plan(text, date(2026, 11, 21))
    assert answer.status == status and seen in answer.evidence


def stored(*entries, **contents):
    secrets = {name: StoredSecret(name, kind, NOW, value) for name, kind, value in entries}
    return Contents(secrets, {}, **contents)


def ring_of(days):
    made = NOW - timedelta(days=days)
    active = [Key(chain, chain, "opaque", "active", made, made) for chain in ("publishable", "secret", "signing")]
    old = NOW - timedelta(days=999)
    return write_ring(Ring(1, (Key("signing", "former", "ES256", "retired", old, old), *active)))


def test_rotation_asks_only_for_the_keys_in_use():
    assert keys.key_rotation(stored(), 90, NOW).status == UNKNOWN
    met = keys.key_rotation(stored(("key_ring", "opaque", ring_of(90))), 90, NOW)
    assert met.status == MET and "signing key 90 days old" in met.evidence
    late = keys.key_rotation(stored(("key_ring", "opaque", ring_of(91))), 90, NOW)
    assert late.status == NOT_MET and "the secret key is 91 days old, 90 are right" in late.evidence
    assert "made today" in keys.key_rotation(stored(("key_ring", "opaque", ring_of(0))), 90, NOW).evidence


def test_only_telling_secrets_are_searched_for():
    contents = stored(
        ("anon_key", "jwt", "public-and-long-enough"),
        ("login", "turn", "tenant_app_login_a"),
        ("short", "password", "short"),
        ("jwt_secret", "password", SECRET),
    )
    assert keys.telling_values(contents) == {SECRET: "jwt_secret"}


def test_ports_that_others_reach(tmp_path):
    head = "  sl  local_address rem_address   st\n"
    rows = [
        "0: 00000000:0016 00000000:0000 0A",
        "1: 0100007F:1538 00000000:0000 0A",
        "2: 0B4D1EAC:01BB 0C4D1EAC:D431 01",
        "3: 3500007F:0035 00000000:0000 0A",
    ]
    (tmp_path / "tcp").write_text(head + "\n".join(rows) + "\n", encoding="ascii")
    rows = [f"0: {'0' * 32}:0050 {'0' * 32}:0000 0A", f"1: {'0' * 24}01000000:0277 {'0' * 32}:0000 0A"]
    assert edge.listening(tmp_path) == {22}
    (tmp_path / "tcp6").write_text(head + "\n".join(rows) + "\n", encoding="ascii")
    assert edge.listening(tmp_path) == {22, 80}


class Site(BaseHTTPRequestHandler):
    """A front end, an API with a rate limit, and what answers preflight requests."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        left = self.server.left = self.server.left - 1
        body = self.server.pages.get(self.path)
        self.reply(
            429 if self.path == "/limited" and left < 0 else 200 if body or self.path == "/limited" else 404, body
        )

    def do_OPTIONS(self):
        origin = self.headers["Origin"]
        self.reply(204, None, {"Access-Control-Allow-Origin": origin} if self.server.allows(origin) else {})

    def reply(self, status, body, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body or "")))
        self.end_headers()
        self.wfile.write((body or "").encode())

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def site():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.pages, server.left, server.allows = dict(PAGES), 3, lambda origin: origin == KNOWN
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def edge_of():
    return edge.Edge("", ssl.create_default_context(), 5)


def test_a_front_end_is_searched_to_its_last_file(site, edge_of):
    values = {SECRET: "jwt_secret"}
    urls = [url for url, _body in edge.delivered(edge_of, f"{site.url}/")]
    assert urls == [f"{site.url}{path}" for path in ("/", "/assets/app.js", "/style.css", "/assets/part.js")]
    met = edge.secret_keys(edge_of, [f"{site.url}/"], values, [])
    assert met.status == MET and "4 files of 1 front ends hold none of 1 secrets" in met.evidence
    site.pages["/assets/part.js"] = f'const key = "{SECRET}"; const other = "sb_secret_0123456789abcdef";'
    found = edge.secret_keys(edge_of, [f"{site.url}/"], values, ["others than root may read /etc/groundwork"])
    assert found.status == NOT_MET and SECRET not in found.evidence
    assert "/assets/part.js holds the value of secret jwt_secret" in found.evidence
    assert "/assets/part.js holds a secret API key" in found.evidence
    assert "others than root may read" in found.evidence


def test_a_front_end_that_delivers_nothing_is_not_met(site, edge_of):
    gone = f"{site.url}/gone"
    found = edge.secret_keys(edge_of, [f"{site.url}/", gone], {}, [])
    assert found.status == NOT_MET and f"nothing is delivered by {gone}" in found.evidence


def test_cors(site, edge_of):
    assert edge.cors(edge_of, site.url, [KNOWN]).status == MET
    assert f"{KNOWN}/2 is declared, and refused" in edge.cors(edge_of, site.url, [KNOWN, f"{KNOWN}/2"]).evidence
    assert "every origin is declared" in edge.cors(edge_of, site.url, ["*"]).evidence
    site.allows = lambda origin: True
    assert "a site that nobody knows may read answers" in edge.cors(edge_of, site.url, [KNOWN]).evidence
    assert "does not answer" in edge.cors(edge_of, "http://127.0.0.1:1", [KNOWN]).evidence


def test_rate_limits(site, edge_of):
    assert "request 4 in a row was refused" in edge.rate_limits(edge_of, f"{site.url}/limited", 3, {}).evidence
    site.left = 1000
    unlimited = edge.rate_limits(edge_of, f"{site.url}/limited", 3, {})
    assert unlimited.status == NOT_MET and "7 requests in a row were let through" in unlimited.evidence
    assert edge.rate_limits(edge_of, "http://127.0.0.1:1", 3, {}).status == UNKNOWN


def test_a_site_without_tls_is_told(site, edge_of):
    answer = edge.tls(edge.Edge("127.0.0.1", edge_of.trust, 1), ["nobody.invalid"], [])
    assert answer.status == NOT_MET
    assert "and not with a redirect to HTTPS" in answer.evidence and "https://nobody.invalid: " in answer.evidence
