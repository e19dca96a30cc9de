#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.security_checklist."""

from __future__ import annotations

DOCUMENTATION = r"""
module: security_checklist
short_description: Answer ten questions about the security of a platform by looking
version_added: 0.1.0
description:
  - Looks at the database, at the store of secrets and at what the edge answers, and says of each of ten points whether
    it is met, what was seen, and what to do where it is not.
  - Nothing is changed. Requests are sent as a client would, among them as many as a rate limit takes.
  - Run it on the host of the platform, as root.
extends_documentation_fragment:
  - groundwork.supabase.attributes
  - groundwork.supabase.login
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  schemas:
    description: Schemas that the API serves.
    type: list
    elements: str
    default: [public]
  accepted:
    description: Findings of the advisor to live with, see M(groundwork.supabase.advisor).
    type: list
    elements: dict
    default: []
    suboptions:
      finding:
        description: Name of the finding.
        type: str
        required: true
      object:
        description: What it was found on; V(*) stands for any text.
        type: str
        required: true
      reason:
        description: Why it may be so.
        type: str
        required: true
  domains:
    description: Domains that the edge serves.
    type: list
    elements: str
    required: true
  public_ports:
    description: TCP ports on which the host may listen beyond itself.
    type: list
    elements: int
    default: [22, 80, 443]
  api_url:
    description: Where the API is.
    type: str
    required: true
  origins:
    description: Origins whose pages may read the API's answers.
    type: list
    elements: str
    default: []
  front_ends:
    description: URLs of pages that anybody may open. They and what they name on their host are searched for secrets.
    type: list
    elements: str
    default: []
  rate_limit:
    description: A limit to try out; without it nothing is known about limits.
    type: dict
    suboptions:
      url:
        description: Where to send requests.
        type: str
        required: true
      requests:
        description: How many one address may send in a minute, at most V(2000), since more than that many are sent.
        type: int
        required: true
      headers:
        description: Headers to send; C(${secret:NAME}) stands for that secret.
        type: dict
        default: {}
  key_days:
    description: Days that an API key or signing key may be used before it is rotated.
    type: int
    default: 90
  incident_plan:
    description: >-
      The plan for an incident, as text. It has to name a contact and, in a line that begins with C(Reviewed), a date
      (ISO 8601) not longer ago than a year.
    type: str
    default: ""
  connect_to:
    description: Address to connect to instead of the one that a URL's host resolves to; empty for the latter.
    type: str
    default: ""
  ca_file:
    description: File on the host with the authority to trust; the system's authorities without it.
    type: path
  secrets_dir:
    description: Folder on the host that holds the secrets.
    type: path
    default: /etc/groundwork/secrets
  timeout:
    description: Seconds to wait for an answer.
    type: int
    default: 10
  fail_on:
    description: When to fail, with V(unknown) also where a point could not be looked at.
    type: str
    choices: [never, not_met, unknown]
    default: never
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: Answer the security checklist
  groundwork.supabase.security_checklist:
    login_password_file: /etc/groundwork/secrets/postgres_password
    domains: [api.example.com, app.example.com]
    api_url: https://api.example.com
    origins: [https://app.example.com]
    front_ends: [https://app.example.com/]
    incident_plan: "{{ lookup('ansible.builtin.file', 'incident-plan.md') }}"
  register: checklist

- name: Show it
  ansible.builtin.debug:
    msg: "{{ checklist.table }}"
"""

