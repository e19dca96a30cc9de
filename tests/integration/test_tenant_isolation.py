# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example application's tenants are kept apart by the database: Ada has one, Bob another, neither sees both."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
import yaml
from postgres_server import ROOT
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

TABLES = ("tenants", "memberships", "todos", "payments")
UNPROTECTED = """
select oid::regclass::text from pg_class
where relnamespace::regnamespace::text in ('public', 'private') and relkind in ('r', 'p')
and not (relrowsecurity and relforcerowsecurity)
"""


@dataclass(frozen=True)
class Owner:
    """A signed-in user with a tenant, a to-do and a payment of their own."""

    id: UUID
    tenant: UUID
    todo: UUID


@pytest.fixture(scope="module")
def application(run, server):
    """The application's schema and policies as the modules make them."""
    database = server.create_database("tenant_app")
    folder = ROOT / "examples" / "tenant-app" / "supabase"
    assert run("migration", {"path": str(folder / "migrations"), **database.login}).changed
    tables = yaml.safe_load((folder / "policies.yml").read_text(encoding="utf-8"))
    assert run("rls", {"tables": tables, "undeclared": "drop", **database.login}).changed
    return database


@pytest.fixture
def connection(application):
    """Role postgres in a transaction that is taken back."""
    with application.connect() as connection, connection.transaction(force_rollback=True):
        yield connection


@pytest.fixture
def ada(connection):
    return make_owner(connection, "ada")


@pytest.fixture
def bob(connection):
    return make_owner(connection, "bob")


@contextmanager
def acting_as(connection, role, **claims):
    """What the API does for each request: the role of the token, and its claims as a setting."""
    # A savepoint, so that a statement that is refused leaves the transaction usable.
    with connection.transaction():
        connection.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
        connection.execute("select set_config('request.jwt.claims', %s, true)", [json.dumps({"role": role, **claims})])
        yield connection
        connection.execute("reset role")
        connection.execute("select set_config('request.jwt.claims', '', true)")


def signed_in(connection, user):
    return acting_as(connection, "authenticated", sub=str(user.id))


def make_owner(connection, name):
    user = uuid4()
    connection.execute("insert into auth.users (id, email) values (%s, %s)", [user, f"{name}@example.com"])
    with acting_as(connection, "authenticated", sub=str(user)):
        tenant = connection.execute("select public.create_tenant(%s)", [f"{name}'s"]).fetchone()[0]
        insert = "insert into public.todos (tenant_id, title) values (%s, %s) returning id"
        todo = connection.execute(insert, [tenant, f"{name}'s to-do"]).fetchone()[0]
    pay = "select private.record_payment_event(%s, %s, 'r-1', 'success', 4500, 'NGN')"
    assert connection.execute(pay, [f"event of {name}", tenant]).fetchone() == ("processed",)
    return Owner(user, tenant, todo)


def tenants_in(connection, table):
    """Tenants of the rows that the one who asks may see."""
    column = "id" if table == "tenants" else "tenant_id"
    statement = sql.SQL("select {} from public.{}")
    rows = connection.execute(statement.format(sql.Identifier(column), sql.Identifier(table)))
    return sorted(row[0] for row in rows)


def contents(connection):
    return [connection.execute(f"select * from public.{table} order by 1, 2").fetchall() for table in TABLES]


@pytest.mark.parametrize("table", TABLES)
def test_each_user_sees_their_own_rows_only(connection, ada, bob, table):
    assert tenants_in(connection, table) == sorted([ada.tenant, bob.tenant])
    for user in (ada, bob):
        with signed_in(connection, user):
            assert tenants_in(connection, table) == [user.tenant]


@pytest.mark.parametrize(
    ("statement", "own_rows"),
    [
        ("update public.todos set title = 'changed' where id = %(todo)s", 1),
        ("update public.todos set done = true where tenant_id = %(tenant)s", 1),
        ("delete from public.todos where id = %(todo)s", 1),
        ("update public.tenants set name = 'changed' where id = %(tenant)s", 1),
        ("select from public.todos where id = %(todo)s", 1),
        ("select from public.payments where tenant_id = %(tenant)s", 1),
    ],
)
def test_naming_a_row_of_another_tenant_finds_nothing(connection, ada, bob, statement, own_rows):
    before = contents(connection)
    with signed_in(connection, ada):
        assert connection.execute(statement, {"todo": bob.todo, "tenant": bob.tenant}).rowcount == 0
    assert contents(connection) == before
    # The same statement works where it may.
    with signed_in(connection, bob):
        assert connection.execute(statement, {"todo": bob.todo, "tenant": bob.tenant}).rowcount == own_rows


@pytest.mark.parametrize(
    "statement",
    [
        "insert into public.todos (tenant_id, title) values (%(tenant)s, 'from outside')",
        "select public.add_member(%(tenant)s, %(me)s)",
    ],
)
def test_writing_into_another_tenant_is_refused(connection, ada, bob, statement):
    before = contents(connection)
    with pytest.raises(InsufficientPrivilege), signed_in(connection, ada):
        connection.execute(statement, {"tenant": bob.tenant, "me": ada.id})
    assert contents(connection) == before
    with signed_in(connection, bob):
        assert connection.execute(statement, {"tenant": bob.tenant, "me": ada.id}).rowcount == 1
    assert contents(connection) != before


@pytest.mark.parametrize(
    "statement",
    [
        "update public.todos set tenant_id = %(tenant)s where id = %(todo)s",
        "insert into public.memberships (tenant_id, user_id, role) values (%(tenant)s, %(me)s, 'owner')",
        "update public.memberships set role = 'owner'",
        "insert into public.tenants (name) values ('without a member')",
        "insert into public.payments (tenant_id, reference, status, amount_minor, currency) "
        "values (%(tenant)s, 'r-2', 'success', 1, 'NGN')",
        "truncate public.todos",
        "select * from private.payment_events",
        "select private.record_payment_event('forged', %(tenant)s, 'r-1', 'refunded', 1, 'NGN')",
        "set local session_replication_role = replica",
    ],
)
def test_nobody_has_the_right_at_all(connection, ada, bob, statement):
    with pytest.raises(InsufficientPrivilege), signed_in(connection, ada):
        connection.execute(statement, {"tenant": bob.tenant, "todo": ada.todo, "me": ada.id})


@pytest.mark.parametrize("table", TABLES)
def test_without_a_user_there_is_nothing(connection, ada, bob, table):
    with acting_as(connection, "authenticated"):
        assert tenants_in(connection, table) == []
    with pytest.raises(InsufficientPrivilege), acting_as(connection, "anon"):
        tenants_in(connection, table)


def test_a_new_member_sees_the_tenant_and_not_its_payments(connection, ada, bob):
    with signed_in(connection, ada):
        connection.execute("select public.add_member(%s, %s)", [ada.tenant, bob.id])
    with signed_in(connection, bob):
        assert tenants_in(connection, "todos") == sorted([ada.tenant, bob.tenant])
        assert tenants_in(connection, "payments") == [bob.tenant]
    with signed_in(connection, ada):
        assert tenants_in(connection, "todos") == [ada.tenant]


def test_no_table_was_forgotten(application):
    assert application.query(UNPROTECTED) == []
