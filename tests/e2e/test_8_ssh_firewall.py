"""SSH and the firewall of the second server: what gets in, and that nobody locks themselves out for good."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import testinfra
import yaml
from conftest import ROOT, PlayResult, kill_whole, playbook_command, playbook_environment, thorough

PLAY = "tests/e2e/ssh_firewall.yml"
CONTAINER = "groundwork-lab-node2"
IMAGE = "groundwork-lab/redis:current"
DROP_IN = "/etc/ssh/sshd_config.d/00-groundwork.conf"
BANNER = "/etc/ssh/groundwork-banner"
RULES_FILE = "/etc/groundwork/firewall/rules.nft"
UNIT = "/etc/systemd/system/groundwork-firewall.service"
PENDING = "/var/lib/groundwork/guard"
# Short, so that a drill takes seconds; the confirmation of a good change takes two.
SECONDS = 15
SSH_RULE = {"name": "ssh", "zone": "internet", "protocol": "tcp", "ports": [22, 2222]}
SETTINGS: dict[str, Any] = {
    "hardening_guard_seconds": SECONDS,
    "hardening_ssh_allow_groups": ["sudo"],
    "rules": [
        SSH_RULE,
        {"name": "web", "zone": "internet", "protocol": "tcp", "ports": [80, 443, 8443]},
        {"name": "http3", "zone": "internet", "protocol": "udp", "ports": [443]},
        {"name": "elsewhere", "zone": "office", "protocol": "tcp", "ports": ["9000-9999"]},
    ],
    "hardening_firewall_zones": {"office": ["192.0.2.0/24", "2001:db8::/32"]},
}
# Published by containers; 80 and 443 are declared. On the host itself 8443 is declared, 9444 for others only.
# No service of the lab may want one of them: whichever starts second after a reboot stays down.
PUBLISHED = ["80:6379", "443:6379", "5432:6379", "9001:6379", "443:443/udp", "5353:5353/udp"]
LISTENING = [8443, 9444]
OPEN = {4: {22, 80, 443, 8443}, 6: {22, 8443}}

Apply = Callable[..., PlayResult]


@pytest.fixture(scope="module")
def server() -> testinfra.host.Host:
    """The second server by way of the engine, which no setting of SSH or the firewall can close."""
    return testinfra.get_host(f"docker://{CONTAINER}")


@pytest.fixture(scope="module")
def apply(play: Callable[..., PlayResult]) -> Apply:
    def run(*options: str, expect: int = 0, **change: Any) -> PlayResult:
        return play(PLAY, "--timeout", "3", "-e", json.dumps({**SETTINGS, **change}), *options, expect=expect)

    return run


@pytest.fixture(scope="module")
def addresses(server: testinfra.host.Host) -> dict[int, str]:
    """Of the second server, by version of IP."""
    listing = json.loads(server.check_output("ip -json address show dev eth0 scope global"))
    # What the filter leaves out is an empty entry.
    found = [entry for interface in listing for entry in interface.get("addr_info", []) if entry]
    return {4 if entry["family"] == "inet" else 6: entry["local"] for entry in found}


@pytest.fixture(scope="module")
def bare(server: testinfra.host.Host, apply: Apply) -> str:
    """How sshd is set without the role, which the tests leave as they found it."""
    apply(hardening_ssh=False, hardening_firewall=False)
    return server.check_output("/usr/sbin/sshd -T")


@pytest.fixture(scope="module")
def containers(server: testinfra.host.Host) -> Iterator[None]:
    """Containers that publish to everybody, and two that listen on the host's own network."""
    save = subprocess.Popen(["docker", "save", IMAGE], stdout=subprocess.PIPE)
    subprocess.run(["docker", "exec", "-i", CONTAINER, "docker", "load"], stdin=save.stdout, check=True)
    run = "docker run --detach --restart unless-stopped"
    ports = " ".join(f"--publish 0.0.0.0:{port}" for port in PUBLISHED)
    # The engine's own bridge keeps its containers from each other and from what they publish.
    server.check_output("docker network create published")
    server.check_output(f"{run} --name published --network published {ports} {IMAGE}")
    for port in LISTENING:
        listen = f"redis-server --port {port} --bind '*' '-::*' --protected-mode no --save ''"
        server.check_output(f"{run} --name listening-{port} --network host {IMAGE} {listen}")
    yield
    server.check_output("docker rm --force published " + " ".join(f"listening-{port}" for port in LISTENING))
    server.check_output(f"docker image rm {IMAGE} && docker network rm published")


