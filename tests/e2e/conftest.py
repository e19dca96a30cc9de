"""The lab as seen by the end-to-end tests: two servers by SSH, one client on the same network, and the playbooks."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = ROOT / "inventories" / "lab"
# What takes hours in all: every moment of a kill, every cause of an alert, many restores.
THOROUGH = "THOROUGH" in os.environ
thorough = pytest.mark.skipif(not THOROUGH, reason="THOROUGH=1 runs it")
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class PlayResult:
    """How a playbook run ended. ``changed`` counts over all hosts."""

    code: int
    output: str

    @property
    def changed(self) -> int:
        return sum(int(match.group(3)) for match in RECAP.finditer(self.output))


def playbook_command(name: str, *arguments: str) -> list[str]:
    ansible = Path(sys.executable).with_name("ansible-playbook")
    if name == "site.yml" and not {"--tags", "--skip-tags"}.intersection(arguments):
        # Molecule has shown the whole; what most tests are about is the platform, in half the time.
        arguments = ("--skip-tags", "hardening,docker,backup,monitoring", *arguments)
    return [str(ansible), str(ROOT / name), "-i", str(INVENTORY), *arguments]


def playbook_environment() -> dict[str, str]:
    return {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"}


@pytest.fixture(scope="session")
def play() -> Callable[..., PlayResult]:
    """Run a playbook against the lab."""

    def run(name: str, *arguments: str, expect: int | None = 0) -> PlayResult:
        command = playbook_command(name, *arguments)
        environment = playbook_environment()
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=900
        )
        output = done.stdout + done.stderr
        if expect is not None:
            assert done.returncode == expect, output[-6000:]
        return PlayResult(done.returncode, output)

    return run


def kill_play(marker: str, seconds_more: float, name: str, *arguments: str, times: int = 1) -> None:
    """Start a playbook and kill it some seconds after a line with the marker was printed so many times."""
    process = subprocess.Popen(
        playbook_command(name, *arguments),
        cwd=ROOT,
        env={**playbook_environment(), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        times -= marker in line
        if times == 0:
            break
    else:
        pytest.fail(f"the run never came to {marker}:\n{''.join(lines[-60:])}")
    time.sleep(seconds_more)
    kill_whole(process)


def documented(page: str, heading: str, host: str) -> list[str]:
    """What an operator is told to type on a host, in the section of a page in docs/."""
    section = (ROOT / "docs" / page).read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    commands = re.findall(rf"^{host}# (.+)", section, re.MULTILINE)
    assert commands, f"{page}, {heading}: no command for {host}"
    return commands


def kill_whole(process: subprocess.Popen[Any]) -> None:
    """Kill a run of Ansible and what would go on for it: it has no group, its workers are in sessions of their own."""
    doomed = descendants(process.pid)
    process.kill()
    process.wait()
    for pid in doomed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """Processes that a process started, and those that these started."""
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listing.splitlines()]
    children = [child for child, parent in pairs if parent == pid]
    return [*children, *(other for child in children for other in descendants(child))]


def ssh_host(name: str) -> testinfra.host.Host:
    listing = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(INVENTORY), "--host", name],
        env=playbook_environment(),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    variables: dict[str, Any] = json.loads(listing.stdout)
    options = f"-o UserKnownHostsFile={ROOT}/.lab/known_hosts -o StrictHostKeyChecking=yes"
    return testinfra.get_host(
        f"ssh://{variables['ansible_user']}@{variables['ansible_host']}",
        sudo=True,
        ssh_identity_file=str(ROOT / ".lab" / "id_ed25519"),
        ssh_extra_args=options,
    )


@pytest.fixture(scope="session")
def node1() -> testinfra.host.Host:
    return ssh_host("node1")


@pytest.fixture(scope="session")
def node2() -> testinfra.host.Host:
    return ssh_host("node2")


@pytest.fixture(scope="session")
def client() -> testinfra.host.Host:
    """Another host on the lab's network; it has Node.js, supabase-js, curl and nmap, and trusts the lab's authority."""
    subprocess.run([str(ROOT / "scripts" / "lab-authority")], check=True)
    subprocess.run(["docker", "cp", f"{ROOT}/.lab/ca.crt", "groundwork-lab-client:/etc/ssl/lab-ca.crt"], check=True)
    return testinfra.get_host("docker://groundwork-lab-client")


@pytest.fixture(scope="session")
def secret(node1: testinfra.host.Host) -> Callable[[str], str]:
    """Read one secret from the host's store."""

    def read(name: str) -> str:
        return str(node1.check_output(f"cat /etc/groundwork/secrets/{shlex.quote(name)}")).strip()

    return read


@pytest.fixture(scope="session")
def settings() -> dict[str, Any]:
    return dict(yaml.safe_load((INVENTORY / "group_vars" / "all" / "main.yml").read_text(encoding="utf-8")))


def started(host: testinfra.host.Host) -> dict[str, str]:
    """Start time by container name: the same before and after means that nothing was restarted."""
    ids = host.check_output("docker ps --quiet --no-trunc").split()
    raw = json.loads(host.check_output(f"docker inspect {' '.join(ids)}"))
    return {container["Name"].lstrip("/"): container["State"]["StartedAt"] for container in raw}


class Requests:
    """Requests sent one after the other from the client while something happens to the platform."""

    def __init__(self, url: str, header: str) -> None:
        script = (
            "echo $$ > /tmp/requests.pid; "
            f"while :; do curl -s -o /dev/null -m 20 --cacert /etc/ssl/lab-ca.crt -H {shlex.quote(header)} "
            f"-w '%{{http_code}}\\n' {shlex.quote(url)}; sleep 0.05; done"
        )
        # The bound ends the loop even when a test does not come back for it.
        command = ["docker", "exec", "groundwork-lab-client", "timeout", "900", "sh", "-c", script]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def stop(self) -> list[str]:
        end = "kill $(cat /tmp/requests.pid)"
        subprocess.run(["docker", "exec", "groundwork-lab-client", "sh", "-c", end], check=True)
        output, _nothing = self._process.communicate(timeout=60)
        return output.split()


@pytest.fixture
def requests_throughout() -> Iterator[Callable[[str, str], Requests]]:
    running: list[Requests] = []

    def start(url: str, header: str) -> Requests:
        running.append(Requests(url, header))
        return running[-1]

    yield start
    for request in running:
        if request._process.poll() is None:
            request.stop()
