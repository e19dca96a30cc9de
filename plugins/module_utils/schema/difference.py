# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which privileges on one object are missing, and which have to go. Decides only; no SQL is here.

How PostgreSQL 15 and 17 take back what a role has passed on was measured, since the manual ("REVOKE") leaves it open:

- The owner cannot revoke what another role granted, nor say GRANTED BY that role. What the owner can do is to revoke
  that role's own grant option with CASCADE.
- That does not reach a column's privilege that was passed on by an option on the table. It is reached once the role has
  been given the option anew, on the column itself, and loses it again with CASCADE.
- Nor does it reach what was passed on by a role that still has the option as a member of another one. No error says so.
  The same helps where the other one has lost the option since.
- Whoever is a member of the owner grants and revokes as the owner only if no other role that it is, or is a member of,
  may pass the privilege on; else it revokes what that one granted, and silently not what the owner did. So the owner's
  role has to be taken first.
- Nothing helps where the role has the owner's privileges, or those of a role that it has given the option itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional

from ansible_collections.groundwork.supabase.plugins.module_utils.schema.model import (
    API_ROLES,
    PUBLIC,
    DeclaredSchema,
    Grant,
    LiveSchemas,
    Object,
)


@dataclass(frozen=True)
class Difference:
    """What has to be done about the privileges on an object.

    surplus: goes as a whole. options: only the right to pass it on goes. passed: given by somebody else than the owner,
    goes with the grantor's option. lasting: the grantors' privileges that must be given anew for that. stuck: would not
    even go then. kept: given to PUBLIC by somebody else than the owner; it takes exact to take that.
    """

    missing: frozenset[Grant] = frozenset()
    surplus: frozenset[Grant] = frozenset()
    options: frozenset[Grant] = frozenset()
    passed: frozenset[Grant] = frozenset()
    lasting: frozenset[Grant] = frozenset()
    stuck: frozenset[Grant] = frozenset()
    kept: frozenset[Grant] = frozenset()

    def __bool__(self) -> bool:
        return any((self.missing, self.surplus, self.options, self.passed, self.kept))


def compare(schema: DeclaredSchema, live: LiveSchemas, object: Object, exact: bool) -> Difference:
    """The owner's own privileges are the owner's affair."""
    wanted = _wanted(schema, live, object)
    by_owner = frozenset(grant for grant in object.grants if grant.grantor is None and grant.role != object.owner)
    by_others = frozenset(grant for grant in object.grants if grant.grantor is not None)
    if exact:
        lasting, stuck = _take_back(live, object, wanted, by_others)
        return Difference(
            missing=wanted - {grant.plain for grant in by_owner},
            surplus=frozenset(grant for grant in by_owner if grant.plain not in wanted),
            options=frozenset(grant for grant in by_owner if grant.plain in wanted and grant.option),
            passed=by_others,
            lasting=lasting,
            stuck=stuck,
        )
    return Difference(
        missing=wanted - {grant.plain for grant in object.grants},
        surplus=frozenset(grant for grant in by_owner if grant.role == PUBLIC),
        kept=frozenset(grant for grant in by_others if grant.role == PUBLIC),
    )


def under_new_owner(schema: DeclaredSchema, object: Object, managed: bool) -> Object:
    """The schema as it is once it has changed hands: PostgreSQL puts the new owner in the old one's place, as the one
    who has privileges and as the one who gave them.
    """
    new = schema.owner
    if new is None or new == object.owner:
        return object
    grants = frozenset(
        grant._replace(
            role=new if grant.role == object.owner else grant.role,
            grantor=None if grant.grantor == new else grant.grantor,
        )
        for grant in object.grants
    )
    return replace(object, owner=new, managed=managed, grants=grants)


def has_rival(live: LiveSchemas, object: Object) -> bool:
    """Whether PostgreSQL could take what the connecting role does on the object for another one's than the owner's."""
    ours = {live.user, *(other for role, other in live.acts_as if role == live.user)} - {object.owner}
    return (
        object.owner != live.user
        and not live.is_superuser
        and any(grant.option and grant.role in ours for grant in object.grants)
    )


def _wanted(schema: DeclaredSchema, live: LiveSchemas, object: Object) -> frozenset[Grant]:
    """Whoever makes objects in a schema keeps what that takes. Callers of the API reach a partition through its table,
    whose policies hold there; module partitions closes each of its own."""
    makers = (schema.creators or (live.user,)) if object.kind == "schema" else ()
    kept = {grant.plain for grant in object.grants if grant.role in makers}
    without = {object.owner, *(API_ROLES if object.partition else ())}
    return frozenset(grant for grant in schema.wanted(object.kind) | kept if grant.role not in without)


# Who has a privilege from whom, None being the owner, and whether that one may pass it on.
_Held = dict[tuple[str, Optional[str]], bool]


def _take_back(
    live: LiveSchemas, object: Object, wanted: frozenset[Grant], passed: frozenset[Grant]
) -> tuple[frozenset[Grant], frozenset[Grant]]:
    """What of the Difference is lasting, and what stuck: everything is revoked in mind, in the plan's order."""
    lasting, stuck = set(), set()
    for privilege, column in {(grant.privilege, grant.column) for grant in passed}:
        held: _Held = {}
        for grant in object.grants:
            if (grant.privilege, grant.column) == (privilege, column):
                held[grant.role, grant.grantor] = grant.option
        for role in sorted(role for role, grantor in held if grantor is None and role != object.owner):
            _revoke(held, live, object.owner, (role, None), Grant(role, privilege, column) not in wanted)
        for grantor in sorted({grantor for _role, grantor in held if grantor}):
            if any(giver == grantor for _role, giver in held):
                held[grantor, None] = True
                again = Grant(grantor, privilege, column)
                lasting.add(again)
                _revoke(held, live, object.owner, (grantor, None), again not in wanted)
        stuck |= {Grant(role, privilege, column, grantor) for role, grantor in held if grantor}
    return frozenset(lasting), frozenset(stuck)


def _revoke(held: _Held, live: LiveSchemas, owner: str, key: tuple[str, str | None], whole: bool) -> None:
    """Revoke with CASCADE, or with GRANT OPTION FOR where not the whole goes, as PostgreSQL does (acl.c,
    recursive_revoke).
    """
    option = held.pop(key)
    if not whole:
        held[key] = False
    role = key[0]
    stand_ins = {role, *(other for one, other in live.acts_as if one == role)}
    still_may = owner in stand_ins or any(may and other in stand_ins for (other, _grantor), may in held.items())
    if option and not still_may:
        for passed in [passed for passed in held if passed[1] == role]:
            if passed in held:
                _revoke(held, live, owner, passed, whole=True)
