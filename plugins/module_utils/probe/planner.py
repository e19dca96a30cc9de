# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments of module probe as checks to be made on this host."""

from __future__ import annotations

import base64
import secrets as randomness
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils import postgres
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.probe import certificate, queries, websocket
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.checks import Check, Seen, failed
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.http_request import (
    Answer,
    Request,
    judge,
    missing_secrets,
    send,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.ports import look_at_port, look_at_redis
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.runner import Job
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.this_host import (
    address_of,
    backup_checks,
    command_runner,
    host_checks,
    unit_checks,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.webhooks import (
    Webhook,
    find_webhook_faults,
    webhook_calls,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.release.docker_engine import Runner

REQUEST_DEFAULTS: dict[str, Any] = {"method": "GET", "headers": {}, "body": "", "status": [200], "contains": ""}


@dataclass(frozen=True)
class Planner:
    """params: the module's arguments. secrets: values by name."""

    params: Mapping[str, Any]
    secrets: Mapping[str, str]
    check_mode: bool

    def jobs(self) -> Iterator[Job]:
        """What is to be done, in the order in which it is reported."""
        run = command_runner(self.params["timeout"])
        if self.params["host"]:
            yield from ([check] for check in host_checks(run, self.params["disk_free"]))
        yield from ([check] for check in unit_checks(run, self.params["root"], self.params["units"]))
        yield from ([check] for check in backup_checks(self.params["metrics_dir"], self.params["backup_hours"]))
        try:
            trust = ssl.create_default_context(cafile=self.params["ca_file"])
        except OSError as error:
            fault = Fault(f"ca_file {self.params['ca_file']}", str(error), "run site.yml, or correct supabase_ca_file")
            yield [Check("Authority", "tls", partial(failed, fault.cause, fault))]
            trust = ssl.create_default_context()
        for one in self._wanted("ports"):
            yield [self._port(one)]
        for one in self.params["certificates"]:
            yield [self._certificate(one, trust)]
        for one in self._wanted("sql"):
            yield [self._sql(one)]
        for one in self._wanted("redis"):
            yield [self._redis(one, run)]
        for one in self._wanted("requests"):
            yield [self._request(one, trust)]
        for one in self._wanted("websockets"):
            yield [self._websocket(one, trust)]
        for one in self.params["webhooks"]:
            yield self._webhook(Webhook.from_argument(one), trust)
        for one in self._wanted("promql"):
            yield [self._promql(one, trust)]

    def _wanted(self, option: str) -> Iterator[dict[str, Any]]:
        """Entries of an option, but those about services that are not deployed."""
        services = self.params["services"]
        for entry in self.params[option]:
            if services is None or not entry.get("service") or entry["service"] in services:
                yield entry

    def _lacking(self, name: str, kind: str, secrets: list[str]) -> Check:
        cause = f"the store lacks {', '.join(secrets)}"
        return Check(name, kind, partial(failed, cause, Fault(name, cause, "run site.yml first")))

    # Through the edge

    def _send(self, request: Request, trust: ssl.SSLContext) -> Answer:
        return send(request, self.params["connect_to"], trust, self.params["timeout"])

    def _exchange(self, request: Request, trust: ssl.SSLContext) -> Seen:
        answer = self._send(request, trust)
        return seen_of(answer, judge(request, answer))

    def _request(self, one: Mapping[str, Any], trust: ssl.SSLContext) -> Check:
        lacking = missing_secrets(one, self.secrets)
        if lacking:
            return self._lacking(one["name"], "http", lacking)
        request = Request.from_argument(one, self.secrets)
        return Check(one["name"], "http", partial(self._exchange, request, trust))

    def _websocket(self, one: Mapping[str, Any], trust: ssl.SSLContext) -> Check:
        lacking = missing_secrets(one, self.secrets)
        if lacking:
            return self._lacking(one["name"], "websocket", lacking)
        key = base64.b64encode(randomness.token_bytes(16)).decode()
        request = websocket.opening(Request.from_argument({**REQUEST_DEFAULTS, **one}, self.secrets), key)

        def look() -> Seen:
            answer = self._send(request, trust)
            return seen_of(answer, websocket.judge_opening(request, key, answer))

        return Check(one["name"], "websocket", look)

    def _webhook(self, webhook: Webhook, trust: ssl.SSLContext) -> Job:
        faults = find_webhook_faults(webhook, self.secrets)
        if faults:
            return [Check(fault.object, "webhook", partial(failed, fault.cause, fault)) for fault in faults]
        event = f"verify-{randomness.token_hex(8)}"
        calls = webhook_calls(webhook, self.secrets, int(time.time()), event, accepted=not self.check_mode)
        return [Check(call.name, "webhook", partial(self._exchange, call, trust)) for call in calls]

    def _certificate(self, server: str, trust: ssl.SSLContext) -> Check:
        name, _colon, port = server.partition(":")
        where = (name, int(port or 443), self.params["connect_to"], trust, self.params["timeout"], time.time())
        return Check(f"Certificate of {server}", "tls", partial(certificate.look, *where))

    # Services on the host

    def _port(self, one: Mapping[str, Any]) -> Check:
        where = (one["name"], one["host"], one["port"], one["open"], self.params["timeout"])
        return Check(one["name"], "tcp", partial(look_at_port, *where))

    def _sql(self, one: Mapping[str, Any]) -> Check:
        if one["password"] and one["password"] not in self.secrets:
            return self._lacking(one["name"], "sql", [one["password"]])
        login = {
            "login_host": one["host"],
            "login_port": one["port"],
            "login_user": one["user"],
            "login_password": self.secrets.get(one["password"]),
            "login_password_file": None,
            "login_db": one["database"],
            "ssl_mode": one["ssl_mode"],
            "ca_cert": None,
        }
        return Check(one["name"], "sql", partial(select, one["name"], login, one["query"], self.params["timeout"]))

    def _redis(self, one: Mapping[str, Any], run: Runner) -> Check:
        if one["password"] and one["password"] not in self.secrets:
            return self._lacking(one["name"], "redis", [one["password"]])

        def look() -> Seen:
            address = one["host"] or address_of(run, one["unit"], one["service"])
            password = self.secrets.get(one["password"], "")
            return look_at_redis(one["name"], address, one["port"], password, self.params["timeout"])

        return Check(one["name"], "redis", look)

    def _promql(self, one: Mapping[str, Any], trust: ssl.SSLContext) -> Check:
        if one["password"] and one["password"] not in self.secrets:
            return self._lacking(one["name"], "promql", [one["password"]])
        headers = {}
        if one["user"]:
            word = f"{one['user']}:{self.secrets.get(one['password'], '')}"
            headers["Authorization"] = f"Basic {base64.b64encode(word.encode()).decode()}"
        request = Request(one["name"], queries.query_url(one["url"], one["query"]), "GET", headers, "", (200,), "")
        timeout = self.params["timeout"]
        return Check(
            one["name"], "promql", lambda: queries.judge_series(one["name"], send(request, "", trust, timeout))
        )


def seen_of(answer: Answer, fault: Fault | None) -> Seen:
    text = str(answer.status) if answer.status else "no answer"
    return failed(text, fault) if fault else Seen(text)


def select(name: str, login: Mapping[str, Any], query: str, timeout: int) -> Seen:
    """The query's answer, from a transaction that cannot write and does not last. timeout: seconds."""
    import psycopg

    with postgres.connect(login) as connection, connection.transaction():
        connection.execute("set transaction read only")
        connection.execute("select set_config('statement_timeout', %s, true)", [f"{timeout}s"])
        try:
            return queries.judge_row(name, connection.execute(query.encode()).fetchall())
        except psycopg.Error as error:
            cause = str(error).splitlines()[0]
            raise GroundworkError(name, cause, "look at the server's log, and at the query") from error
