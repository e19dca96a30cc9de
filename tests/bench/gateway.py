"""What the edge and the gateway add to a request, and how many websockets the gateway holds.

Needs the lab with the platform on it. The same requests go to postgres-meta's /health, which has little to do,
straight, through Envoy, and through Caddy and Envoy, over kept connections at one steady rate, in interleaved rounds;
k6 sends them from the server's own network, so the way there is the same. Printed are medians over the rounds, and how
many requests were not sent in time because all twenty connections were waiting. The websockets are those of
tests/integration/test_gateway.py, as many as the machine's limit of open files lets one Envoy have. Asserts nothing but
that every request is answered and every websocket still open.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NODE = "groundwork-lab-node1"
RATE = 500
SECONDS = 10
ROUNDS = 5
PATH = "/pg/health"
# A websocket takes two of Envoy's open files, one to each side.
WEBSOCKETS = min(10_000, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 400) // 2)
WAYS = ("straight", "Envoy", "Caddy, Envoy")


def on_node(*command: str) -> str:
    done = subprocess.run(["docker", "exec", NODE, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{NODE} does not serve the platform: {done.stderr.strip()}; run make demo first")
    return done.stdout.strip()


def address(container: str) -> str:
    networks = json.loads(on_node("docker", "inspect", container))[0]["NetworkSettings"]["Networks"]
    return str(next(network["IPAddress"] for _name, network in sorted(networks.items())))


def secret(name: str) -> str:
    return on_node("cat", f"/etc/groundwork/secrets/{name}")


def targets() -> dict[str, dict[str, str]]:
    """k6's variables for each way."""
    key = {"APIKEY": secret("secret_key")}
    return {
        "straight": {"URL": f"http://{address('supabase-meta-1')}:8080/health"},
        "Envoy": {"URL": f"http://{address('supabase-envoy-1')}:8000{PATH}", **key},
        "Caddy, Envoy": {"URL": f"https://api.lab.test{PATH}", **key},
    }


def measure(variables: dict[str, str]) -> dict[str, Any]:
    """Milliseconds: med, p95, p99."""
    names = {**variables, "RATE": str(RATE), "SECONDS": str(SECONDS), "SSL_CERT_FILE": "/ca.crt"}
    names["K6_NO_USAGE_REPORT"] = "true"
    command = ["docker", "run", "--rm", "--interactive", "--network", f"container:{NODE}"]
    command += ["--volume", f"{ROOT}/.lab/ca.crt:/ca.crt:ro"]
    command += [part for name in names for part in ("--env", name)]
    command += ["groundwork-lab/k6:current", "k6", "run", "--quiet", "-"]
    script = (ROOT / "tests" / "bench" / "load.js").read_bytes()
    done = subprocess.run(command, input=script, env={**os.environ, **names}, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"k6 failed:\n{done.stderr.decode()[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.decode().splitlines()[-1])
    if result["failed"]:
        sys.exit(f"{variables['URL']}: not every request was answered: {result}")
    return result


def main() -> None:
    subprocess.run([str(ROOT / "images" / "build"), "--local", "k6"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([str(ROOT / "scripts" / "lab-authority")], check=True)
    ways = targets()
    figures: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for turn in range(ROUNDS):
        for way in WAYS if turn % 2 else reversed(WAYS):
            figures[way].append(measure(ways[way]))
    print(f"{RATE} requests per second, {ROUNDS} x {SECONDS} s for each way, milliseconds")
    print(f"{'':14}{'p50':>8}{'p95':>8}{'p99':>8}{'p50 added':>12}{'p95 added':>12}{'not sent':>10}")
    medians = {
        way: {name: statistics.median(each[name] for each in rounds) for name in ("med", "p95", "p99")}
        for way, rounds in figures.items()
    }
    for way, row in medians.items():
        added = [row[name] - medians["straight"][name] for name in ("med", "p95")]
        dropped = sum(each["dropped"] for each in figures[way])
        times = f"{row['med']:8.2f}{row['p95']:8.2f}{row['p99']:8.2f}{added[0]:12.2f}{added[1]:12.2f}"
        print(f"{way:14}{times}{dropped:10}")
    sys.stdout.flush()
    websockets = ["tests/integration/test_gateway.py", "-k", "websockets", "--websockets", str(WEBSOCKETS), "-q", "-s"]
    subprocess.run([str(ROOT / "scripts" / "pytest"), *websockets], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
