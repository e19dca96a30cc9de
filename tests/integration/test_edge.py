# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge on real Caddy: no change restarts it, and each control by a request that passes and one that is stopped."""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
import time
from dataclasses import replace

import pytest
from certificate_pairs import make_pair
from constant_requests import constant_requests
from cryptography import x509
from edge_server import ROLE, SETTINGS, RefusedError, own_network, read_answer, running_edge
from gateway_server import render_variable
from postgres_server import docker

APP = {"domain": "app.lab.test", "aliases": ["www.lab.test"], "upstream": "UPSTREAM"}
STATIC = {"domain": "static.lab.test", "fallback": "/index.html"}
OWN = {"domain": "own.lab.test", "certificate": "own", "respond": {"body": "own"}}
SITES = [APP, {"domain": "api.lab.test", "upstream": "UPSTREAM"}]
PROFILES = {
    "intermediate": {
        "TLSv1.2": {"AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256"},
        "TLSv1.3": {"AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256"},
    },
    "modern": {"TLSv1.3": {"AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256"}},
}


@pytest.fixture(scope="module")
def edge(load, tmp_path_factory):
    folder = tmp_path_factory.mktemp("edge")
    write_pair(folder, make_pair("own.lab.test"))
    (folder / "www" / ".git").mkdir(parents=True)
    for name, text in {
        "index.html": "<p>home</p>" * 200,
        "app.js": "1",
        "image.png": "x" * 2000,
        ".git/config": "x",
    }.items():
        (folder / "www" / name).write_text(text, encoding="utf-8")
    sites = [*SITES, STATIC | {"root": str(folder / "www")}, OWN]
    settings = {"caddy_sites": sites, "caddy_certificate_dir": str(folder / "tls")}
    with own_network() as network, running_edge(folder, load, network, settings) as running:
        begun = docker("inspect", "--format", "{{.State.StartedAt}}", running.container)
        yield running
        assert docker("inspect", "--format", "{{.State.StartedAt}}", running.container) == begun


def write_pair(folder, pair):
    (folder / "tls").mkdir(exist_ok=True)
    (folder / "tls" / "own.pem").write_text(pair.certificate, encoding="ascii")
    (folder / "tls" / "own.key").write_text(pair.key, encoding="ascii")


@pytest.fixture
def publish(edge):
    """Change the inventory's settings; afterwards the defaults are back."""

    def change(*sites, **settings):
        edge.publish(**({"caddy_sites": list(sites)} if sites else {}), **settings)

    yield change
    edge.publish()


def upgraded(edge):
    connection = edge.connect()
    connection.sendall(
        b"GET /socket HTTP/1.1\r\nHost: app.lab.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert b" 101 " in connection.recv(4096)
    return connection


def echoes(connection):
    connection.sendall(b"\x81\x02hi")
    return connection.recv(1024) == b"\x81\x02hi"


def test_a_change_fails_no_request_and_closes_no_connection_in_use(edge, publish):
    websocket = upgraded(edge)
    slow = []
    waiting = threading.Thread(target=lambda: slow.append(edge.ask("/slow", x_wait="4").status))
    with constant_requests(edge) as tally:
        waiting.start()
        for number in range(8):
            publish(APP | {"headers": {"X-Number": str(number)}})
            assert edge.ask().headers["X-Number"] == str(number)
        waiting.join(timeout=30)
    assert (tally.failures, slow) == ({}, [200])
    assert all(len(found) > 20 for found in tally.statuses.values()), tally
    assert tally.unanswered <= 16, tally
    assert echoes(websocket)


BROKEN = {
    "parsing max_size": {"caddy_max_body": "lots"},
    "bad duration value soon": {"caddy_sites": [APP | {"retry": "soon"}]},
    "/etc/caddy/tls/absent.pem: no such file": {"caddy_sites": [APP | {"certificate": "absent"}]},
    "module not registered: dns.providers.nobody": {"caddy_acme_dns": "nobody", "caddy_tls": "acme"},
}


def test_a_broken_configuration_is_refused_and_the_former_serves_on(edge, publish):
    websocket = upgraded(edge)
    with constant_requests(edge) as tally:
        for said, settings in BROKEN.items():
            edge.switch(settings)
            with pytest.raises(RefusedError, match=said):
                edge.accepted()
    edge.publish()
    assert (tally.failures, tally.unanswered) == ({}, 0)
    assert echoes(websocket)


def served(edge, host):
    with edge.connect(host, context=ssl._create_unverified_context()) as connection:
        return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True)).serial_number


