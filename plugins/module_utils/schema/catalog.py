# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read schemas, their objects, privileges and default privileges: a fixed number of queries for any number of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.schema.model import (
    DeclaredSchema,
    Grant,
    LiveSchemas,
    Object,
)

if TYPE_CHECKING:
    import psycopg

# What belongs to an extension is the extension's. Under the pinned search_path regclass and regprocedure write the
# schema, too.
OBJECTS = """
with objects as (
  select 'schema' as kind, n.nspname as schema, quote_ident(n.nspname) as name, n.nspowner as owner,
    coalesce(n.nspacl, acldefault('n', n.nspowner)) as acl, 0::oid as relation,
    false as partition
  from pg_namespace n where n.nspname = any (%(schemas)s)
  union all
  select case c.relkind when 'S' then 'sequence' else 'table' end, n.nspname, c.oid::regclass::text, c.relowner,
    coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's' else 'r' end::"char", c.relowner)), c.oid,
    c.relispartition
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = any (%(schemas)s) and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    and not exists (select from pg_depend d
      where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
  union all
  select 'routine', n.nspname, p.oid::regprocedure::text, p.proowner,
    coalesce(p.proacl, acldefault('f', p.proowner)), 0, false
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where n.nspname = any (%(schemas)s)
    and not exists (select from pg_depend d
      where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
)
select o.kind, o.schema, o.name, pg_get_userbyid(o.owner), pg_has_role(o.owner, 'usage'),
  has_schema_privilege(o.owner, o.schema, 'usage'), o.partition,
  (select coalesce(json_agg(json_build_array(coalesce(r.rolname, 'public'), lower(a.privilege_type), null,
      case when a.grantor <> o.owner then pg_get_userbyid(a.grantor) end, a.is_grantable)), '[]')
    from aclexplode(o.acl) a left join pg_roles r on r.oid = a.grantee),
  (select json_agg(json_build_array(coalesce(r.rolname, 'public'), lower(a.privilege_type), c.attname,
      case when a.grantor <> o.owner then pg_get_userbyid(a.grantor) end, a.is_grantable))
    from pg_attribute c cross join aclexplode(c.attacl) a left join pg_roles r on r.oid = a.grantee
    where c.attrelid = o.relation and c.attacl is not null and not c.attisdropped)
from objects o
order by o.kind, o.schema, o.name
"""
# Without an entry, the privileges built into PostgreSQL hold; where an entry is for all schemas it replaces them.
DEFAULTS = """
select pg_get_userbyid(d.defaclrole), n.nspname,
  case d.defaclobjtype when 'r' then 'table' when 'S' then 'sequence' when 'f' then 'routine' else 'schema' end,
  (select coalesce(json_agg(json_build_array(coalesce(r.rolname, 'public'), lower(a.privilege_type), null, null,
      a.is_grantable)), '[]')
    from aclexplode(d.defaclacl) a left join pg_roles r on r.oid = a.grantee)
from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace
where d.defaclobjtype in ('r', 'S', 'f', 'n') and (n.nspname = any (%(schemas)s) or d.defaclnamespace = 0)
"""
ACTS_AS = """
select r.rolname, other.rolname from pg_roles r, pg_roles other
where r.rolname = any (%(roles)s) and other.rolname = any (%(others)s) and r.oid <> other.oid
  and pg_has_role(r.oid, other.oid, 'usage')
"""


def read_schemas(connection: psycopg.Connection[Any], declared: Sequence[DeclaredSchema]) -> LiveSchemas:
    """The declared schemas; one that does not exist has no objects."""
    names = {"schemas": [schema.name for schema in declared]}
    objects: dict[str, list[Object]] = {}
    for kind, schema, name, owner, managed, in_reach, partition, grants, columns in connection.execute(OBJECTS, names):
        found = frozenset(Grant(*grant) for grant in [*grants, *(columns or [])])
        objects.setdefault(schema, []).append(Object(kind, schema, name, owner, managed, found, in_reach, partition))
    defaults = {
        (role, schema, kind): frozenset(Grant(*grant) for grant in grants)
        for role, schema, kind, grants in connection.execute(DEFAULTS, names)
    }
    ((user, is_superuser),) = connection.execute(
        "select current_user::text, current_setting('is_superuser')::boolean"
    ).fetchall()
    there = [object for found in objects.values() for object in found]
    grants = [grant for object in there for grant in object.grants]
    roles = {user, *(grant.grantor for grant in grants if grant.grantor)}
    others = {*(object.owner for object in there), *(schema.owner for schema in declared if schema.owner)}
    others.update(creator for schema in declared for creator in schema.creators)
    others.update(grant.role for grant in grants if grant.option)
    return LiveSchemas(
        user=user,
        roles=frozenset(row[0] for row in connection.execute("select rolname from pg_roles")),
        objects={schema: tuple(found) for schema, found in objects.items()},
        defaults=defaults,
        acts_as=frozenset(connection.execute(ACTS_AS, {"roles": [*roles], "others": [*others]})),
        is_superuser=is_superuser,
    )