@pytest.fixture(scope="module")
def hardened(
    server: testinfra.host.Host, apply: Apply, bare: str, containers: None, node2: testinfra.host.Host
) -> Iterator[PlayResult]:
    # A server as it is rented has a shorter RSA key; this one gets the length of a new one.
    server.check_output("rm -f /etc/ssh/ssh_host_rsa_key /etc/ssh/ssh_host_rsa_key.pub")
    yield apply()
    apply(hardening_ssh=False, hardening_firewall=False)


def logs_in(address: str, port: int = 22) -> bool:
    """Whether the operator gets in by a connection that is shared with nobody."""
    options = f"-o BatchMode=yes -o ConnectTimeout=3 -o ControlPath=none -o UserKnownHostsFile={ROOT}/.lab/known_hosts"
    command = f"ssh -i {ROOT}/.lab/id_ed25519 {options} -p {port} admin@{address} true"
    return subprocess.run(command.split(), capture_output=True, check=False).returncode == 0


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.1)


def open_ports(client: testinfra.host.Host, address: str, ports: str) -> set[int]:
    version = "-6" if ":" in address else ""
    report = client.check_output(f"nmap {version} -Pn -n -p {ports} --min-rate 10000 --max-retries 1 -oG - {address}")
    return {int(port) for port in re.findall(r"(\d+)/open/tcp", report)}


def answering_udp(client: testinfra.host.Host, address: str) -> set[int]:
    """Ports let through: nothing listens, so the server says that they are closed. What is dropped is not answered."""
    version = "-6" if ":" in address else ""
    report = client.check_output(f"nmap {version} -Pn -n -sU -p 53,123,443,5353,8443 --max-retries 2 -oG - {address}")
    return {int(port) for port in re.findall(r"(\d+)/closed/udp", report)}


def test_what_is_wrong_is_refused_whole_before_anything_changes(apply, server, bare):
    rules = [
        {"name": "web", "zone": "internett", "ports": [443]},
        {"name": "web", "zone": "office", "ports": [70000, "90-80"]},
    ]
    result = apply(
        expect=2,
        hardening_firewall_zones={"office": ["192.0.2.1/24"]},
        rules=rules,
        hardening_ssh_allow_groups=["wheel"],
        hardening_ssh_allow_users=["deploy"],
    )
    for said in (
        "hardening_ssh_allow_users: admin, who runs this play, is not among them; add admin",
        "hardening_ssh_allow_groups: admin, who runs this play, is in none of them",
        "hardening_firewall_zones: office: 192.0.2.1/24: it is not a network",
        "hardening_firewall_rules: web: two rules have this name",
        "hardening_firewall_rules: web: there is no zone internett; choose from internet, office",
        "hardening_firewall_rules: web: 70000: it is not a port",
        "hardening_firewall_rules: web: 90-80: it is not a port",
        "at tcp 22, which is the SSH connection that runs this play",
        "Nothing was changed.",
    ):
        assert said in result.output, result.output
    assert not server.file(DROP_IN).exists and not server.file(RULES_FILE).exists


def test_a_dry_run_shows_all_and_changes_nothing(apply, server, bare):
    result = apply("--check", "--diff")
    assert result.changed > 0 and "+KexAlgorithms" in result.output and "policy drop" in result.output
    assert not server.file(DROP_IN).exists and not server.file(RULES_FILE).exists


def test_a_second_run_changes_nothing(hardened, apply, server):
    assert hardened.changed > 0
    assert apply().changed == 0
    assert not server.file(PENDING).exists
    assert not server.file("/etc/systemd/system/groundwork-guard.timer").exists


def test_exactly_the_declared_ports_are_open(hardened, client, addresses):
    for version, address in addresses.items():
        assert open_ports(client, address, "-") == OPEN[version], f"IPv{version}"
        assert answering_udp(client, address) == {443}, f"IPv{version}"


def test_what_a_container_publishes_undeclared_is_reached_from_the_server_only(hardened, server, client, addresses):
    ping = "redis-cli -h {} -p {} ping"
    assert server.check_output("docker exec published " + ping.format(addresses[4], 5432)) == "PONG"
    inspect = "docker inspect published --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'"
    inside = server.check_output(inspect)
    assert server.check_output(f"docker run --rm --network published {IMAGE} {ping.format(inside, 6379)}") == "PONG"
    # From a container to the world, of which the client is a part.
    client.check_output("nohup timeout 20 python3 -m http.server 7777 >/dev/null 2>&1 &")
    (theirs,) = [address for address in client.check_output("hostname -i").split() if ":" not in address]
    knock = f"bash -c '</dev/tcp/{theirs}/7777'"
    wait_until(lambda: server.run(f"docker run --rm {IMAGE} timeout 3 {knock}").rc == 0, 10)
    assert client.run(f"timeout 3 bash -c '</dev/tcp/{addresses[4]}/5432'").rc != 0