def test_a_certificate_from_files_is_taken_over_when_it_changes(edge, publish):
    renewed = make_pair("own.lab.test")
    assert served(edge, "own.lab.test") not in (renewed.serial, served(edge, "app.lab.test"))
    write_pair(edge.folder, renewed)
    publish(OWN, APP, __caddy_certificates_seen="what the role saw of the files")
    assert served(edge, "own.lab.test") == renewed.serial
    # A key that does not fit is refused, and what was there serves on.
    write_pair(edge.folder, replace(make_pair("own.lab.test"), key=renewed.key))
    edge.switch({"__caddy_certificates_seen": "something else"})
    with pytest.raises(RefusedError, match="private key does not match public key"):
        edge.accepted()
    assert served(edge, "own.lab.test") == renewed.serial
    write_pair(edge.folder, renewed)


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles(edge, publish, profile):
    publish(caddy_tls_profile=profile)
    report = edge.from_client("nmap", "-Pn", "-p", "443", "--script", "ssl-enum-ciphers", "app.lab.test")
    found = {}
    for line in report.splitlines():
        if version := re.search(r"(TLSv1\.\d|SSLv3): *$", line):
            found[version[1]] = set()
        elif suite := re.search(r"TLS_(?:ECDHE_ECDSA_WITH_|AKE_WITH_)(\w+) .*- A$", line):
            found[version_of(found)].add(suite[1])
        else:
            assert "TLS_" not in line, line
    assert found == PROFILES[profile], report


def version_of(found):
    return list(found)[-1]


@pytest.mark.parametrize(
    ("group", "taken"), [("X25519MLKEM768", True), ("X25519", True), ("P-384", True), ("P-521", False)]
)
def test_groups(edge, group, taken):
    command = ["openssl", "s_client", "-connect", "app.lab.test:443", "-CAfile", "/tmp/ca.crt", "-groups", group]
    if taken:
        assert "Verify return code: 0 (ok)" in edge.from_client(*command)
    else:
        with pytest.raises(RuntimeError, match="handshake failure"):
            edge.from_client(*command)


def test_versions_of_http(edge):
    for option, version in (("--http1.1", "1.1"), ("--http2", "2"), ("--http3-only", "3")):
        command = ["curl", "-s", "--cacert", "/tmp/ca.crt", "-o", "/dev/null", "-w", "%{http_version} %{http_code}"]
        assert edge.from_client(*command, option, "https://app.lab.test/") == f"{version} 200"
    assert edge.ask().headers["Alt-Svc"] == 'h3=":443"; ma=2592000'


def test_a_static_front_end(edge):
    def ask(path, **more):
        return edge.ask(path, host="static.lab.test", **more)

    assert (ask("/app.js").body, ask("/app.js").headers["Content-Type"]) == (b"1", "text/javascript; charset=utf-8")
    for path in ("/", "/deep/link", "/index.html", "/a/../../../etc/passwd", "/..%2f..%2fetc/passwd"):
        answer = ask(path)
        assert (answer.status, answer.body[:11]) in {(200, b"<p>home</p>"), (308, b""), (400, b"")}, path
    assert (ask("/.git/config").status, ask("/%2egit/config").status, ask("/", method="POST").status) == (404, 404, 405)
    assert ask("/", accept_encoding="gzip").headers["Content-Encoding"] == "gzip"
    assert ask("/image.png", accept_encoding="gzip").headers["Content-Encoding"] is None
    assert ask("/").headers["X-Content-Type-Options"] == "nosniff"


def test_compression_of_what_passes(edge, publish):
    text = [("Content-Type", "application/json"), ("X-Padding", "x" * 10)]
    assert edge.ask("/" + "a" * 2000, accept_encoding="gzip", answer=text).headers["Content-Encoding"] is None
    publish(APP | {"compression": True})
    assert edge.ask("/" + "a" * 2000, accept_encoding="gzip").headers["Content-Encoding"] == "gzip"
    packed = edge.ask("/" + "a" * 2000, accept_encoding="gzip", answer=[("Content-Encoding", "br")])
    assert packed.headers.get_all("Content-Encoding") == ["br"]


def test_slow_connections_do_not_keep_others_out(edge):
    """200 that never end their headers, and as many bodies; how much others wait for them is in tests/bench/edge.py."""
    slow = []
    for number in range(400):
        slow.append(edge.connect())
        slow[-1].sendall(
            b"GET / HTTP/1.1\r\nX: "
            if number % 2
            else b"POST / HTTP/1.1\r\nHost: app.lab.test\r\nContent-Length: 9\r\n\r\n1"
        )
    with constant_requests(edge) as tally:
        time.sleep(3)
    assert (tally.failures, tally.unanswered) == ({}, 0)
    assert all(tally.statuses.values()), tally
    for connection in slow:
        connection.close()


