"""What other hosts on the network can reach."""

from __future__ import annotations

import re


def test_only_ssh_http_and_https_answer(client):
    report = client.check_output("nmap -Pn -p- --min-rate 10000 --max-retries 2 -oG - 172.30.77.11")
    assert set(re.findall(r"(\d+)/open/tcp", report)) == {"22", "80", "443"}


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
