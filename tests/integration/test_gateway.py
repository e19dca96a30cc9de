# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway on real Envoy: each control by a request that passes and one that is stopped; no change restarts it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from gateway_server import RejectedError, read_answer, running_gateway
from postgres_server import docker

NOW = datetime.now(timezone.utc).replace(microsecond=0)
LEGACY = "Vb6kRz1XqWt0MfSy9LgPj4NcHd2AeUo8"


@pytest.fixture(scope="module")
def ring(load):
    """Secrets of a ring in the middle of a rotation, and tokens of all kinds."""
    documents, ring = load("module_utils.key_ring.documents"), load("module_utils.key_ring.ring")
    es256, jwt = load("module_utils.key_ring.es256"), load("module_utils.secrets.jwt")
    policy, now = ring.Policy(3600, 0, 0), NOW - timedelta(days=1)
    legacy = {"iss": "supabase", "exp": int(NOW.timestamp()) + 86400}
    stored = {
        "jwt_secret": LEGACY,
        "anon_key": jwt.encode({**legacy, "role": "anon"}, LEGACY),
        "service_role_key": jwt.encode({**legacy, "role": "service_role"}, LEGACY),
    }
    keys = documents.new_ring(stored, now, os.urandom)
    for step in ("publish", "switch"):
        keys = ring.confirm_delivery(keys, keys.serial, now)
        keys = ring.take_step(
            keys, "signing", step, policy, now, lambda chain: documents.new_key(chain, now, os.urandom)
        )
    secrets = {name: document.value for name, document in documents.derive(keys, stored, NOW).items()}
    active = keys.active("signing").value
    stranger = es256.make_key()

    def token(sub="alice", seconds=600, **claims):
        claims = {"iss": "https://api.lab.test/auth/v1", "role": "authenticated", "sub": sub, **claims}
        return es256.encode({**claims, "exp": int(NOW.timestamp()) + seconds}, active)

    good = token()
    body = good.split(".")[1]
    hostile = {
        "expired": token(seconds=-3600),
        "unsigned": f"eyJhbGciOiJub25lIn0.{body}.",
        "of a stranger": es256.encode({"sub": "alice", "exp": int(NOW.timestamp()) + 600}, stranger),
        "of a stranger under our name": es256.encode(
            {"sub": "alice", "exp": int(NOW.timestamp()) + 600}, {**active, "d": stranger["d"]}
        ),
        "of another secret": jwt.encode({"sub": "alice", "exp": int(NOW.timestamp()) + 600}, LEGACY[::-1]),
        "by the public key": jwt.encode({"sub": "alice"}, json.dumps(es256.public_part(active))),
        "no token": "garbage",
    }
    return {**secrets, **stored, "dashboard_htpasswd": HTPASSWD}, token, hostile


HTPASSWD = "supabase:{SHA}" + base64.b64encode(hashlib.sha1(b"a password").digest()).decode()  # noqa: S324


@pytest.fixture(scope="module")
def gateway(load, ring, tmp_path_factory):
    substitute = load("module_utils.secrets.placeholders").substitute
    with running_gateway(tmp_path_factory.mktemp("gateway"), ring[0], substitute) as running:
        yield running
        assert "critical" not in running.log()


@pytest.fixture
def publish(gateway):
    """Change the inventory's settings; afterwards the defaults are back."""
    yield gateway.publish
    gateway.publish()