def test_headers(edge, publish):
    first = edge.ask().headers
    assert first["Content-Security-Policy"] == "frame-ancestors 'self'; base-uri 'self'; object-src 'none'"
    assert first["Permissions-Policy"].startswith("camera=()")
    assert (first["X-Frame-Options"], first["X-Content-Type-Options"]) == ("SAMEORIGIN", "nosniff")
    assert first["Referrer-Policy"] == "strict-origin-when-cross-origin"
    assert first["Strict-Transport-Security"] == "max-age=63072000"
    assert (first["Server"], first["Via"]) == (None, None)
    own = edge.ask(answer=[("Content-Security-Policy", "default-src 'none'"), ("Server", "secret/1.0")]).headers
    assert (own.get_all("Content-Security-Policy"), own["Server"]) == (["default-src 'none'"], None)
    publish(
        APP | {"headers": {"X-Frame-Options": "", "Referrer-Policy": 'a "quoted" `one`'}, "hsts": "preload"},
        {"domain": "api.lab.test", "upstream": "UPSTREAM", "hsts": "off"},
    )
    changed = edge.ask().headers
    assert changed["Strict-Transport-Security"] == "max-age=63072000; includeSubDomains; preload"
    assert (changed["X-Frame-Options"], changed["Referrer-Policy"]) == (None, 'a "quoted" `one`')
    assert edge.ask(host="api.lab.test").headers["Strict-Transport-Security"] is None


def test_applications_may_frame_files_of_storage_and_nobody_the_dashboard(edge, publish):
    def framing(**settings):
        sites = render_variable(ROLE, "__caddy_platform_sites", SETTINGS | settings)
        publish(*(site | {"upstream": "UPSTREAM"} for site in sites), **settings)
        answers = {site["domain"]: edge.ask(host=site["domain"]).headers for site in sites}
        return {name: (own["X-Frame-Options"], own["Content-Security-Policy"]) for name, own in answers.items()}

    own = ("SAMEORIGIN", "frame-ancestors 'self'; base-uri 'self'; object-src 'none'")
    assert framing() == {"api.lab.test": (None, None), "studio.lab.test": own}
    assert framing(supabase_api_domain="studio.lab.test") == {"studio.lab.test": own}
    assert framing(caddy_headers={"X-Frame-Options": "DENY"})["api.lab.test"] == ("DENY", None)


def test_methods(edge, publish):
    assert edge.ask(method="PATCH", body=b"x").data["method"] == "PATCH"
    for method in ("TRACE", "PROPFIND", "CONNECT", "BREW"):
        refused = edge.ask(method=method)
        assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
        assert refused.headers["X-Content-Type-Options"] == "nosniff"
    assert edge.ask(method="TRACE", port=80).status == 405
    publish(APP | {"methods": ["GET"]})
    assert (edge.ask().status, edge.ask(method="POST").status) == (200, 405)


def test_cookies(edge, publish):
    def passed(*cookies):
        return edge.ask(answer=[("Set-Cookie", cookie) for cookie in cookies]).headers.get_all("Set-Cookie")

    assert passed(
        "a=1", "b=2; Path=/; secure; HTTPONLY; samesite=None; Max-Age=9", "sb-app-auth-token.0=x=; Path=/"
    ) == [
        "a=1; Secure; HttpOnly; SameSite=Lax",
        "b=2; Path=/; secure; HTTPONLY; samesite=None; Max-Age=9",
        "sb-app-auth-token.0=x=; Path=/; Secure; SameSite=Lax",
    ]
    # Names and values that look like attributes are none, and what a script's cookie was given it keeps.
    assert passed("secure=httponly; Domain=samesite.test;Secure", "sb-x=1;HttpOnly") == [
        "secure=httponly; Domain=samesite.test;Secure; HttpOnly; SameSite=Lax",
        "sb-x=1;HttpOnly; Secure; SameSite=Lax",
    ]
    publish(APP | {"cookie_attributes": ["Secure", "SameSite=Strict"]})
    assert passed("a=1") == ["a=1; Secure; SameSite=Strict"]
    publish(APP | {"cookie_attributes": []})
    assert passed("a=1") == ["a=1"]


def test_sizes(edge, publish):
    publish(APP | {"max_body": "1KB"})
    assert edge.ask(method="POST", body=b"x" * 1000).data["bytes"] == 1000
    assert edge.ask(method="POST", body=b"x" * 1001).status == 413
    assert edge.ask(x_long="x" * 60_000).status == 200
    assert edge.ask(x_long="x" * 80_000).status == 431


