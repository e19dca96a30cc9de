# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Callback groundwork.supabase.notify."""

from __future__ import annotations

DOCUMENTATION = r"""
name: notify
type: notification
short_description: Tell a channel when a playbook begins and ends
version_added: 0.1.0
description:
  - Sends one JSON message by POST when a playbook begins and one when it ends, with who, what, where, the result, how
    much changed, what failed and how long it took. Reasons of failures are not sent.
  - Nothing is sent in check mode, nor by playbooks of this collection that only look.
  - A message that is not taken within five seconds is told of in a warning, and the run goes on as it would have.
requirements:
  - It has to be named in C(callbacks_enabled) of C(ansible.cfg), as this collection's checkout does.
options:
  url:
    description: Address of the receiver. It is a secret. Without it, and without O(url_file), nothing is sent.
    type: str
    env:
      - name: GROUNDWORK_NOTIFY_URL
  url_file:
    description: File on the controller with the address, in place of O(url).
    type: path
    env:
      - name: GROUNDWORK_NOTIFY_URL_FILE
  format:
    description:
      - What the receiver understands, V(slack) for incoming webhooks as Slack has them, or V(json) for everything that
        is known of the run.
      - V(slack) where the address is one of C(hooks.slack.com), else V(json).
    type: str
    choices: [slack, json]
    env:
      - name: GROUNDWORK_NOTIFY_FORMAT
author:
  - Groundwork contributors (@groundwork)
"""

import atexit
import os
import platform
import time
import uuid
from pathlib import Path
from typing import Any

from ansible import context
from ansible_collections.groundwork.supabase.plugins.module_utils.run.notification import (
    LOOKS_ONLY,
    Start,
    begun,
    body,
    deliver,
    ended,
    is_slack,
)
from ansible_collections.groundwork.supabase.plugins.plugin_utils.person import person
from ansible_collections.groundwork.supabase.plugins.plugin_utils.run_callback import RunCallback


class CallbackModule(RunCallback):
    """Sends both messages; the second also where the run is interrupted, so that nobody waits for it."""

    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "groundwork.supabase.notify"

    def v2_playbook_on_start(self, playbook: Any) -> None:
        super().v2_playbook_on_start(playbook)
        # Facts of this machine would hold it otherwise.
        os.environ.pop("GROUNDWORK_NOTIFY_URL", None)
        self._url = "" if context.CLIARGS.get("check") or self.run.playbook in LOOKS_ONLY else self._address()
        if self._url:
            self._start = _start(self.run.playbook, playbook)
            self._send("begins", begun(self._start))
            atexit.register(self._end, complete=False)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        super().v2_playbook_on_stats(stats)
        if self._url:
            atexit.unregister(self._end)
            self._end(complete=True)

    def _end(self, complete: bool) -> None:
        seconds = time.monotonic() - self.run.began
        self._send("ended", ended(self._start, self.run, seconds, complete))

    def _address(self) -> str:
        file = self.get_option("url_file")
        if not file:
            return self.get_option("url") or ""
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            self._display.warning(f"Nobody is notified: {file}: {reason}")
            return ""

    def _send(self, what: str, message: dict[str, Any]) -> None:
        form = self.get_option("format")
        reason = deliver(self._url, body(message, form == "slack" if form else is_slack(self._url)))
        if reason:
            self._display.warning(f"Nobody was notified that {self.run.playbook} {what}: {reason}")


def _start(name: str, playbook: Any) -> Start:
    """What is known before the first task. AWX says by extra variables who started a job, and on which inventory."""
    extra = playbook.get_plays()[0].get_variable_manager().extra_vars
    sources = [os.path.relpath(source) if os.path.exists(source) else source for source in context.CLIARGS["inventory"]]
    tags = sorted(context.CLIARGS.get("tags") or [])
    return Start(
        run=str(uuid.uuid4()),
        playbook=name,
        inventory=str(extra.get("awx_inventory_name") or ", ".join(sources)),
        user=person(extra),
        controller=platform.node(),
        limit=context.CLIARGS.get("subset") or "",
        tags=[] if tags == ["all"] else tags,
    )