def test_gates(gateway, ring):
    key, secret = ring[0]["publishable_key"], ring[0]["secret_key"]
    legacy = ring[0]["anon_key"]
    assert gateway.ask("/rest/v1/todos").status == 401
    assert gateway.ask("/rest/v1/todos", apikey="wrong").status == 401
    seen = gateway.ask("/rest/v1/todos?select=id", apikey=key)
    assert seen.status == 200, seen
    assert seen.data["path"] == "/todos?select=id"
    assert seen.data["headers"]["authorization"] == "Bearer " + ring[0]["anon_token"]
    assert seen.data["headers"]["x-forwarded-prefix"] == "/rest/v1"
    # Auth counts by it, and takes the first entry of the other.
    forged = {"x_forwarded_for": "198.51.100.1, 203.0.113.7", "x_real_ip": "198.51.100.1"}
    assert gateway.ask("/rest/v1/todos", apikey=key, **forged).data["headers"]["x-real-ip"] == "203.0.113.7"
    assert gateway.ask("/rest/v1/todos", apikey=legacy).data["headers"]["apikey"] == legacy
    assert gateway.ask(f"/rest/v1/todos?apikey={key}&a=b").data["path"] == "/todos?a=b"
    assert gateway.ask("/rest/v1/", apikey=key).status == 403
    assert gateway.ask("/rest/v1/", apikey=secret).status == 200
    assert gateway.ask("/pg/tables", apikey=key).status == 403
    assert gateway.ask("/pg/tables", apikey=secret).status == 200
    assert gateway.ask("/auth/v1/verify").status == 200
    assert gateway.ask("/realtime/v1/api/tenants", apikey=secret).status == 403
    unknown = gateway.ask("/somewhere", apikey=secret)
    assert (unknown.status, unknown.data) == (404, {"message": "There is nothing at this path."})
    assert gateway.ask("/", host="studio.lab.test").status == 401
    login = {"authorization": "Basic " + base64.b64encode(b"supabase:a password").decode(), "host": "studio.lab.test"}
    dashboard = gateway.ask("/project", **login)
    assert (dashboard.status, "authorization" in dashboard.data["headers"]) == (200, False)
    assert gateway.ask("/api/mcp", **login).status == 403