@pytest.fixture
def metadata_service(server: testinfra.host.Host, client: testinfra.host.Host) -> Iterator[str]:
    """The client under the address of a provider's metadata service: something to ask, and to resolve names."""
    there = ["docker", "run", "--rm", "--cap-add", "NET_ADMIN", "--network", "container:groundwork-lab-client"]
    there += ["--entrypoint", "ip", "groundwork-lab/server:current", "address"]
    address = "169.254.169.254"
    (theirs,) = [address for address in client.check_output("hostname -i").split() if ":" not in address]
    subprocess.run([*there, "add", f"{address}/32", "dev", "lo"], check=True)
    server.check_output(f"ip route add {address}/32 via {theirs}")
    for port in (53, 7778):
        client.check_output(f"nohup timeout 30 python3 -m http.server {port} >/dev/null 2>&1 &")
    yield address
    server.check_output(f"ip route delete {address}/32")
    subprocess.run([*there, "delete", f"{address}/32", "dev", "lo"], check=True)


def test_a_container_gets_names_and_no_credentials_from_the_metadata_service(hardened, server, metadata_service):
    knock = f"timeout 3 bash -c '</dev/tcp/{metadata_service}/{{}}'"
    inside = f"docker run --rm {IMAGE} {knock}"
    for command in (knock.format(7778), inside.format(53)):
        wait_until(lambda command=command: server.run(command).rc == 0, 10)
    assert server.run(inside.format(7778)).rc == 124


@pytest.mark.parametrize(
    "event",
    [
        "systemctl restart docker",
        pytest.param("systemctl reload groundwork-firewall", marks=thorough),
        pytest.param("systemctl restart groundwork-firewall", marks=thorough),
        # Debian's own service flushes every table; Docker's come back with Docker.
        "systemctl start nftables && systemctl reload nftables && systemctl stop nftables && systemctl restart docker",
        "reboot",
    ],
)
def test_it_holds_after(event, hardened, server, client, addresses):
    if event == "reboot":
        subprocess.run(["docker", "restart", CONTAINER], capture_output=True, check=True)
        wait_until(lambda: logs_in(addresses[4]), 60)
        wait_until(lambda: server.run("docker exec published true").rc == 0, 60)
    else:
        server.check_output(event)
    for version, address in addresses.items():
        wait_until(lambda v=version, a=address: open_ports(client, a, "1-10000") == OPEN[v], 15)
    assert answering_udp(client, addresses[4]) == {443}


def test_rules_that_somebody_flushed_come_back(hardened, apply, server):
    server.check_output("nft delete table inet groundwork")
    assert apply().changed == 1
    server.check_output("nft list table inet groundwork")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        # On the way to the host somebody else closes the port.
        ({"hardening_ssh_port": 2222}, "a new connection to port 2222 did not work"),
        # A pattern with hosts is not judged before, and this is not where the play comes from.
        pytest.param({"hardening_ssh_allow_users": ["admin@203.0.113.9"]}, "Permission denied", marks=thorough),
        ({"rules_unseen": [{"name": "web", "zone": "internet", "ports": [443]}]}, "a new connection did not work"),
    ],
    ids=["port", "users", "rules"],
)
def test_who_is_locked_out_is_let_in_again(change, said, hardened, apply, server, addresses):
    before = [server.check_output(f"cat {DROP_IN}"), server.check_output(f"cat {RULES_FILE}")]
    begun = time.monotonic()
    with closed_on_the_way(server, "tcp dport 2222"):
        result = apply(expect=2, **change)
    took = time.monotonic() - begun
    assert said in result.output, result.output
    assert "taken back: /etc/" in result.output and "the host answers again" in result.output, result.output
    assert logs_in(addresses[4]) and took < 120
    assert [server.check_output(f"cat {DROP_IN}"), server.check_output(f"cat {RULES_FILE}")] == before


@contextlib.contextmanager
def closed_on_the_way(server: testinfra.host.Host, match: str) -> Iterator[None]:
    """A firewall that is not ours, such as a provider has in front of a server."""
    chain = f"chain input {{ type filter hook input priority -150; {match} drop; }}"
    server.check_output(f"nft 'table inet provider {{ {chain}; }}'")
    try:
        yield
    finally:
        server.check_output("nft delete table inet provider")


