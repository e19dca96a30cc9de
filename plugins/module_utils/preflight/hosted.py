# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with an inventory whose Supabase is a project at supabase.com. Pure: nothing is read or asked."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.front_ends import TOKEN_LITERAL, texts
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets import jwt
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.placeholders import PLACEHOLDER
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.values import find_claim_faults

# Source: supabase/cli, internal/utils/misc.go, ProjectRefPattern.
REFERENCE = re.compile(r"[a-z]{20}")
# Stands in Supabase's documentation, and in the example inventory.
EXAMPLE_REFERENCE = "abcdefghijklmnopqrst"
PROJECT_HOST = re.compile(r"\b(?P<direct>db\.)?(?P<project>[a-z]{20})\.supabase\.co\b")
SHARED_POOLER = ".pooler.supabase.com"
# Of the shared pooler, of a paid project's own one, and of the pooler that role stack runs.
TRANSACTION_PORT = "6543"
DATABASE_URL = re.compile(
    r"\bpostgres(?:ql)?://(?:(?P<user>[^\s:@/]*)(?::[^\s@/]*)?@)?(?P<host>[\w.-]+)(?::\d+)?"
    r"(?:/[^\s?\"']*)?(?:\?(?P<query>[^\s\"'#]*))?"
)
# What runs beside applications all the same.
LOCAL_SERVICES = frozenset({"redis"})
KEY_PREFIXES = {"publishable_key": "sb_publishable_", "secret_key": "sb_secret_"}
COPY_KEY = "copy it from the project's settings, API Keys"
VERIFIED = "sslmode=verify-full&sslrootcert=FILE"


def find_hosted_faults(
    project: str,
    services: Collection[str],
    apps: Mapping[str, Any],
    values: Mapping[str, str],
    ipv6_only: Collection[str],
    now: datetime,
) -> Iterator[Fault]:
    """All faults but those of role database.

    project: its reference. values: of the secrets that the inventory gives, by name. ipv6_only: hosts in apps that have
    no other addresses.
    """
    if not REFERENCE.fullmatch(project):
        cause = f"{project!r} is not the reference of a project"
        yield Fault("supabase_project", cause, "write the 20 letters before .supabase.co in its URL")
        return
    if project == EXAMPLE_REFERENCE:
        yield Fault("supabase_project", f"{project} is an example", "set it to the reference of your project")
    for name in sorted(set(services) - LOCAL_SERVICES):
        cause = f"it runs in the hosted project {project}"
        yield Fault(f"service {name}", cause, "take it off stack_services, or leave supabase_project empty")
    yield from find_key_faults(project, values, now)
    for name, entry in apps.items():
        yield from find_app_faults(f"app {name}", entry, project, ipv6_only)


def find_key_faults(project: str, values: Mapping[str, str], now: datetime) -> Iterator[Fault]:
    """API keys that are of another kind or of another project. Who signed a token only the project knows."""
    for name, prefix in KEY_PREFIXES.items():
        if values.get(name) and not values[name].startswith(prefix):
            yield Fault(f"secret {name}", f"its value does not begin with {prefix}", COPY_KEY)
    for name, role in (("anon_key", "anon"), ("service_role_key", "service_role")):
        if not values.get(name):
            continue
        try:
            token = jwt.decode(values[name])
        except jwt.MalformedToken as error:
            yield Fault(f"secret {name}", f"it is not a JSON Web Token: {error}", COPY_KEY)
            continue
        yield from find_claim_faults(f"secret {name}", token, {"role": role, "ref": project}, now, COPY_KEY)


def direct_hosts(apps: Mapping[str, Any]) -> set[str]:
    """Hosts of databases that applications name without a pooler."""
    found = (PROJECT_HOST.finditer(text) for entry in apps.values() for _path, text in texts(entry))
    return {match[0] for matches in found for match in matches if match["direct"]}


