-- Copyright (c) 2026, Groundwork contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- What both sides of a move by logical replication are asked and told; docs/migrate.md says in which order. It can be run
-- again at any time, on PostgreSQL 15 and newer. Publication, subscription, slot and role all are called groundwork_move.

create schema if not exists groundwork_move;
comment on schema groundwork_move is 'A move by logical replication, see docs/migrate.md; it goes when the move has ended.';

-- The one of this database, if it receives: subscriptions of all databases are in one catalog.
create or replace view groundwork_move.subscription as
  select s.oid, s.subenabled as enabled from pg_subscription s
  join pg_database d on d.oid = s.subdbid
  where s.subname = 'groundwork_move' and d.datname = current_database();

create or replace view groundwork_move.uncopied as
  select r.srrelid::regclass as "table" from pg_subscription_rel r
  join groundwork_move.subscription s on s.oid = r.srsubid
  where r.srsubstate <> 'r';

-- The tables that move: partitioned ones as a whole. What belongs to an extension, the extension brings; which of its own
-- migrations Auth has run, each Auth keeps for itself.
create or replace function groundwork_move.roots(schemas text[]) returns setof oid language sql stable as $$
  select c.oid from pg_class c
  where c.relnamespace::regnamespace = any (schemas::regnamespace[]) and c.relkind in ('r', 'p') and not c.relispartition
    and c.oid is distinct from to_regclass('auth.schema_migrations')
    and not exists (
      select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
$$;

-- What would make the publisher fail or lose something, each with what to do about it.
create or replace function groundwork_move.faults(schemas text[]) returns setof text language sql stable as $$
  with leaves as (
    select distinct c.* from groundwork_move.roots(schemas) root
    left join lateral pg_partition_tree(root) tree on true
    join pg_class c on c.oid = coalesce(tree.relid, root)
  )
  select format('%s: role %s owns it; leave its schema to the dump', oid::regclass, relowner::regrole)
  from leaves where not pg_has_role(relowner, 'usage')
  union all
  select format('%s: it is unlogged, so nothing of it would move; "alter table %1$s set logged"', oid::regclass)
  from leaves where relpersistence = 'u'
  union all
  select format('%s: without a primary key its updates and deletes would fail from now on; add one, or '
    '"alter table %1$s replica identity full", which is slow where much changes and fails with json, xml and point',
    oid::regclass)
  from leaves l
  where relkind = 'r' and relreplident <> 'f' and not exists (
    select from pg_index i
    where i.indrelid = l.oid and i.indisvalid and i.indimmediate
      and case l.relreplident when 'd' then i.indisprimary else i.indisreplident end)
  union all
  select format('%s large objects would stay behind; move by a dump', count(*))
  from pg_largeobject_metadata having count(*) > 0
  union all
  select format('wal_level is %s; set it to logical and restart', current_setting('wal_level'))
  where current_setting('wal_level') <> 'logical'
  union all
  select format('%s of %s replication slots are taken, and two are needed; raise max_replication_slots and restart',
    count(*), current_setting('max_replication_slots'))
  from pg_replication_slots having count(*) > current_setting('max_replication_slots')::int - 2
$$;

create or replace function groundwork_move.publish(schemas text[]) returns void language plpgsql as $$
declare
  found text := (select string_agg(fault, e'\n') from groundwork_move.faults(schemas) fault);
begin
  if found is not null then
    raise exception e'nothing was published:\n%', found;
  end if;
  -- Through the root: the other side puts rows into partitions of its own.
  execute (
    select format('create publication groundwork_move for table %s with (publish_via_partition_root = true)',
      string_agg(root::regclass::text, ', '))
    from groundwork_move.roots(schemas) root);
end
$$;

-- The copy adds rows to what is there.
create or replace procedure groundwork_move.empty() language plpgsql as $$
declare
  one regclass;
  filled boolean;
  found text[];
begin
  for one in select format('%I.%I', schemaname, tablename) from pg_publication_tables where pubname = 'groundwork_move' loop
    execute format('select exists (select from %s)', one) into filled;
    if filled then
      found := found || one::text;
    end if;
  end loop;
  if found is not null then
    raise exception 'not empty: %', array_to_string(found, ', ');
  end if;
end
$$;

create or replace function groundwork_move.columns() returns setof text language sql stable set search_path = '' as $$
  select format('%I.%I %I %s%s', schemaname, tablename, attname, format_type(atttypid, atttypmod),
    case when attnotnull then ' not null' end)
  from pg_publication_tables
  join pg_attribute on attrelid = format('%I.%I', schemaname, tablename)::regclass and attnum > 0 and not attisdropped
  where pubname = 'groundwork_move'
  order by schemaname, tablename, attname
$$;

-- The role that the other side logs in as: it reads, and changes nothing.
create or replace function groundwork_move.admit(password text) returns void language plpgsql as $$
begin
  if to_regrole('groundwork_move') is null then
    create role groundwork_move;
  end if;
  execute format('alter role groundwork_move login replication bypassrls connection limit 10 password %L', password);
  grant pg_read_all_data to groundwork_move;
end
$$;

-- A file that only the server reads: what stands in a subscription's connection is in every dump and in the server's log.
create or replace function groundwork_move.remember(login text, password text) returns void language plpgsql as $$
begin
  execute format('copy (select %L) to program %L', format('*:*:*:%s:%s', login, password),
    'umask 077; cat > /etc/postgresql-custom/move.pgpass');
end
$$;

create or replace function groundwork_move.state() returns setof text language sql as $$
  select format('slot %s: %s, %s bytes behind; keeps %s of log, %s%s', slot_name,
    case when active then 'active' else 'NOBODY READS IT' end,
    pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn),
    pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), wal_status,
    ', given up after ' || pg_size_pretty(safe_wal_size) || ' more')
  from pg_replication_slots where database = current_database() and slot_type = 'logical'
  union all
  select format('%s of %s tables copied; failed %s times in copies, %s times in changes',
    (select count(*) from pg_subscription_rel r where r.srsubid = s.oid and r.srsubstate = 'r'),
    (select count(*) from pg_subscription_rel r where r.srsubid = s.oid), t.sync_error_count, t.apply_error_count)
  from groundwork_move.subscription s join pg_stat_subscription_stats t on t.subid = s.oid
  union all
  select format('copying %s', "table") from groundwork_move.uncopied