def upgraded(gateway, key, path="/realtime/v1/websocket"):
    connection = gateway.connect()
    connection.sendall(
        f"GET {path}?apikey={key} HTTP/1.1\r\nhost: api.lab.test\r\nconnection: upgrade\r\n"
        "upgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    assert read_answer(connection).status == 101
    return connection


def echoes(connection):
    connection.sendall(b"ping")
    return connection.recv(100) == b"ping"


def kept_alive(connection, path, key):
    connection.sendall(f"GET {path} HTTP/1.1\r\nhost: api.lab.test\r\napikey: {key}\r\n\r\n".encode())
    return read_answer(connection)


def test_a_change_needs_no_restart_and_ends_no_connection(gateway, ring, publish):
    key, service = ring[0]["publishable_key"], ring[0]["secret_key"]
    with upgraded(gateway, key) as socket, gateway.connect() as plain:
        assert kept_alive(plain, "/rest/v1/todos", key).status == 200
        started = container_start(gateway)
        # Routes, clusters, keys, tokens: all but the listener.
        secrets = gateway.secrets
        gateway.secrets = {**secrets, "api_keys": json.dumps({"sb_publishable_new": "anon"}, separators=(",", ":"))}
        publish(
            stack_gateway_routes=[{"route": "rest", "response_headers": {"x-new": "yes"}, "concurrency": 9}],
            stack_gateway_issuers=["somebody"],
        )
        assert kept_alive(plain, "/rest/v1/todos", key).status == 401
        answer = kept_alive(plain, "/rest/v1/todos", "sb_publishable_new")
        assert (answer.status, answer.headers["x-new"]) == (200, "yes")
        assert echoes(socket)
        gateway.secrets = secrets
        publish(stack_services=["rest", "realtime", "envoy"])
        assert gateway.ask("/pg/tables", apikey=service).status == 404
        assert kept_alive(plain, "/rest/v1/todos", key).status == 200
        assert echoes(socket)
        assert container_start(gateway) == started


def container_start(gateway):
    return docker("inspect", gateway.container, "--format", "{{.State.StartedAt}} {{.RestartCount}}")


async def hold_websockets(gateway, key, count, meanwhile):
    """Open so many websockets, let them be idle while something happens; how many still answer.

    To the container itself: the port on this machine is served by a proxy of Docker's, which needs open files as well.
    """
    address = docker("inspect", gateway.container, "--format", "{{.NetworkSettings.Networks.bridge.IPAddress}}").strip()
    handshake = (
        f"GET /realtime/v1/websocket?apikey={key} HTTP/1.1\r\nhost: api.lab.test\r\nconnection: upgrade\r\n"
        "upgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()
    at_once = asyncio.Semaphore(100)

    async def open_one():
        async with at_once:
            reader, writer = await asyncio.open_connection(address, 8000)
            writer.write(handshake)
            assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
            return reader, writer

    async def answers(reader, writer):
        async with at_once:
            writer.write(b"ping")
            answer = await asyncio.wait_for(reader.read(100), 30)
            writer.close()
            return answer == b"ping"

    opened = await asyncio.gather(*(open_one() for _turn in range(count)))
    await asyncio.to_thread(meanwhile)
    return sum(await asyncio.gather(*(answers(*each) for each in opened)))


def test_idle_websockets_are_held_through_a_change(gateway, ring, publish, request, capsys):
    """tests/bench/gateway.py has it hold as many as the machine lets it have."""
    count = request.config.getoption("--websockets")
    server = Path(__file__).with_name("echo_server.py")
    with subprocess.Popen([sys.executable, server, gateway.machine], stdout=subprocess.PIPE, text=True) as service:
        former, gateway.service_port = gateway.service_port, int(service.stdout.readline())
        memory = []

        def change():
            publish(stack_gateway_routes=[{"route": "rest", "response_headers": {"x-new": "yes"}}])
            memory.append(int(docker("exec", gateway.container, "awk", "/VmRSS/ {print $2}", "/proc/1/status")) // 1024)

        try:
            publish()
            assert asyncio.run(hold_websockets(gateway, ring[0]["publishable_key"], count, change)) == count
        finally:
            gateway.service_port = former
            service.terminate()
    with capsys.disabled():
        print(f"\n{count} idle websockets held through a change of routes; Envoy has {memory[0]} MiB")


@pytest.mark.parametrize("fault", ["no YAML", "unknown type"])
def test_bad_files_are_refused_and_the_former_keep_serving(gateway, ring, publish, fault):
    texts = gateway.render({})
    names = ["lds.yaml", "rds.yaml", "cds.yaml", "gate.yaml", "address_limits.yaml"]
    broken = {
        name: "{" if fault == "no YAML" else texts[name].replace("googleapis.com/", "googleapis.com/no.", 1)
        for name in names
    }
    gateway.switch({**texts, **broken})
    with pytest.raises(RejectedError) as refusal:
        gateway.accepted()
    for subscription in (
        "listener_manager.lds",
        "cluster_manager.cds",
        "rds.api",
        "envoy.filters.http.lua",
        "address_limits",
    ):
        assert subscription in str(refusal.value)
    assert ".tokens" not in str(refusal.value).partition(";")[0]
    assert gateway.ask("/rest/v1/todos", apikey=ring[0]["publishable_key"]).status == 200
    assert gateway.ask("/rest/v1/todos").status == 401


def test_each_address_and_each_user_has_a_limit_of_its_own(gateway, ring, publish):
    secrets, token, _hostile = ring
    key = secrets["publishable_key"]
    limits = {"address": {"requests": 20, "seconds": 3600}, "user": {"requests": 5, "seconds": 3600}}
    publish(stack_gateway_rate_limits=limits)

    def ask(user=None, address="203.0.113.1", path="/rest/v1/todos"):
        bearer = {"authorization": "Bearer " + token(user)} if user else {}
        return gateway.ask(path, apikey=key, x_forwarded_for=address, **bearer).status

    assert [ask("alice", f"203.0.113.{n}") for n in range(10, 17)] == [200] * 5 + [429] * 2
    # One user does not take another's share, and nobody takes it by a claim that no key signed.
    assert [ask("bob", f"203.0.113.{n}") for n in range(20, 24)] == [200] * 4
    forged = "Bearer " + ring[2]["unsigned"]
    for n in range(30, 40):
        assert (
            gateway.ask("/rest/v1/todos", apikey=key, authorization=forged, x_forwarded_for=f"203.0.113.{n}").status
            == 200
        )
    assert [ask(address="203.0.113.77") for _turn in range(22)] == [200] * 20 + [429] * 2
    assert ask(address="203.0.113.78") == 200
    # The whole network of an IPv6 client counts as one address.
    assert [ask(address=f"2001:db8::{n:x}") for n in range(22)] == [200] * 20 + [429] * 2
    assert ask(address="2001:db8:0:1::1") == 200
    # What a client says about its address is not believed beyond the trusted proxy.
    assert ask(address="198.51.100.1, 203.0.113.77") == 429

    publish(
        stack_gateway_rate_limits=limits,
        stack_gateway_routes=[{"route": "meta", "response_headers": {"x-a": "b"}}],
        stack_gateway_issuers=["https://api.lab.test/auth/v1", "supabase"],
    )
    assert ask(address="203.0.113.77") == 429, "the counters survive a change of routes and tokens"
    assert ask("alice", "203.0.113.99") == 429
    assert ask("bob", "203.0.113.99") == 200


def test_a_route_may_have_a_limit_of_its_own(gateway, ring, publish):
    key = ring[0]["publishable_key"]
    publish(stack_gateway_routes=[{"route": "graphql", "rate_limits": {"total": {"requests": 2, "seconds": 3600}}}])
    answers = [gateway.ask("/graphql/v1", apikey=key, x_forwarded_for=f"203.0.113.{n}") for n in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert gateway.ask("/rest/v1/todos", apikey=key).status == 200
    # Codes are guessed there, without a key.
    tries = [gateway.ask("/auth/v1/verify", x_forwarded_for="203.0.113.50").status for _try in range(70)]
    assert 429 in tries and tries[:60] == [200] * 60


def test_limits_of_a_route_add_up_by_kind(gateway, ring, publish):
    key = ring[0]["publishable_key"]
    kinds = [{kind: {"requests": 3, "seconds": 3600}} for kind in ("address", "user")]
    changes = [{"route": "graphql", "rate_limits": limit} for limit in kinds]
    publish(stack_gateway_routes=[*changes, {"route": "auth-verify", "rate_limits": {}}])
    answers = [gateway.ask("/graphql/v1", apikey=key, x_forwarded_for="203.0.113.51") for _time in range(4)]
    assert [answer.status for answer in answers] == [200] * 3 + [429]
    tries = [gateway.ask("/auth/v1/verify", x_forwarded_for="203.0.113.52").status for _try in range(70)]
    assert tries == [200] * 70


def test_addresses(gateway, ring, publish):
    key = ring[0]["publishable_key"]

    def ask(address, path="/rest/v1/todos"):
        return gateway.ask(path, apikey=key, x_forwarded_for=address).status

    publish(stack_gateway_deny=["203.0.113.0/24", "2001:db8::/32"])
    assert [ask("203.0.113.9"), ask("2001:db8::9"), ask("198.51.100.1, 203.0.113.9")] == [403] * 3
    assert [ask("198.51.100.1"), ask("203.0.113.9, 198.51.100.1"), ask("2001:db9::9")] == [200] * 3
    assert ask("203.0.113.9", "/nothing") == 403
    publish(stack_gateway_routes=[{"route": "rest", "allow": ["198.51.100.1"], "deny": ["198.51.100.2"]}])
    assert [ask("198.51.100.1"), ask("198.51.100.2"), ask("203.0.113.9")] == [200, 403, 403]
    assert ask("203.0.113.9", "/graphql/v1") == 403, "a service's name means all its routes"
    assert ask("203.0.113.9", "/auth/v1/user") == 200


def test_bodies_headers_and_methods(gateway, ring, publish):
    key = ring[0]["publishable_key"]
    publish(stack_gateway_body_bytes=1000, stack_gateway_header_kibibytes=8)
    assert gateway.ask("/rest/v1/t", "POST", b"x" * 1000, apikey=key).data["bytes"] == 1000
    assert gateway.ask("/rest/v1/t", "POST", b"x" * 1001, apikey=key).status == 413
    for size, status in ((500, 200), (1500, 413)):
        chunks = f"{size:x}\r\n".encode() + b"x" * size + b"\r\n0\r\n\r\n"
        assert gateway.ask("/rest/v1/t", "POST", chunks, apikey=key, transfer_encoding="chunked").status == status
    assert gateway.ask("/storage/v1/object/a/b", "POST", b"x" * 100_000, apikey=key).data["bytes"] == 100_000
    assert gateway.ask("/rest/v1/t", apikey=key, x_long="x" * 4000).status == 200
    assert gateway.ask("/rest/v1/t", apikey=key, x_long="x" * 9000).status == 431
    assert gateway.ask("/rest/v1/t", apikey=key, **{f"x-{n}": "y" for n in range(150)}).status == 431
    for method in ("TRACE", "PROPFIND"):
        refused = gateway.ask("/rest/v1/t", method, apikey=key)
        assert (refused.status, "GET" in refused.headers["allow"]) == (405, True)
    publish(stack_gateway_routes=[{"route": "rest", "methods": ["GET", "HEAD"]}])
    assert [gateway.ask("/rest/v1/t", method, apikey=key).status for method in ("GET", "DELETE")] == [200, 405]


def test_maintenance(gateway, ring, publish):
    key = ring[0]["publishable_key"]
    publish(stack_gateway_maintenance=True, stack_gateway_maintenance_exempt=["198.51.100.0/24"])
    away = gateway.ask("/rest/v1/t", apikey=key, x_forwarded_for="203.0.113.1")
    assert (away.status, away.headers["retry-after"]) == (503, "300")
    assert away.data == {"message": "The platform is being maintained."}
    assert gateway.ask("/rest/v1/t", apikey=key, x_forwarded_for="198.51.100.7").status == 200
    publish(
        stack_gateway_routes=[{"route": "storage", "maintenance": True}],
        stack_gateway_maintenance_message="Zurück um 9",
    )
    assert gateway.ask("/storage/v1/object/a").data == {"message": "Zurück um 9"}
    assert gateway.ask("/storage/v1/object/a").status == 503
    assert gateway.ask("/rest/v1/t", apikey=key).status == 200


def test_compression(gateway, ring, publish):
    key = ring[0]["publishable_key"]
    long = "/rest/v1/t?" + "a" * 2000
    packed = gateway.ask(long, apikey=key, accept_encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert len(packed.body) < 1000
    assert gateway.ask(long, apikey=key, accept_encoding="br").headers["content-encoding"] == "br"
    assert "content-encoding" not in gateway.ask(long, apikey=key).headers
    publish(stack_gateway_compression=False)
    assert "content-encoding" not in gateway.ask(long, apikey=key, accept_encoding="gzip").headers


def test_tokens(gateway, ring, publish):
    secrets, token, hostile = ring
    key = secrets["publishable_key"]

    def ask(**headers):
        return gateway.ask("/rest/v1/t", apikey=key, **headers).status

    assert ask(authorization="Bearer " + hostile["expired"]) == 200, "the service judges it"
    publish(stack_gateway_tokens="required")
    assert ask(authorization="Bearer " + token()) == 200
    assert ask() == 200, "the gate puts the token of the key's role in"
    assert ask(authorization="Bearer " + secrets["anon_key"]) == 200, "the legacy secret is still in the ring"
    assert {name: ask(authorization="Bearer " + value) for name, value in hostile.items()} == dict.fromkeys(
        hostile, 401
    )
    assert ask(authorization="Basic dTpw") == 401
    publish(stack_gateway_tokens="valid", stack_gateway_issuers=["https://api.lab.test/auth/v1", "supabase"])
    assert ask(authorization="Bearer " + token()) == 200
    assert ask(authorization="Bearer " + token(iss="https://elsewhere.test")) == 401
    assert ask(authorization="Bearer " + hostile["expired"]) == 401


def test_a_token_that_was_good_expires(gateway, ring, publish):
    """Envoy remembers good tokens, and lets clocks differ by a minute."""
    secrets, token, _hostile = ring
    publish(stack_gateway_tokens="required")
    last_seconds = token(seconds=int(time.time() - NOW.timestamp()) - 57)
    headers = {"apikey": secrets["publishable_key"], "authorization": "Bearer " + last_seconds}
    assert [gateway.ask("/rest/v1/t", **headers).status for _turn in range(3)] == [200] * 3
    time.sleep(5)
    assert gateway.ask("/rest/v1/t", **headers).status == 401


def test_headers_and_origins(gateway, ring, publish):
    key = ring[0]["publishable_key"]
    plain = gateway.ask("/rest/v1/t", apikey=key, x_request_id="abc")
    assert plain.headers["x-content-type-options"] == "nosniff"
    assert "x-powered-by" not in plain.headers
    assert plain.headers["x-request-id"] == plain.data["headers"]["x-request-id"] == "abc"
    publish(
        stack_cors_origins=["https://app.lab.test", "https://*.app.lab.test"],
        stack_gateway_request_headers={"x-added": "1"},
        stack_gateway_request_headers_removed=["x-secret"],
        stack_gateway_response_headers={"x-frame-options": "DENY"},
        stack_gateway_response_headers_removed=["content-type"],
    )
    changed = gateway.ask("/rest/v1/t", apikey=key, x_secret="s", origin="https://app.lab.test")
    assert changed.data["headers"]["x-added"] == "1"
    assert "x-secret" not in changed.data["headers"]
    assert changed.headers["x-frame-options"] == "DENY"
    assert "content-type" not in changed.headers
    assert changed.headers["access-control-allow-origin"] == "https://app.lab.test"
    for origin, allowed in (("https://a.app.lab.test", True), ("https://app.lab.test.evil.test", False)):
        answer = gateway.ask(
            "/rest/v1/t", "OPTIONS", origin=origin, access_control_request_method="GET", host="api.lab.test"
        )
        assert ("access-control-allow-origin" in answer.headers) is allowed, origin
    answer = gateway.ask(
        "/storage/v1/upload/resumable",
        "OPTIONS",
        origin="https://studio.lab.test",
        access_control_request_method="POST",
        access_control_request_headers="authorization,x-source",
    )
    assert answer.headers["access-control-allow-origin"] == "https://studio.lab.test"
    assert {"*", "authorization"} <= set(answer.headers["access-control-allow-headers"].split(", "))
    assert "access-control-allow-credentials" not in answer.headers, "with them the asterisk were a name like another"


def test_concurrency_and_ejection(gateway, ring, publish):
    key = ring[0]["publishable_key"]
    publish(stack_gateway_routes=[{"route": "rest", "concurrency": 1, "retries": 0}])
    slow = [gateway.connect() for _turn in range(8)]
    for connection in slow:
        connection.sendall(f"GET /rest/v1/t HTTP/1.1\r\nhost: a\r\napikey: {key}\r\nx-wait: 0.5\r\n\r\n".encode())
    assert gateway.ask("/auth/v1/user", apikey=key).status == 200, "another service is not concerned"
    assert {read_answer(connection).status for connection in slow} == {200, 503}
    for connection in slow:
        connection.close()
    ejecting = {"route": "rest", "ejection_failures": 3, "ejection_seconds": 2, "retries": 0}
    publish(stack_gateway_routes=[ejecting])
    assert [gateway.ask("/rest/v1/t", apikey=key, x_status="503").status for _turn in range(3)] == [503] * 3
    before = len(gateway.asked)
    assert gateway.ask("/rest/v1/t", apikey=key).status == 503
    assert len(gateway.asked) == before, "the service is left alone"
    end = time.monotonic() + 10
    while gateway.ask("/rest/v1/t", apikey=key).status != 200:
        assert time.monotonic() < end
        time.sleep(0.3)


PATHS = r"""
/rest/v1//
/rest/v1/./
//rest/v1/
/rest/v1/x/..
/rest/v1/x/%2e%2e/
/x/../rest/v1/
/rest/v1/;x
/rest/v1/%3bx
/rest/v1/%2e/
/rest/v1/..%2fpg/tables
/rest/v1/%2e%2e/pg/tables
/rest/v1/../../pg/tables
/auth/v1/verify/../../../pg/tables
/auth/v1/verify/%2e%2e/admin/users
/auth/v1/verify;/../admin/users
/auth/v1/callback%2f..%2fadmin
/auth/v1/verify\..\admin
/realtime/v1/api/%74enants
/realtime/v1//api/tenants
/realtime/v1/api/./tenants
/realtime/v1/api/tenants/
/realtime/v1/x/../api/tenants
/realtime/v1/api;/tenants
/realtime/v1/api/tenants%00
/realtime/v1/api/tenants;x
/pg;/tables
/%70g/tables
/pg/../pg/tables
""".splitlines()[1:]


@pytest.mark.parametrize("path", PATHS)
def test_no_way_of_writing_a_path_gets_through_a_gate(gateway, ring, path):
    """Auth's open paths are the way in without a key, the others with the key of everybody's browser."""
    before = len(gateway.asked)
    key = {} if path.startswith("/auth/v1/") else {"apikey": ring[0]["publishable_key"]}
    answer = gateway.ask(path, **key)
    assert answer.status in (400, 401, 403, 404), (path, answer, gateway.asked[before:])
    assert len(gateway.asked) == before


def test_smuggling_and_doubled_keys(gateway, ring):
    key, secret = ring[0]["publishable_key"], ring[0]["secret_key"]
    before = len(gateway.asked)
    inner = f"GET /pg/tables HTTP/1.1\r\nhost: api.lab.test\r\napikey: {key}\r\n\r\n"
    head = f"POST /rest/v1/t HTTP/1.1\r\nhost: api.lab.test\r\napikey: {key}\r\n"
    for length in (
        f"content-length: {len(inner) + 5}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{inner}",
        f"content-length: 3\r\ncontent-length: {len(inner)}\r\n\r\n{inner}",
        f"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{inner}",
        f"transfer-encoding : chunked\r\ncontent-length: 3\r\n\r\n{inner}",
        f"content-length: +3\r\n\r\n{inner}",
        "content-length: 99999999999999999999999\r\n\r\nx",
    ):
        assert gateway.send((head + length).encode()).status in (0, 400, 413, 501), length
    for doubled in (f"{key}\r\napikey: {secret}", f"{secret}\r\napikey: {key}", f"{key}\r\napikey: {key}"):
        assert gateway.ask("/pg/tables", apikey=doubled).status == 400, doubled
        assert gateway.ask("/storage/v1/object/x", apikey=doubled).status == 400, doubled
    assert gateway.ask(f"/pg/tables?apikey={key}&apikey={secret}").status == 400
    assert gateway.ask(f"/rest/v1/t?apikey={secret}", apikey=key).status == 400
    assert gateway.ask(f"/pg/tables?apikey={secret}%00").status == 401
    for hostile in ("", " ", "sb_", "null", f"{key},{secret}", f"{key}x", '"', "]]", "a" * 9000):
        assert gateway.ask("/rest/v1/t", apikey=hostile).status == 401, hostile
    assert gateway.ask("/rest/v1/t", apikey=key, api_key="x").status == 200
    assert gateway.ask("/rest/v1/t", apikey=key, **{"x_y": "z"}).status == 200
    assert gateway.send(f"GET /rest/v1/t HTTP/1.1\r\nhost: a\r\napikey: {key}\r\nx_y: z\r\n\r\n".encode()).status == 400
    assert len(gateway.asked) == before + 2
    seen = gateway.ask("/functions/v1/hello", sb_api_key="forged")
    assert "sb-api-key" not in seen.data["headers"]


def test_slow_bodies_are_ended_and_hold_up_nobody(gateway, ring, publish):
    key = ring[0]["publishable_key"]
    publish(stack_gateway_timeout=1)
    head = f"POST /rest/v1/t HTTP/1.1\r\nhost: a\r\napikey: {key}\r\ncontent-length: 100\r\n\r\nx"
    connections = [gateway.connect() for _turn in range(50)]
    for connection in connections:
        connection.sendall(head.encode())
    assert gateway.ask("/auth/v1/user", apikey=key).status == 200
    began = time.monotonic()
    assert {read_answer(connection).status for connection in connections} <= {408, 504}
    assert time.monotonic() - began < 10
    for connection in connections:
        connection.close()


def test_statistics_without_keys(gateway, ring):
    def ask(path):
        return gateway.send(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode(), 9902)

    assert b"envoy_http_local_rate_limit" in ask("/stats/prometheus").body
    assert [ask(path).status for path in ("/config_dump", "/", "/quitquitquit", "/stats/../config_dump")] == [404] * 4


def test_the_log_holds_no_key(gateway, ring):
    gateway.ask(f"/rest/v1/t?apikey={ring[0]['secret_key']}&x=y", x_request_id="find-me")
    end = time.monotonic() + 15
    while "find-me" not in gateway.log():
        assert time.monotonic() < end
        time.sleep(0.5)
    log = gateway.log()
    line = json.loads(next(line for line in log.splitlines() if "find-me" in line))
    assert (line["path"], line["route"], line["status"]) == ("/rest/v1/t", "rest", 200)
    for name in ("publishable_key", "secret_key", "anon_key", "service_role_key", "anon_token", "service_role_token"):
        assert ring[0][name] not in log, name


def test_own_services_with_the_same_controls(gateway, ring, publish):
    secrets, token, _hostile = ring
    key, here = secrets["publishable_key"], {"host": gateway.machine, "port": gateway.service_port}
    publish(
        stack_gateway_services=[
            {"name": "billing", "path": "/billing/v1/", "gate": "key", **here},
            {"name": "cms", "path": "/cms/", "rewrite": "/site/", "gate": "open", **here},
            {"name": "chat", "path": "/chat/", "gate": "key", "websocket": True, **here},
            {"name": "later", "path": "/later/", "gate": "open", "host": "later.invalid", "port": 1},
        ],
        stack_gateway_routes=[
            {"route": "billing", "methods": ["GET"], "rate_limits": {"user": {"requests": 2, "seconds": 3600}}},
            {"route": "later", "retries": 0},
        ],
    )
    seen = gateway.ask("/billing/v1/invoices?a=b", apikey=key)
    assert (seen.status, seen.data["path"]) == (200, "/invoices?a=b")
    assert seen.data["headers"]["authorization"] == "Bearer " + secrets["anon_token"]
    assert gateway.ask("/billing/v1/invoices").status == 401
    assert gateway.ask("/billing/v1/invoices", "DELETE", apikey=key).status == 405
    alice = {"apikey": key, "authorization": "Bearer " + token("alice")}
    assert [gateway.ask("/billing/v1/i", **alice).status for _turn in range(3)] == [200, 200, 429]
    assert gateway.ask("/cms/page").data["path"] == "/site/page"
    assert gateway.ask("/later/x").status == 503
    with upgraded(gateway, key, "/chat/") as socket:
        assert echoes(socket)
    assert gateway.ask("/rest/v1/todos", apikey=key).status == 200


def test_a_small_platform_and_a_dashboard_below_the_api(gateway, ring, publish):
    key = ring[0]["publishable_key"]
    publish(stack_services=["rest", "envoy"], stack_gateway_rate_limits={}, stack_gateway_retries=0)
    assert [gateway.ask(path, apikey=key).status for path in ("/rest/v1/t", "/auth/v1/user", "/")] == [200, 404, 404]
    publish(supabase_studio_domain="api.lab.test")
    assert gateway.ask("/").status == 401
    assert gateway.ask("/api/mcp").status == 403
    assert gateway.ask("/rest/v1/t", apikey=key).status == 200
