# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module probe against real Caddy, PostgreSQL and Redis, a host that is this machine, and what is broken about each."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
import time
from http.server import BaseHTTPRequestHandler
from xml.etree import ElementTree

import pytest
from edge_server import AUTHORITY, wait_until
from postgres_server import docker, ensure_image
from web_service import QuietServer

PASSWORD = "9vXq2LmC7tRkB4wZ"
KEY = "sb_publishable_8ZkN3rQw"
CADDYFILE = """
{
    admin off
    skip_install_trust
}
api.lab.test {
    tls internal
    @key {
        path /needs-key
        header apikey KEY
    }
    respond /health "GoTrue" 200
    respond @key "welcome" 200
    respond /quotes "you sent {header.apikey}" 500
    respond /missing 404
    respond 401
}
""".replace("KEY", KEY)


def start(*arguments):
    return docker("run", "--detach", "--label", "groundwork.integration", *arguments).strip()


def published(container, port):
    return int(docker("port", container, f"{port}/tcp").splitlines()[0].rpartition(":")[2])


@pytest.fixture(scope="module")
def edge(tmp_path_factory):
    """Caddy with an authority of its own; yields how to reach it."""
    ensure_image("caddy")
    folder = tmp_path_factory.mktemp("caddy")
    folder.chmod(0o755)
    (folder / "Caddyfile").write_text(CADDYFILE, encoding="utf-8")
    command = ["caddy", "run", "--adapter", "caddyfile", "--config", "/etc/Caddyfile"]
    mount = f"{folder / 'Caddyfile'}:/etc/Caddyfile:ro"
    caddy = start("--publish", "127.0.0.1::443", "--volume", mount, "groundwork-lab/caddy:current", *command)
    try:
        authority = wait_until(lambda: docker("exec", caddy, "cat", AUTHORITY), "the authority is there")
        (folder / "ca.crt").write_text(authority, encoding="utf-8")
        yield {"port": published(caddy, 443), "connect_to": "127.0.0.1", "ca_file": str(folder / "ca.crt")}
    finally:
        docker("rm", "--force", "--volumes", caddy)


@pytest.fixture(scope="module")
def redis():
    ensure_image("redis")
    command = ["redis-server", "--requirepass", PASSWORD, "--save", ""]
    labels = ["--label", "com.docker.compose.project=probed", "--label", "com.docker.compose.service=redis"]
    container = start(*labels, "groundwork-lab/redis:current", *command)
    try:
        wait_until(lambda: "PONG" in docker("exec", container, "redis-cli", "-a", PASSWORD, "ping"), "Redis is up")
        yield container
    finally:
        docker("rm", "--force", "--volumes", container)


def verdicts(outcome):
    return {check["name"]: check["verdict"] for check in outcome.result["checks"]}


def seen(outcome):
    return {check["name"]: check["seen"] for check in outcome.result["checks"]}


def reached(edge, **more):
    return {"connect_to": edge["connect_to"], "ca_file": edge["ca_file"], **more}


def test_requests_and_certificates_at_a_real_edge(run, edge, store):
    url = f"https://api.lab.test:{edge['port']}"
    requests = [
        {"name": "well", "url": f"{url}/health", "contains": "GoTrue"},
        {"name": "with the key", "url": f"{url}/needs-key", "headers": {"apikey": "${secret:publishable_key}"}},
        {"name": "without", "url": f"{url}/needs-key", "status": [401]},
        {"name": "of no service", "service": "studio", "url": f"{url}/missing"},
    ]
    arguments = reached(edge, requests=requests, services=["auth"], certificates=[f"api.lab.test:{edge['port']}"])
    outcome = run("probe", {**arguments, **store({"publishable_key": KEY})})
    assert not outcome.changed
    assert verdicts(outcome) == dict.fromkeys(
        (f"Certificate of api.lab.test:{edge['port']}", *requests_of(requests)), "ok"
    )
    assert seen(outcome)[f"Certificate of api.lab.test:{edge['port']}"] == "TLSv1.3, 12 hours left"
    assert outcome.result["table"].splitlines()[-1] == "4 checks: 4 ok"
    assert KEY not in outcome.output


def requests_of(requests):
    return [request["name"] for request in requests if "service" not in request]


