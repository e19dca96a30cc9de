# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused before SSH or the firewall shut out who runs the play."""

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.host_access.faults import (
    find_firewall_faults,
    find_ssh_faults,
    parse_ports,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.host_access.host import includes_drop_ins
from ansible_collections.groundwork.supabase.plugins.module_utils.host_access.model import Operator, SshServer

ADMIN = Operator("admin", ("admin", "sudo"), "192.0.2.7", 22)
ROOT = Operator("root", ("root",), "2001:db8::7", 22)
SSH = {"port": 22, "allow_users": [], "allow_groups": [], "root_login": "", "uses_password": False}
ZONES = {"internet": ["0.0.0.0/0", "::/0"], "office": ["192.0.2.0/24", "2001:db8::/32"], "vpn": ["10.8.0.0/16"]}
RULE = {"name": "ssh", "zone": "office", "protocol": "tcp", "ports": ["22"]}


def ssh_faults(operator=ADMIN, server=None, **change):
    return [str(fault) for fault in find_ssh_faults({**SSH, **change}, server or SshServer(), operator)]


def firewall_faults(*rules, operator=ADMIN, zones=None, port=22):
    return [str(fault) for fault in find_firewall_faults({**ZONES, **(zones or {})}, rules, operator, port)]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"allow_users": ["deploy", "admin"]},
        {"allow_users": ["adm*"]},
        {"allow_users": ["admin@198.51.100.*"]},
        {"allow_groups": ["wheel", "sudo"]},
        {"root_login": "no"},
    ],
)
def test_settings_that_let_the_operator_in(change):
    assert ssh_faults(**change) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"port": 0}, "hardening_ssh_port 0: it is not a port"),
        ({"port": 65536}, "hardening_ssh_port 65536: it is not a port"),
        ({"allow_users": ["deploy"]}, "admin, who runs this play, is not among them; add admin"),
        ({"allow_groups": ["wheel"]}, "is in none of them, but in admin, sudo"),
        ({"allow_users": ["admin x"]}, "'admin x': it is no pattern"),
        ({"allow_groups": ["sudo", "a\nPort 1"]}, "it is no pattern"),
        ({"uses_password": True}, "admin connects with a password"),
        ({"root_login": "no", "operator": ROOT}, "this connection logs in as root"),
        ({"server": SshServer(drop_ins=False)}, "/etc/ssh/sshd_config: it does not begin with including"),
    ],
)
def test_settings_that_are_refused(change, said):
    assert any(said in fault for fault in ssh_faults(**change))


@pytest.mark.parametrize(
    ("lines", "read"),
    [
        (["# a comment", "", "Include /etc/ssh/sshd_config.d/*.conf", "Port 22"], True),
        (["include  /etc/ssh/sshd_config.d/*.conf"], True),
        (["Include /etc/crypto.conf /etc/ssh/sshd_config.d/*.conf"], True),
        (["Port 22", "Include /etc/ssh/sshd_config.d/*.conf"], False),
        (["#Include /etc/ssh/sshd_config.d/*.conf", "Port 22"], False),
        ([], False),
    ],
)
def test_drop_ins_count_when_they_are_read_first(lines, read):
    assert includes_drop_ins(lines) is read


@pytest.mark.parametrize(
    ("rule", "operator", "port"),
    [
        ({}, ADMIN, 22),
        ({"zone": "internet"}, ROOT, 22),
        ({}, ROOT, 22),
        ({"ports": ["2000-2999"]}, ADMIN, 2222),
        # Without SSH nobody can be shut out from it.
        ({"ports": ["443"]}, Operator("root", ("root",)), 22),
    ],
)
def test_rules_that_let_the_operator_in(rule, operator, port):
    assert firewall_faults({**RULE, **rule}, operator=operator, port=port) == []


@pytest.mark.parametrize("rule", [{"zone": "vpn"}, {"ports": ["2222"]}, {"protocol": "udp"}, {"zone": "nowhere"}])
def test_rules_that_shut_the_operator_out(rule):
    faults = firewall_faults({**RULE, **rule})
    assert any("no rule lets in 192.0.2.7 at tcp 22" in fault for fault in faults)


def test_every_fault_of_the_firewall_is_reported_at_once():
    zones = {"Office": ["192.0.2.0/24"], "empty": [], "wrong": ["192.0.2.1/24", "example.com", "10.0.0.0/8"]}
    rules = [
        RULE,
        {**RULE, "ports": []},
        {**RULE, "name": 'a"b', "zone": "officce", "ports": ["0", "90-80", "http", "443"]},
    ]
    said = firewall_faults(*rules, zones=zones)
    expected = [
        "hardening_firewall_zones: Office: it is no name for a zone",
        "hardening_firewall_zones: empty: it has no network",
        "hardening_firewall_zones: wrong: 192.0.2.1/24: it is not a network",
        "hardening_firewall_zones: wrong: example.com: it is not a network",
        "hardening_firewall_rules: ssh: two rules have this name",
        "hardening_firewall_rules: ssh: it has no port",
        'hardening_firewall_rules: a"b: it is no name for a rule',
        'hardening_firewall_rules: a"b: there is no zone officce',
        'hardening_firewall_rules: a"b: 0: it is not a port',
        'hardening_firewall_rules: a"b: 90-80: it is not a port',
        'hardening_firewall_rules: a"b: http: it is not a port',
    ]
    assert len(said) == len(expected)
    for fault, start in zip(said, expected):
        assert fault.startswith(start)


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("443", (443, 443)),
        (443, (443, 443)),
        ("8000-8100", (8000, 8100)),
        ("1-65535", (1, 65535)),
        ("80-80", None),
        ("1-65536", None),
        ("-1", None),
        ("80,443", None),
        ("٤٤٣", None),
        ("22 }", None),
        ("22\n", None),
    ],
)
def test_ports(text, ports):
    assert parse_ports(text) == ports
