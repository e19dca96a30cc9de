# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that do not stop while something happens to the edge, and what became of them."""

from __future__ import annotations

import http.client
import secrets
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from edge_server import Edge

# Options of curl and its URL. A range in the URL makes it keep the connection for as many requests.
KINDS = {
    "HTTP/2, a connection for each": ("--http2", ""),
    "HTTP/2, kept": ("--http2", "?n=[1-25]"),
    "HTTP/3, kept": ("--http3-only", "?n=[1-25]"),
}
LOOP = (
    "until [ -e /tmp/{stop} ]; do curl --silent --output /dev/null --max-time 20 --cacert /tmp/ca.crt --rate 40/s"
    " {option} --write-out '%{{http_code}}\\n' 'https://{host}/{range}'; sleep 0.03; done"
)


@dataclass
class Tally:
    """Statuses by the kind of request, 0 where the connection was closed and there was no answer.

    Go's server closes those connections without a word whose first request comes in, or that are idle, at the moment
    at which its configuration is replaced. Clients ask again (RFC 9110, section 9.2.2).
    """

    statuses: dict[str, list[int]] = field(default_factory=dict)

    @property
    def unanswered(self) -> int:
        return sum(found.count(0) for found in self.statuses.values())

    @property
    def failures(self) -> dict[str, list[int]]:
        """Other answers than 200, and requests without an answer that would have had none when asked again."""
        bad = {
            kind: [after for before, after in pairwise([200, *found]) if after not in (0, 200) or before == after == 0]
            for kind, found in self.statuses.items()
        }
        return {kind: found for kind, found in bad.items() if found}


@contextmanager
def constant_requests(edge: Edge, host: str = "app.lab.test") -> Iterator[Tally]:
    """The tally is complete when the context ends."""
    tally, over, stop = Tally({"HTTP/1.1": []}), threading.Event(), secrets.token_hex(4)
    loops = {
        kind: LOOP.format(stop=stop, option=option, host=host, range=numbers)
        for kind, (option, numbers) in KINDS.items()
    }
    processes = {
        kind: subprocess.Popen(
            ["docker", "exec", edge.client, "timeout", "120", "sh", "-c", loop], stdout=subprocess.PIPE, text=True
        )
        for kind, loop in loops.items()
    }
    plain = threading.Thread(target=ask_plainly, args=(edge, host, tally.statuses["HTTP/1.1"], over), daemon=True)
    plain.start()
    try:
        yield tally
    finally:
        over.set()
        plain.join(timeout=30)
        edge.from_client("touch", f"/tmp/{stop}")
        for kind, process in processes.items():
            tally.statuses[kind] = [int(line) for line in process.communicate(timeout=60)[0].split()]


def ask_plainly(edge: Edge, host: str, found: list[int], over: threading.Event) -> None:
    """HTTP/1.1, a connection for each request."""
    while not over.wait(0.02):
        try:
            found.append(edge.ask(host=host).status)
        except (OSError, http.client.HTTPException):
            found.append(0)


def pairwise(found: list[int]) -> list[tuple[int, int]]:
    return list(zip(found, found[1:]))
