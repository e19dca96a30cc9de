# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done so that schemas give their roles what is asked for, and PUBLIC nothing. Sends nothing itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import quote_identifier
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import Change, Plan, Step, sql
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.model import (
    KINDS,
    PUBLIC,
    DeclaredSchema,
    Grant,
    LiveSchemas,
    Object,
)

Planned = Iterator[tuple[Step, Change]]
# A statement names this many objects at most, so that a diff stays readable and a statement short.
OBJECTS_AT_ONCE = 200
NAMES_SHOWN = 5


def plan_schemas(declared: Sequence[DeclaredSchema], live: LiveSchemas, exact: bool) -> Plan:
    """exact: also take what is not declared from everybody but the owner."""
    planned: list[tuple[Step, Change]] = []
    for schema in declared:
        planned.extend(_schema(schema, live))
        planned.extend(_grants(schema, live, exact))
        planned.extend(_defaults(schema, live, exact))
    planned.extend(_routine_defaults(declared, live))
    return Plan(tuple(step for step, _change in planned), tuple(change for _step, change in planned))


def unmanaged(declared: Sequence[DeclaredSchema], live: LiveSchemas, exact: bool) -> list[str]:
    """Objects that differ and that the connecting role cannot do anything about: it is no member of their owner, or
    somebody else than the owner granted what would have to go.
    """
    found = set()
    for schema in declared:
        for object in _objects(schema, live):
            missing, surplus = _difference(schema, live, object, exact)
            if (missing or surplus) and not object.managed or any(not grant.by_owner for grant in surplus):
                found.add(f"{object.kind} {object.sql}")
    return sorted(found)


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


def _objects(schema: DeclaredSchema, live: LiveSchemas) -> tuple[Object, ...]:
    """What is in the schema; a schema that is about to be made has nothing in it."""
    there = live.objects.get(schema.name, ())
    if there:
        return tuple(_under_new_owner(schema, object) if object.kind == "schema" else object for object in there)
    quoted = quote_identifier(schema.name)
    return (Object("schema", schema.name, quoted, schema.owner or live.user, True, frozenset()),)


def _under_new_owner(schema: DeclaredSchema, object: Object) -> Object:
    """The object as it is once it has changed hands: PostgreSQL passes the old owner's privileges on to the new one."""
    if schema.owner in (None, object.owner):
        return object
    grants = (grant._replace(role=schema.owner) if grant.role == object.owner else grant for grant in object.grants)
    return replace(object, owner=str(schema.owner), managed=True, grants=frozenset(grants))


def _difference(
    schema: DeclaredSchema, live: LiveSchemas, object: Object, exact: bool
) -> tuple[frozenset[Grant], frozenset[Grant]]:
    """Privileges that are missing, and those that have to go. The owner's own are the owner's affair.

    Whoever makes objects in a schema keeps what that takes.
    """
    wanted = frozenset(grant for grant in schema.wanted(object.kind) if grant.role != object.owner)
    makers = (schema.creators or (live.user,)) if object.kind == "schema" else ()
    present = {Grant(grant.role, grant.privilege, grant.column) for grant in object.grants}
    surplus = frozenset(
        grant
        for grant in object.grants
        if grant._replace(by_owner=True) not in wanted
        and grant.role not in (object.owner, *makers)
        and (exact or grant.role == PUBLIC)
    )
    return wanted - present, surplus


def _grants(schema: DeclaredSchema, live: LiveSchemas, exact: bool) -> Planned:
    """One statement for all objects that lack the same. What has to go goes first."""
    missing: dict[tuple[str, str, tuple[str, ...]], list[Object]] = {}
    surplus: dict[tuple[str, str, tuple[str, ...]], list[Object]] = {}
    for object in _objects(schema, live):
        if not object.managed:
            continue
        lacks, extra = _difference(schema, live, object, exact)
        _collect(missing, object, lacks)
        _collect(surplus, object, (grant for grant in extra if grant.by_owner))
    for (kind, role, privileges), objects in _ordered(surplus):
        for some in _some(objects):
            yield _give_or_take(schema, kind, role, privileges, some, give=False)
    for (kind, role, privileges), objects in _ordered(missing):
        for some in _some(objects):
            yield _give_or_take(schema, kind, role, privileges, some, give=True)


