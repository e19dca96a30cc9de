"""Say what this machine lacks for the lab and how to get it, one line each, before anything is changed.

``python3 scripts/doctor.py`` prints every fault and ends with 1 if there is one; ``--python`` prints the interpreter to
use for the virtual environment. Runs on any Python from 3.9 on, since finding a newer one is part of its work.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

Version = tuple[int, int]

OLDEST_PYTHON: Version = (3, 11)
PYTHON_NAMES = ("python3", "python3.13", "python3.12", "python3.11")
LAB_NETWORK = "groundwork-lab"
LAB_SUBNET = ipaddress.IPv4Network("172.30.77.0/24")
# What Docker calls the bridge of a network. An engine that was killed leaves it behind and takes it back at its start.
ENGINE_BRIDGE = re.compile(r"route on br-[0-9a-f]{12}")
REGISTRY = ("127.0.0.1", 5077)
DISK_GIB = 15
MEMORY_GIB = 5
# capabilities(7): an engine needs CAP_NET_ADMIN (12) for its networks and CAP_SYS_ADMIN (21) for its mounts.
ENGINE_CAPABILITIES = (1 << 12) | (1 << 21)


@dataclass(frozen=True)
class Machine:
    """What was found. Sizes are in GiB, ``networks`` pairs a name with a subnet."""

    root: bool
    sudo: bool
    apt: bool
    engine: bool
    engine_installed: bool
    capable: bool
    registry_port_taken: bool
    disk: float
    disk_path: str
    memory: float
    pythons: Sequence[tuple[str, Version, bool]] = ()
    networks: Sequence[tuple[str, str]] = ()


def choose_python(pythons: Sequence[tuple[str, Version, bool]]) -> tuple[str, bool] | None:
    """The first interpreter that is new enough, those that can make virtual environments before others."""
    fit = [(name, venv) for name, version, venv in pythons if version >= OLDEST_PYTHON]
    return sorted(fit, key=lambda found: not found[1])[0] if fit else None


def faults(machine: Machine) -> list[str]:
    """Every fault with its remedy."""
    found = [*access_faults(machine), *python_faults(machine)]
    if machine.registry_port_taken:
        host, port = REGISTRY
        found.append(f"{host}:{port} is in use; the lab's registry needs it: end what listens there (ss -ltnp)")
    # A lab that is there has taken its share already.
    if machine.disk < DISK_GIB and LAB_NETWORK not in dict(machine.networks):
        found.append(
            f"{machine.disk_path} has {machine.disk:.0f} GiB free, the lab needs {DISK_GIB}: free some, "
            "or move Docker's data (data-root in /etc/docker/daemon.json)"
        )
    if machine.memory < MEMORY_GIB:
        found.append(f"this machine has {machine.memory:.1f} GiB of memory, the lab needs {MEMORY_GIB}: add some")
    for name, subnet in machine.networks:
        if overlaps_lab(name, subnet):
            found.append(f"{name} uses {subnet}, the lab needs {LAB_SUBNET}: remove it")
    return found


def access_faults(machine: Machine) -> list[str]:
    found = []
    if not machine.root and not machine.sudo and not machine.engine:
        found.append(
            "not root, and sudo is missing or cannot ask for a password: run as root, or in a terminal with sudo"
        )
    if machine.engine:
        return found
    if not machine.engine_installed and not machine.apt:
        found.append("no Docker engine and no apt to install one: use Debian or Ubuntu, or install an engine yourself")
    if not machine.capable:
        found.append(
            "no Docker engine runs, and none can be started without the capabilities NET_ADMIN and SYS_ADMIN: "
            "use a real or a virtual machine"
        )
    return found


def python_faults(machine: Machine) -> list[str]:
    oldest = ".".join(map(str, OLDEST_PYTHON))
    choice = choose_python(machine.pythons)
    if choice is None:
        remedy = f"apt-get install python{oldest} python{oldest}-venv"
        return [f"no python3 of {oldest} or newer, which ansible-core needs: {remedy}"]
    name, venv = choice
    if not venv and not machine.apt:
        return [f"{name} cannot make virtual environments: install its venv module"]
    return []


def overlaps_lab(name: str, subnet: str) -> bool:
    """A wider route does no harm, since the narrower one wins; only something inside the lab's range does."""
    try:
        other = ipaddress.ip_network(subnet, strict=False)
    except ValueError:
        return False
    if name == LAB_NETWORK or ENGINE_BRIDGE.fullmatch(name) or not isinstance(other, ipaddress.IPv4Network):
        return False
    return other.overlaps(LAB_SUBNET) and (not name.startswith("route ") or other.prefixlen >= LAB_SUBNET.prefixlen)


