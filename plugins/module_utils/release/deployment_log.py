# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who deployed what on a host, when, and what came of it: a line of JSON for each begin and each end.

What began and has no end is under way, or its run was killed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

# Bytes of a file, some thousand lines. The file before it is kept, so between one and two times as much is there.
FULL = 2**20


@dataclass(frozen=True)
class Event:
    """by: person@controller. action: ``deploy`` or ``rollback``. deployment: the run that deploys, or is taken back.
    release: empty until it has a name. result: ``begun``, ``done`` or ``failed``, with the reason in one line."""

    by: str
    action: str
    unit: str
    deployment: str
    commit: str = ""
    release: str = ""
    result: str = "begun"
    reason: str = ""


class DeploymentLog:
    """root: the folder of the units' folders. warn: told of a line that could not be written, which stops nothing."""

    def __init__(self, root: str, warn: Callable[[str], None]) -> None:
        self.path = Path(root) / "deployments.jsonl"
        self._before = self.path.with_name("deployments.1.jsonl")
        self._warn = warn

    def write(self, event: Event) -> None:
        line = json.dumps({"at": f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}", **asdict(event)}) + "\n"
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.path.exists() and self.path.stat().st_size > FULL:
                os.replace(self.path, self._before)
            # In one piece, behind whatever another run has just written.
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(descriptor, line.encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            self._warn(f"{self.path} does not have that {event.unit} {event.action} {event.result}: {error}")

    def newest(self, number: int) -> list[dict[str, Any]]:
        """The last events, oldest first. What a full disk cut short is left out, with the line behind it."""
        lines = [
            line for path in (self._before, self.path) if path.exists() for line in path.read_text("utf-8").splitlines()
        ]
        events = []
        for line in lines[-number:]:
            try:
                events.append(json.loads(line))
            except ValueError:
                continue
        return events
