# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge as a release needs it: how much of a service's traffic its trial gets, and what became of the requests.

Role caddy's edge reads a service's share from a file with each request, so a share changes without a reload. Its access
log names the container that answered, and its administration knows how many requests run at each.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.release.docker_engine import DockerEngine
from ansible_collections.groundwork.supabase.plugins.module_utils.release.replacing import replace_file

# Host of the upstream to its answers: status, and the milliseconds until its headers.
Answers = dict[str, list[tuple[int, "float | None"]]]
UPSTREAMS = ["wget", "-q", "-O", "-", "http://127.0.0.1:8080/upstreams"]


def threshold(share: int) -> str:
    """What a random number in hexadecimal digits has to come before, as text, so that a share of them does."""
    return "g" if share == 100 else f"{share * 0x10000 // 100:04x}" if share else "0"


def read_answers(log: str, hosts: Collection[str]) -> Answers:
    """Answers by upstream, of the given ones, from an access log in JSON; of any other line nothing is taken."""
    found: Answers = {host: [] for host in hosts}
    for line in log.splitlines():
        # Most lines of a busy edge are of other sites, and reading them all would take seconds.
        if '"upstream":"' not in line:
            continue
        try:
            entry = json.loads(line)
            host = entry["upstream"].rpartition(":")[0]
            if host in found and entry["logger"].startswith("http.log.access"):
                found[host].append((entry["status"], entry.get("latency")))
        except (ValueError, KeyError, AttributeError):
            continue
    return found


class EdgeSilent(GroundworkError):
    """The edge runs, and did not say just now what runs at its upstreams: on a full machine it may take too long."""


class Edge:
    """folder: where the shares lie, one file for each service. It is the edge's by being mounted there."""

    def __init__(self, engine: DockerEngine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder

    def container(self) -> str:
        """The edge's container. Raises where none runs that reads the shares."""
        names = self.engine.readers(str(self.folder))
        if not names:
            remedy = "give a site of supabase_sites shift: true and deploy the edge, or leave traffic out"
            raise GroundworkError("traffic", f"no edge runs that reads shares in {self.folder}", remedy)
        return names[0]

    def asked(self) -> set[str]:
        """Services whose trial gets requests."""
        files = self.folder.iterdir() if self.folder.is_dir() else []
        return {path.name for path in files if path.name[0] != "." and path.read_text(encoding="utf-8") != threshold(0)}

    def give(self, service: str, share: int) -> None:
        """Give a service's trial that many percent of the requests, from the next one on."""
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        # A file that is gone would be an error of each request, so it stays when there is nothing to share.
        replace_file(self.folder / service, threshold(share), 0o444)

    def running(self) -> dict[str, int]:
        """Requests and websockets that run at each upstream, by its host's name.

        Raises GroundworkError where there is no edge, EdgeSilent where it does not tell.
        """
        code, output = self.engine.execute(self.container(), UPSTREAMS, "LANG=C", 5)
        try:
            found = [(entry["address"].rpartition(":")[0], int(entry["num_requests"])) for entry in json.loads(output)]
        except (ValueError, KeyError) as error:
            cause = f"it does not say what runs at its upstreams (ended with {code}): {output.strip()[-200:]}"
            raise EdgeSilent("the edge", cause, "deploy the edge, then run again") from error
        totals: dict[str, int] = {}
        for host, number in found:
            totals[host] = totals.get(host, 0) + number
        return totals

    def answers(self, hosts: Collection[str], since: float, until: float) -> Answers:
        """What the upstreams answered in some seconds since 1970."""
        return read_answers(self.engine.output_between(self.container(), since, until), hosts)
