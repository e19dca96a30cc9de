# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database with one of everything that a move may stumble over, and an application that writes to it meanwhile."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from postgres_server import Database

TABLES = (
    "auth.users", "billing.orders", "billing.totals", "billing.stock", "billing.events", "billing.visits",
    'billing."Odd Name"', "public.todos",
)  # fmt: skip
# Triggers that fire twice, rights that come by default, and partitions that differ, show in the rows or in the rights.
SCHEMA = """
create schema billing;
create table billing.orders (
  id bigint generated always as identity primary key, customer uuid not null references auth.users, note jsonb,
  price numeric not null, doubled numeric generated always as (price * 2) stored, at timestamptz default now());
create table billing.totals (id int primary key, orders bigint);
insert into billing.totals values (1, 0);
create function billing.count_order() returns trigger language plpgsql as $$
begin update billing.totals set orders = orders + 1; return new; end $$;
create trigger count_order after insert on billing.orders for each row execute function billing.count_order();
create table billing.stock (item serial primary key, pieces int not null, check (pieces > -100000));
create table billing.events (at timestamptz not null, what text, amount double precision);
alter table billing.events replica identity full;
create table billing.visits (id uuid, at date, page text, primary key (id, at)) partition by range (at);
create table billing.visits_old partition of billing.visits for values from (minvalue) to ('2026-01-01');
create table billing.visits_rest partition of billing.visits default;
create table billing."Odd Name" ("Key" text primary key, "order" bytea);
create sequence billing.countdown increment by -1 maxvalue 100000 start 100000;
create sequence billing.unused;
create materialized view billing.sales as select date(at) as day, sum(price) as total from billing.orders group by 1;
create table public.todos (id bigserial primary key, owner uuid, title text);
alter table public.todos enable row level security;
create policy own on public.todos using (owner = auth.uid());
revoke all on public.todos from anon;
"""
ROWS = """
insert into auth.users (id, email) select gen_random_uuid(), n || '@before.example' from generate_series(1, 3000) n;
insert into billing.orders (customer, note, price) select id, '{"from": "before"}', random() * 100 from auth.users;
insert into billing.stock (pieces) select 1000 from generate_series(1, 50);
insert into billing.events select now(), 'before', random() from generate_series(1, 500);
insert into billing.visits select gen_random_uuid(), '2025-12-01'::date + n, 'page' from generate_series(1, 60) n;
insert into billing."Odd Name" select n::text, sha256(n::text::bytea) from generate_series(1, 500) n;
insert into public.todos (owner, title) select id, 'before' from auth.users limit 500;
"""
WRITES = (
    "insert into auth.users (id, email) values (%(token)s::uuid, %(token)s::text || '@during.example')",
    "insert into billing.orders (customer, price) values (%(token)s::uuid, 10)",
    "update billing.stock set pieces = pieces - 1 where item = 1 + floor(random() * 50)",
    "insert into billing.events values (clock_timestamp(), %(token)s, random())",
    "update billing.events set amount = amount / 3 where what = %(token)s",
    "insert into billing.visits values (%(token)s::uuid, '2025-12-01'::date + (random() * 60)::int, 'page')",
    'delete from billing."Odd Name" where "Key" = (select min("Key") from billing."Odd Name")',
    "insert into public.todos (owner, title) values (%(token)s::uuid, nextval('billing.countdown'))",
)


def fill(database: Database) -> None:
    with database.connect() as connection:
        connection.execute(SCHEMA)
        connection.execute(ROWS)


def contents(database: Database) -> dict[str, tuple[int, str]]:
    """Number of rows and checksum of each table, by no means of the move's own."""
    query = "select count(*), md5(string_agg(t::text, ',' order by t::text collate \"C\")) from {} t"
    return {table: database.query(query.format(table), user="supabase_admin")[0] for table in TABLES}


@dataclass
class Write:
    """One transaction. at: seconds at its commit, on the clock of time.monotonic()."""

    token: str
    side: int
    at: float


@dataclass
class Writer:
    """Writes to one side until it is sent out, then to the one that lets it in."""

    sides: tuple[Database, Database]
    writes: list[Write] = field(default_factory=list)
    uncertain: set[str] = field(default_factory=set)
    quiet: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None

    def on(self, side: int) -> list[Write]:
        return [write for write in self.writes if write.side == side]

    def run(self) -> None:
        side = 0
        try:
            while not self.over.is_set():
                try:
                    self.write_to(side)
                except psycopg.OperationalError:
                    side = 1 - side
                    time.sleep(0.02)
        except BaseException as error:
            self.failure = error

    def write_to(self, side: int) -> None:
        with self.sides[side].connect() as connection:
            while not self.over.is_set():
                token = str(uuid.uuid4())
                with self.quiet:
                    self.uncertain.add(token)
                    with connection.transaction():
                        for statement in WRITES:
                            connection.execute(statement, {"token": token})
                    self.uncertain.remove(token)
                    self.writes.append(Write(token, side, time.monotonic()))
                time.sleep(0.01)

    def wait_for_more(self, side: int) -> None:
        """Until this side has taken twenty more writes."""
        wanted, end = len(self.on(side)) + 20, time.monotonic() + 60
        while len(self.on(side)) < wanted:
            assert self.failure is None, self.failure
            assert time.monotonic() < end, f"nothing is written to {self.sides[side].server.container}"
            time.sleep(0.05)


@contextmanager
def writing(old: Database, new: Database) -> Iterator[Writer]:
    """The writer begins on the old side. What it failed of is raised at the end."""
    writer = Writer((old, new))
    thread = threading.Thread(target=writer.run, daemon=True)
    thread.start()
    try:
        yield writer
    finally:
        writer.over.set()
        thread.join(timeout=30)
    if writer.failure is not None:
        raise writer.failure
