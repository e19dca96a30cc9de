# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find what is wrong with the wishes for SSH and the firewall. Nothing here touches the host."""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Union

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault
from ansible_collections.groundwork.supabase.plugins.module_utils.host_access.model import Operator, SshServer

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
ZONE = re.compile(r"[a-z][a-z0-9_]{0,23}")
RULE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}")
PATTERN = re.compile(r"[^\s\"']+")
RANGE = re.compile(r"([0-9]+)-([0-9]+)")


def find_ssh_faults(ssh: Mapping[str, Any], server: SshServer, operator: Operator) -> Iterator[Fault]:
    """``ssh``: port, allow_users, allow_groups, root_login, uses_password (whether this connection does)."""
    if not is_port(ssh["port"]):
        yield Fault(f"hardening_ssh_port {ssh['port']}", "it is not a port", "choose one from 1 to 65535")
    if not server.drop_ins:
        cause = "it does not begin with including /etc/ssh/sshd_config.d/*.conf, so what it sets itself would win"
        yield Fault("/etc/ssh/sshd_config", cause, "put Include /etc/ssh/sshd_config.d/*.conf first")
    if ssh["uses_password"]:
        cause = f"{operator.user} connects with a password, and only keys will be accepted"
        yield Fault("ansible_password", cause, "put a key into authorized_keys and connect with it")
    if operator.user == "root" and ssh["root_login"] == "no":
        cause = "this connection logs in as root"
        yield Fault("hardening_ssh_root_login no", cause, "connect as another user, or set it to prohibit-password")
    users, groups = ssh["allow_users"], ssh["allow_groups"]
    for name, patterns in (("hardening_ssh_allow_users", users), ("hardening_ssh_allow_groups", groups)):
        for pattern in [pattern for pattern in patterns if not PATTERN.fullmatch(pattern)]:
            yield Fault(f"{name}: {pattern!r}", "it is no pattern", "write a name, without blanks and quotes")
    # A pattern that names hosts too is judged by the connection that has to confirm it.
    if users and not any(fnmatch.fnmatchcase(operator.user, pattern.partition("@")[0]) for pattern in users):
        cause = f"{operator.user}, who runs this play, is not among them"
        yield Fault("hardening_ssh_allow_users", cause, f"add {operator.user}")
    if groups and not any(fnmatch.fnmatchcase(group, pattern) for group in operator.groups for pattern in groups):
        cause = f"{operator.user}, who runs this play, is in none of them, but in {', '.join(operator.groups)}"
        yield Fault("hardening_ssh_allow_groups", cause, f"add one of these, or put {operator.user} into one of those")


def find_firewall_faults(
    zones: Mapping[str, Sequence[str]], rules: Sequence[Mapping[str, Any]], operator: Operator, ssh_port: int
) -> Iterator[Fault]:
    """``ssh_port``: where SSH will listen."""
    networks: dict[str, list[Network]] = {}
    for name, sources in zones.items():
        if not ZONE.fullmatch(name):
            remedy = "use at most 24 small letters, digits and underscores, a letter first"
            yield Fault(f"hardening_firewall_zones: {name}", "it is no name for a zone", remedy)
        if not sources:
            yield Fault(f"hardening_firewall_zones: {name}", "it has no network", "give it one, or leave the zone out")
        parsed = [(source, parse_network(source)) for source in sources]
        networks[name] = [network for _source, network in parsed if network is not None]
        for source in [source for source, network in parsed if network is None]:
            remedy = "write an address, or ADDRESS/LENGTH with no bit set behind the length"
            yield Fault(f"hardening_firewall_zones: {name}: {source}", "it is not a network", remedy)
    names = [str(rule["name"]) for rule in rules]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Fault(f"hardening_firewall_rules: {name}", "two rules have this name", "rename one of them")
    for rule in rules:
        yield from find_rule_faults(rule, networks)
    if operator.address and not any(lets_in(rule, networks, operator.address, ssh_port) for rule in rules):
        cause = f"no rule lets in {operator.address} at tcp {ssh_port}, which is the SSH connection that runs this play"
        yield Fault("hardening_firewall_rules", cause, "add a rule for it, with a zone that has this address")


def find_rule_faults(rule: Mapping[str, Any], networks: Mapping[str, Sequence[Network]]) -> Iterator[Fault]:
    where = f"hardening_firewall_rules: {rule['name']}"
    if not RULE.fullmatch(str(rule["name"])):
        remedy = "use at most 63 letters, digits, blanks, dots, dashes and underscores"
        yield Fault(where, "it is no name for a rule", remedy)
    if rule["zone"] not in networks:
        yield Fault(where, f"there is no zone {rule['zone']}", f"choose from {', '.join(sorted(networks))}")
    if not rule["ports"]:
        yield Fault(where, "it has no port", "give it one, or leave the rule out")
    for port in rule["ports"]:
        if parse_ports(port) is None:
            yield Fault(f"{where}: {port}", "it is not a port", "write a number from 1 to 65535, or FIRST-LAST")


def lets_in(rule: Mapping[str, Any], networks: Mapping[str, Sequence[Network]], address: str, port: int) -> bool:
    ranges = [parsed for parsed in map(parse_ports, rule["ports"]) if parsed is not None]
    source = ipaddress.ip_address(address)
    return (
        rule["protocol"] == "tcp"
        and any(first <= port <= last for first, last in ranges)
        and any(source in network for network in networks.get(rule["zone"], []))
    )


def parse_network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def parse_ports(text: object) -> tuple[int, int] | None:
    """First and last port of ``443`` or ``8000-8100``."""
    if is_port(text):
        return int(str(text)), int(str(text))
    match = RANGE.fullmatch(str(text))
    if match is None or not (is_port(match[1]) and is_port(match[2])) or int(match[1]) >= int(match[2]):
        return None
    return int(match[1]), int(match[2])


def is_port(text: object) -> bool:
    return re.fullmatch(r"[0-9]{1,5}", str(text)) is not None and 1 <= int(str(text)) <= 65535
