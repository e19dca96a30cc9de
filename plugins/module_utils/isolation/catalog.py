# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read everything that the API exposes, with one query for each kind of object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.access.catalog import read_policies
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.isolation.model import (
    Exposed,
    ExposedFunction,
    Reference,
    Rights,
    Sweep,
    find_owner,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName

if TYPE_CHECKING:
    import psycopg

SCHEMAS = "select nspname::text from pg_namespace where nspname = any (%s)"
# Bits 0 and 1 of tgtype: for each row, before (catalog/pg_trigger.h). Keys and defaults of a view are those of the
# tables that it reads, by their columns' names: what can be written through bears the same ones more often than not.
RELATIONS = """
select c.oid, n.nspname::text, c.relname::text,
  case c.relkind when 'r' then 'table' when 'p' then 'partitioned table' when 'v' then 'view'
    when 'm' then 'materialized view' else 'foreign table' end,
  pg_get_userbyid(c.relowner)::text, c.relrowsecurity,
  coalesce((select option_value::boolean from pg_options_to_table(c.reloptions)
    where option_name = 'security_invoker'), false),
  (select i.inhparent::regclass::text from pg_inherits i where c.relispartition and i.inhrelid = c.oid),
  array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    order by a.attnum),
  array(select distinct a.attname::text from pg_index i join pg_attribute a on a.attrelid = i.indrelid
    and a.attnum = any (i.indkey) where i.indrelid = any (b.relations) and i.indisunique),
  array(select a.attname::text from pg_attribute a where a.attrelid = any (b.relations) and a.attnum > 0
    and not a.attisdropped and (a.atthasdef or a.attidentity <> '')),
  exists (select from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal and t.tgenabled <> 'D'
    and t.tgtype & 3 = 3) or exists (select from pg_options_to_table(c.reloptions) where option_name = 'check_option')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
cross join lateral (
  select array(select c.oid union select d.refobjid from pg_rewrite w join pg_depend d
    on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass
    where c.relkind = 'v' and w.ev_class = c.oid) as relations
) b
where n.nspname = any (%s) and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and not exists (select from pg_depend d
    where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
order by n.nspname, c.relname
"""
# Whether row level security holds: PostgreSQL's check_enable_rls(). Of a view that can be written through, computed
# columns are left out; one that cannot says so itself when it is tried. Bits 3 and 2 of pg_relation_is_updatable():
# INSERT and UPDATE.
RIGHTS = """
select c.oid, r.rolname::text, p.selectable, p.insertable, p.updatable,
  usable and has_table_privilege(r.oid, c.oid, 'delete'), usable and has_table_privilege(r.oid, c.oid, 'truncate'),
  c.relrowsecurity and not r.rolsuper and not r.rolbypassrls
    and (c.relforcerowsecurity or not pg_has_role(r.oid, c.relowner, 'usage'))
from pg_class c
cross join (select * from pg_roles where rolname = any (%(roles)s)) r
cross join lateral (select has_schema_privilege(r.oid, c.relnamespace, 'usage') as usable) u
cross join lateral (
  select c.relkind = 'v' and pg_relation_is_updatable(c.oid, true) & 8 > 0 as inserts,
    c.relkind = 'v' and pg_relation_is_updatable(c.oid, true) & 4 > 0 as updates
) w
cross join lateral (
  select
    coalesce(array_agg(a.attname::text order by a.attnum)
      filter (where usable and has_column_privilege(r.oid, c.oid, a.attnum, 'select')), '{}') as selectable,
    coalesce(array_agg(a.attname::text order by a.attnum) filter (where usable and a.attgenerated = ''
      and a.attidentity <> 'a' and (not inserts or pg_column_is_updatable(c.oid, a.attnum, true))
      and has_column_privilege(r.oid, c.oid, a.attnum, 'insert')), '{}') as insertable,
    coalesce(array_agg(a.attname::text order by a.attnum) filter (where usable and a.attgenerated = ''
      and a.attidentity <> 'a' and (not updates or pg_column_is_updatable(c.oid, a.attnum, true))
      and has_column_privilege(r.oid, c.oid, a.attnum, 'update')), '{}') as updatable
  from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
) p
where c.oid = any (%(relations)s::oid[])
"""
FUNCTIONS = """
select n.nspname::text, p.proname::text, pg_get_function_identity_arguments(p.oid),
  case p.prokind when 'p' then 'procedure' when 'f' then
    case p.prorettype when 'void'::regtype then 'void' else 'function' end end,
  pg_get_userbyid(p.proowner)::text, p.prosecdef, p.provolatile = 'v', p.pronargs - p.pronargdefaults,
  array(select r.rolname::text from pg_roles r where r.rolname = any (%(roles)s)
    and has_schema_privilege(r.oid, n.oid, 'usage') and has_function_privilege(r.oid, p.oid, 'execute'))
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname = any (%(schemas)s) and p.prokind in ('f', 'p')
  and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
  and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
order by 1, 2, 3
"""
REFERENCES = """
select k.conrelid, k.conname::text,
  array(select a.attname::text from unnest(k.conkey) with ordinality u(attnum, position)
    join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.attnum order by u.position),
  n.nspname::text, c.relname::text,
  array(select a.attname::text from unnest(k.confkey) with ordinality u(attnum, position)
    join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.attnum order by u.position)
from pg_constraint k join pg_class c on c.oid = k.confrelid join pg_namespace n on n.oid = c.relnamespace
where k.contype = 'f' and k.conparentid = 0 and k.conrelid = any (%s) order by k.conname
"""
# Tables that the API does not expose, with columns named and typed like one that says whose a row is. Functions that
# run with their owner's rights may write to them.
HIDDEN = """
select c.oid, n.nspname::text, c.relname::text, pg_get_userbyid(c.relowner)::text, array_agg(a.attname::text)
from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
where c.relkind in ('r', 'p') and not c.relispartition and n.nspname <> all (%(schemas)s)
  and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and has_table_privilege(c.oid, 'select')
  and a.attname = any (%(owns)s) and a.attnum > 0 and not a.attisdropped
  and exists (select from pg_attribute e where e.attrelid = any (%(relations)s::oid[]) and e.attnum > 0
    and not e.attisdropped and e.attname = a.attname and e.atttypid = a.atttypid)
group by c.oid, n.nspname, c.relname, c.relowner order by n.nspname, c.relname
"""
# Every role that a token may name: those that the role the API connects as is a member of, by however many steps.
# From PostgreSQL 16 on a member may lack SET, as who creates a role does.
REACHABLE = """
with recursive reached as (
  select oid from pg_roles where rolname = %s
  union select m.roleid from reached join pg_auth_members m on m.member = reached.oid
)
select r.rolname::text, r.rolsuper or r.rolbypassrls,
  case when current_setting('server_version_num')::int >= 160000 then pg_has_role(r.oid, 'set')
    else pg_has_role(r.oid, 'member') end
from pg_roles r join reached using (oid) order by r.rolname
"""


def read_reachable(connection: psycopg.Connection[Any], api_role: str) -> list[tuple[str, bool, bool]]:
    """Roles a request may run as: name, whether it is above policies, whether the connecting role may become it."""
    rows = connection.execute(REACHABLE, [api_role]).fetchall()
    if not rows:
        cause, remedy = "there is no such role", "let api_role name the role that the API connects as"
        raise Faults([Fault(f"role {api_role}", cause, remedy)])
    return rows


def read_exposed(
    connection: psycopg.Connection[Any], sweep: Sweep, roles: Sequence[str]
) -> tuple[tuple[Exposed, ...], tuple[ExposedFunction, ...]]:
    """Relations and functions of the schemas; raises Faults for what the arguments name and the database lacks."""
    schemas = list(sweep.schemas)
    rows = connection.execute(RELATIONS, [schemas]).fetchall()
    identifiers = [row[0] for row in rows]
    rights: dict[int, dict[str, Rights]] = {identifier: {} for identifier in identifiers}
    asked = {"relations": identifiers, "roles": list(roles), "schemas": schemas}
    for identifier, role, select, insert, update, delete, truncate, held in connection.execute(RIGHTS, asked):
        rights[identifier][role] = Rights(tuple(select), tuple(insert), tuple(update), delete, truncate, held)
    policies = read_policies(connection, identifiers, roles)
    references: dict[int, list[Reference]] = {}
    for identifier, name, columns, schema, target, target_columns in connection.execute(REFERENCES, [identifiers]):
        reference = Reference(name, tuple(columns), QualifiedName(schema, target), tuple(target_columns))
        references.setdefault(identifier, []).append(reference)
    relations = []
    for identifier, schema, name, kind, owner, enabled, invoker, parent, columns, keys, defaults, rewrites in rows:
        qualified = QualifiedName(schema, name)
        declared = sweep.relations.get(qualified)
        column, key, shared = find_owner(columns, sweep.tenants[0].owns, declared)
        relations.append(
            Exposed(
                identifier=identifier,
                name=qualified,
                kind=kind,
                owner=owner,
                columns=tuple(columns),
                keys=frozenset(keys),
                defaults=frozenset(defaults),
                partition_of=parent,
                security_invoker=invoker,
                rls_enabled=enabled,
                rewrites=rewrites,
                rights=rights[identifier],
                policies=policies.get(identifier, ()),
                references=tuple(references.get(identifier, ())),
                open_references=declared.open_references if declared else (),
                owner_column=column,
                owner_key=key,
                shared=shared,
            )  # fmt: skip
        )
    functions = tuple(
        ExposedFunction(
            QualifiedName(schema, name),
            f"{QualifiedName(schema, name)}({arguments})",
            kind,
            owner,
            definer,
            volatile,
            required,
            frozenset(executable),
        )  # fmt: skip
        for schema, name, arguments, kind, owner, definer, volatile, required, executable in connection.execute(
            FUNCTIONS, asked
        )
    )
    known = {row[0] for row in connection.execute(SCHEMAS, [schemas])}
    Faults.raise_all(_find_faults(sweep, known, relations, functions))
    return tuple(relations), functions


def read_hidden(connection: psycopg.Connection[Any], sweep: Sweep, relations: Sequence[Exposed]) -> tuple[Exposed, ...]:
    """Tables outside the exposed schemas that have rows of tenants."""
    owns = sweep.tenants[0].owns
    asked = {"schemas": list(sweep.schemas), "owns": list(owns), "relations": [one.identifier for one in relations]}
    hidden = []
    for identifier, schema, name, owner, columns in connection.execute(HIDDEN, asked):
        column, key, _shared = find_owner(columns, owns, None)
        hidden.append(
            Exposed(
                identifier,
                QualifiedName(schema, name),
                "table",
                owner,
                tuple(columns),
                owner_column=column,
                owner_key=key,
            )  # fmt: skip
        )
    return tuple(hidden)


def _find_faults(
    sweep: Sweep, schemas: set[str], relations: Sequence[Exposed], functions: Sequence[ExposedFunction]
) -> list[Fault]:
    faults = []
    for schema in sweep.schemas:
        if schema not in schemas:
            faults.append(Fault(f"schema {schema}", "there is no such schema", "name those that the API exposes"))
    by_name = {relation.name: relation for relation in relations}
    for name, declared in sweep.relations.items():
        if name not in by_name:
            faults.append(Fault(f"relation {name}", "the schemas have no such table or view", "correct its name"))
        elif declared.owner_column and declared.owner_column not in by_name[name].columns:
            cause = f"it has no column {declared.owner_column}; columns are {', '.join(by_name[name].columns)}"
            faults.append(Fault(f"relation {name}", cause, "correct owner_column"))
        else:
            referring = {column for reference in by_name[name].references for column in reference.columns}
            for column in sorted(set(declared.open_references) - referring):
                cause = f"open_references: no foreign key begins at {column}"
                faults.append(Fault(f"relation {name}", cause, "correct it or leave it out"))
    for name in sweep.functions:
        if name not in {function.name for function in functions}:
            faults.append(Fault(f"function {name}", "the schemas have no such function", "correct its name"))
    return faults
