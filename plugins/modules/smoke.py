#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.smoke."""

from __future__ import annotations

DOCUMENTATION = r"""
module: smoke
short_description: Send requests to the platform and compare the answers with what is expected
version_added: 0.1.0
description:
  - Sends all requests from the host, in the order given, without following redirects, and reports every answer that is
    not the expected one at once.
  - Of each webhook it demands that calls are refused that are unsigned, wrongly signed, too old, too large or sent
    before, and that one which is none of these is accepted.
  - C(${secret:NAME}) in a header is replaced on the host by the secret of that name, so keys do not leave it.
extends_documentation_fragment:
  - groundwork.supabase.attributes
attributes:
  check_mode:
    support: full
    details: Requests are sent in check mode too, but for the call of each webhook that is to be accepted.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  requests:
    description: The requests.
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
  services:
    description: Services that are deployed; requests about others are left out. All are sent without it.
    type: list
    elements: str
  connect_to:
    description: Address to connect to instead of the one that a URL's host resolves to; empty for the latter.
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
    description: Seconds to wait for an answer.
    type: int
    default: 10
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: Auth answers with a key and refuses without one
  groundwork.supabase.smoke:
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
  groundwork.supabase.smoke:
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
answers:
  description: Name and status of each request, 0 where nothing answered.
  returned: always
  type: list
  elements: dict
  sample: [{"name": "auth without a key", "status": 401}]
"""

import secrets as randomness
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.release import smoke
from ansible_collections.groundwork.supabase.plugins.module_utils.release.webhooks import (
    Webhook,
    find_webhook_faults,
    webhook_calls,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.placeholders import mask
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.store import read_values

REQUEST = {
    "name": {"type": "str", "required": True},
    "service": {"type": "str"},
    "url": {"type": "str", "required": True},
    "method": {"type": "str", "default": "GET"},
    "headers": {"type": "dict", "default": {}},
    "body": {"type": "str", "default": ""},
    "status": {"type": "list", "elements": "int", "default": [200]},
    "contains": {"type": "str", "default": ""},
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


def planned(params: Mapping[str, Any], secrets: Mapping[str, str], check_mode: bool) -> Iterator[smoke.Request | Fault]:
    """Everything that is to be sent, in order, or why it cannot be."""
    for raw in params["requests"]:
        if raw["service"] and params["services"] is not None and raw["service"] not in params["services"]:
            continue
        lacking = smoke.missing_secrets(raw, secrets)
        if lacking:
            yield Fault(raw["name"], f"the store lacks {', '.join(lacking)}", "run site.yml first")
        else:
            yield smoke.Request.from_argument(raw, secrets)
    for webhook in map(Webhook.from_argument, params["webhooks"]):
        event = f"verify-{randomness.token_hex(8)}"
        calls = webhook_calls(webhook, secrets, int(time.time()), event, accepted=not check_mode)
        yield from find_webhook_faults(webhook, secrets) or calls


def check(params: Mapping[str, Any], secrets: Mapping[str, str], check_mode: bool) -> list[dict[str, Any]]:
    """Send everything, raise Faults for what is not as expected."""
    trust = ssl.create_default_context(cafile=params["ca_file"])
    answers, faults = [], []
    for request in planned(params, secrets, check_mode):
        if isinstance(request, Fault):
            faults.append(request)
            continue
        answer = smoke.send(request, params["connect_to"], trust, params["timeout"])
        answers.append({"name": request.name, "status": answer.status})
        fault = smoke.judge(request, answer)
        if fault:
            # A service may quote in its answer what it was sent, or what it knows.
            faults.append(replace(fault, cause=mask(fault.cause, secrets.values())))
    Faults.raise_all(faults)
    return answers


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "requests": {"type": "list", "elements": "dict", "default": [], "options": REQUEST},
            "webhooks": {"type": "list", "elements": "dict", "default": [], "options": WEBHOOK},
            "services": {"type": "list", "elements": "str"},
            "connect_to": {"type": "str", "default": ""},
            "ca_file": {"type": "path"},
            "secrets_dir": {"type": "path", "default": "/etc/groundwork/secrets", "no_log": False},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    try:
        answers = check(module.params, read_values(module.params["secrets_dir"]), module.check_mode)
    except (GroundworkError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, answers=answers)


if __name__ == "__main__":
    main()
