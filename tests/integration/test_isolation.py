# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module isolation: every planted leak is found, and a schema without one passes."""

from __future__ import annotations

import time

import pytest
from postgres_server import ROOT

EXAMPLE = ROOT / "examples" / "tenant-app" / "supabase" / "migrations"
ADA, BOB = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
TENANT_A, TENANT_B = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"


@pytest.fixture
def tenants():
    return [
        {"name": "ada", "claims": {"sub": ADA, "tenant_id": TENANT_A}, "owns": {"tenant_id": TENANT_A}},
        {"name": "bob", "claims": {"sub": BOB, "tenant_id": TENANT_B}, "owns": {"tenant_id": TENANT_B}},
    ]


# A schema in which two tenants are separate, and everything that the API can do is done by policies.
SOUND = f"""
create schema app;
grant usage on schema app to anon, authenticated;
create function app.tenant() returns uuid language sql stable set search_path = ''
  as $$ select (auth.jwt() ->> 'tenant_id')::uuid $$;
create table app.notes (
  id uuid primary key default gen_random_uuid(), tenant_id uuid not null, body text not null unique, rank int default 1
);
create index on app.notes (tenant_id);
alter table app.notes enable row level security;
create policy reads on app.notes for select to authenticated using (tenant_id = app.tenant());
create policy adds on app.notes for insert to authenticated with check (tenant_id = app.tenant());
create policy changes on app.notes for update to authenticated
  using (tenant_id = app.tenant()) with check (tenant_id = app.tenant());
create policy removes on app.notes for delete to authenticated using (tenant_id = app.tenant());
grant select, insert, update, delete on app.notes to authenticated;
grant select on app.notes to anon;
insert into app.notes (tenant_id, body) values ('{TENANT_A}', 'a''s {{}} %s \\'), ('{TENANT_B}', 'b''s');
"""


@pytest.fixture
def sound(database):
    database.query(SOUND)
    return database


@pytest.fixture
def prove(run, tenants):
    def call(database, *options, **arguments):
        return run("isolation", {"tenants": tenants, "schemas": ["app"], **database.login, **arguments}, *options)

    return call


def find(result, **wanted):
    return [attempt for attempt in result["attempts"] if all(attempt.get(key) == wanted[key] for key in wanted)]


def state(database):
    return database.query("select tableoid::regclass::text, ctid, xmin, n.* from app.notes n order by 1, 2")


def test_a_sound_schema_passes(prove, sound):
    before = state(sound)
    proven = prove(sound)
    assert not proven.changed
    assert proven.result["verdict"] == "passed", proven.output
    counts = proven.result["counts"]
    assert counts["leaked"] == counts["not_proven"] == 0 and counts["own"] > 0
    # A denial is told from an empty result.
    assert [a["outcome"] for a in find(proven.result, command="select", rows_of="bob", actor="ada")] == ["empty"]
    assert [a["outcome"] for a in find(proven.result, command="insert", rows_of="bob", actor="ada")] == ["denied"] * 2
    lines = [line.split() for line in proven.result["table"].splitlines()]
    assert lines[1] == ["app.notes", "empty", "denied", "empty", "empty", "denied", "-"]
    assert state(sound) == before


# Projects and their tasks, each with a tenant of its own; the key between them does not hold it.
PROJECTS = f"""
create table app.projects (id uuid primary key default gen_random_uuid(), tenant_id uuid not null);
create table app.tasks (
  id uuid primary key default gen_random_uuid(), tenant_id uuid not null,
  project_id uuid constraint of_project references app.projects (id), parent_id uuid references app.tasks (id)
);
alter table app.projects enable row level security;
alter table app.tasks enable row level security;
create policy all_own on app.projects to authenticated using (tenant_id = app.tenant());
create policy all_own on app.tasks to authenticated using (tenant_id = app.tenant());
grant select, insert, delete on app.projects, app.tasks to authenticated;
grant update (project_id) on app.tasks to authenticated;
insert into app.projects (tenant_id) values ('{TENANT_A}'), ('{TENANT_B}');
insert into app.tasks (tenant_id, project_id) select tenant_id, id from app.projects;
"""

