# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is wrong with an inventory, found before any host is touched. Pure: nothing is read or asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault
from ansible_collections.groundwork.supabase.plugins.module_utils.host_access.faults import parse_ports
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight import front_ends, hosted
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.examples import is_example
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.gateway import find_control_faults
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.image_references import find_image_faults
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.kong import find_kong_faults
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.published_ports import (
    PublishedPort,
    find_port_faults,
    read_ports,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.sign_up import find_sign_up_faults
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.spelling import suggest
from ansible_collections.groundwork.supabase.plugins.module_utils.release.traffic import (
    find_traffic_faults,
    trial_of,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.placeholders import secret_names
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.plan import NAME as SECRET_NAME
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.values import (
    MIN_LENGTH,
    MIN_OPAQUE_LENGTH,
    MIN_SIGNING_LENGTH,
    find_token_faults,
    find_value_faults,
    is_published,
)

GATEWAYS = ("envoy", "kong")
HTTPS = 443
POOLERS = ("pgbouncer", "supavisor")
LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
DOMAIN = re.compile(rf"(?=.{{1,253}}$)(?:\*\.)?{LABEL}(?:\.{LABEL})+")
EMAIL = re.compile(r"[^@\s\"'<>]+@([^@\s\"'<>]+)")

# Characters, as (minimum, exact). Self-hosting guide of Supabase and docker/.env.example: VAULT_ENC_KEY has 32,
# PG_META_CRYPTO_KEY 32 or more; Realtime's ENVS.md: DB_ENC_KEY has 16; Phoenix demands 64 or more of SECRET_KEY_BASE.
LENGTHS: Mapping[str, tuple[int, int | None]] = {
    "jwt_secret": (MIN_SIGNING_LENGTH, None),
    "vault_enc_key": (MIN_LENGTH, 32),
    "realtime_db_enc_key": (MIN_LENGTH, 16),
    "pg_meta_crypto_key": (32, None),
    "secret_key_base": (64, None),
}
# Of a service, in the Compose specification.
SERVICE_NAME = re.compile(r"[a-zA-Z0-9._-]+")
MAKE_SECRET = "declare it in supabase_secrets"
TOKEN_ROLES = {"anon_key": "anon", "service_role_key": "service_role"}

# Keys of a service in the Compose specification that make sense on one host; "files" and "live" are ours.
_ENTRY_KEYS = """
annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent command configs container_name
cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset credential_spec
depends_on deploy develop device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint env_file
environment expose extends external_links extra_hosts files gpus group_add healthcheck hostname image init ipc
isolation label_file labels links live logging mac_address mem_limit mem_reservation mem_swappiness memswap_limit
network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform ports post_start pre_stop privileged
profiles pull_policy read_only restart runtime scale secrets security_opt shm_size stdin_open stop_grace_period
stop_signal storage_opt sysctls tmpfs tty ulimits user userns_mode uts volumes volumes_from working_dir
"""
ENTRY_KEYS = frozenset(_ENTRY_KEYS.split())


@dataclass(frozen=True)
class Inventory:
    """What the preflight looks at; names and meanings are those of the arguments of the preflight action."""

    now: datetime
    services: tuple[str, ...] = ()
    catalog: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    apps: Mapping[str, Any] = field(default_factory=dict)
    app_keys: tuple[str, ...] = ()
    images: Mapping[str, Any] = field(default_factory=dict)
    other_images: Mapping[str, Any] = field(default_factory=dict)
    require_digests: bool = False
    hosts: Mapping[str, Any] = field(default_factory=dict)
    domains: Mapping[str, Any] = field(default_factory=dict)
    email: str = ""
    tls: str = "internal"
    environment: str = "lab"
    edge: tuple[str, ...] = ("caddy",)
    reserved_ports: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Any] = field(default_factory=dict, repr=False)
    opaque_secrets: tuple[str, ...] = ()
    known_secrets: tuple[str, ...] | None = None
    gateway: Mapping[str, Any] = field(default_factory=dict)
    firewall: Mapping[str, Any] = field(default_factory=dict)
    project: str = ""
    # Hosts that apps name and that have IPv6 addresses only.
    ipv6_only: tuple[str, ...] = ()

    def entries(self) -> Iterator[tuple[str, str, Any]]:
        """Name, how it is called to the reader, and entry of every service that is to run."""
        for name in dict.fromkeys(self.services):
            if name in self.catalog:
                yield name, f"service {name}", self.catalog[name]
        for name, entry in self.apps.items():
            yield name, f"app {name}", entry


def find_faults(inventory: Inventory) -> list[Fault]:
    """All faults, in the order in which a person would correct them."""
    checks = (
        find_choice_faults,
        find_entry_faults,
        find_image_reference_faults,
        find_host_faults,
        find_domain_faults,
        find_published_port_faults,
        find_firewall_faults,
        find_secret_faults,
        find_placeholder_faults,
        find_published_faults,
        find_front_end_faults,
        find_gateway_faults,
        find_auth_faults,
        find_project_faults,
    )
    return list(dict.fromkeys(fault for check in checks for fault in check(inventory)))


def find_choice_faults(inventory: Inventory) -> Iterator[Fault]:
    """Services that do not exist, that miss one they depend on, or that exclude one another."""
    chosen = set(inventory.services)
    for name in dict.fromkeys(inventory.services):
        if name not in inventory.catalog:
            yield Fault(f"service {name}", "there is no such service", suggest(name, inventory.catalog))
        if inventory.services.count(name) > 1:
            yield Fault(f"service {name}", "it is chosen more than once", "keep one")
    for what, names in (("override", inventory.overrides), ("image", inventory.images)):
        for name in sorted(set(names) - set(inventory.catalog)):
            yield Fault(f"{what} for {name}", "there is no such service", suggest(name, inventory.catalog))
    for name in sorted(chosen & set(inventory.apps)):
        yield Fault(f"app {name}", "a service has the same name", "rename the app")
    # A name that two containers have on a network leads to either.
    called = {alias: name for name, _where, entry in inventory.entries() for alias in _aliases(entry) if alias != name}
    called.update({trial_of(name): f"the trial of {name}" for name in {*chosen, *inventory.apps}})
    for name in sorted(called.keys() & set(inventory.apps)):
        yield Fault(f"app {name}", f"on its networks {called[name]} has that name", "rename the app")
    for name, where, entry in inventory.entries():
        for needed in _dependencies(entry):
            if needed not in chosen and not (name in inventory.apps and needed in inventory.apps):
                yield Fault(where, f"it depends on {needed}, which is not chosen", f"choose {needed} too")
    gateways = sorted(chosen.intersection(GATEWAYS))
    if len(gateways) != 1 and not inventory.project:
        cause = "both envoy and kong are chosen" if gateways else "neither envoy nor kong is chosen"
        yield Fault("gateway", cause, "choose one of them")
    if chosen.issuperset(POOLERS):
        yield Fault("pooler", f"both {' and '.join(POOLERS)} are chosen", "choose one of them")


def _aliases(entry: Any) -> Iterator[str]:
    networks = entry.get("networks") if isinstance(entry, Mapping) else None
    for options in networks.values() if isinstance(networks, Mapping) else ():
        yield from (options.get("aliases") or ()) if isinstance(options, Mapping) else ()


def find_gateway_faults(inventory: Inventory) -> Iterator[Fault]:
    """Controls that make no sense, and those that the chosen gateway cannot exercise; Envoy can do all."""
    yield from find_control_faults(inventory.gateway)
    if "kong" in inventory.services:
        yield from find_kong_faults(inventory.gateway)


def find_entry_faults(inventory: Inventory) -> Iterator[Fault]:
    """Entries that Compose, or this collection, would not understand."""
    for name, where, entry in inventory.entries():
        if not SERVICE_NAME.fullmatch(name):
            yield Fault(where, "its name is none that Compose takes", "use letters, digits and . _ -")
        if not isinstance(entry, Mapping):
            yield Fault(where, "its entry is not a mapping", "write it as in a Compose file")
            continue
        known = ENTRY_KEYS.union(inventory.app_keys) if name in inventory.apps else ENTRY_KEYS
        for key in sorted(str(key) for key in set(entry) - known):
            yield Fault(where, f"unknown key {key}", suggest(key, known))
        if not isinstance(entry.get("environment") or {}, Mapping):
            yield Fault(where, "environment is not a mapping", "write NAME: value, not a list of NAME=value")
        if not isinstance(entry.get("files") or {}, Mapping):
            yield Fault(where, "files is not a mapping", "write PATH: {template: NAME} or PATH: {content: TEXT}")
        if entry.get("traffic") is not None:
            yield from find_traffic_faults(where, entry["traffic"])
        live = entry.get("live") or {}
        if not isinstance(live, Mapping) or not isinstance(live.get("files") or {}, Mapping):
            yield Fault(
                where, "live is not a mapping with files", "write path: FOLDER, files: {NAME: {template: NAME}}"
            )


def find_image_reference_faults(inventory: Inventory) -> Iterator[Fault]:
    """Images by themselves, then those that only an entry names."""
    for name, reference in inventory.images.items():
        yield from find_image_faults(f"image {name}", _text(reference), inventory.require_digests)
    for variable, reference in inventory.other_images.items():
        yield from find_image_faults(variable, _text(reference), inventory.require_digests)
    listed = {_text(reference) for reference in inventory.images.values()}
    for _name, where, entry in inventory.entries():
        if isinstance(entry, Mapping) and _text(entry.get("image")) not in listed:
            yield from find_image_faults(f"{where}: image", _text(entry.get("image")), inventory.require_digests)


def find_host_faults(inventory: Inventory) -> Iterator[Fault]:
    """Servers that were not filled in. Without an address a host is reached by its name."""
    for name, value in inventory.hosts.items():
        address = _text(value) or str(name)
        if is_example(address):
            yield Fault(f"host {name}", f"{address} is an example", "set ansible_host to the server's address")


def find_domain_faults(inventory: Inventory) -> Iterator[Fault]:
    """Domains and the address that a certificate authority writes to."""
    real = inventory.environment in ("staging", "prod")
    for purpose, value in inventory.domains.items():
        where, domain = f"domain {purpose}", _text(value)
        if not domain:
            yield Fault(where, "it is missing", "set it to a name that resolves to the host")
        elif not DOMAIN.fullmatch(domain):
            yield Fault(where, f"{domain!r} is not a domain", "write it in lower case without https:// and path")
        elif real and is_example(domain):
            yield Fault(where, f"{domain} is an example", "set it to a domain of yours")
    match = EMAIL.fullmatch(inventory.email)
    if not inventory.email:
        if inventory.tls == "acme":
            yield Fault("email", "it is missing", "set the address that the certificate authority warns")
    elif match is None:
        yield Fault("email", f"{inventory.email!r} is not an address", "write NAME@DOMAIN")
    elif real and is_example(match.group(1)):
        yield Fault("email", f"{inventory.email} is an example", "set it to an address that somebody reads")


def find_published_port_faults(inventory: Inventory) -> Iterator[Fault]:
    """Host ports over services and apps together."""
    owners = {name: where for name, where, _entry in inventory.entries()}
    # What the host or the edge listens on collides, but is public by right.
    ports = [PublishedPort(who, "0.0.0.0", int(port)) for port, who in inventory.reserved_ports.items()]
    for _name, where, entry in inventory.entries():
        if not isinstance(entry, Mapping) or not entry.get("ports"):
            continue
        try:
            ports.extend(read_ports(where, entry["ports"]))
        except ValueError as error:
            yield Fault(where, str(error), 'write "127.0.0.1:HOST:CONTAINER"')
    trusted = {owners[name] for name in inventory.edge if name in owners} | set(inventory.reserved_ports.values())
    yield from find_port_faults(ports, trusted)


def find_firewall_faults(inventory: Inventory) -> Iterator[Fault]:
    """A firewall behind which nobody finds the edge. What its rules say by themselves is judged on the host."""
    rules = inventory.firewall.get("rules")
    if rules is None:
        return
    web = [rule for rule in rules if isinstance(rule, Mapping) and rule.get("protocol", "tcp") == "tcp"]
    ranges = [parse_ports(port) for rule in web for port in rule.get("ports") or []]
    if not any(ports and ports[0] <= HTTPS <= ports[1] for ports in ranges):
        yield Fault(
            "hardening_firewall_rules",
            f"nobody is let in to port {HTTPS}, where the edge serves",
            "add {name: web, zone: internet, protocol: tcp, ports: [80, 443]}, or leave the firewall to others with "
            "hardening_firewall: false",
        )


def find_secret_faults(inventory: Inventory) -> Iterator[Fault]:
    """Values that the inventory gives, one by one and against each other."""
    for name in sorted({*(inventory.known_secrets or ()), *inventory.secrets}):
        if not SECRET_NAME.fullmatch(name):
            yield Fault(f"secret {name}", "its name is not lower case letters, digits and _", "rename it")
    values = {name: "" if value is None else str(value) for name, value in inventory.secrets.items()}
    seen: dict[str, str] = {}
    for name, value in values.items():
        where = f"secret {name}"
        role = None if inventory.project else TOKEN_ROLES.get(name)
        usual = MIN_OPAQUE_LENGTH if name in inventory.opaque_secrets else MIN_LENGTH
        minimum, exact = LENGTHS.get(name, (usual, None))
        faults = find_value_faults(where, value, 1 if role else minimum, exact)
        yield from faults
        if role and not faults:
            yield from _token_faults(where, value, role, values, inventory.now)
        if value and value in seen:
            yield Fault(where, f"its value equals that of {seen[value]}", "give each its own")
        seen.setdefault(value, name)


def _token_faults(where: str, value: str, role: str, values: Mapping[str, str], now: datetime) -> list[Fault]:
    if not values.get("jwt_secret"):
        return [Fault(where, "it is given, but jwt_secret that signed it is not", "give both, or none")]
    claims = {"role": role, "iss": "supabase"}
    return find_token_faults(where, value, values["jwt_secret"], "jwt_secret", claims, now)


def find_placeholder_faults(inventory: Inventory) -> Iterator[Fault]:
    """Secrets that something mentions and nobody makes or gives."""
    if inventory.known_secrets is None:
        return
    known = set(inventory.known_secrets) | set(inventory.secrets)
    for _name, where, entry in inventory.entries():
        mentioned = {name for _path, text in front_ends.texts(entry) for name in secret_names(text)}
        for name in sorted(mentioned - known):
            yield Fault(where, f"nobody makes or gives secret {name}", suggest(name, known, MAKE_SECRET))


def find_published_faults(inventory: Inventory) -> Iterator[Fault]:
    """Supabase's example keys and passwords where they are written out in place of a secret's name."""
    for _name, where, entry in inventory.entries():
        for path, text in front_ends.texts(entry):
            # Shorter ones are words that mean something else too, such as the name of a database.
            if len(text) >= MIN_LENGTH and is_published(text):
                yield Fault(where, f"its {path} holds an example that Supabase published", "write ${secret:NAME}")


def find_auth_faults(inventory: Inventory) -> Iterator[Fault]:
    """Settings of Auth that lock everybody out."""
    if "auth" in inventory.services:
        yield from find_sign_up_faults("service auth", inventory.catalog.get("auth"))


def find_project_faults(inventory: Inventory) -> Iterator[Fault]:
    """What does not fit the hosted project, where there is one."""
    if inventory.project:
        values = {name: str(value) for name, value in inventory.secrets.items() if value}
        yield from hosted.find_hosted_faults(
            inventory.project, inventory.services, inventory.apps, values, inventory.ipv6_only, inventory.now
        )


def find_front_end_faults(inventory: Inventory) -> Iterator[Fault]:
    """Secret keys within reach of an application whose code runs in browsers."""
    values = {str(value): name for name, value in inventory.secrets.items() if value}
    for name, entry in inventory.apps.items():
        if isinstance(entry, Mapping) and entry.get("public"):
            yield from front_ends.find_front_end_faults(f"app {name}", entry, values)


def _dependencies(entry: Any) -> list[str]:
    """Services that an entry cannot do without, from the short or the long syntax of depends_on."""
    needed = entry.get("depends_on") if isinstance(entry, Mapping) else None
    if isinstance(needed, Mapping):
        return [
            str(name)
            for name, condition in needed.items()
            if not isinstance(condition, Mapping) or condition.get("required", True)
        ]
    return [str(name) for name in needed] if isinstance(needed, (list, tuple)) else []


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
