# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The statements by which ``catalog_reader`` reads a database: one for each kind of object, however many there are.

%(schemas)s are oids of schemas. Rows of parts (columns, keys, grants …) start with the oid of what they are part of.
"""

from __future__ import annotations

SCHEMAS = """
select n.oid, n.nspname, pg_get_userbyid(n.nspowner), obj_description(n.oid, 'pg_namespace')
from pg_namespace n
order by n.nspname
"""
RELATIONS = """
select c.oid, n.nspname, c.relname,
  case c.relkind when 'r' then 'table' when 'p' then 'partitioned table' when 'v' then 'view'
    when 'm' then 'materialized view' else 'foreign table' end,
  pg_get_userbyid(c.relowner), obj_description(c.oid, 'pg_class'), c.relrowsecurity, c.relforcerowsecurity,
  coalesce((select o.option_value::boolean from pg_options_to_table(c.reloptions) o
    where o.option_name = 'security_invoker'), false),
  pn.nspname, p.relname,
  case when c.reltuples >= 0 and c.relkind not in ('v', 'f') then c.reltuples::bigint end,
  case when c.relkind in ('r', 'm') then coalesce(pg_total_relation_size(c.oid), 0) else 0 end
from pg_class c join pg_namespace n on n.oid = c.relnamespace
left join pg_inherits i on c.relispartition and i.inhrelid = c.oid
left join pg_class p on p.oid = i.inhparent
left join pg_namespace pn on pn.oid = p.relnamespace
where c.relnamespace = any (%(schemas)s) and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and not exists (select from pg_depend d
    where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.objsubid = 0 and d.deptype = 'e')
order by n.nspname, c.relname
"""
COLUMNS = """
select a.attrelid, a.attname, format_type(a.atttypid, a.atttypmod), not a.attnotnull,
  pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum)
from pg_attribute a join pg_class c on c.oid = a.attrelid
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where c.relnamespace = any (%(schemas)s) and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum
"""
KEYS = """
select k.conrelid, k.conname,
  case k.contype when 'p' then 'primary' when 'u' then 'unique' else 'foreign' end,
  array(select a.attname::text from unnest(k.conkey) with ordinality as x (number, place)
    join pg_attribute a on a.attrelid = k.conrelid and a.attnum = x.number order by x.place),
  rn.nspname, r.relname,
  array(select a.attname::text from unnest(k.confkey) with ordinality as x (number, place)
    join pg_attribute a on a.attrelid = k.confrelid and a.attnum = x.number order by x.place),
  k.contype = 'f' and coalesce((select i.indisprimary from pg_index i where i.indexrelid = k.conindid), false),
  case k.confdeltype when 'a' then 'no action' when 'r' then 'restrict' when 'c' then 'cascade'
    when 'n' then 'set null' when 'd' then 'set default' end,
  k.conparentid <> 0
from pg_constraint k join pg_class c on c.oid = k.conrelid
left join pg_class r on r.oid = nullif(k.confrelid, 0)
left join pg_namespace rn on rn.oid = r.relnamespace
where c.relnamespace = any (%(schemas)s) and k.contype in ('p', 'u', 'f')
  -- A foreign key to a partitioned table has one more entry for each of its partitions.
  and not exists (select from pg_constraint parent where parent.oid = k.conparentid and parent.conrelid = k.conrelid)
order by k.conrelid, k.contype <> 'p', k.conname
"""
INDEXES = """
select i.indrelid, ic.relname, pg_get_indexdef(i.indexrelid),
  array(select a.attname::text from unnest(i.indkey::int2[]) with ordinality as x (number, place)
    left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = x.number
    where x.place <= i.indnkeyatts order by x.place),
  i.indisunique, i.indisprimary, i.indisvalid, i.indpred is not null, ic.relispartition,
  case when ic.relkind = 'i' then coalesce(pg_relation_size(i.indexrelid), 0) else 0 end,
  coalesce(pg_stat_get_numscans(i.indexrelid), 0)
from pg_index i join pg_class c on c.oid = i.indrelid join pg_class ic on ic.oid = i.indexrelid
where c.relnamespace = any (%(schemas)s) and c.relkind in ('r', 'p', 'm')
order by i.indrelid, ic.relname
"""
POLICIES = """
select p.polrelid, p.polname,
  case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete'
    else 'all' end,
  case when p.polroles = '{0}' then array['public']
    else array(select r.rolname::text from pg_roles r where r.oid = any (p.polroles) order by r.rolname) end,
  p.polpermissive, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