def test_every_fault_is_reported_at_once_and_no_secret(run, edge, store):
    url = f"https://api.lab.test:{edge['port']}"
    requests = [
        {"name": "well", "url": f"{url}/health", "contains": "Storage"},
        {"name": "quotes", "url": f"{url}/quotes", "headers": {"apikey": "${secret:publishable_key}"}},
        {"name": "lacks a secret", "url": url, "headers": {"apikey": "${secret:nobody_made_it}"}},
        {"name": "closed", "url": "http://127.0.0.1:9/"},
    ]
    certificates = [f"api.lab.test:{edge['port']}", f"other.lab.test:{edge['port']}"]
    arguments = reached(edge, requests=requests, certificates=certificates, ports=[{"name": "nobody", "port": 9}])
    outcome = run("probe", {**arguments, **store({"publishable_key": KEY})}, "-vvv")
    for line in (
        f"well (GET {url}/health): its answer lacks 'Storage'",
        f"quotes (GET {url}/quotes): it answered 500 where 200 is right: you sent ********",
        "lacks a secret: the store lacks nobody_made_it; run site.yml first",
        "closed (GET http://127.0.0.1:9/): no answer",
        f"certificate of other.lab.test:{edge['port']}: no handshake",
        "nobody (127.0.0.1:9): nobody takes a connection: Connection refused",
    ):
        assert line in outcome.error
    assert outcome.error.startswith("6 faults:")
    assert outcome.result["table"].splitlines()[-1] == "7 checks: 1 ok, 6 FAILED"
    assert KEY not in outcome.output


def test_an_authority_that_is_not_known_is_refused(run, edge):
    outcome = run("probe", {"connect_to": "127.0.0.1", "certificates": [f"api.lab.test:{edge['port']}"]})
    assert "it is refused: unable to get" in outcome.error
    assert "supabase_ca_file" in outcome.error
    missing = run("probe", {"ca_file": "/nowhere/ca.crt", "requests": [{"name": "a", "url": "http://127.0.0.1:9/"}]})
    assert "ca_file /nowhere/ca.crt: [Errno 2] No such file or directory; run site.yml" in missing.error
    assert verdicts(missing) == {"Authority": "FAILED", "a": "FAILED"}


def test_questions_to_a_real_database(run, server, database, store):
    def ask(query, **more):
        login = {"port": server.port, "user": "postgres", "password": "pass_word", "database": database.name}
        secrets = store({"pass_word": server.password})
        return run("probe", {"sql": [{"name": "asked", "query": query, **login, **more}], "timeout": 2, **secrets})

    assert seen(ask("select not pg_is_in_recovery(), 'well'")) == {"asked": "well"}
    assert "asked: 3 of them; look at the database" in ask("select false, '3 of them'").error
    assert "not a yes or no and a text" in ask("select 1").error
    assert 'relation "nowhere" does not exist' in ask("select true, x::text from nowhere").error
    assert "cannot execute CREATE TABLE in a read-only transaction" in ask("create table t ()").error
    assert "canceling statement due to statement timeout" in ask("select true, pg_sleep(30)::text").error
    assert "check that it runs" in ask("select true, ''", port=9).error
    assert "password authentication failed" in ask("select true, ''", password="").error or "no password" in (
        ask("select true, ''", password="").error
    )
    assert database.query("select to_regclass('t')") == [(None,)]


def test_what_the_playbook_asks_the_database(run, server, database, store):
    """Each query of the playbook is one that the server understands, and all is well on a fresh one."""
    import yaml
    from postgres_server import ROOT

    declared = yaml.safe_load((ROOT / "playbooks" / "vars" / "verify.yml").read_text(encoding="utf-8"))["verify_sql"]
    login = {"port": server.port, "database": database.name}
    sql = [{**one, **login} for one in declared if one["service"] == "db"]
    assert len(sql) >= 6
    outcome = run(
        "probe",
        {"sql": [{**one, "ssl_mode": "prefer"} for one in sql], **store({"postgres_password": server.password})},
    )
    assert set(verdicts(outcome).values()) == {"ok"}, outcome.result["table"]


def test_redis_answers_where_its_container_is(run, redis, store):
    asked = {"name": "redis", "unit": "probed", "service": "redis", "password": "redis_password"}
    assert seen(run("probe", {"redis": [asked], **store({"redis_password": PASSWORD})})) == {"redis": "PONG"}
    wrong = run("probe", {"redis": [asked], **store({"redis_password": "another one"})})
    assert "it answered AUTH with -WRONGPASS" in wrong.error
    gone = run("probe", {"redis": [{**asked, "unit": "nobody"}], **store({"redis_password": PASSWORD})})
    assert "service nobody/redis: no container of it runs" in gone.error


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"])
def test_a_port_that_must_not_be_open(run, address):
    """The second address stands for that of a private network, which the first one says nothing about."""
    with socket.create_server((address, 0)) as listening:
        port = listening.getsockname()[1]
        ports = [{"name": "the engine", "port": port, "open": False}]
        assert f"the engine ({port}): somebody listens there" in run("probe", {"ports": ports}).error
    assert seen(run("probe", {"ports": ports})) == {"the engine": "Connection refused"}


