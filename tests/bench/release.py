"""What users notice while releases of an application come and go: requests lost, seconds until a bad one is gone.

Needs the lab with the platform on it. Another container of the lab's network sends a steady rate of requests through
the edge and holds websockets, all the time; meanwhile site.yml and rollback.yml deploy the example application as an
operator would, with `traffic` and `shift`. A bad release is the same image with a fault loaded into it: what a health
check asks is answered well, what users ask is not. A request is lost when its answer is no 200. Afterwards the
application is as it was.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from conftest import kill_whole  # noqa: E402

NODE = "groundwork-lab-node1"
LOAD = "groundwork-bench-release"
PAGE = "https://app.lab.test/"
RATE = 200
WEBSOCKETS = 1000
# Milliseconds from which an answer is one of the slow release's.
SLOW = 400
# Sent away with this code, a client knows that it may come back.
GOING_AWAY = "1001"
SHARE = "/opt/groundwork/traffic/tenant-app"
# Only who comes through the edge is said to ask for somebody.
FOR_USERS = """
const { Server } = require("node:http");
const emit = Server.prototype.emit;
Server.prototype.emit = function (name, ...given) {
  const [request, response] = given;
  const answer = () => emit.call(this, name, ...given);
  if (name !== "request" || !request.headers["x-forwarded-for"]) return answer();
  FAULT
};
"""
FAULTS = {
    "crashes at its start": "process.exit(7);",
    "fails one request of five": FOR_USERS.replace(
        "FAULT", "if (Math.random() > 0.2) return answer(); response.statusCode = 500; response.end(); return true;"
    ),
    "keeps 128 KB of each request in memory": FOR_USERS.replace(
        "FAULT", "(globalThis.kept ??= []).push(Buffer.alloc(131072, 1)); return answer();"
    ),
    "answers half a second late": FOR_USERS.replace("FAULT", "setTimeout(answer, 500); return true;"),
}
SITE = {"domain": "app.{{ supabase_domain }}", "upstream": "tenant-app:8080", "shift": True}


@dataclass(frozen=True)
class Phase:
    """One deployment: what it was, when (seconds since 1970), and how it ended."""

    name: str
    began: float
    ended: float
    result: str


def playbook(name: str, *arguments: str) -> list[str]:
    return [str(ROOT / ".venv/bin/ansible-playbook"), str(ROOT / name), "-i", str(ROOT / "inventories/lab"), *arguments]


def play(name: str, *arguments: str, fails: bool = False) -> str:
    done = subprocess.run(playbook(name, *arguments), cwd=ROOT, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    if (done.returncode != 0) != fails:
        sys.exit(f"{name} {' '.join(arguments)[:200]} ended with {done.returncode}:\n{output[-4000:]}")
    return output


def release(number: int, fault: str = "") -> tuple[str, ...]:
    """Arguments of site.yml that deploy the application with another setting, and perhaps a fault."""
    given = yaml.safe_load((ROOT / "inventories/lab/group_vars/all/apps.yml").read_text(encoding="utf-8"))
    service: dict[str, Any] = given["app_services"]["tenant-app"]
    service["traffic"] = {}
    service["environment"]["BENCH_RELEASE"] = str(number)
    if fault:
        service["environment"]["NODE_OPTIONS"] = "--require=/fault.js"
        service["files"]["/fault.js"] = {"content": fault, "uid": 10001, "gid": 10001, "mode": "0400"}
    changed = {"app_services": {"tenant-app": service}}
    return ("site.yml", "--tags", "app", "-e", json.dumps(changed))


def shared() -> bool:
    done = subprocess.run(["docker", "exec", NODE, "cat", SHARE], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip() != "0"


def kill_at_a_step(*arguments: str) -> None:
    """Start a deployment and kill it, and all that it started here, while both containers get requests."""
    process = subprocess.Popen(playbook(*arguments), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not shared():
        if process.poll() is not None:
            sys.exit("the run that was to be killed ended before it shared a request")
        time.sleep(0.2)
    time.sleep(5)
    kill_whole(process)


def main() -> None:
    subprocess.run([str(ROOT / "images" / "build"), "--local", "k6"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([str(ROOT / "scripts" / "lab-authority")], check=True)
    play("site.yml", "--tags", "caddy,app", "-e", json.dumps({"supabase_sites": [SITE]}))
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "settings.json")
        play("tests/load/site.yml", "-e", f"load_settings={settings} load_size=small")
        try:
            report(*deploy_under_load(settings))
        finally:
            play("tests/load/site.yml")
            play("site.yml", "--tags", "caddy,app")


def deploy_under_load(settings: Path) -> tuple[list[Phase], list[list[str]]]:
    """The deployments, and what k6 printed, line by line."""
    command = ["docker", "run", "--detach", "--name", LOAD, "--network", "container:groundwork-lab-client"]
    command += ["--volume", f"{ROOT}/.lab/ca.crt:/ca.crt:ro", "--volume", f"{settings}:/settings.json:ro"]
    command += ["--volume", f"{ROOT}/tests/bench/release.js:/release.js:ro"]
    variables = {"RATE": RATE, "WEBSOCKETS": WEBSOCKETS, "URL": PAGE, "SSL_CERT_FILE": "/ca.crt"}
    variables["K6_NO_USAGE_REPORT"] = "true"
    command += [part for name, value in variables.items() for part in ("--env", f"{name}={value}")]
    command += ["groundwork-lab/k6:current", "k6", "run", "--quiet", "--log-format", "raw", "/release.js"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    phases: list[Phase] = []

    def phase(name: str, result: str, *steps: Callable[[], Any]) -> None:
        began = time.time()
        for step in steps:
            step()
        # What runs when a deployment ends ends well, or it is that deployment's.
        phases.append(Phase(name, began, time.time() + 5, result))
        time.sleep(10)

    try:
        time.sleep(30)
        phase("nothing is deployed", "serves", lambda: time.sleep(60))
        phase("a good release", "serves", lambda: play(*release(2)))
        phase("rollback.yml", "the former release serves", lambda: play("rollback.yml"))
        for number, (name, fault) in enumerate(FAULTS.items(), start=3):
            bad = release(number, fault)
            phase(f"a release that {name}", "taken back by itself", lambda bad=bad: play(*bad, fails=True))
        good = release(9)
        phase(
            "a run killed at a step, and the next one",
            "serves",
            lambda: kill_at_a_step(*good),
            lambda: play(*good),
        )
    finally:
        subprocess.run(["docker", "kill", "--signal", "INT", LOAD], check=False, stdout=subprocess.DEVNULL)
        subprocess.run(["docker", "wait", LOAD], check=False, stdout=subprocess.DEVNULL)
        done = subprocess.run(
            ["docker", "logs", LOAD], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        subprocess.run(["docker", "rm", "--force", LOAD], check=False, stdout=subprocess.DEVNULL)
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith(("request ", "websocket "))]
    if not lines:
        sys.exit(f"k6 sent nothing:\n{done.stdout[-2000:]}")
    return phases, lines


def report(phases: list[Phase], lines: list[list[str]]) -> None:
    columns = f"{RATE} requests a second, {WEBSOCKETS:,} websockets|ends|requests|lost|slower than {SLOW} ms|"
    columns += "seconds from the first of these to the last|websockets sent away|cut off|not opened"
    print("|", " | ".join(columns.split("|")), "|")
    print("|---" * (columns.count("|") + 1) + "|")
    for phase in phases:
        within = [line for line in lines if phase.began <= int(line[1]) / 1000 < phase.ended]
        asked = [(int(at) / 1000, status, int(spent)) for kind, at, status, *rest in within for spent in rest]
        lost = [(at, status) for at, status, _spent in asked if status != "200"]
        slow = [at for at, status, spent in asked if status == "200" and spent > SLOW]
        met = sorted([*(at for at, _status in lost), *slow])
        seconds = f"{met[-1] - met[0]:.1f}" if met else "–"
        codes = [code for kind, _at, code, *rest in within if kind == "websocket" and code != "open"]
        away, unopened = codes.count(GOING_AWAY), codes.count("unopened")
        others = [code for code in codes if code not in (GOING_AWAY, "unopened")]
        statuses = counted(status for _at, status in lost)
        print(f"| {phase.name} | {phase.result} | {len(asked):,} | {statuses} | {len(slow):,} | {seconds} |", end="")
        print(f" {away:,} | {counted(others)} | {unopened:,} |")


def counted(codes: Iterable[str]) -> str:
    """How many, and of which code: status 0 is no answer, 4401 a token that was checked too late."""
    found = Counter(codes)
    each = ", ".join(f"{number:,} × {code}" for code, number in found.most_common())
    return f"{found.total():,} ({each})" if each else "0"


if __name__ == "__main__":
    main()