from pg_policy p join pg_class c on c.oid = p.polrelid
where c.relnamespace = any (%(schemas)s)
order by p.polrelid, p.polname
"""
# Without an entry of its own an object has the defaults that PostgreSQL gives its kind. An oid is unique among objects
# of its kind only, so a letter tells schemas, relations and functions apart.
GRANTS = """
select g.object, case when g.grantee = 0 then 'public' else pg_get_userbyid(g.grantee) end, g.column_name,
  array_agg(distinct lower(g.privilege_type))
from (
  select 'n' || n.oid as object, null as column_name, (aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner)))).*
  from pg_namespace n where n.oid = any (%(schemas)s)
  union all
  select 'r' || c.oid, null, (aclexplode(coalesce(c.relacl, acldefault('r', c.relowner)))).*
  from pg_class c where c.relnamespace = any (%(schemas)s) and c.relkind in ('r', 'p', 'v', 'm', 'f')
  union all
  select 'r' || a.attrelid, a.attname::text, (aclexplode(a.attacl)).*
  from pg_attribute a join pg_class c on c.oid = a.attrelid
  where c.relnamespace = any (%(schemas)s) and a.attnum > 0 and not a.attisdropped
  union all
  select 'f' || p.oid, null, (aclexplode(coalesce(p.proacl, acldefault('f', p.proowner)))).*
  from pg_proc p where p.pronamespace = any (%(schemas)s)
) g
group by g.object, g.grantee, g.column_name
order by 1, 3 nulls first, 2
"""
READS = """
select distinct r.ev_class, n.nspname, c.relname, c.relrowsecurity
from pg_rewrite r
join pg_class v on v.oid = r.ev_class and v.relkind in ('v', 'm')
join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass
  and d.refobjid <> r.ev_class
join pg_class c on c.oid = d.refobjid join pg_namespace n on n.oid = c.relnamespace
where v.relnamespace = any (%(schemas)s)
order by 1, 2, 3
"""
FUNCTIONS = """
select p.oid, n.nspname, p.proname, pg_get_function_identity_arguments(p.oid),
  case p.prokind when 'p' then 'procedure' when 'a' then 'aggregate' when 'w' then 'window' else 'function' end,
  l.lanname, pg_get_userbyid(p.proowner), pg_get_function_result(p.oid),
  case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end, p.prosecdef,
  (select substr(setting, 13) from unnest(p.proconfig) setting where setting like 'search\\_path=%%'),
  obj_description(p.oid, 'pg_proc'), coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)
from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_language l on l.oid = p.prolang
where p.pronamespace = any (%(schemas)s)
  and not exists (select from pg_depend d
    where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
order by n.nspname, p.proname, 4
"""
ROLES = """
select r.rolname, r.rolcanlogin, r.rolsuper, r.rolbypassrls
from pg_roles r
where r.rolname !~ '^pg_'
order by r.rolname
"""
# From PostgreSQL 16 on each membership says by itself whether it is inherited.
MEMBERSHIPS = """
select member.rolname, granted.rolname,
  coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, member.rolinherit)
from pg_auth_members m
join pg_roles member on member.oid = m.member join pg_roles granted on granted.oid = m.roleid
order by 1, 2
"""
DEFAULT_PRIVILEGES = """
select pg_get_userbyid(d.defaclrole), n.nspname,
  case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions'
    when 'T' then 'types' else 'schemas' end,
  case when a.grantee = 0 then 'public' else pg_get_userbyid(a.grantee) end, array_agg(distinct lower(a.privilege_type))
from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace, aclexplode(d.defaclacl) a
where d.defaclnamespace = 0 or d.defaclnamespace = any (%(schemas)s)
group by d.oid, n.nspname, a.grantee
order by 2 nulls first, 1, 3, 4
"""
EXTENSIONS = """
select e.extname, n.nspname, e.extversion, a.default_version
from pg_extension e join pg_namespace n on n.oid = e.extnamespace
left join pg_available_extensions a on a.name = e.extname
order by e.extname
"""
PUBLICATIONS = """
select p.pubname, t.schemaname, t.tablename
from pg_publication p left join pg_publication_tables t on t.pubname = p.pubname
order by 1, 2, 3
"""