def routes(table: str) -> list[tuple[str, str]]:
    """Routes of ``/proc/net/route``, whose numbers are little-endian hexadecimal."""
    found = []
    for line in table.splitlines()[1:]:
        columns = line.split()
        address, mask = (int.from_bytes(bytes.fromhex(columns[index]), "little") for index in (1, 7))
        network = ipaddress.IPv4Network((address, bin(mask).count("1")), strict=False)
        found.append((f"route on {columns[0]}", str(network)))
    return found


def memory_gib(meminfo: str) -> float:
    """``MemTotal`` of ``/proc/meminfo``."""
    return next(int(line.split()[1]) for line in meminfo.splitlines() if line.startswith("MemTotal:")) / 2**20


def may_run_engine(status: str) -> bool:
    """Whether the bounding set of ``/proc/self/status`` has what an engine needs."""
    bound = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapBnd:"))
    return bound & ENGINE_CAPABILITIES == ENGINE_CAPABILITIES


def output_of(*command: str) -> str | None:
    """What a command prints, or None when it is missing or fails."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def find_pythons() -> list[tuple[str, Version, bool]]:
    question = (
        "import importlib.util as u, sys; "
        "print(sys.version_info[0], sys.version_info[1], int(all(map(u.find_spec, ('venv', 'ensurepip')))))"
    )
    found = []
    for name in PYTHON_NAMES:
        answer = output_of(name, "-c", question)
        if answer:
            major, minor, venv = map(int, answer.split())
            found.append((name, (major, minor), bool(venv)))
    return found


def engine_networks(docker: Sequence[str]) -> list[tuple[str, str]]:
    names = (output_of(*docker, "network", "ls", "--quiet") or "").split()
    networks = json.loads(output_of(*docker, "network", "inspect", *names) or "[]") if names else []
    return [
        (network["Name"], config["Subnet"])
        for network in networks
        for config in network["IPAM"]["Config"] or []
        if "Subnet" in config
    ]


def port_taken(address: tuple[str, int]) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError:
            return True
    return False


def existing_parent(path: str) -> str:
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


def read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def sudo_answers() -> bool:
    """With a terminal sudo may ask for its password; without one it must not need to."""
    return shutil.which("sudo") is not None and (sys.stdin.isatty() or output_of("sudo", "-n", "true") is not None)


def look() -> Machine:
    """Look at this machine without changing it."""
    docker = ["docker"] if output_of("docker", "version") is not None else ["sudo", "-n", "docker"]
    data = output_of(*docker, "info", "--format", "{{.DockerRootDir}}")
    networks = engine_networks(docker) if data else []
    ours = any(name == LAB_NETWORK for name, _subnet in networks)
    registry = output_of(*docker, "ps", "--quiet", "--filter", f"name=^{LAB_NETWORK}-registry$") if data else None
    disk_path = existing_parent(data or "/var/lib/docker")
    return Machine(
        root=os.geteuid() == 0,
        sudo=sudo_answers(),
        apt=shutil.which("apt-get") is not None,
        engine=data is not None,
        engine_installed=shutil.which("dockerd") is not None,
        capable=may_run_engine(read("/proc/self/status")),
        registry_port_taken=not registry and port_taken(REGISTRY),
        disk=shutil.disk_usage(disk_path).free / 2**30,
        disk_path=disk_path,
        memory=memory_gib(read("/proc/meminfo")),
        pythons=find_pythons(),
        networks=[*networks, *([] if ours or networks else routes(read("/proc/net/route")))],
    )


def main(arguments: Sequence[str]) -> int:
    if list(arguments) == ["--python"]:
        choice = choose_python(find_pythons())
        print(choice[0] if choice else "")
        return 0 if choice else 1
    found = faults(look())
    for fault in found:
        print(f"missing: {fault}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
