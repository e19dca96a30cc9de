# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles that services log in as: what they are to be, what they are, and what has to be done about it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import check_identifier, quote_identifier
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import Change, Plan, Step, lines, sql
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.turns import login_names

# Settings whose value is a list of names; PostgreSQL quotes each by itself.
LISTS = frozenset({"search_path", "session_preload_libraries", "local_preload_libraries", "temp_tablespaces"})
SETTING = re.compile(r"[a-z_][a-z0-9_$]*(\.[a-z_][a-z0-9_$]*)*", re.IGNORECASE)
LIST_PART = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",]+?))\s*(?:,|$)')
HIDDEN = "********"
RESERVED = re.compile(r"public|none|pg_.*")


@dataclass(frozen=True)
class LoginRole:
    """A role as it is asked for. What is None or empty is left as it is. Settings are sorted by name.

    takes_turns: two others log in for it, see login_turns.
    """

    name: str
    origin: str
    connection_limit: int | None
    settings: tuple[tuple[str, Any], ...]
    member_of: tuple[str, ...]
    can_login: bool | None = True
    takes_turns: bool = False


@dataclass(frozen=True)
class LiveRole:
    """A role as the catalog has it. powers: attributes that no service needs. expired: its password is."""

    name: str
    can_login: bool
    powers: tuple[str, ...]
    expired: bool
    connection_limit: int
    settings: tuple[tuple[str, Any], ...]
    member_of: frozenset[str]


def read_login_roles(roles: Sequence[Mapping[str, Any]]) -> list[LoginRole]:
    """Raises Faults."""
    declared: list[LoginRole] = []
    faults: list[Fault] = []
    taken: set[str] = set()
    for position, arguments in enumerate(roles):
        object = f"role {arguments['name']} (login_roles[{position}])"
        takes_turns = bool(arguments.get("login_secret"))
        own = [arguments["name"], *(login_names(arguments["name"]) if takes_turns else ())]
        try:
            names = [check_identifier(name) for name in [*own, *arguments["member_of"]]]
        except GroundworkError as error:
            faults.append(Fault(f"{object}, {error.object}", error.cause, error.remedy))
            continue
        if names[0] in taken:
            faults.append(Fault(object, "it is declared twice", "declare it once"))
        for login in taken.intersection(own[1:]):
            faults.append(Fault(object, f"{login}, which would log in for it, is another one's", "rename one of them"))
        taken.update(own)
        faults.extend(_value_faults(object, arguments))
        settings = ((name.lower(), _value(name.lower(), value)) for name, value in arguments["settings"].items())
        declared.append(
            LoginRole(
                name=names[0],
                origin=f"login_roles[{position}]",
                connection_limit=arguments["connection_limit"],
                settings=tuple(sorted(settings)),
                member_of=tuple(names[len(own) :]),
                takes_turns=takes_turns,
            )
        )
    Faults.raise_all(faults)
    return declared


def _value_faults(object: str, arguments: Mapping[str, Any]) -> Iterator[Fault]:
    if RESERVED.fullmatch(arguments["name"]):
        yield Fault(object, "PostgreSQL keeps this name for itself", "give another name")
    if arguments["connection_limit"] is not None and arguments["connection_limit"] < -1:
        yield Fault(object, "its connection limit is below -1, which means none", "give another limit")
    for name, value in arguments["settings"].items():
        if not SETTING.fullmatch(name):
            yield Fault(f"{object}, setting {name!r}", "no setting is named so", "correct the name")
        if name.lower() == "role" and arguments.get("login_secret"):
            yield Fault(f"{object}, setting {name}", "the roles that log in for it have that one", "leave it out")
        if value is None:
            yield Fault(f"{object}, setting {name}", "it has no value", "give one, or leave the setting out")