def find_app_faults(where: str, entry: Any, project: str, ipv6_only: Collection[str]) -> Iterator[Fault]:
    """What an application says of projects and of their databases.

    ipv6_only: hosts that have no other addresses. The containers' networks have IPv4 alone.
    """
    for path, text in texts(entry):
        yield from _other_project_faults(where, path, text, project)
        for host in sorted({match[0] for match in PROJECT_HOST.finditer(text)}.intersection(ipv6_only)):
            cause = f"its {path} names {host}, which has IPv6 addresses only, and containers have none"
            yield Fault(where, cause, "name the pooler's host, or add IPv4 to the project")
        for match in DATABASE_URL.finditer(PLACEHOLDER.sub("x", text)):
            yield from _url_faults(where, path, match, project)


def _other_project_faults(where: str, path: str, text: str, project: str) -> Iterator[Fault]:
    for match in PROJECT_HOST.finditer(text):
        if match["project"] != project:
            cause = f"its {path} names {match[0]}, another project"
            yield Fault(where, cause, f"name {project}, or correct supabase_project")
    for literal in TOKEN_LITERAL.findall(text):
        try:
            claims = jwt.decode(literal).claims
        except jwt.MalformedToken:
            continue
        if claims.get("iss") == "supabase" and claims.get("ref") != project:
            yield Fault(where, f"its {path} holds a key of another project", COPY_KEY)


def _url_faults(where: str, path: str, url: re.Match[str], project: str) -> Iterator[Fault]:
    host, user = url["host"], url["user"]
    if not (host.endswith(SHARED_POOLER) or PROJECT_HOST.fullmatch(host)):
        return
    settings = parse_qs(url["query"] or "")
    # Prisma has words of its own.
    if settings.get("sslmode") != ["verify-full"] and settings.get("sslaccept") != ["strict"]:
        yield Fault(where, f"its {path} sends to whoever answers for {host}", f"add ?{VERIFIED} to the URL")
    if host.endswith(SHARED_POOLER) and user is not None and not user.endswith(f".{project}"):
        yield Fault(where, f"its {path} does not tell {host} which project it is for", f"log in as ROLE.{project}")


def find_login_faults(variables: Mapping[str, Any], project: str, given: Collection[str]) -> Iterator[Fault]:
    """How role database reaches the project.

    variables: those that the inventory sets, by name. given: names of the secrets that it gives.
    """
    if str(variables.get("database_login_port")) == TRANSACTION_PORT:
        cause = f"{TRANSACTION_PORT} is a transaction pooler's, which keeps no lock and no setting of a session"
        yield Fault("database_login_port", cause, "set it to 5432, of the session pooler or of the database itself")
    if not project or not variables:
        return
    host = str(variables.get("database_login_host") or "")
    if not host:
        cause = "it is missing, so there is no database for the other database_ variables"
        yield Fault("database_login_host", cause, "set it to the session pooler's host, see Connect in the dashboard")
        return
    user = str(variables.get("database_login_user") or "postgres")
    if host.endswith(SHARED_POOLER) and not user.endswith(f".{project}"):
        cause = f"{user} does not tell the pooler which project it is for"
        yield Fault("database_login_user", cause, f"set it to postgres.{project}")
    direct = PROJECT_HOST.fullmatch(host)
    if direct and direct["project"] != project:
        yield Fault("database_login_host", f"{host} is of another project", f"set it to db.{project}.supabase.co")
    mode = variables.get("database_ssl_mode")
    if mode != "verify-full":
        cause = f"{mode or 'it is missing, and its default'} takes whoever answers for {host}"
        yield Fault("database_ssl_mode", cause, "set it to verify-full")
    if not variables.get("database_ca_cert"):
        remedy = "name the file that the dashboard gives under Database Settings, SSL Configuration"
        yield Fault("database_ca_cert", "it is missing, and no system knows Supabase's authority", remedy)
    if not variables.get("database_login_password_file") and "postgres_password" not in given:
        yield Fault("secret postgres_password", "nobody gives it", "give the project's, in stack_given_secrets")
    if variables.get("database_settings"):
        cause = "ALTER SYSTEM needs a superuser, and a hosted project gives nobody one"
        yield Fault("database_settings", cause, "set them with supabase postgres-config update, and leave it out")