RETURN = r"""
answers:
  description: The answers, in the order of the checklist.
  returned: always
  type: list
  elements: dict
  contains:
    point: {description: Name of the point., type: str}
    question: {description: "The point, in words.", type: str}
    status: {description: "V(met), V(not_met) or V(unknown).", type: str}
    evidence: {description: What was seen., type: str}
    remedy: {description: What to do; empty where the point is met., type: str}
  sample:
    - point: cors
      question: CORS for known origins only
      status: met
      evidence: https://app.example.com may read answers, https://stranger.invalid may not
      remedy: ""
table:
  description: The same for people.
  returned: always
  type: str
  sample: "5   met      CORS for known origins only\n             https://app.example.com may read answers, ..."
"""

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.advisor.advise import read_acceptances
from ansible_collections.groundwork.supabase.plugins.module_utils.checklist import database, edge, keys
from ansible_collections.groundwork.supabase.plugins.module_utils.checklist.incident_plan import incident_plan
from ansible_collections.groundwork.supabase.plugins.module_utils.checklist.model import (
    POINTS,
    UNKNOWN,
    Answer,
    failing,
    table,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import LOGIN_ARGUMENTS
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.placeholders import mask, substitute
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.store import Contents, SecretStore

ACCEPTED = {name: {"type": "str", "required": True} for name in ("finding", "object", "reason")}
RATE_LIMIT = {
    "url": {"type": "str", "required": True},
    "requests": {"type": "int", "required": True},
    "headers": {"type": "dict", "default": {}},
}
MOST_REQUESTS = 2000


def answer(params: Mapping[str, Any], contents: Contents, now: datetime) -> list[Answer]:
    """All answers, in the order of the checklist."""
    given = [
        *from_database(params, now),
        *from_edge(params, contents),
        keys.key_rotation(contents, params["key_days"], now),
        incident_plan(params["incident_plan"], now.date()),
    ]
    return sorted(given, key=lambda one: list(POINTS).index(one.point))


def from_database(params: Mapping[str, Any], now: datetime) -> list[Answer]:
    """A database that does not answer leaves its points unknown, and the others are still answered."""
    accepted = read_acceptances(params["accepted"])
    try:
        catalog, state = database.read_database(params, params["schemas"])
    except GroundworkError as error:
        points = ("row_level_security", "audit_log", "retention", "backups")
        return [Answer(point, UNKNOWN, f"{error.object}: {error.cause}", error.remedy) for point in points]
    return [
        database.row_level_security(catalog, params["schemas"], accepted),
        database.audit_log(state),
        database.retention(state),
        database.backups(state, now),
    ]


def from_edge(params: Mapping[str, Any], contents: Contents) -> Iterator[Answer]:
    trust = ssl.create_default_context(cafile=params["ca_file"])
    server = edge.Edge(params["connect_to"], trust, params["timeout"])
    yield edge.tls(server, params["domains"], params["public_ports"])
    yield edge.cors(server, params["api_url"], params["origins"])
    values = keys.telling_values(contents)
    yield edge.secret_keys(server, params["front_ends"], values, keys.store_faults(contents))
    limit = params["rate_limit"]
    if not limit:
        yield Answer("rate_limits", UNKNOWN, "none is named to be tried", "name one in audit_rate_limit")
        return
    secrets = {name: secret.value for name, secret in contents.secrets.items()}
    headers = {name: substitute(str(value), secrets) for name, value in limit["headers"].items()}
    yield edge.rate_limits(server, limit["url"], limit["requests"], headers)


def check_arguments(params: Mapping[str, Any]) -> None:
    """Raises Faults."""
    faults = []
    limit = params["rate_limit"]
    if limit and not 1 <= limit["requests"] <= MOST_REQUESTS:
        cause = f"{limit['requests']} is not between 1 and {MOST_REQUESTS}"
        faults.append(Fault("rate_limit.requests", cause, "name a route with a smaller limit"))
    if params["key_days"] < 1:
        faults.append(Fault("key_days", f"{params['key_days']} is not positive", "give a number of days"))
    Faults.raise_all(faults)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "schemas": {"type": "list", "elements": "str", "default": ["public"]},
            "accepted": {"type": "list", "elements": "dict", "default": [], "options": ACCEPTED},
            "domains": {"type": "list", "elements": "str", "required": True},
            "public_ports": {"type": "list", "elements": "int", "default": [22, 80, 443]},
            "api_url": {"type": "str", "required": True},
            "origins": {"type": "list", "elements": "str", "default": []},
            "front_ends": {"type": "list", "elements": "str", "default": []},
            "rate_limit": {"type": "dict", "options": RATE_LIMIT},
            "key_days": {"type": "int", "default": 90, "no_log": False},
            "incident_plan": {"type": "str", "default": ""},
            "connect_to": {"type": "str", "default": ""},
            "ca_file": {"type": "path"},
            "secrets_dir": {"type": "path", "default": "/etc/groundwork/secrets", "no_log": False},
            "timeout": {"type": "int", "default": 10},
            "fail_on": {"type": "str", "choices": ["never", "not_met", "unknown"], "default": "never"},
            **LOGIN_ARGUMENTS,
        },
        supports_check_mode=True,
    )
    try:
        check_arguments(module.params)
        contents = SecretStore(module.params["secrets_dir"]).read()
        answers = answer(module.params, contents, datetime.now(timezone.utc))
    except (GroundworkError, OSError) as error:
        module.fail_json(msg=str(error))
    # A page may hold a secret in its very address.
    values = [secret.value for secret in contents.secrets.values()]
    answers = [Answer(one.point, one.status, mask(one.evidence, values), one.remedy) for one in answers]
    report = {
        "answers": [{"question": one.question, **asdict(one)} for one in answers],
        "table": table(answers),
    }
    failed = failing(answers, module.params["fail_on"])
    if failed:
        lines = "\n".join(f"  {one.question}: {one.evidence}; {one.remedy}" for one in failed)
        module.fail_json(msg=f"{len(failed)} of {len(answers)} points of the security checklist:\n{lines}", **report)
    module.exit_json(changed=False, **report)


if __name__ == "__main__":
    main()
