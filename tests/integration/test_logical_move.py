# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A move from PostgreSQL 15 to 17 by logical replication, and back: the commands of docs/migrate.md, under writes."""

from __future__ import annotations

import os
import re
import subprocess
import time
from contextlib import contextmanager

import psycopg
import pytest
from certificate_pairs import make_pair
from migration_queries import wait_until
from moving_shop import TABLES, contents, fill, writing
from postgres_server import ROOT, docker

GUIDE = (ROOT / "docs" / "migrate.md").read_text(encoding="utf-8")
ADDRESS = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
IN_CONTAINER = 'docker exec -i -e PGDATABASE={name} {container} "$@"'
# Members of no schema, so that the guide brings them by themselves.
ROLES = ("billing", "reports")
AUTHS_OWN = {"auth.refresh_tokens", "auth.instances", "auth.audit_log_entries"}
PARTITION_HERE = (
    "create table billing.visits_here partition of billing.visits for values from ('2026-01-05') to ('2026-01-20')"
)
UNFIT = """
create table billing.keyless (id int);
create table billing.later (id int primary key deferrable);
create table billing.parts (id int) partition by list (id);
create table billing.part partition of billing.parts default;
create unlogged table billing.passing (id int primary key);
select lo_from_bytea(0, 'large')
"""
FIT_AGAIN = """
drop table billing.keyless, billing.later, billing.parts, billing.passing;
select lo_unlink(oid) from pg_largeobject_metadata
"""
PASSWORD_FILE = "/etc/postgresql-custom/move.pgpass"


