# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role that two others log in for, in turn: what it may do stays with it, and a new password goes with the other."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.login_role_plan import LoginRole
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.turns import login_name, login_names


def check_logins(declared: Sequence[LoginRole], logins: Mapping[str, str | None]) -> dict[str, str]:
    """Whose turn it is for each role that takes turns, by the secrets that say so; None is not known yet.

    Raises Faults where a secret names somebody else. What it holds is not shown: it may be the wrong secret.
    """
    turns = [role for role in declared if role.takes_turns]
    Faults.raise_all(
        Fault(
            f"role {role.name} ({role.origin}.login_secret)",
            f"that secret is neither {' nor '.join(login_names(role.name))}",
            f"declare it as kind turn with username {role.name}",
        )
        for role in turns
        if logins[role.name] not in (None, *login_names(role.name))
    )
    return {role.name: logins[role.name] or login_name(role.name, "") for role in turns}


def all_names(declared: Sequence[LoginRole]) -> list[str]:
    """Of every role that is declared or logs in for one that is."""
    return [name for role in declared for name in (role.name, *(login_names(role.name) if role.takes_turns else ()))]


def take_turns(
    declared: Sequence[LoginRole], logins: Mapping[str, str], former: Container[str] | None = None
) -> list[LoginRole]:
    """The roles that have to be there: instead of one that takes turns itself and the one that logs in for it.

    former: roles that exist, of which those that had their turn log in no longer. None lets them.
    """
    roles: list[LoginRole] = []
    for role in declared:
        if not role.takes_turns:
            roles.append(role)
            continue
        # Settings are taken when somebody logs in, so the role itself needs none.
        closed = None if former is None else False
        roles.append(replace(role, can_login=closed, connection_limit=None, settings=()))
        for name in login_names(role.name):
            if name == logins[role.name]:
                # By this one what is done in its sessions is the role's: current_user, owners, policies.
                settings = tuple(sorted([*role.settings, ("role", role.name)]))
                roles.append(replace(role, name=name, settings=settings, member_of=(role.name,)))
            elif former is not None and name in former:
                roles.append(LoginRole(name, role.origin, None, (), (), can_login=False))
    return roles
