#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.host_files."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_files
short_description: Configuration files of a host that can be taken away again
version_added: 0.1.0
description:
  - Writes a component's files in one call, and with the same list takes them away again. What was there before comes
    back.
  - What makes programs take the files over belongs to the same call. A run that is cut short between writing a file
    and the end of O(apply) is made good by the next one.
  - Files are replaced in one piece, after all were judged by their O(files[].validate). Missing folders are made.
extends_documentation_fragment:
  - groundwork.supabase.attributes
attributes:
  check_mode:
    support: full
    details: A program in O(files[].validate) that is not installed yet judges nothing.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description: Name of the component, unique on the host.
    type: str
    required: true
  files:
    description: The files, each with O(files[].content), with O(files[].settings) or with neither.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Path on the host. With neither content nor settings, a path that is not there is left alone.
        type: path
        required: true
      content:
        description: The whole text. What was there before is put aside.
        type: str
      settings:
        description:
          - Single settings in a file that belongs to a package. A line that is replaced stays in it as a comment, so
            that what others change in the file stays theirs.
        type: dict
      separator:
        description: Text between the name of a setting and its value.
        type: str
        default: " "
      mode:
        description: Mode as an octal number in quotes. Without it mode and owner stay; a new file gets V(0644).
        type: str
      owner:
        description: Owner, with O(files[].mode).
        type: str
        default: root
      group:
        description: Group, with O(files[].mode).
        type: str
        default: root
      validate:
        description: Command that judges the new text before anything is written, V(%s) standing for its file.
        type: list
        elements: str
        default: []
  state:
    description: V(absent) brings back what was there before O(state=present), or nothing.
    type: str
    choices: [present, absent]
    default: present
  apply:
    description: Commands to run, each a list of words, when a file was changed.
    type: list
    elements: list
    default: []
  state_dir:
    description: Folder that remembers how files were before.
    type: path
    default: /var/lib/groundwork/host_files
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: Keep the journal, within limits
  groundwork.supabase.host_files:
    name: journal
    files:
      - path: /etc/systemd/journald.conf.d/90-groundwork.conf
        content: |
          [Journal]
          Storage=persistent
          SystemMaxUse=1G
    apply:
      - [systemctl, restart, systemd-journald.service]

- name: A stricter umask, in the file of package login
  groundwork.supabase.host_files:
    name: umask
    files:
      - {path: /etc/login.defs, settings: {UMASK: "027"}}
      - {path: /etc/crontab, mode: "0600"}

- name: As it was before
  groundwork.supabase.host_files:
    name: umask
    state: absent
    files:
      - {path: /etc/login.defs, settings: {UMASK: "027"}}
      - {path: /etc/crontab, mode: "0600"}
"""

RETURN = r"""
files:
  description: Paths that were changed, or would be.
  returned: success
  type: list
  elements: str
  sample: [/etc/systemd/journald.conf.d/90-groundwork.conf]
applied:
  description: Whether the commands of O(apply) ran, or would.
  returned: success
  type: bool
  sample: true
"""

import grp
import pwd
from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.host_files.disk import HostDisk, Run
from ansible_collections.groundwork.supabase.plugins.module_utils.host_files.plan import Entry, Found, Step, plan

FILE_ARGUMENTS = {
    "path": {"type": "path", "required": True},
    "content": {"type": "str"},
    "settings": {"type": "dict"},
    "separator": {"type": "str", "default": " "},
    "mode": {"type": "str"},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "validate": {"type": "list", "elements": "str", "default": []},
}


def entry_of(file: dict[str, Any]) -> Entry:
    where = f"file {file['path']}"
    if not file["path"].startswith("/"):
        raise Faults([Fault(where, "it is no absolute path", "write it from / on")])
    try:
        mode = None if file["mode"] is None else int(file["mode"], 8)
    except ValueError as error:
        raise Faults([Fault(where, f"mode {file['mode']!r} is no octal number", 'write it as "0644"')]) from error
    try:
        uid, gid = pwd.getpwnam(file["owner"]).pw_uid, grp.getgrnam(file["group"]).gr_gid
    except KeyError as error:
        raise Faults([Fault(where, f"its owner or group does not exist: {error}", "make it first")]) from error
    settings = None if file["settings"] is None else {key: str(value) for key, value in file["settings"].items()}
    return Entry(file["path"], file["content"], settings, file["separator"], mode, uid, gid, tuple(file["validate"]))


def describe(found: Found | None) -> str:
    if found is None:
        return ""
    if found.link is not None:
        return f"link to {found.link}\n"
    return f"mode {found.mode:04o}, owner {found.uid}, group {found.gid}\n{found.text or ''}"


def differences(steps: list[Step]) -> list[dict[str, str]]:
    return [
        {
            "before_header": step.entry.path,
            "after_header": step.entry.path,
            "before": describe(step.before),
            "after": describe(step.after),
        }
        for step in steps
    ]


def apply_all(name: str, commands: list[list[str]], run: Run) -> None:
    for command in commands:
        code, output = run(command)
        if code:
            raise GroundworkError(
                f"component {name}", f"{' '.join(command)} failed: {output.strip()}", "the next run tries it again"
            )


def gather(params: dict[str, Any], disk: HostDisk) -> list[Step]:
    listed: list[Entry] = Faults.gather(*(partial(entry_of, file) for file in params["files"]))
    owned = disk.record().owned
    kinds = {**{path: old.kind for path, old in owned.items()}, **{entry.path: entry.kind for entry in listed}}
    found = {path: disk.find(path, kind) for path, kind in kinds.items()}
    kept = {path: disk.find_kept(path) for path, kind in kinds.items() if kind == "content"}
    return plan(listed, owned, found, kept, params["state"] == "present")


def converge(params: dict[str, Any], run: Run, dry: bool) -> dict[str, Any]:
    name = params["name"]
    disk = HostDisk(params["state_dir"], name)
    steps = gather(params, disk)
    disk.validate(steps, run, dry)
    pending = bool(params["apply"]) and (bool(steps) or disk.record().pending)
    if steps and not dry:
        disk.write(steps, pending)
    if pending and not dry:
        apply_all(name, params["apply"], run)
        disk.applied()
    return {
        "changed": bool(steps) or pending,
        "files": [step.entry.path for step in steps],
        "applied": pending,
        "diff": differences(steps),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": FILE_ARGUMENTS,
                "mutually_exclusive": [("content", "settings")],
            },
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "apply": {"type": "list", "elements": "list", "default": []},
            "state_dir": {"type": "path", "default": "/var/lib/groundwork/host_files"},
        },
        supports_check_mode=True,
    )

    def run(command: list[str]) -> tuple[int, str]:
        code, output, error = module.run_command([str(word) for word in command], handle_exceptions=False)
        return code, output + error

    try:
        module.exit_json(**converge(module.params, run, module.check_mode))
    except (GroundworkError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
