#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.guarded."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guarded
short_description: Change what a connection depends on, and take it back unless a new connection works
version_added: 0.1.0
description:
  - Writes files, lets commands judge them, and puts them into force by further commands. Then a connection is opened
    that shares nothing with the one before, and only when that works does the change stay.
  - When it does not work, or when nobody asks any more because the run was killed, the host brings the former files
    back and puts them into force by itself after O(seconds). A timer of systemd does that, also after a reboot.
  - When a check or a command fails, everything is brought back at once.
  - A run waits for a change that another run has begun, until it is confirmed or taken back.
  - With a connection that is no network connection (V(local), a container engine) a new one says nothing about whether
    the host can still be reached; the change stays and the result has a warning.
requirements:
  - systemd on the host.
extends_documentation_fragment:
  - groundwork.supabase.attributes
attributes:
  check_mode:
    support: full
    details: The checks do not run, since they need the files in place.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  parts:
    description:
      - What is changed and confirmed together. A part whose files are all as they should be is left out.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What a message calls it.
        type: str
        required: true
      files:
        description: Files, owned by root. Folders that are missing are made.
        type: list
        elements: dict
        required: true
        suboptions:
          path:
            description: Absolute path.
            type: path
            required: true
          state:
            description: Whether it is to be there.
            type: str
            choices: [present, absent]
            default: present
          content:
            description: Its text, with O(parts[].files[].state=present).
            type: str
          mode:
            description: Its permissions, in octal.
            type: str
            default: "0644"
      checks:
        description: Commands, word by word, that judge the files when they are in place and not in force yet.
        type: list
        elements: list
        default: []
      commands:
        description:
          - Commands, word by word, that put the files into force. They run after the former ones came back, too.
        type: list
        elements: list
        default: []
      port:
        description:
          - Where the new connection goes if this part changes; V(0) for the port of the present one. The rest of the
            play needs it as C(ansible_port).
        type: int
        default: 0
  seconds:
    description: Time after which the host takes back what was not confirmed.
    type: int
    default: 60
  step:
    description: Used by the action plugin, which calls the module several times.
    type: str
    choices: [attempt, confirm, settle]
    default: attempt
  identifier:
    description: Used by the action plugin.
    type: str
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: Move SSH to another port
  groundwork.supabase.guarded:
    parts:
      - name: ssh
        files:
          - path: /etc/ssh/sshd_config.d/00-port.conf
            content: |
              Port 2222
        checks:
          - [sshd, -t]
        commands:
          - [systemctl, restart, ssh.service]
        port: 2222
"""

RETURN = r"""
parts:
  description: Names of the parts that changed, or would change.
  returned: success
  type: list
  elements: str
  sample: [ssh]
files:
  description: Paths that changed, or would change.
  returned: success
  type: list
  elements: str
"""

from collections.abc import Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.guard.change import (
    GuardedFile,
    Part,
    Plan,
    find_faults,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.guard.host import Host

FILE = {
    "path": {"type": "path", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "content": {"type": "str"},
    "mode": {"type": "str", "default": "0644"},
}
PART = {
    "name": {"type": "str", "required": True},
    "files": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": FILE,
        "required_if": [("state", "present", ("content",))],
    },
    "checks": {"type": "list", "elements": "list", "default": []},
    "commands": {"type": "list", "elements": "list", "default": []},
    "port": {"type": "int", "default": 0},
}
ARGUMENTS: dict[str, Any] = {
    "parts": {"type": "list", "elements": "dict", "required": True, "options": PART},
    "seconds": {"type": "int", "default": 60},
    "step": {"type": "str", "choices": ["attempt", "confirm", "settle"], "default": "attempt"},
    "identifier": {"type": "str"},
}


def parse_part(entry: dict[str, Any]) -> Part:
    files = tuple(
        GuardedFile(file["path"], file["content"], int(file["mode"], 8))
        if file["state"] == "present"
        else GuardedFile(file["path"])
        for file in entry["files"]
    )
    return Part(entry["name"], files, as_commands(entry["checks"]), as_commands(entry["commands"]))


def as_commands(entries: Sequence[Sequence[Any]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(str(word) for word in words) for words in entries)


def report(planned: Plan) -> dict[str, Any]:
    paths = [file.path for file in planned.files]
    diff = [
        {
            "before_header": file.path,
            "after_header": file.path,
            "before": planned.former[file.path].content or "",
            "after": file.content or "",
        }
        for file in planned.files
    ]
    return {
        "changed": bool(planned.parts),
        "diff": diff,
        "parts": [part.name for part in planned.parts],
        "files": paths,
    }


def attempt(module: AnsibleModule, host: Host) -> dict[str, Any]:
    parts = [parse_part(entry) for entry in module.params["parts"]]
    Faults.raise_all(find_faults(parts))
    if module.check_mode:
        return report(host.plan(parts))
    planned, identifier = host.attempt(parts, module.params["seconds"])
    return {**report(planned), "identifier": identifier}


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)

    def run(command: Sequence[str]) -> tuple[int, str]:
        code, out, err = module.run_command(list(command), handle_exceptions=False)
        return code, (err.strip() or out.strip())

    # A change that somebody else has begun is settled when its own seconds and some more are over.
    host = Host(run, patience=module.params["seconds"] + 30)
    result: dict[str, Any] = {"changed": False}
    try:
        if module.params["step"] == "confirm":
            host.confirm(module.params["identifier"])
        elif module.params["step"] == "settle":
            host.await_settled()
        else:
            result = attempt(module, host)
    except GroundworkError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}; see that root may write there")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
