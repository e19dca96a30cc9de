#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.probe."""

from __future__ import annotations

DOCUMENTATION = r"""
module: probe
short_description: Make many checks of a host and its platform at a time
version_added: 0.1.0
description:
  - Looks at the host, its release units and its backups, asks the database, Redis and Prometheus, and sends requests
    as a client would; what is not as it should be is reported at once, with a table of everything that was seen.
  - Checks are made several at a time. One that hangs ends with its timeout and holds up no other.
  - Of each webhook it demands that calls are refused that are unsigned, wrongly signed, too old, too large or sent
    before, and that one which is none of these is accepted.
  - C(${secret:NAME}) in a header is replaced on the host by the secret of that name, so keys do not leave it.
extends_documentation_fragment:
  - groundwork.supabase.attributes
attributes:
  check_mode:
    support: full
    details: Checks are made in check mode too, but for the call of each webhook that is to be accepted, and no metrics
      are written.
  diff_mode:
    support: none
  idempotent:
    support: full
    details: Metrics are a record of what was seen and count as no change.
requirements:
  - psycopg >= 3.1 on the host, for O(sql).
  - Docker Engine with Compose v2.20 or newer on the host, for O(units).
options:
  host:
    description:
      - "Look at the host: space and inodes of each filesystem, memory, clock, failed units of systemd, and whether a
        reboot is needed, which is a warning."
      - In a container the clock is the machine's and is not asked about.
    type: bool
    default: false
  disk_free:
    description: Percent of each filesystem, and of its inodes, that have to be free.
    type: int
    default: 10
  units:
    description: Release units that there have to be. Each unit that there is has to serve, wanted or not.
    type: list
    elements: str
    default: []
  root:
    description: Folder on the host that holds a folder for each unit.
    type: path
    default: /opt/groundwork
  metrics_dir:
    description:
      - Folder on the host with metrics in Prometheus' text format, C(*.prom).
      - Backups that have metrics C(groundwork_backup_last_success_timestamp_seconds) and
        C(groundwork_backup_last_run_success) there are checked.
    type: path
    default: /var/lib/groundwork/metrics
  backup_hours:
    description: Hours that the newest backup of a kind may be old.
    type: int
    default: 26
  write_metrics:
    description:
      - Write what was seen to C(groundwork_probe.prom) in O(metrics_dir), which has to exist.
      - The metrics are C(groundwork_probe_success), C(groundwork_probe_duration_seconds), both with the label C(check),
        and C(groundwork_probe_timestamp_seconds).
    type: bool
    default: false
  ports:
    description: TCP ports.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: "What it is about, in words.", type: str, required: true}
      service: {description: "Service that has to be deployed for the check to make sense.", type: str}
      host: {description: "Name or address, as seen from the host.", type: str, default: 127.0.0.1}
      port: {description: "The port.", type: int, required: true}
      open: {description: "Whether something has to listen there; otherwise nothing may.", type: bool, default: true}
  certificates:
    description:
      - Servers, as C(NAME) or C(NAME:PORT), whose certificate has to be trusted, of that name, and renewed in time. It
        is not if less than a sixth of its lifetime is left, or for long ones less than two weeks.
      - The connection has to be TLS 1.2 or 1.3.
    type: list
    elements: str
    default: []
  sql:
    description: Questions to PostgreSQL, asked in a transaction that cannot write.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: "What it is about, in words.", type: str, required: true}
      service: {description: "Service that has to be deployed for the check to make sense.", type: str}
      query:
        description: "A query for one row: a boolean that says whether all is well, and what was seen."
        type: str
        required: true
      host: {description: "Name or address, as seen from the host.", type: str, default: 127.0.0.1}
      port: {description: "The port.", type: int, default: 5432}
      user: {description: "Role to connect as.", type: str, default: postgres}
      password: {description: "Name of the secret that is its password.", type: str, default: ""}
      database: {description: "Database to connect to.", type: str, default: postgres}
      ssl_mode:
        description: How TLS is asked for, see C(sslmode) in the PostgreSQL manual.
        type: str
        choices: [allow, disable, prefer, require]
        default: prefer
  redis:
    description: Servers that speak Redis' protocol, which have to answer PING.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: "What it is about, in words.", type: str, required: true}
      service: {description: "Service of O(redis[].unit) that it is.", type: str}
      unit: {description: "Unit of that service.", type: str, default: supabase}
      host: {description: "Name or address; that of the service's container without it.", type: str, default: ""}
      port: {description: "The port.", type: int, default: 6379}
      password: {description: "Name of the secret that is its password; none without it.", type: str, default: ""}
  requests:
    description: Requests, sent without following redirects.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What the request is about, in words.
        type: str
        required: true
      service:
        description: Service that has to be deployed for the request to make sense.
        type: str
      url:
        description: Where to; the scheme is V(http) or V(https).
        type: str
        required: true
      method:
        description: HTTP method.
        type: str
        default: GET
      headers:
        description: Headers to send.
        type: dict
        default: {}
      body:
        description: Body to send.
        type: str
        default: ""
      status:
        description: Status codes that are right.
        type: list
        elements: int
        default: [200]
      contains:
        description: Text that the body has to contain.
        type: str
        default: ""
  websockets:
    description: Websockets whose opening handshake has to succeed.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: "What it is about, in words.", type: str, required: true}
      service: {description: "Service that has to be deployed for the check to make sense.", type: str}
      url: {description: "Where to; the scheme is V(wss) or V(ws).", type: str, required: true}
      headers: {description: "Headers to send.", type: dict, default: {}}
      status: {description: "Status codes that are right.", type: list, elements: int, default: [101]}
  webhooks:
    description:
      - Webhooks whose calls are signed with an HMAC. C({id}) stands for an id that is new with every run,
        C({timestamp}) for the time of signing in seconds since 1970.
      - The call that is accepted is an event to the application, so let its O(webhooks[].body) be one that changes
        nothing, such as one about a customer that does not exist.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What to call it.
        type: str
        required: true
      url:
        description: Where to; the scheme is V(http) or V(https).
        type: str
        required: true
      secret:
        description: Name of the secret under which calls are signed. Its text is the key.
        type: str
        required: true
      algorithm:
        description: Hash function of the HMAC.
        type: str
        choices: [sha256, sha512]
        default: sha256
      signed:
        description:
          - What is signed, with C({body}) for the body.
          - Without C({timestamp}) calls have no time, and a window is not asked for.
        type: str
        default: "{timestamp}.{body}"
      headers:
        description: Headers to send, with C({signature}) for the HMAC in hexadecimal digits.
        type: dict
        required: true
      body:
        description: The event, as text.
        type: str
        required: true
      window:
        description: Seconds for which a call is accepted after it was signed.
        type: int
        default: 300
      body_limit:
        description: Bytes that a body may have; the call that is too large has one more.
        type: int
        default: 65536
  promql:
    description: Questions to Prometheus. A query is written as an alert's, so it must find nothing.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: "What it is about, in words.", type: str, required: true}
      url: {description: "Address of Prometheus.", type: str, required: true}
      query: {description: "PromQL that gives a vector.", type: str, required: true}
      user: {description: "User to log in as; no login without it.", type: str, default: ""}
      password: {description: "Name of the secret that is its password.", type: str, default: ""}
  services:
    description: Services that are deployed; checks of others are left out. All are made without it.
    type: list
    elements: str
  connect_to:
    description: Address to connect to for requests, websockets, webhooks and certificates, instead of the one that
      their host resolves to; empty for the latter.
    type: str
    default: ""
  ca_file:
    description: File on the host with the authority to trust; the system's authorities without it.
    type: path
  secrets_dir:
    description: Folder on the host that holds the secrets, one file each.
    type: path
    default: /etc/groundwork/secrets
  timeout:
    description: Seconds that a check may take.
    type: int
    default: 10
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: The host is well, and the database takes writes
  groundwork.supabase.probe:
    host: true
    units: [edge, supabase]
    sql:
      - name: The database takes writes
        password: postgres_password
        query: select not pg_is_in_recovery(), current_setting('server_version')

- name: Auth answers with a key and refuses without one
  groundwork.supabase.probe:
    connect_to: 127.0.0.1
    requests:
      - name: auth with the anon key
        url: https://api.example.com/auth/v1/settings
        headers:
          apikey: ${secret:anon_key}
      - name: auth without a key
        url: https://api.example.com/auth/v1/settings
        status: [401]

- name: A webhook that is signed as Stripe signs is guarded
  groundwork.supabase.probe:
    webhooks:
      - name: billing
        url: https://app.example.com/webhooks/billing
        secret: billing_webhook_secret
        headers:
          Content-Type: application/json
          Stripe-Signature: t={timestamp},v1={signature}
        body: '{"id": "{id}", "type": "customer.updated", "data": {"object": {"id": "nobody"}}}'
"""