def test_slow_requests_are_given_up(edge, publish):
    publish(caddy_header_timeout="1s", caddy_body_timeout="1s", caddy_body_rate=1000)
    begin = time.monotonic()
    header, body = edge.connect(), edge.connect()
    header.sendall(b"GET / HTTP/1.1\r\n")
    body.sendall(b"POST / HTTP/1.1\r\nHost: app.lab.test\r\nContent-Length: 9000\r\n\r\n")
    try:
        # Never idle for long, and yet too slow.
        for _tick in range(12):
            time.sleep(0.25)
            body.sendall(b"x")
    except OSError:
        pass
    assert header.recv(1024) == b""
    answer = body.recv(1024)
    # Who notices first, the edge or the service behind it, is not always the same.
    assert answer == b"" or answer.split()[1] in (b"408", b"499", b"502", b"504"), answer
    assert time.monotonic() - begin < 6
    publish(caddy_header_timeout="1s", caddy_body_timeout="1s", caddy_body_rate=100)
    with edge.connect() as enough:
        enough.sendall(b"POST / HTTP/1.1\r\nHost: app.lab.test\r\nContent-Length: 600\r\n\r\n")
        for _tick in range(6):
            time.sleep(0.25)
            enough.sendall(b"x" * 100)
        assert read_answer(enough).data["bytes"] == 600
    publish(APP | {"body_timeout": "30s"}, caddy_body_timeout="1s")
    with edge.connect() as patient:
        patient.sendall(b"POST / HTTP/1.1\r\nHost: app.lab.test\r\nContent-Length: 1\r\n\r\n")
        time.sleep(2)
        patient.sendall(b"x")
        assert read_answer(patient).data["bytes"] == 1


def test_addresses(edge, publish):
    here = edge.ask().data["headers"]["x-forwarded-for"]
    publish(
        APP | {"deny": [here]},
        APP | {"domain": "api.lab.test", "aliases": [], "allow": ["192.0.2.0/24", "2001:db8::/32"]},
    )
    assert (edge.ask().status, edge.ask(host="api.lab.test").status) == (403, 403)
    publish(APP | {"allow": [here]}, APP | {"domain": "api.lab.test", "aliases": [], "deny": ["192.0.2.0/24"]})
    assert (edge.ask().status, edge.ask(host="api.lab.test").status) == (200, 200)
    # What a stranger writes there is believed of nobody but a trusted proxy.
    publish(APP | {"allow": ["192.0.2.7"]})
    assert edge.ask(x_forwarded_for="192.0.2.7").status == 403
    publish(APP | {"allow": ["192.0.2.7"]}, caddy_trusted_proxies=[here])
    believed = edge.ask(x_forwarded_for="192.0.2.7")
    # The address alone: whoever counts by it, as the gateway does, finds it where it always is.
    assert (believed.status, believed.data["headers"]["x-forwarded-for"]) == (200, "192.0.2.7")
    # Nor is what came before that one has added its own.
    assert edge.ask(x_forwarded_for="192.0.2.7, 203.0.113.9").status == 403
    assert edge.ask(x_forwarded_for="203.0.113.9, 192.0.2.7").status == 200


def test_cors(edge, publish):
    publish(APP | {"cors": {"origins": ["https://www.lab.test"], "headers": ["X-One"], "credentials": True}})
    known, upstream = {"origin": "https://www.lab.test"}, [("Access-Control-Allow-Origin", "*")]
    answer = edge.ask(answer=upstream, **known).headers
    assert answer.get_all("Access-Control-Allow-Origin") == ["https://www.lab.test"]
    assert (answer["Vary"], answer["Access-Control-Allow-Credentials"]) == ("Origin", "true")
    for stranger in ("https://www.lab.test.evil.test", "https://wwwxlab.test", "null"):
        answer = edge.ask(answer=upstream, origin=stranger).headers
        assert (answer["Access-Control-Allow-Origin"], answer["Vary"]) == (None, "Origin")
    asked = edge.ask(method="OPTIONS", access_control_request_method="POST", **known)
    assert (asked.status, asked.headers["Access-Control-Allow-Headers"]) == (204, "X-One")
    assert asked.headers.get_all("Access-Control-Allow-Origin") == ["https://www.lab.test"]
    refused = edge.ask(method="OPTIONS", access_control_request_method="POST", origin="https://evil.test")
    assert "Access-Control-Allow-Origin" not in refused.headers
    assert "Access-Control-Allow-Methods" not in refused.headers
    publish(APP)
    assert edge.ask(answer=upstream).headers["Access-Control-Allow-Origin"] == "*"


