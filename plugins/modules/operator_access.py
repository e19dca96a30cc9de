#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.operator_access."""

from __future__ import annotations

DOCUMENTATION = r"""
module: operator_access
short_description: Refuse settings of SSH or a firewall that are wrong or would shut out who runs the play
version_added: 0.1.0
description:
  - Reads who runs the play, from which address, and what the SSH server of the host is able to do.
  - Judges the wanted settings before anything is changed, and reports every fault at once.
  - Without SSH, for instance with the connection V(local), the address is unknown and no rule is missed for it.
extends_documentation_fragment:
  - groundwork.supabase.attributes
attributes:
  check_mode:
    support: full
    details: It only reads.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  ssh:
    description: Wanted settings of the SSH server; without it they are not judged.
    type: dict
    suboptions:
      port:
        description: Where it is to listen.
        type: int
        required: true
      allow_users:
        description: Patterns of users.
        type: list
        elements: str
        default: []
      allow_groups:
        description: Patterns of groups.
        type: list
        elements: str
        default: []
      root_login:
        description: Whether root may log in with a key. Empty for what lets in who runs the play.
        type: str
        choices: ["", "no", prohibit-password]
        default: ""
      uses_password:
        description: Whether this connection logs in with a password.
        type: bool
        default: false
  firewall:
    description: Wanted zones and rules; without it they are not judged.
    type: dict
    suboptions:
      zones:
        description: Zone to networks.
        type: dict
        required: true
      rules:
        description: What is let in.
        type: list
        elements: dict
        required: true
        suboptions:
          name:
            description: Name.
            type: str
            required: true
          zone:
            description: Where it comes from.
            type: str
            required: true
          protocol:
            description: Protocol.
            type: str
            choices: [tcp, udp]
            default: tcp
          ports:
            description: Ports, or ranges C(FIRST-LAST).
            type: list
            elements: str
            required: true
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: See that the rules are sound
  groundwork.supabase.operator_access:
    firewall:
      zones:
        office: [192.0.2.0/24]
      rules:
        - {name: ssh, zone: office, ports: [22]}
"""

RETURN = r"""
user:
  description: Who runs the play, as the host knows them.
  returned: success
  type: str
  sample: admin
address:
  description: Address that the connection comes from; empty without SSH.
  returned: success
  type: str
  sample: 192.0.2.7
ssh_server:
  description: The installed SSH server.
  returned: success
  type: dict
  contains:
    ports:
      description: Where it listens.
      type: list
      elements: int
    key_exchanges:
      description: Key exchanges that it knows.
      type: list
      elements: str
    host_keys:
      description: Types of its keys.
      type: list
      elements: str
    rsa_bits:
      description: Length of its RSA key; 0 without one.
      type: int
    socket:
      description: Whether systemd listens for it.
      type: bool
    drop_ins:
      description: Whether it reads C(/etc/ssh/sshd_config.d) before any other setting.
      type: bool
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.host_access.faults import (
    find_firewall_faults,
    find_ssh_faults,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.host_access.host import read_operator, read_ssh_server
from ansible_collections.groundwork.supabase.plugins.module_utils.host_access.model import Operator, SshServer

SSH = {
    "port": {"type": "int", "required": True},
    "allow_users": {"type": "list", "elements": "str", "default": []},
    "allow_groups": {"type": "list", "elements": "str", "default": []},
    "root_login": {"type": "str", "choices": ["", "no", "prohibit-password"], "default": ""},
    "uses_password": {"type": "bool", "default": False, "no_log": False},
}
RULE = {
    "name": {"type": "str", "required": True},
    "zone": {"type": "str", "required": True},
    "protocol": {"type": "str", "choices": ["tcp", "udp"], "default": "tcp"},
    "ports": {"type": "list", "elements": "str", "required": True},
}
FIREWALL = {
    "zones": {"type": "dict", "required": True},
    "rules": {"type": "list", "elements": "dict", "required": True, "options": RULE},
}
ARGUMENTS: dict[str, Any] = {
    "ssh": {"type": "dict", "options": SSH},
    "firewall": {"type": "dict", "options": FIREWALL},
}


def find_faults(params: dict[str, Any], server: SshServer, operator: Operator) -> Iterator[Fault]:
    port = operator.port
    if params["ssh"] is not None:
        port = params["ssh"]["port"]
        yield from find_ssh_faults(params["ssh"], server, operator)
    if params["firewall"] is not None:
        yield from find_firewall_faults(params["firewall"]["zones"], params["firewall"]["rules"], operator, port)


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)

    def run(command: Sequence[str]) -> tuple[int, str]:
        try:
            code, out, _err = module.run_command(list(command), handle_exceptions=False)
        except OSError:
            return 127, ""
        return code, out

    operator, server = read_operator(), read_ssh_server(run)
    try:
        Faults.raise_all(find_faults(module.params, server, operator))
    except GroundworkError as error:
        module.fail_json(msg=f"{error}\nNothing was changed.")
    module.exit_json(changed=False, user=operator.user, address=operator.address, ssh_server=asdict(server))


if __name__ == "__main__":
    main()