$$;

create or replace procedure groundwork_move.ready() language plpgsql as $$
begin
  if not exists (select from groundwork_move.subscription) then
    raise exception 'there is no subscription groundwork_move here';
  elsif not (select enabled from groundwork_move.subscription) then
    raise exception 'subscription groundwork_move is disabled';
  elsif exists (select from groundwork_move.uncopied) then
    raise exception 'not copied yet: %', (select string_agg("table"::text, ', ') from groundwork_move.uncopied);
  end if;
end
$$;

-- Who is in is sent out, and nobody but superusers gets in. Replication goes on.
create or replace procedure groundwork_move.close() language plpgsql as $$
begin
  if not (select rolsuper from pg_roles where rolname = current_user) then
    raise exception 'role % would shut itself out; take the rights to write instead', current_user;
  end if;
  execute format('alter database %I connection limit 0', current_database());
  commit;
  for round in 1 .. 300 loop
    perform pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
      and (round = 1 or not (select rolsuper from pg_roles where oid = usesysid));
    if not found and round > 1 then
      return;
    end if;
    perform pg_sleep(0.1);
    commit;
  end loop;
  raise exception 'somebody does not leave: see pg_stat_activity';
end
$$;

create or replace procedure groundwork_move.open() language plpgsql as $$
begin
  execute format('alter database %I connection limit -1', current_database());
end
$$;

-- Before the other side takes over. What is written to an open one, the other one may not have yet, and would never get.
create or replace procedure groundwork_move.is_shut() language plpgsql as $$
begin
  if (select datconnlimit from pg_database where datname = current_database()) <> 0 then
    raise exception 'this side is open and may have what the other one has not; nothing was handed over: use switch';
  end if;
end
$$;

-- Until all that was written here has been confirmed by the other side. A commit of its own carries the log to the disk, since
-- nothing else is sent; so that, when the doors are closed, nothing lies behind it.
create or replace procedure groundwork_move.level() language plpgsql as $$
declare
  target pg_lsn;
  missing numeric;
