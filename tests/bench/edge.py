"""What outsiders say of the edge's TLS, and what slow connections cost the others.

testssl.sh (Debian) rates both profiles, and the lab's edge by IPv4 and IPv6, with the authority of the edge made known
to it. Then one client asks over a connection that it keeps, in interleaved rounds with and without 200 connections that
never end their headers and 200 that never end their bodies; printed is the median over the rounds of how p95 with them
compares to p95 without. Asserts nothing but the answers themselves. And it changes the configuration under load, to
count requests that are met by it.
"""

from __future__ import annotations

import http.client
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from compose_plugin import build_image
from constant_requests import constant_requests
from edge_server import Edge, own_network, running_edge
from postgres_server import ROOT, docker

APP = {"domain": "app.lab.test", "upstream": "UPSTREAM"}
IMAGE = "groundwork-test/testssl:current"
DOCKERFILE = """\
FROM groundwork-lab/base:current
RUN apt-get update && apt-get install -y --no-install-recommends testssl.sh && rm -rf /var/lib/apt/lists/*
"""
ROUNDS = 9
REQUESTS = 400
SLOW = 200
CHANGES = 50


def load(name: str) -> ModuleType:
    return importlib.import_module(f"ansible_collections.groundwork.supabase.plugins.{name}")


def judge(name: str, network: str, authority: Path, options: str) -> None:
    """testssl.sh's rating, and what it holds against the edge."""
    container = ["--rm", "--network", network, "--volume", f"{authority}:/authority.pem:ro"]
    # Its exit code counts what it found.
    command = f"testssl --quiet --warnings off --add-ca /authority.pem --jsonfile /tmp/r {options} >&2; cat /tmp/r"
    findings = json.loads(docker("run", *container, IMAGE, "sh", "-c", command))
    by_name = {finding["id"]: finding["finding"] for finding in findings}
    scores = {name: by_name.get(name) for name in ("overall_grade", "final_score", "protocol_support_score")}
    print(f"{name}: {scores}")
    for finding in findings:
        if finding["severity"] not in ("OK", "INFO", "DEBUG"):
            print(f"    {finding['severity']:8} {finding['id']}: {finding['finding']}")


def rate(edge: Edge, profile: str) -> None:
    edge.publish(caddy_tls_profile=profile)
    authority = edge.folder / "authority.pem"
    authority.write_text(edge.from_client("cat", "/tmp/ca.crt"), encoding="ascii")
    judge(profile, edge.network, authority, "app.lab.test")


def rate_the_lab() -> None:
    """The platform's own edge, as hosts on its network see it, by each version of IP."""
    subprocess.run([str(ROOT / "scripts" / "lab-authority")], check=True)
    (node,) = json.loads(docker("inspect", "groundwork-lab-node1"))
    addresses = node["NetworkSettings"]["Networks"]["groundwork-lab"]
    ways = {"IPv4": f"--ip {addresses['IPAddress']}", "IPv6": f"-6 --ip {addresses['GlobalIPv6Address']}"}
    for version, options in ways.items():
        judge(f"the lab by {version}", "groundwork-lab", ROOT / ".lab" / "ca.crt", f"{options} api.lab.test")


@contextmanager
def slow_connections(edge: Edge):
    headers = b"GET / HTTP/1.1\r\nX: "
    body = b"POST / HTTP/1.1\r\nHost: app.lab.test\r\nContent-Length: 9\r\n\r\n1"
    connections = [edge.connect() for _number in range(2 * SLOW)]
    for number, connection in enumerate(connections):
        connection.sendall(body if number % 2 else headers)
    try:
        yield
    finally:
        for connection in connections:
            connection.close()


def p95(edge: Edge) -> float:
    """Seconds."""
    with edge.connect() as connection:
        seconds = []
        for _number in range(REQUESTS):
            begin = time.perf_counter()
            connection.sendall(b"GET / HTTP/1.1\r\nHost: app.lab.test\r\n\r\n")
            response = http.client.HTTPResponse(connection)
            response.begin()
            response.read()
            seconds.append(time.perf_counter() - begin)
            assert response.status == 200
    return statistics.quantiles(seconds, n=20)[-1]


def compare(edge: Edge) -> None:
    ratios, alone = [], []
    for _round in range(ROUNDS):
        before = p95(edge)
        with slow_connections(edge):
            among = p95(edge)
        after = p95(edge)
        alone.append((before + after) / 2)
        ratios.append(among / alone[-1])
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(f"p95 among {2 * SLOW} slow connections: {statistics.median(ratios):.2f} of that without ({spread})")
    print(f"p95 without: {statistics.median(alone) * 1000:.1f} ms")


def change(edge: Edge) -> None:
    """Requests of each kind that are met by a change and get no answer."""
    with constant_requests(edge) as tally:
        for number in range(CHANGES):
            edge.publish(caddy_headers={"X-Number": str(number)})
    print(f"{CHANGES} changes one after another, failed: {tally.failures or 'none'}; without an answer:")
    for kind, statuses in tally.statuses.items():
        print(f"    {kind}: {statuses.count(0)} of {len(statuses)}")


def main() -> None:
    sys.path.insert(0, str(ROOT / "collections"))
    build_image(IMAGE, DOCKERFILE)
    with (
        tempfile.TemporaryDirectory() as folder,
        own_network() as network,
        running_edge(Path(folder), load, network, {"caddy_sites": [APP]}) as edge,
    ):
        compare(edge)
        change(edge)
        for profile in ("intermediate", "modern"):
            rate(edge, profile)
    rate_the_lab()


if __name__ == "__main__":
    main()
