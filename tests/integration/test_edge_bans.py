# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bans at the edge: real Caddy, fail2ban and nftables with the roles' own files, and clients elsewhere.

Caddy listens in the host's own network, so what it gets is input; port 80 goes on to another container, as Docker has
it for published ports.
"""

from __future__ import annotations

import json
import secrets
import shlex
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from compose_plugin import build_image
from edge_server import Edge, wait_until
from gateway_server import render_variable
from postgres_server import ROOT, docker, ensure_image

ROLE = ROOT / "roles" / "hardening"
IMAGE = "groundwork-test/bans:current"
DOCKERFILE = """\
FROM groundwork-lab/server:current
RUN apt-get update \\
    && apt-get install -y --no-install-recommends fail2ban python3-systemd \\
    && rm -rf /var/lib/apt/lists/*
"""
# Networks for documentation: private ones are never banned.
OUTSIDE = {"4": "198.51.100", "6": "2001:db8:77:1:"}
OPERATOR = "198.51.100.200"
# On input, and passed on to a container.
PUBLISHED = ("fine", "published")
LOG = "/run/groundwork-edge"
TRIES = 6
SECONDS = 8
SETTINGS = {
    "hardening_bans_edge_log": LOG,
    "hardening_bans_edge_tries": TRIES,
    "hardening_bans_edge_seconds": SECONDS,
    "hardening_firewall_zones": {"office": [OPERATOR]},
    "hardening_firewall_rules": [
        {"name": "web", "zone": "internet", "protocol": "tcp", "ports": [80, 443]},
        {"name": "http3", "zone": "internet", "protocol": "udp", "ports": [443]},
    ],
}
SITES = [
    {"domain": "fine.lab.test", "respond": {"body": "fine"}},
    {"domain": "limited.lab.test", "respond": {"status": 429}},
    {"domain": "closed.lab.test", "respond": {"body": "in"}, "allow": ["192.0.2.1"]},
    {"domain": "secret.lab.test", "respond": {"body": "in"}, "basic_auth": {"ann": "$2a$14$" + "a" * 53}},
]
# What Docker does for a published port.
PUBLISH = """
table inet published {
  chain prerouting {
    type nat hook prerouting priority dstnat;
    ip daddr %(4)s.2 tcp dport 80 dnat ip to %(inside4)s:8080
    ip6 daddr %(6)s:2 tcp dport 80 dnat ip6 to [%(inside6)s]:8080
  }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    oifname "%(interface)s" masquerade
  }
}
"""


@dataclass(frozen=True)
class Host:
    """A server with fail2ban and an edge, and two clients elsewhere."""

    container: str
    client: str
    operator: str
    log: Path

    def run(self, command: str) -> str:
        return docker("exec", self.container, "sh", "-c", command)

    def ask(self, site: str, version: str = "4", times: int = 1, more: str = "", client: str = "") -> str:
        """Statuses of requests from elsewhere, of which each takes a second at most; 000 for no answer."""
        address = f"{OUTSIDE['4']}.2" if version == "4" else f"[{OUTSIDE['6']}:2]"
        scheme, port = ("http", 80) if site == "published" else ("https", 443)
        url = f"{scheme}://{site}.lab.test/?[1-{times}]"
        options = f"-s -k -o /dev/null -w '%{{http_code}} ' --connect-timeout 1 -m 2 {more}"
        command = f"curl {options} --connect-to ::{address}:{port} '{url}' || :"
        return docker("exec", client or self.client, "sh", "-c", command).strip()

    def banned(self) -> set[str]:
        return set(self.run("fail2ban-client get edge banip").split())

    def members(self) -> set[str]:
        """What is in force in the kernel."""
        rules = json.loads(self.run("nft --json list ruleset"))["nftables"]
        sets = [rule["set"] for rule in rules if "set" in rule and rule["set"]["table"] == "groundwork_bans"]
        return {member["elem"]["val"] for each in sets for member in each.get("elem", [])}


@contextmanager
def network(name: str, *options: str) -> Iterator[str]:
    docker("network", "create", "--label", "groundwork.integration", *options, name)
    try:
        yield name
    finally:
        docker("network", "rm", name)


@contextmanager
def container(image: str, *options: str, command: tuple[str, ...] = ("sleep", "infinity")) -> Iterator[str]:
    name = docker("run", "--detach", "--init", "--label", "groundwork.integration", *options, image, *command).strip()
    try:
        yield name
    finally:
        docker("rm", "--force", "--volumes", name)


def put_files(name: str, files: list[dict[str, str]]) -> None:
    for file in files:
        copy = Path(file["path"])
        script = f"mkdir -p {copy.parent} && cat > {copy} <<'END'\n{file['content']}\nEND"
        docker("exec", name, "sh", "-c", script)


@pytest.fixture(scope="module")
def host(load, tmp_path_factory) -> Iterator[Host]:
    for image in ("server", "client", "caddy"):
        ensure_image(image)
    build_image(IMAGE, DOCKERFILE)
    folder = tmp_path_factory.mktemp("bans")
    folder.chmod(0o755)
    log = folder / "log"
    log.mkdir(mode=0o700)
    name = f"gw-bans-{secrets.token_hex(4)}"
    with ExitStack() as stack:
        enter = stack.enter_context
        outside = enter(
            network(f"{name}-outside", "--ipv6", f"--subnet={OUTSIDE['4']}.0/24", f"--subnet={OUTSIDE['6']}:/64")
        )
        inside = enter(network(f"{name}-inside", "--ipv6", "--subnet=fd67:726f:756e:77::/64"))
        service = enter(
            container(
                IMAGE, "--network", inside, "--name", f"{name}-inside",
                command=("python3", "-m", "http.server", "8080", "--bind", "::"),
            )
        )  # fmt: skip
        client, operator = (
            enter(
                container("groundwork-lab/client:current", "--network", outside, "--name", f"{name}-{who}", *addresses)
            )
            for who, addresses in {
                "client": ("--ip", f"{OUTSIDE['4']}.3", "--ip6", f"{OUTSIDE['6']}:3"),
                "operator": ("--ip", OPERATOR, "--ip6", f"{OUTSIDE['6']}:200"),
            }.items()
        )
        server = enter(
            container(
                IMAGE, "--network", outside, "--ip", f"{OUTSIDE['4']}.2", "--ip6", f"{OUTSIDE['6']}:2", "--name", name,
                "--cap-add", "NET_ADMIN", "--volume", f"{log}:{LOG}", "--sysctl", "net.ipv4.ip_forward=1",
                "--sysctl", "net.ipv6.conf.all.forwarding=1",
            )
        )  # fmt: skip
        docker("network", "connect", inside, server)
        started = Host(server, client, operator, log)
        start_edge(stack, load, folder, started)
        start_host(started, service)
        yield started


def start_edge(stack: ExitStack, load, folder: Path, host: Host) -> None:
    """Caddy as its entry asks for, but in the host's network."""
    settings = {"caddy_sites": SITES, "supabase_edge_log": str(host.log)}
    edge = Edge(folder, "127.0.0.1:9", load, settings, "")
    entry = edge.switch({})
    options = ["--read-only", "--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE", "--volume", "/data"]
    options += [part for mount in entry["tmpfs"] for part in ("--tmpfs", mount)]
    options += [part for name, value in entry["environment"].items() for part in ("--env", f"{name}={value}")]
    mounted = [mount for mount in entry["volumes"] if mount != "caddy-data:/data"]
    assert [mount["source"] for mount in mounted] == [str(host.log)]
    options += ["--volume", f"{host.log}:{mounted[0]['target']}", "--volume", f"{folder / 'live'}:/etc/caddy/live:ro"]
    caddy = stack.enter_context(
        container(
            "groundwork-lab/caddy:current",
            "--network",
            f"container:{host.container}",
            *options,
            command=tuple(entry["command"]),
        )
    )
    wait_until(lambda: docker("exec", caddy, "wget", "-q", "-O", "-", "http://127.0.0.1:8080/healthz"), "Caddy is up")


def start_host(host: Host, service: str) -> None:
    """The firewall and fail2ban, as the role has them."""
    networks = docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", service)
    (inside,) = json.loads(networks).values()
    interface = host.run(f"ip -o -4 route get {inside['IPAddress']}").split(" dev ")[1].split()[0]
    values = {
        **OUTSIDE,
        "inside4": inside["IPAddress"],
        "inside6": inside["GlobalIPv6Address"],
        "interface": interface,
    }
    bans = render_variable(ROLE, "__hardening_bans_files", SETTINGS)
    firewall = render_variable(ROLE, "__hardening_firewall_part", SETTINGS)["files"][:1]
    put_files(host.container, [*bans, *firewall, {"path": "/published.nft", "content": PUBLISH % values}])
    host.run("nft -f /published.nft")
    load_firewall(host)
    (tmpfiles, *_others) = render_variable(ROLE, "__hardening_bans_on", SETTINGS)
    host.run(" ".join(tmpfiles))
    host.run("mkdir -p /run/fail2ban && fail2ban-server start")
    wait_until(lambda: "edge" in host.run("fail2ban-client status edge"), "fail2ban follows the log")
    wait_until(lambda: host.ask("fine") == "200", "the edge answers")


def load_firewall(host: Host) -> None:
    host.run(f"nft '{render_variable(ROLE, '__hardening_firewall_load', SETTINGS)}'")


@pytest.fixture(autouse=True)
def nobody_is_banned(host: Host) -> None:
    host.run("fail2ban-client unban --all")
    assert host.members() == set()


def test_a_burst_shuts_a_client_out_of_all_that_is_published_until_its_time_is_over(host):
    assert {host.ask(site, version) for site in PUBLISHED for version in "46"} == {"200"}
    assert set(host.ask("limited", times=TRIES).split()) == {"429"}
    wait_until(lambda: host.members() == {"198.51.100.3"}, "the client is banned")
    assert {host.ask(site) for site in PUBLISHED} == {"000"}
    # By IPv6 it is somebody else, and there whoever has its network.
    assert set(host.ask("limited", "6", times=TRIES).split()) == {"429"}
    wait_until(lambda: "2001:db8:77:1::" in host.members(), "the client's network is banned")
    load_firewall(host)
    assert host.ask("fine", "6", client=host.operator) == host.ask("published", "6") == "000"
    wait_until(lambda: host.members() == set(), "the bans end", SECONDS + 5)
    assert {host.ask(site, version) for site in PUBLISHED for version in "46"} == {"200"}


def test_http3_is_shut_out_too_and_an_operator_lets_the_client_in_with_one_command(host):
    assert host.ask("fine", more="--http3-only") == "200"
    assert set(host.ask("secret", times=TRIES).split()) == {"401"}
    wait_until(host.members, "the client is banned")
    assert host.ask("fine", more="--http3-only") == "000"
    host.run("fail2ban-client unban 198.51.100.3")
    assert host.ask("fine", more="--http3-only") == "200"


def test_refused_is_401_403_429_and_nothing_else(host):
    assert set(host.ask("fine", times=4).split()) == {"200"}
    assert set(host.ask("fine", times=20, more="-X BREW").split()) == {"405"}
    assert host.ask("limited") + host.ask("secret") == "429401"
    assert set(host.ask("closed", times=TRIES - 3).split()) == {"403"}
    time.sleep(2)
    assert host.banned() == set()
    assert host.ask("closed") == "403"
    wait_until(host.members, "that was one too many")


def test_operators_the_host_itself_and_private_networks_are_never_shut_out(host):
    assert set(host.ask("limited", times=20, client=host.operator).split()) == {"429"}
    last = (host.log / "clients.log").read_text(encoding="utf-8").splitlines(keepends=True)[-1]
    assert OPERATOR in last
    with (host.log / "clients.log").open("a", encoding="utf-8") as log:
        for address in (f"{OUTSIDE['4']}.2", "127.0.0.1", "10.1.2.3", "fd00:1::"):
            log.write(last.replace(OPERATOR, address) * 20)
    time.sleep(2)
    assert host.banned() == set()


def test_the_log_holds_nothing_that_a_client_wrote(host):
    host.ask("fine", more="-u mallory:hunter2 -A forged -H 'X-Forwarded-For: 192.0.2.9'")
    lines = (host.log / "clients.log").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    assert {tuple(entry) for entry in entries} == {("level", "ts", "logger", "msg", "request", "status")}
    assert {tuple(entry["request"]) for entry in entries} == {("client_ip",)}
    assert "192.0.2.9" not in {entry["request"]["client_ip"] for entry in entries}


def test_a_table_that_was_removed_comes_back_and_a_ban_ends_though_fail2ban_was_killed(host):
    host.run("nft delete table ip groundwork_bans")
    host.ask("limited", times=TRIES)
    wait_until(lambda: host.members() == {"198.51.100.3"}, "the client is banned")
    host.run("kill -9 $(cat /run/fail2ban/fail2ban.pid)")
    assert host.ask("fine") == "000"
    wait_until(lambda: host.ask("fine") == "200", "the ban ends", SECONDS + 15)
    host.run("fail2ban-client -x start")


def test_without_a_log_there_is_ssh_alone_and_no_zone_of_everybody_is_left_in_peace():
    zones = {"office": [OPERATOR, "2001:db8::7"], "all": ["0.0.0.0/0", "::/0"]}
    (jails,) = render_variable(ROLE, "__hardening_bans_files", {"hardening_firewall_zones": zones})
    assert "[edge]" not in jails["content"]
    assert f"ignoreip = 127.0.0.0/8 ::1 {OPERATOR}/32 2001:db8::/64\n" in jails["content"]


def test_switched_off_it_leaves_nothing(host):
    host.ask("limited", times=TRIES)
    wait_until(host.members, "the client is banned")
    host.run("fail2ban-client stop")
    wait_until(lambda: host.ask("fine") == "200", "the client is let in")
    # Tables that a killed server left behind, too.
    host.run(shlex.join(render_variable(ROLE, "__hardening_bans_clear", SETTINGS)))
    assert "bans" not in host.run("nft list tables")