def _value(name: str, value: Any) -> Any:
    """A setting's value as PostgreSQL keeps it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if name in LISTS:
        return tuple(filter(None, map(str, value))) if isinstance(value, list) else split_list(str(value))
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def split_list(text: str) -> tuple[str, ...]:
    """Names of a list such as ``"$user", public``. A list with nothing in it is kept as one empty name."""
    found = (match.group(2) or (match.group(1) or "").replace('""', '"') for match in LIST_PART.finditer(text))
    return tuple(filter(None, found))


def read_setting(text: str) -> tuple[str, Any]:
    """An element of ``pg_roles.rolconfig``, such as ``statement_timeout=5s``."""
    name, _equals, value = text.partition("=")
    # The server writes a name as it knows it, TimeZone for instance, and reads it in any case.
    name = name.lower()
    return name, split_list(value) if name in LISTS else value


def plan_login_roles(
    declared: Sequence[LoginRole], live: Mapping[str, LiveRole], verifiers: Mapping[str, str | None]
) -> Plan:
    """verifiers: of the roles whose password has to be set; None where it is not known yet, in a dry run.

    Raises Faults where a role has more power than a service may have.
    """
    Faults.raise_all(fault for role in declared if role.name in live for fault in _live_faults(role, live[role.name]))
    made: list[Step] = []
    granted: list[Step] = []
    changes: list[Change] = []
    for role in declared:
        there = live.get(role.name)
        steps, grants = list(_role(role, there, verifiers)), list(_memberships(role, there))
        if steps or grants:
            made.extend(steps)
            granted.extend(grants)
            before = _text(there) if there else ""
            changes.append(Change(f"role {role.name}", before, _after(role, there, role.name in verifiers)))
    # A role may be a member of one that stands behind it in the list.
    return Plan((*made, *granted), tuple(changes))


def _live_faults(role: LoginRole, there: LiveRole) -> Iterator[Fault]:
    object = f"role {role.name} ({role.origin})"
    if there.powers:
        remedy = "a service's role needs none of that; take it away, or declare another role"
        yield Fault(object, f"it has {', '.join(there.powers)}", remedy)
    if there.expired and role.can_login:
        remedy = f"alter role {quote_identifier(role.name)} valid until 'infinity', or take the role out"
        yield Fault(object, "its password has expired, so it cannot log in", remedy)


def check_groups(declared: Sequence[LoginRole], roles: frozenset[str]) -> None:
    """Raises Faults with the roles that somebody is to be a member of and that neither exist nor are declared."""
    known = roles | {role.name for role in declared}
    Faults.raise_all(
        Fault(f"role {role.name} ({role.origin}.member_of)", f"role {group} does not exist", "create it first")
        for role in declared
        for group in role.member_of
        if group not in known
    )


def _role(role: LoginRole, there: LiveRole | None, verifiers: Mapping[str, str | None]) -> Iterator[Step]:
    object, name = f"role {role.name}", sql.Identifier(role.name)
    options: list[sql.Composable] = []
    if role.can_login and (there is None or not there.can_login):
        options.append(sql.SQL("login"))
    elif not role.can_login and (there is None or (role.can_login is False and there.can_login)):
        options.append(sql.SQL("nologin"))
    if role.connection_limit is not None and (there is None or there.connection_limit != role.connection_limit):
        options.append(sql.SQL("connection limit {}").format(sql.Literal(role.connection_limit)))
    shown = list(options)
    if role.name in verifiers:
        options.append(sql.SQL("password {}").format(sql.Literal(verifiers[role.name] or HIDDEN)))
        shown.append(sql.SQL("password {}").format(sql.Literal(HIDDEN)))
    if options:
        verb = sql.SQL("create role {} {}" if there is None else "alter role {} {}")
        statement, masked = (verb.format(name, sql.SQL(" ").join(some)) for some in (options, shown))
        yield Step(object, statement, role.origin, masked=masked)
    present = dict(there.settings) if there else {}
    for setting, value in role.settings:
        if present.get(setting) != value:
            statement = sql.SQL("alter role {} set {} to {}").format(
                name, _setting_name(setting), _setting_value(value)
            )
            yield Step(object, statement, f"{role.origin}.settings.{setting}")


def _memberships(role: LoginRole, there: LiveRole | None) -> Iterator[Step]:
    for group in role.member_of:
        if there is None or group not in there.member_of:
            statement = sql.SQL("grant {} to {}").format(sql.Identifier(group), sql.Identifier(role.name))
            yield Step(f"role {role.name}", statement, f"{role.origin}.member_of")


def _setting_name(name: str) -> sql.Composable:
    return sql.SQL(".").join(map(sql.Identifier, name.split(".")))


def _setting_value(value: Any) -> sql.Composable:
    if isinstance(value, tuple):
        return sql.SQL(", ").join(map(sql.Literal, value)) if value else sql.Literal("")
    return sql.Literal(value)


def _text(role: LiveRole, password: str = "") -> str:
    """As a person reads it in a diff."""
    settings = [
        f"\n  {name}: {', '.join(value) if isinstance(value, tuple) else value}" for name, value in role.settings
    ]
    limit = None if role.connection_limit < 0 else role.connection_limit
    fields = lines(
        login="yes" if role.can_login else "no",
        password=password,
        connection_limit=limit,
        member_of=", ".join(sorted(role.member_of)),
    )
    return f"role {role.name}\n{fields}{''.join(settings)}"


def _after(role: LoginRole, there: LiveRole | None, has_new_password: bool) -> str:
    old = there or LiveRole(role.name, False, (), False, -1, (), frozenset())
    can_login = old.can_login if role.can_login is None else role.can_login
    limit = old.connection_limit if role.connection_limit is None else role.connection_limit
    settings = tuple(sorted({**dict(old.settings), **dict(role.settings)}.items()))
    new = LiveRole(role.name, can_login, (), False, limit, settings, old.member_of | frozenset(role.member_of))
    return _text(new, "(set)" if has_new_password else "")