RETURN = r"""
checks:
  description: What was seen, in the order of the options.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: "Name of the check.", type: str}
    kind:
      description: "What was asked: host, containers, backup, tcp, tls, sql, redis, http, websocket, webhook or promql."
      type: str
    verdict: {description: "V(ok), V(warning), V(skipped) or V(FAILED).", type: str}
    seen: {description: "What was seen, in a few words; of a request its status.", type: str}
    milliseconds: {description: "How long it took.", type: int}
  sample:
    - {name: auth without a key, kind: http, verdict: ok, seen: "401", milliseconds: 12}
table:
  description: The same for people, one line each and the sums.
  returned: always
  type: str
  sample: |-
    ok       Memory               0 ms  62 % available of 15.6 GiB
    ok       auth without a key  12 ms  401
    2 checks: 2 ok
junit:
  description: The same as a JUnit document.
  returned: always
  type: str
"""

import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError, numbered
from ansible_collections.groundwork.supabase.plugins.module_utils.probe import report
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.checks import Outcome, Seen
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.planner import Planner
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.runner import make_all
from ansible_collections.groundwork.supabase.plugins.module_utils.release.replacing import replace_file
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.placeholders import mask
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.store import read_values

METRICS_FILE = "groundwork_probe.prom"
NAMED = {"name": {"type": "str", "required": True}, "service": {"type": "str"}}
LOCAL = {"type": "str", "default": "127.0.0.1"}
SECRET = {"type": "str", "default": "", "no_log": False}
PORT = {
    **NAMED,
    "host": LOCAL,
    "port": {"type": "int", "required": True},
    "open": {"type": "bool", "default": True},
}
SQL = {
    **NAMED,
    "query": {"type": "str", "required": True},
    "host": LOCAL,
    "port": {"type": "int", "default": 5432},
    "user": {"type": "str", "default": "postgres"},
    "password": SECRET,
    "database": {"type": "str", "default": "postgres"},
    "ssl_mode": {"type": "str", "choices": ["allow", "disable", "prefer", "require"], "default": "prefer"},
}
REDIS = {
    **NAMED,
    "unit": {"type": "str", "default": "supabase"},
    "host": {"type": "str", "default": ""},
    "port": {"type": "int", "default": 6379},
    "password": SECRET,
}
REQUEST = {
    **NAMED,
    "url": {"type": "str", "required": True},
    "method": {"type": "str", "default": "GET"},
    "headers": {"type": "dict", "default": {}},
    "body": {"type": "str", "default": ""},
    "status": {"type": "list", "elements": "int", "default": [200]},
    "contains": {"type": "str", "default": ""},
}
WEBSOCKET = {
    **NAMED,
    "url": {"type": "str", "required": True},
    "headers": {"type": "dict", "default": {}},
    "status": {"type": "list", "elements": "int", "default": [101]},
}
PROMQL = {
    "name": {"type": "str", "required": True},
    "url": {"type": "str", "required": True},
    "query": {"type": "str", "required": True},
    "user": {"type": "str", "default": ""},
    "password": SECRET,
}
WEBHOOK = {
    "name": {"type": "str", "required": True},
    "url": {"type": "str", "required": True},
    "secret": {"type": "str", "required": True, "no_log": False},
    "algorithm": {"type": "str", "choices": ["sha256", "sha512"], "default": "sha256"},
    "signed": {"type": "str", "default": "{timestamp}.{body}"},
    "headers": {"type": "dict", "required": True},
    "body": {"type": "str", "required": True},
    "window": {"type": "int", "default": 300},
    "body_limit": {"type": "int", "default": 65536},
}
LISTS = {
    "ports": PORT,
    "sql": SQL,
    "redis": REDIS,
    "requests": REQUEST,
    "websockets": WEBSOCKET,
    "webhooks": WEBHOOK,
    "promql": PROMQL,
}
ARGUMENTS: dict[str, Any] = {
    "host": {"type": "bool", "default": False},
    "disk_free": {"type": "int", "default": 10},
    "units": {"type": "list", "elements": "str", "default": []},
    "root": {"type": "path", "default": "/opt/groundwork"},
    "metrics_dir": {"type": "path", "default": "/var/lib/groundwork/metrics"},
    "backup_hours": {"type": "int", "default": 26},
    "write_metrics": {"type": "bool", "default": False},
    **{name: {"type": "list", "elements": "dict", "default": [], "options": spec} for name, spec in LISTS.items()},
    "certificates": {"type": "list", "elements": "str", "default": []},
    "services": {"type": "list", "elements": "str"},
    "connect_to": {"type": "str", "default": ""},
    "ca_file": {"type": "path"},
    "secrets_dir": {"type": "path", "default": "/etc/groundwork/secrets", "no_log": False},
    "timeout": {"type": "int", "default": 10},
}