def test_settings_that_sshd_refuses_never_come_into_force(hardened, apply, server, addresses):
    result = apply(expect=2, hardening_ssh_tcp_forwarding="perhaps")
    assert "sshd -t: it ended with 255" in result.output and "perhaps" in result.output, result.output
    assert not server.file(PENDING).exists and logs_in(addresses[4])
    assert "perhaps" not in server.check_output(f"cat {DROP_IN}")


def test_a_killed_run_is_taken_back_and_the_next_one_waits_for_that(hardened, apply, server, addresses):
    rules = server.check_output(f"cat {RULES_FILE}")
    kill_a_run(server, RULES_FILE, {"rules_unseen": [{"name": "web", "zone": "internet", "ports": [443]}]})
    wait_until(lambda: server.run(f"test ! -e {PENDING}").rc == 0, SECONDS + 60)
    assert logs_in(addresses[4]) and server.check_output(f"cat {RULES_FILE}") == rules
    # A connection that is there already goes on, so the change is made, and only its confirmation does not get through.
    apply("--check")
    with closed_on_the_way(server, "tcp dport 22 ct state new"):
        kill_a_run(server, BANNER, {"hardening_ssh_banner": "Not confirmed.\n"})
    # The next run finds its own wishes in place, but they are about to be taken back.
    assert apply(hardening_ssh_banner="Not confirmed.\n").changed > 0
    time.sleep(SECONDS)
    assert server.file(BANNER).content_string == "Not confirmed.\n"
    apply()


def test_a_reboot_does_not_confirm_anything(hardened, server, addresses):
    rules = server.check_output(f"cat {RULES_FILE}")
    kill_a_run(server, RULES_FILE, {"rules_unseen": [{"name": "web", "zone": "internet", "ports": [443]}]})
    subprocess.run(["docker", "restart", CONTAINER], capture_output=True, check=True)
    wait_until(lambda: server.run(f"test ! -e {PENDING}").rc == 0, SECONDS + 60)
    assert server.check_output(f"cat {RULES_FILE}") == rules
    wait_until(lambda: logs_in(addresses[4]), 30)


def kill_a_run(server: testinfra.host.Host, path: str, change: dict[str, Any]) -> None:
    """Kill a run when it has changed the file, and nothing has confirmed that yet."""
    before = server.check_output(f"cat {path}")
    command = playbook_command(PLAY, "--timeout", "3", "-e", json.dumps({**SETTINGS, **change}))
    process = subprocess.Popen(command, cwd=ROOT, env=playbook_environment(), stdout=subprocess.DEVNULL)
    wait_until(lambda: server.run(f"cat {path}").stdout.strip() != before, 60)
    kill_whole(process)


def test_ssh_moves_to_another_port_and_back(hardened, apply, tmp_path, addresses):
    result = apply(hardening_ssh_port=2222)
    assert "SSH listens on port 2222 from now on" in result.output and "failed=0" in result.output
    assert logs_in(addresses[4], 2222) and not logs_in(addresses[4], 22)
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {"node2": {"ansible_port": 2222}}}}), encoding="utf-8")
    assert apply("-i", str(inventory), hardening_ssh_port=2222).changed == 0
    apply("-i", str(inventory))
    assert logs_in(addresses[4], 22) and not logs_in(addresses[4], 2222)


def test_ssh_audit_finds_nothing(hardened, server, client, addresses):
    report = json.loads(client.run(f"python3 -m ssh_audit --json {addresses[4]}").stdout)
    kinds = [report[kind] for kind in ("kex", "key", "enc", "mac")]
    findings = [
        (entry["algorithm"], level, note)
        for entries in kinds
        for entry in entries
        for level in ("fail", "warn")
        for note in entry["notes"].get(level, [])
    ]
    assert findings == []
    # So many connections without a login are held against the client; a restart forgives them.
    server.check_output("systemctl restart ssh.service")
    judged = client.run(f"python3 -m ssh_audit --policy 'Hardened Debian 13 (version 1)' {addresses[4]}")
    assert judged.rc == 0, judged.stdout


def test_switched_off_it_leaves_nothing(hardened, apply, server, bare, client, addresses):
    apply(hardening_ssh=False, hardening_firewall=False)
    for path in (DROP_IN, BANNER, "/etc/groundwork/firewall", UNIT):
        assert not server.file(path).exists, path
    assert not server.file("/etc/systemd/system/nftables.service.d/groundwork.conf").exists
    assert "groundwork" not in server.check_output("nft list tables")
    assert server.check_output("/usr/sbin/sshd -T") == bare
    assert 5432 in open_ports(client, addresses[4], "5432")
    assert apply(hardening_ssh=False, hardening_firewall=False).changed == 0