def blocks(heading):
    """What the guide has typed under a heading, one text for each block."""
    section = re.split(r"^#", GUIDE.partition(f"\n#### {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    found = re.findall(r"^```console\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return [re.sub(r"^\$ ", "", block, flags=re.MULTILINE) for block in found]


def give_tls(server):
    """A certificate in its data folder, under the names by which the server looks for one."""
    pair = make_pair(server.container)
    for name, text in (("server.key", pair.key), ("server.crt", pair.certificate)):
        write = f"umask 077; cat > /var/lib/postgresql/data/{name}"
        command = ["docker", "exec", "--interactive", "--user", "postgres", server.container, "sh", "-c", write]
        subprocess.run(command, input=text, text=True, check=True)
    with server.connect() as connection:
        connection.execute("alter system set ssl = on")
        connection.execute("select pg_reload_conf()")


@pytest.fixture(scope="module")
def servers(start_server):
    old, new = start_server(15), start_server(17)
    for server in (old, new):
        give_tls(server)
    yield old, new
    for server in (old, new):
        with server.connect() as connection:
            connection.execute("alter system reset ssl")
            connection.execute("select pg_reload_conf()")


@pytest.fixture
def sides(servers):
    """An empty database on each, which go with all that the move has made on the servers."""
    roles = [server.roles() for server in servers]
    yield tuple(server.create_database("move") for server in servers)
    # The one that receives would keep the other's from being dropped.
    for server in servers:
        with server.connect(dbname="move") as connection:
            if connection.execute("select to_regnamespace('groundwork_move')").fetchone()[0]:
                connection.execute("call groundwork_move.finish()")
    for server, before in zip(servers, roles, strict=True):
        server.drop_database("move")
        server.drop_roles(server.roles() - before)


@pytest.fixture
def shell(sides, tmp_path):
    """Type a block of the guide. Only the lines that are the operator's own are others."""
    own, everybodys = blocks("Prepare")
    names = re.findall(r"^(?:\w+(?=\(\) \{)|\w+(?==)|at_old(?==))", own, re.MULTILINE)
    assert names == ["old", "new", "own", "login", "at_old"], own
    login = re.search(r'^login="(.*)"$', own, re.MULTILINE)[1].replace("dbname=postgres", "dbname=move")
    lines = ["own=public,billing"]
    for name, side in zip(("old", "new"), sides, strict=True):
        inside = IN_CONTAINER.format(name=side.name, container=side.server.container)
        address = docker("inspect", "--format", ADDRESS, side.server.container).strip()
        lines += [f"{name}() {{ {inside}; }}", f'at_{name}="host={address} {login}"']
    preface = "\n".join([*lines, everybodys])

    def type_in(text, fails=False):
        command = ["bash", "-e", "-c", f"{preface}\n{text}"]
        home = {**os.environ, "HOME": str(tmp_path)}
        done = subprocess.run(command, cwd=ROOT, env=home, capture_output=True, text=True, timeout=300, check=False)
        assert bool(done.returncode) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    return type_in


def begin(shell, new):
    """The copy, and what was typed to begin it: roles and schema are there already."""
    publish, _roles, schema, copy = blocks("Begin")
    for block in (publish, schema, copy):
        shell(block)
    wait_for_copy(new)
    return copy


def wait_for_copy(new):
    end = time.monotonic() + 60
    while new.query("select count(*) from pg_subscription_rel where srsubstate <> 'r'", user="supabase_admin")[0][0]:
        assert time.monotonic() < end, new.server.log()[-3000:]
        time.sleep(0.2)


def level(shell, writer, side):
    """Both sides while nobody writes, after the last change has come over."""
    with writer.quiet:
        shell(f"{side} $sql <<< 'call groundwork_move.level()'")
        return [contents(database) for database in writer.sides]


def test_what_cannot_move_is_named_before_anything_is_published(shell, sides):
    old, _new = sides
    fill(old)
    old.query(UNFIT)
    publish = blocks("Begin")[0]
    faults = [
        line for line in shell(publish, fails=True).splitlines() if re.match(r"billing\.|\d+ large objects", line)
    ]
    assert sorted(re.split("[: ]", line)[0] for line in faults) == [
        "1", "billing.keyless", "billing.later", "billing.part", "billing.passing",
    ]  # fmt: skip
    assert old.query("select from pg_publication where pubname = 'groundwork_move'") == []
    old.query(FIT_AGAIN)
    shell(publish)
    published = old.query("select schemaname || '.' || quote_ident(tablename) from pg_publication_tables")
    assert {name for (name,) in published} == {*TABLES, *AUTHS_OWN}


def test_there_and_back_while_an_application_writes(shell, sides):
    old, new = sides
    fill(old)
    for role in ROLES:
        old.query(f"create role {role} login password '{role}'", user="supabase_admin")
    old.query("grant usage on schema billing to reports; grant select on billing.orders to reports")
    publish, missing, schema, copy = blocks("Begin")
    state, end = blocks("State")[0], blocks("End")[0]
    before, switch = blocks("Switch")
    with writing(old, new) as writer:
        writer.wait_for_more(0)
        shell(publish)
        assert re.findall(r"^[<>] .*", shell(missing, fails=True), re.MULTILINE) == [f"< {role}" for role in ROLES]
        shell(re.search(r"`(old pg_dumpall .*?)`", GUIDE)[1])
        assert shell(missing) == ""
        assert shell(schema) == ""
        # One partition more on this side, where its own maintenance runs.
        new.query(PARTITION_HERE)
        shell(schema.splitlines()[-1])
        assert new.query("select has_table_privilege('anon', 'public.todos', 'select')") == [(False,)]
        shell(copy)
        wait_for_copy(new)
        password = docker("exec", new.server.container, "cat", PASSWORD_FILE).strip().rpartition(":")[2]
        assert f"{len(TABLES) + len(AUTHS_OWN)} of {len(TABLES) + len(AUTHS_OWN)} tables copied" in shell(state)
        writer.wait_for_more(0)

        old.query("create function billing.late() returns int language sql return 1")
        assert "billing.late" in shell(before, fails=True)
        old.query("drop function billing.late")
        shell(before)

        shell(switch)
        writer.wait_for_more(1)
        there, here = level(shell, writer, "new")
        assert there == here
        assert "failed 0 times in copies, 0 times in changes" in shell(state)

        for way, side, name in ((blocks("Go back")[0], 0, "old"), (switch, 1, "new")):
            shell(way)
            writer.wait_for_more(side)
            there, here = level(shell, writer, name)
            assert there == here
    shell(end)
    check_what_was_written(writer, new)
    for side in sides:
        check_that_nothing_stays(side, password)
    closed = [later.at - last.at for last, later in zip(writer.writes, writer.writes[1:]) if last.side != later.side]
    print(f"\n{len(writer.writes)} writes; doors closed for {', '.join(f'{seconds:.1f}' for seconds in closed)} s")
    assert len(closed) == 3 and max(closed) < 30


def check_what_was_written(writer, new):
    """Each write that was answered is there, once; and nothing else but those whose answer was cut off."""
    found = [token for (token,) in new.query("select id::text from auth.users where email like '%during.example'")]
    numbers = new.query("select count(*) = count(distinct title) from public.todos where title <> 'before'")
    written = {write.token for write in writer.writes}
    assert len(found) == len(set(found)) and written <= set(found) <= written | writer.uncertain
    assert numbers == [(True,)]
    assert new.query("select orders = (select count(*) from billing.orders) from billing.totals") == [(True,)]


def check_that_nothing_stays(side, password):
    assert len(password) == 48
    assert password not in side.server.log()
    assert "move.pgpass" not in docker("exec", side.server.container, "ls", "/etc/postgresql-custom")
    asked = "select count(*) from extensions.pg_stat_statements where query like %s"
    left = "select slot_name from pg_replication_slots where slot_name = 'groundwork_move'"
    assert side.query(asked, [f"%{password}%"], user="supabase_admin") == [(0,)]
    assert side.query(left, user="supabase_admin") == []


@contextmanager
def without(side, routine):
    """As if it had failed: one of the move's routines is away."""
    side.query(f"alter routine groundwork_move.{routine} rename to away", user="supabase_admin")
    yield
    side.query(f"alter routine groundwork_move.away rename to {routine}", user="supabase_admin")


def check_shut(*sides):
    for side in sides:
        with pytest.raises(psycopg.OperationalError, match="too many connections"):
            side.query("select")


def printed(said, outcome):
    """The line to go on with, of a switch that has stopped."""
    return re.search(rf"^{outcome}, [^:]*: (.*)$", said, re.MULTILINE)[1]


def check_that_both_are_level(shell, name, sides):
    shell(f"{name} $sql <<< 'call groundwork_move.level()'")
    assert contents(sides[0]) == contents(sides[1])


def ways(sides):
    """What is typed for the switch in either direction, and the two sides with their names: from, to."""
    there, back = ("old", sides[0]), ("new", sides[1])
    return (blocks("Switch")[1], there, back), (blocks("Go back")[0], back, there)


def test_a_switch_that_finds_a_difference_moves_nothing(shell, sides):
    old, new = sides
    fill(old)
    begin(shell, new)
    opened = re.search(r"Only until the first switch .*?`(new .*?)`", GUIDE, re.DOTALL)[1]
    for switch, (giver, giving), (_taker, taking) in ways(sides):
        taking.query("insert into billing.totals values (2, 0)", user="supabase_admin")
        said = shell(switch, fails=True)
        assert "billing.totals 2" in said
        check_shut(old, new)
        shell(printed(said, "NOTHING HAS MOVED"))
        check_shut(taking)
        assert "this side is open" in shell(switch.replace("switch", "hand_over"), fails=True)
        giving.query("update billing.totals set orders = orders + 1 where id = 1")
        taking.query("delete from billing.totals where id = 2", user="supabase_admin")
        check_that_both_are_level(shell, giver, sides)
        if taking is new:
            shell(opened)
            new.query("select")
        shell(switch)
        check_shut(giving)
        taking.query("update billing.totals set orders = orders + 1 where id = 1")


def test_a_switch_that_stops_before_it_has_compared_moves_nothing(shell, sides):
    old, new = sides
    fill(old)
    begin(shell, new)
    for routine in ("close", "level", "rows", "sequences"):
        for switch, (giver, giving), (taker, taking) in ways(sides):
            with without(old, routine), without(new, routine):
                said = shell(switch, fails=True)
            assert f"groundwork_move.{routine}" in said
            if routine == "rows":
                assert all(f"{name} failed: select groundwork_move.rows()" in said for name in (giver, taker)), said
            if routine != "close":
                check_shut(old, new)
            shell(printed(said, "NOTHING HAS MOVED"))
            giving.query("update billing.totals set orders = orders + 1")
            check_that_both_are_level(shell, giver, sides)
            # Between what moves nothing and what takes over, it prints neither: the same command goes on.
            with without(giving, "is_shut"):
                said = shell(switch, fails=True)
            assert "NOTHING HAS MOVED" not in said and "NOT HANDED OVER" not in said
            check_shut(old, new)
            shell(switch)
            check_shut(giving)
            taking.query("update billing.totals set orders = orders + 1")


def test_a_copy_that_could_not_look_at_the_columns_does_not_begin(shell, sides):
    old, new = sides
    fill(old)
    publish, _roles, schema, copy = blocks("Begin")
    shell(publish)
    shell(schema)
    with without(old, "columns"), without(new, "columns"):
        said = shell(copy, fails=True)
    assert "old failed: select groundwork_move.columns()" in said and "new failed: " in said
    assert new.query("select * from groundwork_move.subscription", user="supabase_admin") == []
    shell(re.search(r"Where it stops, nothing has been copied.*?`(new .*?)`", GUIDE)[1])
    shell(copy)
    wait_for_copy(new)


def test_a_hand_over_that_stops_goes_on_in_its_direction(shell, sides):
    old, new = sides
    fill(old)
    begin(shell, new)
    row = 2
    # Nothing is taken yet; all but the door is; and the side that gave does not receive yet.
    for routine in ("take", "open", "receive"):
        for switch, (giver, giving), (taker, taking) in ways(sides):
            with without(giving if routine == "receive" else taking, routine):
                said = shell(switch, fails=True)
                check_shut(giving)
                assert printed(shell(printed(said, "NOT HANDED OVER"), fails=True), "NOT HANDED OVER")
            if routine != "take":
                again = shell(switch, fails=True)
                assert "there is no subscription" in again and "NOTHING HAS MOVED" not in again
            if routine == "receive":
                taking.query("insert into billing.totals values (%s, 0)", [row])
                assert "this side is open" in shell(f"hand_over {taker} {giver}", fails=True)
            # Once more than needed it does not bring anything a second time.
            for _time in range(2):
                assert shell(printed(said, "NOT HANDED OVER")) == ""
                row += 1
                taking.query("insert into billing.totals values (%s, 0)", [row])
                check_that_both_are_level(shell, taker, sides)
            check_shut(giving)
            row += 1


def test_who_is_away_too_long_begins_anew(shell, sides):
    old, new = sides
    fill(old)
    copy = begin(shell, new)
    state, anew = blocks("State")
    new.query("alter subscription groundwork_move disable", user="supabase_admin")
    wait_until(old, "select not active from pg_replication_slots where slot_name = 'groundwork_move'")
    old.query("update billing.totals set orders = 0")
    assert "NOBODY READS IT" in shell(state)
    new.query("alter subscription groundwork_move enable", user="supabase_admin")
    shell("old $sql <<< 'call groundwork_move.level()'")
    assert contents(old) == contents(new)

    new.query("alter subscription groundwork_move disable", user="supabase_admin")
    wait_until(old, "select not active from pg_replication_slots where slot_name = 'groundwork_move'")
    with kept_log(old, "1MB"):
        for _segment in range(3):
            old.query("update billing.totals set orders = orders + 1")
            old.query("select pg_switch_wal()", user="supabase_admin")
        old.query("checkpoint", user="supabase_admin")
        assert "lost" in shell(state)
    shell(anew)
    shell(copy)
    wait_for_copy(new)
    shell(blocks("Switch")[1])
    assert contents(old) == contents(new)


@contextmanager
def kept_log(side, size):
    """As much log and no more is kept for a slot."""
    with side.server.connect() as connection:
        connection.execute(f"alter system set max_slot_wal_keep_size = '{size}'")
        connection.execute("select pg_reload_conf()")
        yield
        connection.execute("alter system reset max_slot_wal_keep_size")
        connection.execute("select pg_reload_conf()")