def check_arguments(params: Mapping[str, Any]) -> None:
    """Raises Faults."""
    faults = []
    names = [one["name"] for option in LISTS for one in params[option]]
    for name in sorted({name for name in names if names.count(name) > 1}):
        faults.append(Fault(f"check {name}", "there are two of that name", "call one of them otherwise"))
    for server in params["certificates"]:
        if not re.fullmatch(r"[^:\s]+(:\d{1,5})?", server):
            faults.append(Fault(f"certificates {server!r}", "it is no server", "write NAME or NAME:PORT"))
    if params["timeout"] < 1:
        faults.append(Fault("timeout", f"{params['timeout']} is not positive", "give a number of seconds"))
    if not 0 <= params["disk_free"] < 100:
        faults.append(Fault("disk_free", f"{params['disk_free']} is no share", "give a percentage from 0 to 99"))
    if params["write_metrics"] and not os.path.isdir(params["metrics_dir"]):
        cause = "the folder is not there"
        faults.append(Fault(f"metrics_dir {params['metrics_dir']}", cause, "make it, or leave write_metrics out"))
    Faults.raise_all(faults)


def masked(outcome: Outcome, secrets: Sequence[str]) -> Outcome:
    """A service may quote in its answer what it was sent, or what it knows."""
    seen, fault = outcome.seen, outcome.seen.fault
    fault = replace(fault, cause=mask(fault.cause, secrets)) if fault else None
    return replace(outcome, seen=Seen(mask(seen.text, secrets), seen.verdict, fault))


def result_of(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "changed": False,
        "checks": [
            {
                "name": outcome.check,
                "kind": outcome.kind,
                "verdict": outcome.seen.verdict,
                "seen": outcome.seen.text,
                "milliseconds": outcome.milliseconds,
            }
            for outcome in outcomes
        ],
        "table": report.table(outcomes),
        "junit": report.junit(outcomes, socket.gethostname()),
    }


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    try:
        check_arguments(params)
        secrets = read_values(params["secrets_dir"])
        jobs = Planner(params, secrets, module.check_mode).jobs()
        outcomes = [masked(outcome, list(secrets.values())) for outcome in make_all(jobs, params["timeout"])]
        if params["write_metrics"] and not module.check_mode:
            text = report.metrics(outcomes, time.time())
            replace_file(Path(params["metrics_dir"], METRICS_FILE), text, 0o644, os.getuid(), os.getgid())
    except (GroundworkError, OSError) as error:
        module.fail_json(msg=str(error))
    faults = [outcome.seen.fault for outcome in outcomes if outcome.seen.fault]
    if faults:
        module.fail_json(msg=numbered(faults), **result_of(outcomes))
    module.exit_json(**result_of(outcomes))


if __name__ == "__main__":
    main()