def test_a_check_that_hangs_holds_up_no_other(run):
    """Twelve servers that take a connection and never answer, more than there are threads."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent, socket.create_server(("127.0.0.1", 0)) as other:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        requests = [{"name": f"silent {number}", "url": url} for number in range(12)]
        arguments = {"requests": requests, "ports": [{"name": "other", "port": other.getsockname()[1]}], "timeout": 1}
        began = time.monotonic()
        outcome = run("probe", arguments)
        assert time.monotonic() - began < 12
    assert outcome.error.startswith("12 faults:")
    assert outcome.error.count("no answer: timed out") == 12
    assert verdicts(outcome)["other"] == "ok"


class Prometheus(BaseHTTPRequestHandler):
    """Answers as Prometheus' HTTP API does; a query finds what it names."""

    def do_GET(self):
        query = self.path.partition("query=")[2]
        found = [{"metric": {"__name__": "up", "job": "db"}, "value": [0, "0"]}] if query.startswith("up") else []
        content = json.dumps({"status": "success", "data": {"resultType": "vector", "result": found}}).encode()
        self.send_response(200 if self.headers["Authorization"] == "Basic cmVhZGVyOnNlY3JldC1vZi1pdA==" else 401)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format, *args):
        pass


def test_what_a_metrics_query_finds_is_wrong(run, store):
    service = QuietServer(("127.0.0.1", 0), Prometheus)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{service.server_port}"
    login = {"url": url, "user": "reader", "password": "metrics_password"}
    promql = [{"name": "down", "query": "up == 0", **login}, {"name": "absent", "query": "absent(up)", **login}]
    outcome = run("probe", {"promql": promql, **store({"metrics_password": "secret-of-it"})})
    service.shutdown()
    service.server_close()
    assert outcome.error == "down: it finds 1: up{job=db}; look at these in Prometheus"
    assert verdicts(outcome) == {"down": "FAILED", "absent": "ok"}


def test_this_host_its_backups_and_the_metrics(run, tmp_path):
    (tmp_path / "backups.prom").write_text(
        f'groundwork_backup_last_success_timestamp_seconds{{what="postgres"}} {time.time() - 3600:.0f}\n'
        'groundwork_backup_last_run_success{what="postgres"} 1\n'
        f'groundwork_backup_last_success_timestamp_seconds{{what="redis"}} {time.time() - 30 * 3600:.9e}\n'
        'groundwork_backup_last_run_success{what="redis"} 1\n'
    )
    arguments = {
        "host": True,
        "disk_free": 0,
        "metrics_dir": str(tmp_path),
        "root": str(tmp_path),
        "write_metrics": True,
    }
    checked = run("probe", arguments, "--check")
    written = tmp_path / "groundwork_probe.prom"
    assert "backup of redis: 30 hours old, older than 26 hours" in checked.error
    assert not written.exists()

    outcome = run("probe", arguments)
    found = verdicts(outcome)
    assert found["Space on /"] == found["Memory"] == found["Backup of postgres"] == "ok"
    assert found["Backup of redis"] == "FAILED"
    assert found["Reboot"] in ("ok", "warning")
    assert {"Clock", "Units of systemd"} <= found.keys()
    text = written.read_text(encoding="utf-8")
    assert 'groundwork_probe_success{check="Backup of redis"} 0\n' in text
    assert 'groundwork_probe_success{check="Memory"} 1\n' in text
    assert stat.S_IMODE(written.stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir() if "groundwork" in path.name] == ["groundwork_probe.prom"]
    cases = ElementTree.fromstring(outcome.result["junit"].encode()).findall(".//testcase")
    assert {case.get("name"): bool(case.findall("failure")) for case in cases} == {
        name: verdict == "FAILED" for name, verdict in found.items()
    }


def test_units_that_are_missing_are_named(run, tmp_path):
    outcome = run("probe", {"root": str(tmp_path), "units": ["edge", "supabase"]})
    assert "unit edge: no release serves; run site.yml" in outcome.error
    assert "unit supabase: no release serves; run site.yml" in outcome.error


def test_bad_arguments_are_refused_together(run, tmp_path):
    twice = [{"name": "a", "url": "http://127.0.0.1:9/"}, {"name": "a", "url": "http://127.0.0.1:9/"}]
    outcome = run(
        "probe",
        {
            "requests": twice,
            "timeout": 0,
            "disk_free": 100,
            "write_metrics": True,
            "metrics_dir": str(tmp_path / "no"),
            "certificates": ["a b"],
        },
    )
    for fault in (
        "check a: there are two of that name",
        "timeout: 0",
        "disk_free: 100",
        "the folder is not there",
        "certificates 'a b': it is no server",
    ):
        assert fault in outcome.error
    assert outcome.error.startswith("5 faults:") and "checks" not in outcome.result
    assert not os.path.exists(tmp_path / "no")
