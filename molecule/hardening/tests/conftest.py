"""The two servers of the scenario, by SSH as an operator reaches them."""

from __future__ import annotations

from pathlib import Path

import pytest
import testinfra
import yaml

SCENARIO = Path(__file__).resolve().parents[1]
KEYS = SCENARIO.parents[1] / ".lab" / "hardening"
SERVERS = yaml.safe_load((SCENARIO / "vars" / "lab.yml").read_text(encoding="utf-8"))["lab_nodes"]
ADDRESSES = {server["name"]: server["address"] for server in SERVERS}


def connect(name: str) -> testinfra.host.Host:
    return testinfra.get_host(
        f"ssh://admin@{ADDRESSES[name]}",
        sudo=True,
        ssh_identity_file=str(KEYS / "id_ed25519"),
        ssh_extra_args=f"-o UserKnownHostsFile={KEYS}/known_hosts -o StrictHostKeyChecking=yes",
    )


@pytest.fixture(scope="session", params=list(ADDRESSES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def server(name: str) -> testinfra.host.Host:
    return connect(name)


@pytest.fixture(scope="session")
def neighbour(name: str) -> testinfra.host.Host:
    """The other server, to knock from."""
    return connect(next(other for other in ADDRESSES if other != name))


@pytest.fixture(scope="session")
def address(name: str) -> str:
    return str(ADDRESSES[name])


@pytest.fixture(scope="session")
def neighbour_address(name: str) -> str:
    return next(address for other, address in ADDRESSES.items() if other != name)
