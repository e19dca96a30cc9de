# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a receiver is told when a run begins and ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.groundwork.supabase.plugins.module_utils.run import post
from ansible_collections.groundwork.supabase.plugins.module_utils.run.record import Run
from ansible_collections.groundwork.supabase.plugins.module_utils.run.summary import duration

TIMEOUT = 5
"""Seconds that a receiver may take, its name server included. A run waits for it twice at most."""
LOOKS_ONLY = frozenset({"audit.yml", "lab.yml", "preflight.yml", "verify.yml"})
"""Playbooks that change nothing that serves, so that nobody is told of them."""


@dataclass(frozen=True)
class Start:
    """Who started what; the same in both messages of a run, which belong together by ``run``."""

    run: str
    playbook: str
    inventory: str
    user: str
    controller: str
    limit: str
    """As given with ``--limit``, "" without."""
    tags: list[str]
    """As given with ``--tags``, empty without."""

    def __str__(self) -> str:
        limit = f", limited to {self.limit}" if self.limit else ""
        tags = f", only {', '.join(self.tags)}" if self.tags else ""
        return f"{self.playbook} on {self.inventory}{limit}{tags}"


def begun(start: Start) -> dict[str, Any]:
    text = f"{start} was begun by {start.user} on {start.controller}"
    return {"event": "begun", **asdict(start), "text": text}


def ended(start: Start, run: Run, seconds: float, complete: bool) -> dict[str, Any]:
    """``complete`` says whether the playbook came to its end, with failures or without. Reasons of failures stay out:
    they may hold log lines, and a channel has more readers than a server."""
    result = "stopped" if not complete else "failed" if run.failures else "ok"
    said = {"ok": "went well", "failed": "failed", "stopped": "was stopped"}[result]
    failed = [{"host": failure.host, "task": failure.task} for failure in run.failures] if complete else []
    where = "".join(f"\n{one['host']}: {one['task']}" for one in failed[:5])
    more = f"\nand {len(failed) - 5} more" if len(failed) > 5 else ""
    return {
        "event": "ended",
        **asdict(start),
        "result": result,
        "seconds": round(seconds),
        "changed": len(run.changes),
        "failed": failed,
        "text": f"{start} {said} after {duration(seconds)}, with {len(run.changes)} changed{where}{more}",
    }


def body(message: Mapping[str, Any], slack: bool) -> dict[str, Any]:
    """As it is, or as Slack's incoming webhooks want it; of the escapes see "Formatting" at api.slack.com."""
    if not slack:
        return dict(message)
    text = str(message["text"]).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {"text": text}


def is_slack(url: str) -> bool:
    return urlsplit(url).hostname == "hooks.slack.com"


def deliver(url: str, content: Mapping[str, Any]) -> str:
    """Returns "", or why it was not delivered, in words without the address.

    A process of its own, since nothing else can be ended while it waits for a name server, and the address goes
    by its standard input, which nobody else can see.
    """
    letter = json.dumps({"url": url, "body": content})
    command = [sys.executable, "-I", post.__file__]
    try:
        done = subprocess.run(command, input=letter, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {TIMEOUT} seconds"
    return done.stderr.strip() if done.returncode in (0, 1) else f"the sender ended with status {done.returncode}"