Collected = dict[tuple[str, str, tuple[str, ...]], list[Object]]


def _collect(into: Collected, object: Object, grants: Iterable[Grant]) -> None:
    roles: dict[str, list[str]] = {}
    for grant in grants:
        column = f" ({quote_identifier(grant.column)})" if grant.column else ""
        roles.setdefault(grant.role, []).append(grant.privilege + column)
    for role, privileges in roles.items():
        into.setdefault((object.kind, role, tuple(sorted(privileges))), []).append(object)


def _ordered(collected: Collected) -> list[tuple[tuple[str, str, tuple[str, ...]], list[Object]]]:
    return sorted(collected.items(), key=lambda item: (KINDS.index(item[0][0]), *item[0][1:]))


def _some(objects: list[Object]) -> Iterator[list[Object]]:
    for start in range(0, len(objects), OBJECTS_AT_ONCE):
        yield objects[start : start + OBJECTS_AT_ONCE]


def _give_or_take(
    schema: DeclaredSchema, kind: str, role: str, privileges: tuple[str, ...], objects: list[Object], give: bool
) -> tuple[Step, Change]:
    names = [object.sql for object in objects]
    # Privileges and names come from the catalog, which has quoted them.
    statement = sql.SQL("grant {} on {} {} to {}" if give else "revoke {} on {} {} from {}").format(
        sql.SQL(", ".join(privileges)), sql.SQL(kind), sql.SQL(", ".join(names)), _role(role)
    )
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    text = f"grant to {role}\n  {', '.join(privileges)}: {kind} {', '.join(names[:NAMES_SHOWN])}{more}"
    label = f"{kind} {names[0]}" if len(names) == 1 else f"{len(names)} {kind}s of {schema.name}"
    object = f"grant to {role} on {label}"
    return Step(object, statement, schema.origin), Change(object, "" if give else text, text if give else "")


def _defaults(schema: DeclaredSchema, live: LiveSchemas, exact: bool) -> Planned:
    """What objects made later give to whom."""
    for creator in schema.creators or (live.user,):
        for kind in KINDS[1:]:
            present = live.defaults.get((creator, schema.name, kind), frozenset())
            wanted = frozenset(grant for grant in schema.wanted(kind) if grant.role != creator)
            surplus = {grant for grant in present - wanted if grant.role != creator and (exact or grant.role == PUBLIC)}
            yield from _default(schema, creator, kind, surplus, give=False)
            yield from _default(schema, creator, kind, wanted - present, give=True)


def _default(schema: DeclaredSchema, creator: str, kind: str, grants: Iterable[Grant], give: bool) -> Planned:
    roles: dict[str, list[str]] = {}
    for grant in grants:
        roles.setdefault(grant.role, []).append(grant.privilege)
    for role, privileges in sorted(roles.items()):
        verb = "grant {} on {} to {}" if give else "revoke {} on {} from {}"
        action = sql.SQL(verb).format(sql.SQL(", ".join(sorted(privileges))), sql.SQL(f"{kind}s"), _role(role))
        statement = sql.SQL("alter default privileges for role {} in schema {} {}").format(
            sql.Identifier(creator), sql.Identifier(schema.name), action
        )
        object = f"default privileges of {creator} in {schema.name}"
        text = f"{object}\n  {', '.join(sorted(privileges))} on {kind}s: {role}"
        yield Step(object, statement, schema.origin), Change(object, "" if give else text, text if give else "")


def _routine_defaults(declared: Sequence[DeclaredSchema], live: LiveSchemas) -> Planned:
    """New functions are PUBLIC's to execute; only the form without a schema takes that away."""
    creators = dict.fromkeys(creator for schema in declared for creator in schema.creators or (live.user,))
    for creator in creators:
        present = live.defaults.get((creator, None, "routine"))
        if present is None or Grant(PUBLIC, "execute") in present:
            statement = sql.SQL("alter default privileges for role {} revoke execute on routines from public")
            object = f"default privileges of {creator}"
            change = Change(object, f"{object}\n  execute on routines: public", "")
            yield Step(object, statement.format(sql.Identifier(creator))), change


def _role(role: str) -> sql.Composable:
    return sql.SQL("public") if role == PUBLIC else sql.Identifier(role)
