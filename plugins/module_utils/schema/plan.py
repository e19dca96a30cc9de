# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done so that schemas give their roles what is asked for, and PUBLIC nothing. Sends nothing itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import quote_identifier
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import Change, Plan, Step, sql
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.difference import (
    compare,
    has_rival,
    under_new_owner,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.grant_plan import (
    Planned,
    plan_grants,
    role_name,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.model import (
    KINDS,
    PUBLIC,
    DeclaredSchema,
    Grant,
    LiveSchemas,
    Object,
)


def plan_schemas(declared: Sequence[DeclaredSchema], live: LiveSchemas, exact: bool) -> Plan:
    """exact: also take what is not declared from everybody but the owner.

    Raises Faults where PostgreSQL would leave undone, without an error, what is asked for.
    """
    Faults.raise_all(fault for schema in declared for fault in _faults(schema, live, exact))
    planned: list[tuple[Step | None, Change]] = []
    for schema in declared:
        planned.extend(_schema(schema, live))
        planned.extend(plan_grants(schema, live, objects_of(schema, live), exact))
        planned.extend(_defaults(schema, live, exact))
    planned.extend(_public_defaults(declared, live))
    return Plan(tuple(step for step, _change in planned if step), tuple(change for _step, change in planned))


def unmanaged(declared: Sequence[DeclaredSchema], live: LiveSchemas, exact: bool) -> dict[str, str]:
    """Objects that differ and that the connecting role leaves as they are, and why."""
    return {object: reason for schema in declared for object, reason in _unmanaged(schema, live, exact)}


def _unmanaged(schema: DeclaredSchema, live: LiveSchemas, exact: bool) -> Iterator[tuple[str, str]]:
    for object in objects_of(schema, live):
        difference = compare(schema, live, object, exact)
        if difference and not object.managed:
            yield f"{object.kind} {object.sql}", f"{live.user} does not have the privileges of {object.owner}"
        elif difference.kept:
            grantors = ", ".join(sorted({str(grant.grantor) for grant in difference.kept}))
            yield f"{object.kind} {object.sql}", f"PUBLIC has it from {grantors}: let them revoke that, or say exact"
    for creator in schema.creators or (live.user,) if exact else ():
        for kind in KINDS[1:]:
            everywhere = live.defaults.get((creator, None, kind), frozenset())
            if any(grant.role not in (creator, PUBLIC) for grant in everywhere - schema.wanted(kind)):
                yield f"default privileges of {creator}", "they hold for every schema"


def _faults(schema: DeclaredSchema, live: LiveSchemas, exact: bool) -> Iterator[Fault]:
    label = f"schema {schema.name} ({schema.origin})"
    for creator in schema.creators:
        is_ours = creator == live.user or creator not in live.roles or (live.user, creator) in live.acts_as
        if not is_ours and any(_defaults(replace(schema, creators=(creator,)), live, exact)):
            cause = f"{live.user} does not have the privileges of {creator}, who is to make objects in it"
            yield Fault(label, cause, f"grant {quote_identifier(creator)} to {quote_identifier(live.user)}")
    for object in objects_of(schema, live):
        if object not in live.objects.get(schema.name, ()) and not object.managed:
            cause = f"{live.user} does not have the privileges of its new owner {schema.owner}"
            yield Fault(label, cause, f"grant {quote_identifier(str(schema.owner))} to {quote_identifier(live.user)}")
        difference = compare(schema, live, object, exact)
        if object.managed:
            yield from (Fault(label, *_stuck(object, grant)) for grant in sorted(difference.stuck))
        if object.managed and difference and has_rival(live, object) and not _in_reach(schema, live, object):
            cause = f"{object.kind} {object.sql} has to be changed as its owner {object.owner}, who has no usage"
            yield Fault(label, cause, f"declare usage for {object.owner}, or connect as a superuser")


def _stuck(object: Object, grant: Grant) -> tuple[str, str]:
    cause = f"{grant.grantor} gave {grant.role} {grant.privilege} on {object.kind} {object.sql}, and no other role can"
    cause += " revoke that while it has the privileges of the owner, or of a role that may pass that on"
    return cause, f"let {grant.grantor} revoke it, or take that role from it, or leave exact out"


def _in_reach(schema: DeclaredSchema, live: LiveSchemas, object: Object) -> bool:
    """Whether the object's owner may name it, once the schema has its owner and who is to use it may."""
    if object.kind == "schema" or object.owner == schema.owner or object.owner in schema.access:
        return True
    there = live.objects.get(schema.name, ())
    loses = schema.owner is not None and any(one.kind == "schema" and one.owner == object.owner for one in there)
    return object.in_reach and not loses


def _schema(schema: DeclaredSchema, live: LiveSchemas) -> Planned:
    name, object = sql.Identifier(schema.name), f"schema {schema.name}"
    here = [found for found in live.objects.get(schema.name, ()) if found.kind == "schema"]
    if not here:
        owner = sql.SQL(" authorization {}").format(sql.Identifier(schema.owner)) if schema.owner else sql.SQL("")
        text = f"{object}\n  owner: {schema.owner or live.user}"
        yield Step(object, sql.SQL("create schema {}{}").format(name, owner), schema.origin), Change(object, "", text)
    elif schema.owner and here[0].owner != schema.owner:
        statement = sql.SQL("alter schema {} owner to {}").format(name, sql.Identifier(schema.owner))
        before, after = f"{object}\n  owner: {here[0].owner}", f"{object}\n  owner: {schema.owner}"
        yield Step(object, statement, schema.origin), Change(object, before, after)


def objects_of(schema: DeclaredSchema, live: LiveSchemas) -> tuple[Object, ...]:
    """What is in the schema once it has its owner. One that is about to be made gives what all of its owner's do."""
    owner = schema.owner or live.user
    # Of a role that is about to be made, too, the server says whether we may give it a schema.
    is_ours = owner == live.user or owner not in live.roles or (live.user, owner) in live.acts_as
    there = live.objects.get(schema.name, ())
    if there:
        return tuple(under_new_owner(schema, found, is_ours) if found.kind == "schema" else found for found in there)
    given = live.defaults.get((owner, None, "schema"), frozenset())
    return (Object("schema", schema.name, quote_identifier(schema.name), owner, is_ours, given),)


def _defaults(schema: DeclaredSchema, live: LiveSchemas, exact: bool) -> Planned:
    """What objects made later give to whom."""
    for creator in schema.creators or (live.user,):
        for kind in KINDS[1:]:
            present = live.defaults.get((creator, schema.name, kind), frozenset())
            wanted = frozenset(grant for grant in schema.wanted(kind) if grant.role != creator)
            others = {grant for grant in present if grant.role != creator and (exact or grant.role == PUBLIC)}
            surplus = {grant for grant in others if grant.plain not in wanted}
            options = {grant for grant in others - surplus if grant.option}
            missing = wanted - {grant.plain for grant in present}
            for verb, grants in (("revoke", surplus), ("revoke grant option for", options), ("grant", missing)):
                yield from _default(schema, creator, kind, grants, verb)


def _default(schema: DeclaredSchema, creator: str, kind: str, grants: Iterable[Grant], verb: str) -> Planned:
    roles: dict[str, list[str]] = {}
    for grant in grants:
        roles.setdefault(grant.role, []).append(grant.privilege)
    for role, privileges in sorted(roles.items()):
        action = sql.SQL(verb + (" {} on {} to {}" if verb == "grant" else " {} on {} from {}")).format(
            sql.SQL(", ".join(sorted(privileges))), sql.SQL(f"{kind}s"), role_name(role)
        )
        statement = sql.SQL("alter default privileges for role {} in schema {} {}").format(
            sql.Identifier(creator), sql.Identifier(schema.name), action
        )
        object = f"default privileges of {creator} in {schema.name}"
        text = f"{object}\n  {', '.join(sorted(privileges))} on {kind}s: {role}"
        before, after = {"grant": ("", text), "revoke": (text, "")}.get(verb, (f"{text} with grant option", text))
        yield Step(object, statement, schema.origin), Change(object, before, after)


def _public_defaults(declared: Sequence[DeclaredSchema], live: LiveSchemas) -> Planned:
    """What a creator gives to PUBLIC in every schema only the form without a schema takes away: functions are PUBLIC's
    to execute where nothing else is said.
    """
    creators = dict.fromkeys(creator for schema in declared for creator in schema.creators or (live.user,))
    for creator in creators:
        for kind in KINDS[1:]:
            builtin = {Grant(PUBLIC, "execute")} if kind == "routine" else set()
            present = live.defaults.get((creator, None, kind), builtin)
            privileges = ", ".join(sorted(grant.privilege for grant in present if grant.role == PUBLIC))
            if privileges:
                statement = sql.SQL("alter default privileges for role {} revoke {} on {} from public").format(
                    sql.Identifier(creator), sql.SQL(privileges), sql.SQL(f"{kind}s")
                )
                object = f"default privileges of {creator}"
                change = Change(object, f"{object}\n  {privileges} on {kind}s: public", "")
                yield Step(object, statement), change
