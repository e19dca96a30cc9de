-- Copyright (c) 2026, Groundwork contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- What an operator asks a database first. Members of pg_monitor may read it, the API's roles may not.
-- A view with other columns cannot replace one, so each is dropped first; nothing else may depend on them.

create schema if not exists monitoring;
comment on schema monitoring is 'Views for operators; members of pg_monitor may read them.';

-- Supabase keeps the extension in schema extensions. Elsewhere it may be in another one, so it is looked up.
create schema if not exists extensions;
create extension if not exists pg_stat_statements with schema extensions;
drop view if exists monitoring.slow_queries;
do $do$
declare
  home text := (select extnamespace::regnamespace::text from pg_catalog.pg_extension where extname = 'pg_stat_statements');
begin
  execute format($sql$
    create view monitoring.slow_queries as
    select r.rolname as role, s.calls, round(s.total_exec_time::numeric, 1) as total_ms,
      round(s.mean_exec_time::numeric, 2) as mean_ms, round(s.max_exec_time::numeric, 1) as max_ms, s.rows,
      round(100.0 * s.shared_blks_hit / nullif(s.shared_blks_hit + s.shared_blks_read, 0), 1) as hit_percent,
      s.temp_blks_written as temp_blocks, s.queryid as query_id,
      left(regexp_replace(s.query, '\s+', ' ', 'g'), 500) as query
    from %s.pg_stat_statements s
    left join pg_catalog.pg_roles r on r.oid = s.userid
    where s.dbid = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
    order by s.total_exec_time desc
    limit 100
  $sql$, home);
end
$do$;
comment on view monitoring.slow_queries is
  'The 100 statements of this database that took most time in all since the statistics were reset; times in milliseconds.';

drop view if exists monitoring.table_sizes;
create view monitoring.table_sizes as
with sized as (
  -- Every table counts for its topmost parent, so that a partitioned table has the size of its partitions.
  select coalesce(pg_catalog.pg_partition_root(c.oid), c.oid) as root,
    pg_catalog.pg_table_size(c.oid) as table_bytes, pg_catalog.pg_indexes_size(c.oid) as index_bytes,
    greatest(c.reltuples, 0)::bigint as rows, s.n_dead_tup as dead,
    greatest(s.last_vacuum, s.last_autovacuum) as vacuumed
  from pg_catalog.pg_class c
  left join pg_catalog.pg_stat_all_tables s on s.relid = c.oid
  where c.relkind in ('r', 'm') and c.relpersistence <> 't'
)
select n.nspname as schema, c.relname as name, count(*) as parts,
  sum(z.table_bytes + z.index_bytes)::bigint as total_bytes, sum(z.table_bytes)::bigint as table_bytes,
  sum(z.index_bytes)::bigint as index_bytes, sum(z.rows)::bigint as estimated_rows,
  coalesce(sum(z.dead), 0)::bigint as dead_rows, max(z.vacuumed) as last_vacuum,
  pg_catalog.pg_size_pretty(sum(z.table_bytes + z.index_bytes)) as total
from sized z
join pg_catalog.pg_class c on c.oid = z.root
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
group by n.nspname, c.relname
order by total_bytes desc;
comment on view monitoring.table_sizes is
  'Size in bytes of every table with its TOAST and indexes, a partitioned one as a whole; the largest first. Rows are estimates.';

drop view if exists monitoring.blocked_sessions;
create view monitoring.blocked_sessions as
select w.pid as blocked_pid, w.usename as blocked_role, now() - w.query_start as waiting,
  left(w.query, 200) as blocked_query, b.pid as blocking_pid, b.usename as blocking_role, b.state as blocking_state,
  now() - b.xact_start as blocking_transaction, left(b.query, 200) as blocking_query
from pg_catalog.pg_stat_activity w
cross join lateral unnest(pg_catalog.pg_blocking_pids(w.pid)) as holder(pid)
left join pg_catalog.pg_stat_activity b on b.pid = holder.pid
where w.wait_event_type = 'Lock'
order by waiting desc;
comment on view monitoring.blocked_sessions is 'Who waits for a lock, and whose; the longest first.';

drop view if exists monitoring.long_transactions;
create view monitoring.long_transactions as
select a.pid, a.datname as database, a.usename as role, a.application_name, a.state,
  now() - a.xact_start as transaction_age, now() - a.state_change as state_age,
  pg_catalog.age(a.backend_xmin) as xmin_age, left(a.query, 200) as query
from pg_catalog.pg_stat_activity a
where a.xact_start < now() - interval '1 minute' and a.backend_type <> 'walsender' and a.pid <> pg_backend_pid()
order by a.xact_start;
comment on view monitoring.long_transactions is
  'Transactions of all databases that are older than a minute; they keep vacuum from removing rows.';

drop view if exists monitoring.unused_indexes;
create view monitoring.unused_indexes as
select s.schemaname as schema, s.relname as table_name, s.indexrelname as index_name,
  pg_catalog.pg_relation_size(s.indexrelid) as bytes, s.idx_scan as scans,
  (select d.stats_reset from pg_catalog.pg_stat_database d where d.datname = current_database()) as since
from pg_catalog.pg_stat_user_indexes s
join pg_catalog.pg_index i on i.indexrelid = s.indexrelid
where s.idx_scan = 0 and not i.indisunique
  and not exists (select from pg_catalog.pg_constraint c where c.conindid = s.indexrelid)
order by bytes desc;
comment on view monitoring.unused_indexes is
  'Indexes that no query has used since the statistics were reset and that no constraint needs. Ask each replica, too.';

drop view if exists monitoring.cache_hits;
create view monitoring.cache_hits as
select s.schemaname as schema, s.relname as name,
  round(100.0 * s.heap_blks_hit / nullif(s.heap_blks_hit + s.heap_blks_read, 0), 2) as table_hit_percent,
  round(100.0 * s.idx_blks_hit / nullif(s.idx_blks_hit + s.idx_blks_read, 0), 2) as index_hit_percent,
  s.heap_blks_read + coalesce(s.idx_blks_read, 0) as blocks_read
from pg_catalog.pg_statio_user_tables s
where s.heap_blks_hit + s.heap_blks_read > 0
order by blocks_read desc;
comment on view monitoring.cache_hits is
  'Share of a table''s and its indexes'' blocks that PostgreSQL had in memory; those that were read most first.';

revoke all on schema monitoring from public;
revoke all on all tables in schema monitoring from public, anon, authenticated, service_role;
grant usage on schema monitoring to pg_monitor;
grant select on all tables in schema monitoring to pg_monitor;