def test_basic_authentication(edge, publish):
    password = {"authorization": "Basic " + base64.b64encode(b"ann:a password").decode()}
    command = ["caddy", "hash-password", "--bcrypt-cost", "4", "--plaintext", "a password"]
    edge.secrets = {"ann_hash": edge.inside(*command).strip()}
    publish(APP | {"basic_auth": {"ann": "${secret:ann_hash}"}})
    refused = edge.ask()
    assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, 'Basic realm="restricted"')
    assert refused.headers["X-Content-Type-Options"] == "nosniff"
    assert edge.ask(authorization="Basic " + base64.b64encode(b"ann:another").decode()).status == 401
    assert "authorization" not in edge.ask(**password).data["headers"]


def test_forward_authentication(edge, publish):
    gate = {"upstream": "UPSTREAM", "uri": "/gate", "copy_headers": ["X-User"]}
    publish(APP | {"forward_auth": gate})
    passed = edge.ask("/page", answer=[("X-User", "ann")], x_user="forged")
    assert (passed.data["path"], passed.data["headers"]["x-user"]) == ("/page", "ann")
    assert "x-user" not in edge.ask("/page", x_user="forged").data["headers"]
    # The service that is asked sees the request's headers, so it does as this one says.
    refused = edge.ask("/page", x_status="401")
    assert (refused.status, refused.data["path"]) == (401, "/gate")


def test_redirects(edge, publish):
    publish(
        APP
        | {
            "redirects": [
                {"from": "/old/*", "to": "/new{uri}"},
                {"from": "/moved", "to": "https://x.test/", "status": 302},
            ]
        },
        {"domain": "old.lab.test", "redirect": "https://app.lab.test{uri}"},
    )
    assert edge.ask("/new").status == 200
    for path, host, status, target in (
        ("/old/a?b=1", "app.lab.test", 308, "/new/old/a?b=1"),
        ("/moved", "app.lab.test", 302, "https://x.test/"),
        ("/a?b=1", "old.lab.test", 308, "https://app.lab.test/a?b=1"),
    ):
        answer = edge.ask(path, host=host)
        assert (answer.status, answer.headers["Location"]) == (status, target)
    plain = edge.ask("/a?b=1", port=80)
    assert (plain.status, plain.headers["Location"]) == (308, "https://app.lab.test/a?b=1")
    assert edge.ask(host="unknown.lab.test", port=80).status == 404
    with pytest.raises(ssl.SSLError):
        edge.ask(host="unknown.lab.test")


def test_security_txt(edge, publish):
    assert edge.ask("/.well-known/security.txt").data["path"] == "/.well-known/security.txt"
    text = "Contact: mailto:security@lab.test\nExpires: 2027-06-01T00:00:00Z\n"
    publish(caddy_security_txt=text)
    answer = edge.ask("/.well-known/security.txt")
    assert (answer.status, answer.body.decode(), answer.headers["Content-Type"]) == (
        200,
        text,
        "text/plain; charset=utf-8",
    )


def test_metrics_and_administration_are_not_published(edge):
    edge.ask()
    metrics = edge.ask("/metrics", port=9180).body.decode()
    assert re.search(r'caddy_http_request_duration_seconds_count{code="200",.*host="app.lab.test"', metrics), metrics
    for port, path in ((9180, "/config/"), (443, "/metrics")):
        assert b"caddy_http" not in edge.ask(path, port=port).body
    with pytest.raises(RuntimeError):
        edge.inside("wget", "-q", "-O", "-", "http://127.0.0.1:2019/config/")
    assert edge.inside("stat", "-c", "%a %U", "/run/caddy").strip() == "700 root"
    assert {"80:80", "443:443", "443:443/udp"} == set(edge.switch({})["ports"])


def test_the_log_has_no_secrets(edge):
    edge.ask(
        "/page?apikey=Kx7vQ2mZ",
        authorization="Bearer Zr9TfLw4",
        cookie="a=BKx8vQ2m",
        answer=[("Set-Cookie", "b=9TfLw4Cx")],
    )
    lines = [json.loads(line) for line in edge.log().splitlines() if '"/page' in line]
    assert lines[-1]["request"]["uri"] == "/page"
    assert not any(secret in edge.log() for secret in ("Kx7vQ2mZ", "Zr9TfLw4", "BKx8vQ2m", "9TfLw4Cx"))
