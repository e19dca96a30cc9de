# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example of ten services in one database: what it declares is what its roles and its tenants can do."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
import yaml
from postgres_server import ROOT
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

EXAMPLE = ROOT / "examples" / "ten-services"


@pytest.fixture(scope="module")
def declared():
    return yaml.safe_load((EXAMPLE / "database.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def secrets(run, declared, tmp_path_factory):
    """The store, as role stack makes it."""
    folder = tmp_path_factory.mktemp("ten_services") / "secrets"
    assert run("secret", {"path": str(folder), "secrets": declared["supabase_secrets"]}).changed
    return folder


@pytest.fixture(scope="module")
def tasks(declared, secrets):
    """Modules with their arguments, in the order in which role database calls them."""
    roles = {"login_roles": declared["database_login_roles"], "secrets_dir": str(secrets)}
    schemas = {"schemas": declared["database_schemas"], "exact": declared["database_exact"], **roles}
    tables = {"tables": declared["database_tables"], "undeclared": declared["database_undeclared_policies"]}
    return [("schema", schemas), ("migration", {"path": str(EXAMPLE / "migrations")}), ("rls", tables)]


@pytest.fixture(scope="module")
def platform(run, server, declared, tasks):
    database = server.create_database("ten_services")
    for module, arguments in tasks:
        assert run(module, {**arguments, **database.login}).changed, module
    yield database
    with server.connect() as connection:
        connection.execute("drop database ten_services with (force)")
        for role in declared["database_login_roles"]:
            for name in (f"{role['name']}_a", role["name"]):
                connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def acting_as(connection, role, **claims):
    connection.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
    connection.execute("select set_config('request.jwt.claims', %s, true)", [json.dumps(claims)])


def test_nothing_is_left_to_do(run, platform, tasks):
    for module, arguments in tasks:
        again = run(module, {**arguments, **platform.login})
        assert not again.changed, again.result


def test_every_table_has_row_level_security(platform):
    open_ = """
    select oid::regclass::text from pg_class
    where relnamespace::regnamespace::text like 'svc\\_%' and relkind in ('r', 'p') and not relrowsecurity
    """
    assert platform.query(open_) == []


def test_a_service_logs_in_and_works_in_its_own_schema(server, platform, secrets):
    user, password = ((secrets / f"svc_fleet_{name}").read_text(encoding="ascii") for name in ("login", "password"))
    with server.connect(user=user, password=password, dbname=platform.name) as fleet:
        assert fleet.execute("select session_user::text, current_user::text").fetchone() == (user, "svc_fleet")
        assert fleet.execute("show statement_timeout").fetchone() == ("15s",)
        assert fleet.execute("select count(*) from svc_fleet.vehicles").fetchone() == (0,)
        for elsewhere in ("svc_payment.payments", "svc_auth.credentials", "auth.users"):
            with pytest.raises(InsufficientPrivilege):
                fleet.execute(f"select from {elsewhere}")


def test_a_service_reads_what_is_listed_and_writes_nothing_there(platform):
    with platform.connect() as connection, connection.transaction(force_rollback=True):
        connection.execute("grant svc_booking to postgres")
        acting_as(connection, "svc_booking")
        assert connection.execute("select count(*) from svc_fleet.vehicles").fetchone() == (0,)
        with pytest.raises(InsufficientPrivilege), connection.transaction():
            connection.execute("delete from svc_fleet.vehicles")


def test_a_signed_in_user_sees_the_vehicles_of_the_tenant_in_the_token(platform):
    mine, other = uuid4(), uuid4()
    with platform.connect() as connection, connection.transaction(force_rollback=True):
        for tenant in (mine, other):
            connection.execute("insert into svc_core.tenants values (%s, 'some')", [tenant])
            connection.execute("insert into svc_fleet.vehicles (tenant_id, plate) values (%s, 'A 1')", [tenant])
        acting_as(connection, "authenticated", app_metadata={"tenant_id": str(mine)})
        assert connection.execute("select tenant_id from svc_fleet.vehicles").fetchall() == [(mine,)]
        acting_as(connection, "authenticated")
        assert connection.execute("select tenant_id from svc_fleet.vehicles").fetchall() == []


def test_a_table_that_comes_later_is_covered(run, platform, tasks):
    platform.query("create table svc_fleet.tyres (tenant_id uuid)")
    rls = dict(tasks)["rls"]
    assert run("rls", {**rls, **platform.login}).changed
    names = platform.query("select polname from pg_policy where polrelid = 'svc_fleet.tyres'::regclass order by 1")
    assert names == [("readers",), ("service",), ("tenant",)]
    assert not run("schema", {**dict(tasks)["schema"], **platform.login}).changed
    platform.query("drop table svc_fleet.tyres")
