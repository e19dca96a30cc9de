"""What other hosts on the network can reach."""

from __future__ import annotations

import ipaddress
import json
import re

import pytest
from alert_causes import REDIS


@pytest.fixture
def ipv6(node1):
    if not node1.file("/proc/net/if_inet6").exists:
        pytest.skip("this machine has no IPv6")
    (interface,) = json.loads(node1.check_output("ip -json -6 address show dev eth0 scope global"))
    return next(entry["local"] for entry in interface["addr_info"] if entry)


def test_only_ssh_http_and_https_answer(client):
    report = client.check_output("nmap -Pn -p- --min-rate 10000 --max-retries 2 -oG - 172.30.77.11")
    assert set(re.findall(r"(\d+)/open/tcp", report)) == {"22", "80", "443"}


def test_the_edge_answers_by_ipv6_and_sees_who_asks(client, node1, ipv6):
    report = client.check_output(f"nmap -6 -Pn -p- --min-rate 10000 --max-retries 2 -oG - {ipv6}")
    assert set(re.findall(r"(\d+)/open/tcp", report)) == {"22", "80", "443"}
    get = f"curl -s -o /dev/null -w '%{{http_code}}' --cacert /etc/ssl/lab-ca.crt --resolve 'app.lab.test:443:[{ipv6}]'"
    assert client.check_output(f"{get} https://app.lab.test/healthz") == "200"
    client.check_output(f"{get} https://app.lab.test/by-ipv6")
    lines = node1.check_output("docker logs --since 30s edge-caddy-1 2>&1 | grep by-ipv6").splitlines()
    seen = ipaddress.ip_address(json.loads(lines[-1])["request"]["client_ip"])
    assert str(seen) in client.check_output("hostname -I").split()


def test_the_second_server_takes_figures_from_the_platforms_hosts_alone(client, node1):
    report = client.check_output("nmap -Pn -p- --min-rate 10000 --max-retries 2 -oG - 172.30.77.12")
    assert set(re.findall(r"(\d+)/open/tcp", report)) == {"22"}
    assert node1.run("timeout 3 bash -c '</dev/tcp/172.30.77.12/9443'").rc == 0


def test_what_an_operator_needs_is_bound_to_localhost(node1):
    listening = node1.check_output("ss -Hltn")
    for port in ("5432", "6543"):
        addresses = re.findall(rf"(\S+):{port}\s", listening)
        assert addresses and set(addresses) == {"127.0.0.1"}, port


def test_the_data_network_has_no_way_out(node1):
    assert node1.check_output("docker network inspect data --format '{{.Internal}}'") == "true"


def test_applications_and_services_do_not_reach_meta(node1):
    """It runs SQL as postgres for whoever asks."""
    addresses = node1.check_output(
        "docker inspect supabase-meta-1 --format '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}'"
    ).split()
    assert len(addresses) == 1
    ask = (
        "fetch('http://{}:8080/health', {{signal: AbortSignal.timeout(3000)}})"
        ".then(() => process.exit(0), () => process.exit(7))"
    )
    for container in app_containers(node1):
        for host in ("meta", *addresses):
            assert node1.run(f'docker exec {container} node -e "{ask.format(host)}"').rc == 7
    # The same question by one that may ask.
    assert node1.run(f'docker exec supabase-meta-1 node -e "{ask.format("meta")}"').rc == 0


def app_containers(node1):
    names = node1.check_output("docker ps --filter network=data --filter network=gateway --format '{{.Names}}'").split()
    found = [name for name in names if "tenant-app" in name]
    assert found
    return found


def test_nobody_reads_redis_through_its_exporter(node1):
    """It asks what it is told to, with a password of its own."""
    node1.check_output(f"{REDIS} set e2e:hidden {'0' * 20} ex 60")
    ask = "wget -q -O - 'http://redis-exporter:9121/scrape?target=redis://redis:6379&check-keys=db0=*'"
    answer = node1.check_output(f"docker exec exporters-redis-exporter-1 {ask}")
    assert "redis_up 1" in answer and "hidden" not in answer
