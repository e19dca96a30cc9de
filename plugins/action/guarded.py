# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Confirm a guarded change by a connection of its own.

All of it is one task: while one host is slow to answer, the others must not wait for it between the change and its
confirmation, for then theirs would be taken back.
"""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleAuthenticationFailure, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

MODULE = "groundwork.supabase.guarded"
NETWORK = ("ssh", "ansible.builtin.ssh", "paramiko", "paramiko_ssh", "ansible.builtin.paramiko_ssh", "libssh")
PAUSE = 3
"""Seconds between two tries: sshd and fail2ban take many in a row for an attack."""
PATIENCE = 60
"""Seconds that a host has to answer again after it has taken the change back."""
FINAL = ("Permission denied", "Too many authentication failures", "Host key verification failed")
"""What ssh says when another try ends the same way, and would only look like an attacker."""


class ActionModule(ActionBase):
    """Calls the module to make the change, and over a new connection to confirm it."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self._variables = task_vars or {}
        seconds = int(self._task.args.get("seconds") or 60)
        started = time.monotonic()
        result = self._call("attempt")
        identifier = result.pop("identifier", "")
        if result.get("failed") or not identifier:
            return result
        if not self._over_network():
            confirmed = self._call("confirm", identifier)
            warning = f"connection {self._connection.transport}: nothing shows that the host can be reached by network"
            return {**result, "warnings": [warning]} if not confirmed.get("failed") else confirmed
        port = self._new_port(result["parts"])
        former_port = self._connection.get_option("port")
        # The last try has to be over before the host takes the change back.
        reason = self._confirm(identifier, port, started + seconds * 0.75)
        if reason is None:
            return result
        return self._taken_back(result, reason, (port, former_port), started + seconds)

    def _new_port(self, changed: list[str]) -> int:
        """Where the parts that changed have moved SSH to, or 0."""
        ports = [int(part.get("port") or 0) for part in self._task.args["parts"] if part["name"] in changed]
        return next(filter(None, ports), 0)

    def _call(self, step: str, identifier: str | None = None) -> dict[str, Any]:
        args = {**self._task.args, "step": step, "identifier": identifier}
        result: dict[str, Any] = self._execute_module(module_name=MODULE, module_args=args, task_vars=self._variables)
        result.pop("invocation", None)
        return result

    def _over_network(self) -> bool:
        return self._connection.transport in NETWORK

    def _connect_anew(self, port: Any) -> None:
        """Leave the connection that is shared by the tasks of a play, so that the next command has to log in."""
        self._connection.reset()
        self._connection.set_option("port", port)
        # Named pipes, temporary folders and the like belong to the former connection.
        self._connection._shell.tmpdir = None

    def _confirm(self, identifier: str, port: Any, deadline: float) -> str | None:
        """Returns None when confirmed, or else why not."""
        self._connect_anew(port or self._connection.get_option("port"))
        while True:
            try:
                confirmed = self._call("confirm", identifier)
            except AnsibleAuthenticationFailure as error:
                return str(error)
            except AnsibleConnectionFailure as error:
                reason = str(error)
                if any(words in reason for words in FINAL) or time.monotonic() + PAUSE > deadline:
                    return reason
            else:
                return str(confirmed["msg"]) if confirmed.get("failed") else None
            time.sleep(PAUSE)

    def _taken_back(self, result: dict[str, Any], reason: str, ports: Any, expires: float) -> dict[str, Any]:
        """Wait until the host has taken the change back, and say what happened.

        Before it has, a login would fail as the last one did, and some failures in a row are a ban of fail2ban.
        """
        port, former_port = ports
        host = self._variables.get("inventory_hostname")
        Display().warning(f"{host}: no new connection; waiting until the host has taken its settings back")
        state = "the host has not answered since; its timer takes the change back all the same"
        time.sleep(max(0.0, expires - time.monotonic()))
        while time.monotonic() < expires + PATIENCE:
            try:
                self._connect_anew(former_port)
                settled = self._call("settle")
            except AnsibleError:
                time.sleep(PAUSE)
                continue
            state = str(settled.get("msg") or "everything is as before, and the host answers again")
            break
        tried = port or former_port
        reached = f" to port {tried}" if tried else ""
        message = (
            f"{host}: {' and '.join(result['parts'])}: a new connection{reached} did not work: {reason.strip()}",
            f"taken back: {', '.join(result['files'])}; {state}",
            "see that port, allowed users and groups, keys and the firewall's rules let this connection in; "
            "on the host, journalctl -u groundwork-guard.service -u ssh.service",
        )
        return {"failed": True, "changed": False, "msg": "\n".join(message)}