# Name, SQL, how the first leak is described, and the policies it names.
LEAKS = {
    "policy true": (
        "create policy everybody on app.notes for select to authenticated using (true)",
        {"relation": "app.notes", "command": "select", "actor": "ada", "policies": ["everybody"]},
    ),
    "policy true for anon": (
        "create policy everybody on app.notes for select to anon using (true)",
        {"relation": "app.notes", "command": "select", "actor": "anon", "policies": ["everybody"]},
    ),
    "a claim that is missing": (
        "create policy guests on app.notes for select to authenticated "
        "using (tenant_id = coalesce(app.tenant(), tenant_id))",
        {"relation": "app.notes", "command": "select", "actor": "authenticated without a user", "policies": ["guests"]},
    ),
    "row level security off": (
        "alter table app.notes disable row level security",
        {"relation": "app.notes", "command": "select", "actor": "ada", "why": "row level security is off"},
    ),
    "an owner without force": (
        "grant create on schema app to authenticated; alter table app.notes owner to authenticated",
        {"relation": "app.notes", "command": "delete", "actor": "bob", "rows_of": "ada"},
    ),
    "view of a definer": (
        "create view app.all_notes as select tenant_id, body from app.notes; "
        "grant select on app.all_notes to authenticated",
        {
            "relation": "app.all_notes",
            "command": "select",
            "why": "the view reads with the rights of its owner postgres",
        },
    ),
    "view of a definer that writes": (
        "create view app.all_notes as select tenant_id, body from app.notes; "
        "grant insert on app.all_notes to authenticated",
        {"relation": "app.all_notes", "command": "insert", "actor": "ada"},
    ),
    "view of a definer that shows own rows and lets others be made": (
        "create view app.mine as select tenant_id, body from app.notes where tenant_id = app.tenant(); "
        "grant select, insert on app.mine to authenticated",
        {"relation": "app.mine", "command": "insert", "actor": "ada"},
    ),
    "foreign key to what is the other's": (
        "{projects}",
        {"relation": "app.tasks", "command": "insert", "actor": "ada", "way": "own row refers to it"},
    ),
    "foreign key that is changed": (
        "{projects} revoke insert on app.tasks from authenticated",
        {"relation": "app.tasks", "command": "update", "actor": "bob", "way": "own row refers to it"},
    ),
    "view with a computed column": (
        f"""
        create schema hidden; grant usage on schema hidden to authenticated;
        create table hidden.things (tenant_id uuid, title text);
        alter table hidden.things enable row level security;
        create policy reads on hidden.things for select to authenticated using (tenant_id = app.tenant());
        create policy posts on hidden.things for insert to authenticated with check (true);
        create view app.things with (security_invoker) as
          select lower(title) as search, tenant_id, title from hidden.things;
        grant select, insert on hidden.things, app.things to authenticated;
        insert into hidden.things values ('{TENANT_A}', 'a'), ('{TENANT_B}', 'b');
        """,
        {"relation": "app.things", "command": "insert", "actor": "ada"},
    ),
    "materialized view": (
        "create materialized view app.digest as select tenant_id, count(*) from app.notes group by tenant_id; "
        "grant select on app.digest to anon",
        {"relation": "app.digest", "command": "select", "actor": "anon"},
    ),
    "partition leaf": (
        f"""
        create table app.events (tenant_id uuid, at date) partition by range (at);
        create table app.events_2026 partition of app.events for values from ('2026-01-01') to ('2027-01-01');
        alter table app.events enable row level security;
        create policy reads on app.events for select to authenticated using (tenant_id = app.tenant());
        grant select on app.events, app.events_2026 to authenticated;
        insert into app.events values ('{TENANT_A}', '2026-02-02'), ('{TENANT_B}', '2026-02-02');
        """,
        {
            "relation": "app.events_2026",
            "command": "select",
            "why": "row level security is off; it is a partition, the policies of app.events do not hold here",
        },
    ),
    "truncate": (
        "grant truncate on app.notes to authenticated",
        {"relation": "app.notes", "command": "truncate", "actor": "authenticated"},
    ),
    "function that returns everything": (
        "create function app.peek() returns setof app.notes language sql stable security definer "
        "as 'select * from app.notes'; grant execute on function app.peek() to anon",
        {"relation": "app.peek()", "command": "execute", "why": "it runs with the rights of postgres"},
    ),
    "function that calls a hidden one": (
        "create schema hidden; grant usage on schema hidden to authenticated; "
        "create function hidden.peek() returns setof app.notes language sql stable security definer "
        "as 'select * from app.notes'; create function app.peek() returns bigint[] language sql stable "
        "as 'select array[count(*)] from hidden.peek()'; create function app.list() returns setof text language sql "
        "stable as 'select p::text from hidden.peek() p'",
        {"relation": "app.list()", "command": "execute", "actor": "ada"},
    ),
    "role with BYPASSRLS": (
        "create role {role} bypassrls; grant {role} to authenticator",
        {"relation": "role {role}", "command": "become"},
    ),
    "update without check": (
        "drop policy changes on app.notes; create policy moves on app.notes for update to authenticated "
        "using (tenant_id = app.tenant()) with check (true)",
        # A WHERE would need the policy for SELECT, which hides what becomes somebody else's.
        {
            "command": "update",
            "way": "own row given away without where",
            "policies": ["moves"],
            "relation": "app.notes",
        },
    ),
    "update without check of what can be seen": (
        "create policy moves on app.notes for update to authenticated using (tenant_id = app.tenant()) "
        "with check (true); create policy sees on app.notes for select to authenticated using (rank = 1)",
        {"relation": "app.notes", "command": "update", "way": "own row given away", "policies": ["moves"]},
    ),
    "update that takes over": (
        "create policy steals on app.notes for update to authenticated using (true) with check "
        "(tenant_id = app.tenant()); create policy sees on app.notes for select to authenticated using (true)",
        {"relation": "app.notes", "command": "update", "way": "take over", "policies": ["steals"]},
    ),
    "update of what cannot be seen": (
        "create policy blindly on app.notes for update to authenticated using (true)",
        {"relation": "app.notes", "command": "update", "way": "without where", "policies": ["blindly"]},
    ),
    "delete of what cannot be seen": (
        "create policy wipes on app.notes for delete to authenticated using (body <> '')",
        {"relation": "app.notes", "command": "delete", "way": "without where", "policies": ["wipes"]},
    ),
    "insert for anybody": (
        "create policy posts on app.notes for insert to authenticated with check (true)",
        {"relation": "app.notes", "command": "insert", "way": "copy of a row", "policies": ["posts"]},
    ),
    "insert by columns": (
        "create table app.members (tenant_id uuid, user_id uuid, primary key (tenant_id, user_id)); "
        "alter table app.members enable row level security; grant insert on app.members to authenticated; "
        "create policy joins on app.members for insert to authenticated with check (user_id = auth.uid()); "
        f"insert into app.members values ('{TENANT_A}', '{ADA}'), ('{TENANT_B}', '{BOB}')",
        {"relation": "app.members", "command": "insert", "way": "own row given away", "policies": ["joins"]},
    ),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_found(prove, sound, leak):
    statements, wanted = LEAKS[leak]
    statements = statements.replace("{projects}", PROJECTS)
    # Roles are the whole server's.
    role = f"reporter_{sound.name}"
    sound.query(statements.replace("{role}", role), user="supabase_admin" if "{role}" in statements else "postgres")
    wanted = {key: value.replace("{role}", role) if isinstance(value, str) else value for key, value in wanted.items()}
    before = state(sound)
    try:
        proven = prove(sound)
        assert proven.error.startswith("tenants are not proven to be separate: leaked\nleaked:\n  - ")
        assert proven.result["verdict"] == "leaked"
        found = find(proven.result, outcome="leaked", **wanted)
        assert found, proven.output
        assert wanted["relation"] in proven.error and "LEAKED" in proven.result["table"]
        assert state(sound) == before
    finally:
        sound.query(f"drop role if exists {role}", user="supabase_admin")


@pytest.mark.parametrize(
    ("statements", "arguments", "words"),
    [
        ("delete from app.notes where tenant_id = '{b}'", {}, "there is no row of bob"),
        ("drop policy removes on app.notes; create policy removes on app.notes for delete using (rank > 1 and "
         "tenant_id = app.tenant())", {}, "delete (remove) as ada on what is bob's: bob does not get there either"),
        ("create table app.lists (id int); grant select on app.lists to anon", {}, "no column says whose its rows are"),
        ("create function app.wipe(t uuid) returns void language sql security definer as "
         "'delete from app.notes where tenant_id = t'", {}, "app.wipe(t uuid): execute"),
        ("create function app.bodies() returns setof text language sql stable security definer as "
         "'select body from app.notes'", {}, "called by bob its answer does not show bob either"),
        ("create table app.gone (tenant_id uuid); alter table app.gone enable row level security; "
         "grant select on app.gone to authenticated; create policy p on app.gone using (tenant_id = app.tenant())",
         {}, "app.gone: select (read) as ada on what is bob's: there is no row of bob"),
    ],
)  # fmt: skip
def test_what_shows_nothing_is_not_proven(prove, sound, statements, arguments, words):
    sound.query(statements.replace("{b}", TENANT_B))
    proven = prove(sound, **arguments)
    assert proven.result["verdict"] == "not proven", proven.output
    assert words in proven.error
    warned = prove(sound, fail_on="leaked", **arguments)
    assert warned.result["verdict"] == "not proven" and " ".join(words.split()) in " ".join(warned.output.split())


def test_wrong_claims_never_pass(prove, sound, tenants):
    """Whoever gets nowhere because the token is wrong proves nothing."""
    for tenant in tenants:
        tenant["claims"] = {"tenant": tenant["owns"]["tenant_id"]}
    proven = prove(sound)
    assert proven.result["verdict"] == "not proven" and "ada does not get there either" in proven.error
    assert {a["outcome"] for a in find(proven.result, command="select", actor="ada", rows_of="bob")} == {"not_proven"}


def test_an_empty_database_proves_nothing(prove, database):
    database.query("create schema app")
    assert prove(database).result["verdict"] == "not proven"
    assert "there is no such schema" in prove(database, schemas=["app", "apps"]).error


def test_without_a_policy_there_is_nothing_to_reach(prove, sound):
    """Supabase's usual table of the service alone: everything granted, row level security on, no policy."""
    sound.query(
        """
        create table app.jobs (tenant_id uuid); create table app.keys (id int);
        alter table app.jobs enable row level security; alter table app.keys enable row level security;
        grant select, insert, update, delete on app.jobs, app.keys to anon, authenticated;
        """
    )
    proven = prove(sound)
    assert proven.result["verdict"] == "passed", proven.output
    assert {a["outcome"] for a in find(proven.result, relation="app.keys", command="select")} == {"denied"}


def test_functions_are_called_as_declared(prove, sound):
    sound.query(
        """
        create function app.count_notes(t uuid) returns bigint language sql security definer set search_path = ''
          as $$ select count(*) from app.notes where tenant_id = t and tenant_id = app.tenant() having count(*) > 0 $$;
        create function app.fetch(t uuid) returns setof app.notes language sql security definer set search_path = ''
          as $$ select * from app.notes where tenant_id = t $$;
        create function app.rename(t uuid) returns void language sql security definer set search_path = ''
          as $$ update app.notes set rank = rank + 1 where tenant_id = t $$;
        create function app.guarded(t uuid) returns void language plpgsql security definer set search_path = '' as $$
          begin
            if t is distinct from app.tenant() then raise exception 'not yours'; end if;
            update app.notes set rank = rank + 1 where tenant_id = t;
          end $$;
        """
    )
    called = [{"name": f"app.{name}", "arguments": ["other.tenant_id"]} for name in ("count_notes", "fetch", "rename")]
    guarded = {"name": "app.guarded", "arguments": ["other.tenant_id"]}
    before = state(sound)
    proven = prove(sound, functions=[*called, guarded])
    assert proven.result["verdict"] == "leaked"
    leaks = {a["relation"]: a["why"] for a in find(proven.result, outcome="leaked")}
    assert leaks == {
        "app.fetch(t uuid)": "it runs with the rights of postgres",
        "app.rename(t uuid)": "it runs with the rights of postgres; it changed rows in app.notes",
    }
    assert state(sound) == before
    refusals = find(proven.result, relation="app.guarded(t uuid)", outcome="denied")
    assert refusals and {a["why"] for a in refusals} == {"P0001 not yours"}

    sound.query("drop function app.fetch(uuid), app.rename(uuid)")
    passed = prove(sound, functions=[called[0], {"name": "app.guarded", "shared": "asks who calls"}])
    assert passed.result["verdict"] == "passed", passed.output
    assert [a["why"] for a in find(passed.result, outcome="exempt", relation="app.guarded(t uuid)")] == [
        "asks who calls"
    ]


# What keeps a row from pointing at another tenant's, and what is said of the attempt.
KEPT = {
    "policies": (
        "alter policy all_own on app.tasks with check (tenant_id = app.tenant() "
        "and exists (select from app.projects p where p.id = project_id)); "
        "alter table app.tasks drop column parent_id",
        {("of_project", "denied")},
    ),
    "a trigger that refuses": (
        "create function app.look() returns trigger language plpgsql security definer as $$ begin "
        "if exists (select from app.projects p where p.id = new.project_id and p.tenant_id <> new.tenant_id) or "
        "exists (select from app.tasks t where t.id = new.parent_id and t.tenant_id <> new.tenant_id) "
        "then raise 'it is not yours'; end if; return new; end $$; "
        "create trigger look after insert or update on app.tasks for each row execute function app.look()",
        {("of_project", "denied")},
    ),
    "keys that hold the tenant": (
        "alter table app.projects add unique (tenant_id, id); alter table app.tasks add unique (tenant_id, id), "
        "drop constraint of_project, drop constraint tasks_parent_id_fkey, "
        "add foreign key (tenant_id, project_id) references app.projects (tenant_id, id), "
        "add foreign key (tenant_id, parent_id) references app.tasks (tenant_id, id)",
        set(),
    ),
}


@pytest.mark.parametrize("kept", KEPT)
def test_a_reference_that_is_kept_within_a_tenant_passes(prove, sound, kept):
    statements, said = KEPT[kept]
    sound.query(PROJECTS + statements)
    proven = prove(sound)
    assert proven.result["verdict"] == "passed", proven.output
    outcomes = {attempt["outcome"] for attempt in find(proven.result, way="own row refers to it")}
    assert outcomes == {outcome for _name, outcome in said}


def test_a_reference_may_be_declared_open(prove, sound):
    sound.query(PROJECTS)
    opened = {"name": "app.tasks", "open_references": ["project_id", "parent_id"]}
    proven = prove(sound, relations=[opened])
    assert proven.result.get("verdict") == "passed", proven.output
    half = prove(sound, relations=[{**opened, "open_references": ["project_id"]}])
    assert half.result["verdict"] == "leaked" and "foreign key tasks_parent_id_fkey takes it" in half.error
    wrong = prove(sound, relations=[{**opened, "open_references": ["tenant_id"]}])
    assert "app.tasks: open_references: no foreign key begins at tenant_id" in wrong.error


def test_a_view_that_shows_own_rows_and_checks_what_is_written_passes(prove, sound):
    sound.query(
        f"""
        create schema hidden;
        create table hidden.things (id uuid primary key default gen_random_uuid(), tenant_id uuid);
        create view app.mine as select * from hidden.things where tenant_id = app.tenant() with check option;
        grant select, insert, update, delete on app.mine to authenticated;
        insert into hidden.things (tenant_id) values ('{TENANT_A}'), ('{TENANT_B}');
        """
    )
    proven = prove(sound)
    assert proven.result["verdict"] == "passed", proven.output
    assert {a["outcome"] for a in find(proven.result, relation="app.mine", actor="ada", rows_of="bob")} == {
        "denied",
        "empty",
    }


def test_what_a_function_writes_where_the_api_does_not_reach_is_seen(prove, sound):
    sound.query(
        f"""
        create schema hidden;
        create table hidden.wallets (tenant_id uuid, amount int);
        create table hidden.odd (tenant_id bigint, amount int);
        insert into hidden.wallets values ('{TENANT_A}', 5), ('{TENANT_B}', 5);
        create function app.spend(t uuid) returns int language sql security definer set search_path = ''
          as $$ update hidden.wallets set amount = amount - 1 where tenant_id = t returning 1 $$;
        """
    )
    functions = [{"name": "app.spend", "arguments": ["other.tenant_id"]}]
    leaked = prove(sound, functions=functions)
    assert leaked.result["verdict"] == "leaked" and "it changed rows in hidden.wallets" in leaked.error


@pytest.mark.parametrize(
    ("which", "verdict"), [("tenant_id = t", "leaked"), ("tenant_id = app.tenant()", "passed"), ("false", "not proven")]
)
def test_procedures_are_called_and_judged_by_what_they_change(prove, sound, which, verdict):
    sound.query(
        f"create procedure app.wipe(t uuid) language sql security definer as 'delete from app.notes where {which}'"
    )
    assert "app.wipe(IN t uuid): execute" in prove(sound).error
    proven = prove(sound, functions=[{"name": "app.wipe", "arguments": ["other.tenant_id"]}])
    assert proven.result["verdict"] == verdict, proven.output


def test_a_trigger_that_puts_the_row_right_is_no_leak(prove, sound):
    sound.query(
        """
        create function app.own() returns trigger language plpgsql as
          $$ begin new.tenant_id := app.tenant(); return new; end $$;
        create trigger own before insert or update on app.notes for each row execute function app.own();
        alter policy adds on app.notes with check (true);
        """
    )
    proven = prove(sound)
    found = find(proven.result, command="insert", actor="ada", rows_of="bob")
    # The column with a key of its own stops the copy before it can be seen whose it became.
    assert {a["outcome"] for a in found} == {"not_proven"} and "notes_body_key" in found[0]["why"]

    sound.query("alter table app.notes drop constraint notes_body_key")
    proven = prove(sound)
    found = find(proven.result, command="insert", actor="ada", rows_of="bob")
    assert {(a["outcome"], a["why"]) for a in found} == {("denied", "a trigger keeps the row from becoming bob's")}


def test_odd_names_and_types_are_swept(prove, database, tenants):
    for tenant, number in zip(tenants, (7, 8)):
        tenant["claims"]["tenant_id"] = number
        tenant["owns"] = {'Owner "x" %s {}': number}
    database.query(
        """
        create schema "S p%s"; grant usage on schema "S p%s" to authenticated;
        create type "S p%s".mood as enum ('a''b', 'c,d');
        create table "S p%s"."select ""t"" {}" (
          "Owner ""x"" %s {}" int, "a.b" "S p%s".mood[], doc jsonb, raw bytea, period tstzrange, "total" numeric
            generated always as ("Owner ""x"" %s {}" * 2) stored, id int generated always as identity primary key
        );
        alter table "S p%s"."select ""t"" {}" enable row level security;
        create policy "p ""q"" %s" on "S p%s"."select ""t"" {}" to authenticated
          using ("Owner ""x"" %s {}" = (auth.jwt() ->> 'tenant_id')::int);
        grant select, insert, update, delete on "S p%s"."select ""t"" {}" to authenticated;
        insert into "S p%s"."select ""t"" {}" values
          (7, array['a''b', 'c,d']::"S p%s".mood[], '{"k": null}', '\\x00ff', '[2026-01-01,)'),
          (8, null, 'null', null, 'empty');
        """.replace("%s", "%")
    )
    tenants[0]["owns"], tenants[1]["owns"] = {'Owner "x" % {}': 7}, {'Owner "x" % {}': 8}
    proven = prove(database, schemas=["S p%"])
    assert proven.result["verdict"] == "passed", proven.output
    database.query('alter policy "p ""q"" %" on "S p%"."select ""t"" {}" using (true)')
    leaked = prove(database, schemas=["S p%"])
    # The table's name is written as it would be in SQL.
    assert '"S p%"."select ""t"" {}"' in {a["relation"] for a in find(leaked.result, outcome="leaked")}
    assert {tuple(a["policies"]) for a in find(leaked.result, outcome="leaked")} == {('p "q" %',)}


SETUP = """
insert into auth.users (id, email) values ('{user}', '{name}@example.com');
insert into public.tenants (id, name) values ('{tenant}', '{name}');
insert into public.memberships (tenant_id, user_id, role) values ('{tenant}', '{user}', 'owner');
insert into public.todos (tenant_id, title) values ('{tenant}', 'water; the plants');
insert into public.payments (tenant_id, reference, status, amount_minor, currency)
values ('{tenant}', 'r-1', 'success', 4500, 'NGN');
"""
DECLARED = {
    "schemas": ["public"],
    "relations": [{"name": "public.tenants", "owner_column": "id", "owner_is": "tenant_id"}],
    "functions": [
        {"name": "public.add_member", "arguments": ["other.tenant_id", "own.user_id"]},
        {"name": "public.create_tenant", "shared": "makes a tenant of the caller's own"},
    ],
}


def test_the_example_application_passes_with_rows_of_its_own(run, database):
    assert run("migration", {"path": str(EXAMPLE), **database.login}).changed
    arguments = {**DECLARED, **database.login, "tenants": []}
    for name, user, tenant in (("ada", ADA, TENANT_A), ("bob", BOB, TENANT_B)):
        setup = SETUP.format(name=name, user=user, tenant=tenant)
        owns = {"tenant_id": tenant, "user_id": user}
        arguments["tenants"].append({"name": name, "claims": {"sub": user}, "owns": owns, "setup": [setup]})
    proven = run("isolation", arguments)
    assert not proven.changed and proven.result["verdict"] == "passed", proven.output
    assert database.query("select count(*) from auth.users") == [(0,)]
    calls = find(proven.result, relation="public.add_member(tenant_id uuid, user_id uuid)", actor="ada", rows_of="bob")
    assert [call["outcome"] for call in calls] == ["denied"]

    database.query("create policy open on public.todos for select to authenticated using (true)")
    leaked = run("isolation", arguments)
    assert "public.todos: select (read) as ada on what is bob's" in leaked.error


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a["tenants"].pop(), "describe exactly two"),
        (lambda a: a["tenants"][1]["owns"].update(tenant_id=TENANT_A), "owns gives both the same tenant_id"),
        (lambda a: a["tenants"][1].update(owns={"org": "x"}), "owns has not the same columns"),
        (lambda a: a["tenants"][0].update(setup=["select 1; /* x */ commit"]), "setup would end the transaction"),
        (lambda a: a["tenants"][0].update(setup=["insert into nowhere select 1"]), 'relation "nowhere" does'),
        (lambda a: a["tenants"][0].update(role="nobody"), "there is no such role"),
        (lambda a: a["tenants"][0]["owns"].update(tenant_id="seven"), "does not take what owns says"),
        (lambda a: a.update(api_role="nobody"), "role nobody: there is no such role"),
        (lambda a: a.update(relations=[{"name": "app.nope", "shared": "x"}]), "no such table or view"),
        (lambda a: a.update(relations=[{"name": "app.notes", "shared": " "}]), "shared has no reason"),
        (lambda a: a.update(relations=[{"name": "app.notes"}]), "it says not one thing"),
        (lambda a: a.update(relations=[{"name": "app.notes", "owner_column": "x"}]), "owns has no x"),
        (
            lambda a: a.update(relations=[{"name": "app.notes", "owner_column": "x", "owner_is": "tenant_id"}]),
            "it has no column x; columns are id",
        ),
        (lambda a: a.update(functions=[{"name": "app.tenant", "arguments": ["own.user"]}]), "owns has no user"),
        (lambda a: a.update(login_user="authenticator"), "row level security holds for it"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(run, sound, tenants, change, words):
    arguments = {"tenants": tenants, "schemas": ["app"], **sound.login}
    change(arguments)
    if arguments.get("login_user"):
        password = sound.server.password.replace("'", "''")
        sound.query(f"alter role authenticator password '{password}'", user="supabase_admin")
    assert words in run("isolation", arguments).error


def test_a_locked_table_is_not_waited_for(prove, sound):
    with sound.connect() as other, other.transaction(force_rollback=True):
        other.execute("lock table app.notes in access exclusive mode")
        proven = prove(sound, lock_timeout=100)
    assert "lock timeout" in proven.error and "nothing is proven" in proven.error


def test_check_mode_does_the_same_and_needs_no_server(prove, sound):
    assert prove(sound, "--check").result["verdict"] == "passed"
    absent = prove(sound, "--check", login_port=1)
    assert not absent.changed and absent.result["verdict"] is None
    assert "nothing is proven" in " ".join(absent.output.split())


def test_many_tables_take_seconds(prove, database):
    """Each table is a round trip or two, however much is tried on it."""
    database.query(SOUND)
    database.query(
        f"""
        do $$ begin for i in 1..200 loop
          execute format('create table app.t%1$s (like app.notes including all);
            alter table app.t%1$s enable row level security;
            create policy p on app.t%1$s to authenticated using (tenant_id = app.tenant());
            grant select, insert, update, delete on app.t%1$s to authenticated;
            insert into app.t%1$s (tenant_id, body) values (''{TENANT_A}'', ''a''), (''{TENANT_B}'', ''b'')', i);
        end loop; end $$
        """
    )
    began = time.monotonic()
    proven = prove(database)
    seconds = time.monotonic() - began
    assert proven.result["verdict"] == "passed" and len(proven.result["attempts"]) > 200 * 20
    assert seconds < 30
