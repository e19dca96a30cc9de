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
  - C(${secret:NAME}) in a header is replaced on the host by the secret of that name, so keys do not leave it.
extends_documentation_fragment:
  - groundwork.supabase.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  requests:
    description: The requests.
    type: list
    elements: dict
    required: true
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
"""

RETURN = r"""
answers:
  description: Name and status of each request, 0 where nothing answered.
  returned: always
  type: list
  elements: dict
  sample: [{"name": "auth without a key", "status": 401}]
"""

import ssl
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.release import smoke
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


def check(params: dict[str, Any], secrets: dict[str, str]) -> list[dict[str, Any]]:
    """Send everything, raise Faults for what is not as expected."""
    trust = ssl.create_default_context(cafile=params["ca_file"])
    answers, faults = [], []
    for raw in params["requests"]:
        if raw["service"] and params["services"] is not None and raw["service"] not in params["services"]:
            continue
        lacking = smoke.missing_secrets(raw, secrets)
        if lacking:
            faults.append(Fault(raw["name"], f"the store lacks {', '.join(lacking)}", "run site.yml first"))
            continue
        request = smoke.Request.from_argument(raw, secrets)
        answer = smoke.send(request, params["connect_to"], trust, params["timeout"])
        answers.append({"name": request.name, "status": answer.status})
        fault = smoke.judge(request, answer)
        if fault:
            faults.append(fault)
    Faults.raise_all(faults)
    return answers


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "requests": {"type": "list", "elements": "dict", "required": True, "options": REQUEST},
            "services": {"type": "list", "elements": "str"},
            "connect_to": {"type": "str", "default": ""},
            "ca_file": {"type": "path"},
            "secrets_dir": {"type": "path", "default": "/etc/groundwork/secrets", "no_log": False},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    try:
        answers = check(module.params, read_values(module.params["secrets_dir"]))
    except (GroundworkError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, answers=answers)


if __name__ == "__main__":
    main()
