# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The statements that give and take privileges on what is in a schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple, Optional

from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import parse_name, quote_identifier
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import Change, Step, sql
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.difference import (
    compare,
    has_rival,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.model import (
    KINDS,
    PUBLIC,
    DeclaredSchema,
    Grant,
    LiveSchemas,
    Object,
)

# A change without a step comes about by another one's step.
Planned = Iterator[tuple[Optional[Step], Change]]
# A statement names this many objects at most, so that a diff stays readable and a statement short.
OBJECTS_AT_ONCE = 200
NAMES_SHOWN = 5
GRANT = "grant {} on {} {} to {}"
REGRANT = GRANT + " with grant option"
REVOKE = "revoke {} on {} {} from {}"
REVOKE_OPTION = "revoke grant option for {} on {} {} from {}"
CASCADE = " cascade"
NOTHING_SHOWN = Change("", "", "")


class _Group(NamedTuple):
    """What the objects of one statement have in common.

    actor: the owner, where the statement has to be sent as the owner. grantor: of what another one than the owner gave.
    """

    kind: str
    role: str
    privileges: tuple[str, ...]
    form: str = ""
    actor: str = ""
    grantor: str = ""


_Groups = dict[_Group, list[Object]]
# The first is the role that it has to be sent as, empty for the connecting one.
_Sent = Iterator[tuple[str, Optional[Step], Change]]


@dataclass
class _Collected:
    """revoked: what the owner takes back. passed: what goes with it. lasting: what has to be given for that."""

    revoked: _Groups = field(default_factory=dict)
    passed: _Groups = field(default_factory=dict)
    lasting: _Groups = field(default_factory=dict)
    missing: _Groups = field(default_factory=dict)


def plan_grants(schema: DeclaredSchema, live: LiveSchemas, objects: Sequence[Object], exact: bool) -> Planned:
    """One statement for all objects that lack the same."""
    itself, inside = _Collected(), _Collected()
    for object in objects:
        if object.managed:
            _collect_all(itself if object.kind == "schema" else inside, schema, live, object, exact)
    # As long as anything is done in it, owners may need to name the schema.
    given, taken = _give(schema, itself), _take(schema, itself)
    yield from _as_owner(schema, live, chain(given, _take(schema, inside), _give(schema, inside), taken))


def _give(schema: DeclaredSchema, collected: _Collected) -> _Sent:
    for group, objects in _ordered(collected.missing):
        yield group.actor, _step(schema, group, objects), _change(schema, group, objects)


def _take(schema: DeclaredSchema, collected: _Collected) -> _Sent:
    for group, objects in _ordered(collected.revoked):
        yield group.actor, _step(schema, group, objects), _change(schema, group, objects)
    for group, objects in _ordered(collected.passed):
        yield "", None, _change(schema, group, objects)
    for group, objects in _ordered(collected.lasting):
        for form in (REGRANT, group.form + CASCADE):
            yield group.actor, _step(schema, group._replace(form=form), objects), NOTHING_SHOWN


def _as_owner(schema: DeclaredSchema, live: LiveSchemas, statements: _Sent) -> Planned:
    acting = live.user
    for actor, step, change in statements:
        if step and acting != (actor or live.user):
            acting = actor or live.user
            yield _become(schema, acting), NOTHING_SHOWN
        yield step, change
    if acting != live.user:
        yield _become(schema, live.user), NOTHING_SHOWN


def _become(schema: DeclaredSchema, role: str) -> Step:
    """Until the transaction ends, or the next one."""
    return Step(f"role {role}", sql.SQL("set local role {}").format(sql.Identifier(role)), schema.origin)


def _collect_all(into: _Collected, schema: DeclaredSchema, live: LiveSchemas, object: Object, exact: bool) -> None:
    difference = compare(schema, live, object, exact)
    actor = object.owner if has_rival(live, object) else ""
    # CASCADE stands only where somebody has passed something on; all that goes by it is in the plan.
    passers = {grant.grantor for grant in difference.passed}
    for form, grants in ((REVOKE, difference.surplus), (REVOKE_OPTION, difference.options)):
        _collect(into.revoked, object, (grant for grant in grants if grant.role in passers), form + CASCADE, actor)
        _collect(into.revoked, object, (grant for grant in grants if grant.role not in passers), form, actor)
    for grantor in passers:
        grants = frozenset(grant for grant in difference.passed if grant.grantor == grantor)
        _collect(into.passed, object, grants, grantor=str(grantor))
    stays = difference.lasting & schema.wanted(object.kind)
    _collect(into.lasting, object, stays, REVOKE_OPTION, actor)
    _collect(into.lasting, object, difference.lasting - stays, REVOKE, actor)
    _collect(into.missing, object, difference.missing, GRANT, actor)


def _collect(
    into: _Groups, object: Object, grants: Iterable[Grant], form: str = "", actor: str = "", grantor: str = ""
) -> None:
    roles: dict[str, list[str]] = {}
    for grant in grants:
        column = f" ({quote_identifier(grant.column)})" if grant.column else ""
        roles.setdefault(grant.role, []).append(grant.privilege + column)
    for role, privileges in roles.items():
        group = _Group(object.kind, role, tuple(sorted(privileges)), form, actor, grantor)
        into.setdefault(group, []).append(object)


def _ordered(groups: _Groups) -> Iterator[tuple[_Group, list[Object]]]:
    for group, objects in sorted(groups.items(), key=lambda item: (KINDS.index(item[0].kind), *item[0][1:])):
        for start in range(0, len(objects), OBJECTS_AT_ONCE):
            yield group, objects[start : start + OBJECTS_AT_ONCE]


def _step(schema: DeclaredSchema, group: _Group, objects: list[Object]) -> Step:
    # Privileges and names come from the catalog, which has quoted them.
    statement = sql.SQL(group.form).format(
        sql.SQL(", ".join(group.privileges)),
        sql.SQL(group.kind),
        sql.SQL(", ".join(object.sql for object in objects)),
        role_name(group.role),
    )
    # A lock on a function or a schema is none on a relation; whoever holds it is not found out.
    is_relation = group.kind in ("table", "sequence")
    relations = tuple(parse_name(object.sql) for object in objects) if is_relation else ()
    return Step(_label(schema, group, objects), statement, schema.origin, relations)


def _label(schema: DeclaredSchema, group: _Group, objects: list[Object]) -> str:
    on = f"{group.kind} {objects[0].sql}" if len(objects) == 1 else f"{len(objects)} {group.kind}s of {schema.name}"
    return f"grant to {group.role} on {on}"


def _change(schema: DeclaredSchema, group: _Group, objects: list[Object]) -> Change:
    names = [object.sql for object in objects]
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    what = f"\n  {', '.join(group.privileges)}: {group.kind} {', '.join(names[:NAMES_SHOWN])}{more}"
    grant = f"grant to {group.role}"
    before = f"{grant} by {group.grantor}{what}" if group.grantor else f"{grant}{what}"
    after = ""
    if group.form == GRANT:
        before, after = "", f"{grant}{what}"
    elif group.form.startswith(REVOKE_OPTION):
        before, after = f"{grant} with grant option{what}", f"{grant}{what}"
    return Change(_label(schema, group, objects), before, after)


def role_name(role: str) -> sql.Composable:
    return sql.SQL("public") if role == PUBLIC else sql.Identifier(role)