begin
  perform pg_logical_emit_message(true, 'groundwork_move', 'level');
  commit;
  target := pg_current_wal_flush_lsn();
  for tenth in 1 .. 3000 loop
    missing := (
      select pg_wal_lsn_diff(target, confirmed_flush_lsn) from pg_replication_slots where slot_name = 'groundwork_move');
    if missing <= 0 then
      return;
    elsif missing is null then
      raise exception 'there is no slot groundwork_move here';
    end if;
    perform pg_sleep(0.1);
  end loop;
  raise exception '% bytes have not arrived after five minutes; look at state() on both sides', missing;
end
$$;

-- Every table with the number of its rows and the sum of their hashes, the same wherever the rows are.
create or replace function groundwork_move.rows() returns setof text language plpgsql
set search_path = '' set timezone = 'UTC' set datestyle = 'ISO' set intervalstyle = 'postgres' set bytea_output = 'hex'
set extra_float_digits = 3 as $$
declare
  one regclass;
begin
  for one in
    select format('%I.%I', schemaname, tablename) from pg_publication_tables where pubname = 'groundwork_move'
    order by schemaname, tablename
  loop
    return query execute format(
      'select format(''%%s %%s %%s'', %L, count(*), sum(hashtextextended(row(%s)::text, 0))) from %1$s', one, (
        select string_agg(quote_ident(attname), ', ' order by attname) from pg_attribute
        where attrelid = one and attnum > 0 and not attisdropped));
  end loop;
end
$$;

-- Statements for the other side. Ahead of what was handed out, since sessions may have taken numbers that they did not use.
create or replace function groundwork_move.sequences(schemas text[]) returns setof text language sql as $$
  select format('select setval(%L, %s);', format('%I.%I', schemaname, sequencename),
    case when last_value::numeric + 1000 * increment_by::numeric between min_value and max_value
      then last_value + 1000 * increment_by else last_value end)
  from pg_sequences
  where quote_ident(schemaname)::regnamespace = any (schemas::regnamespace[]) and last_value is not null
$$;

-- Nothing is asked of the other side, which may be away. How far this one has come is lost: a new subscription to the same slot
-- would bring rows a second time.
create or replace procedure groundwork_move.unsubscribe() language plpgsql as $$
begin
  if exists (select from groundwork_move.subscription) then
    alter subscription groundwork_move disable;
    alter subscription groundwork_move set (slot_name = none);
    drop subscription groundwork_move;
  end if;
end
$$;

create or replace procedure groundwork_move.release() language plpgsql as $$
declare
  reader int;
begin
  for tenth in 1 .. 300 loop
    select active_pid into reader from pg_replication_slots where slot_name = 'groundwork_move';
    if not found then
      return;
    elsif reader is null then
      perform pg_drop_replication_slot('groundwork_move');
    else
      perform pg_terminate_backend(reader);
      perform pg_sleep(0.1);
    end if;
  end loop;
  raise exception 'slot groundwork_move is still being read, by process %', reader;
end
$$;

-- What is written from here on is kept for the other side, whenever it comes for it. Repeated, it loses nothing.
create or replace procedure groundwork_move.take() language plpgsql as $$
begin
  call groundwork_move.unsubscribe();
  commit;
  if not exists (select from pg_replication_slots where slot_name = 'groundwork_move') then
    perform pg_create_logical_replication_slot('groundwork_move', 'pgoutput');
  end if;
  call groundwork_move.open();
end
$$;

-- From the side that took over. Repeated, it brings nothing a second time.
create or replace procedure groundwork_move.receive(connection text) language plpgsql as $$
begin
  call groundwork_move.release();
  if not exists (select from groundwork_move.subscription) then
    execute format('create subscription groundwork_move connection %L publication groundwork_move '
      'with (create_slot = false, copy_data = false)', connection);
  end if;
end
$$;

create or replace procedure groundwork_move.finish() language plpgsql as $$
begin
  call groundwork_move.unsubscribe();
  call groundwork_move.release();
  drop publication if exists groundwork_move;
  drop role if exists groundwork_move;
  copy (select) to program 'cat; rm -f /etc/postgresql-custom/move.pgpass';
end
$$;
