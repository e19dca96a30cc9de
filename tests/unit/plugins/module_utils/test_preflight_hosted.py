# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.hosted import (
    EXAMPLE_REFERENCE,
    direct_hosts,
    find_login_faults,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.inventory import Inventory, find_faults
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets import jwt

NOW = datetime(2026, 11, 22, tzinfo=timezone.utc)
PROJECT, OTHER = "qwmzkxjvbnplrtdsghcf", "zhtrvbqkdmwnxsplgcjf"
POOLER = "aws-1-eu-central-1.pooler.supabase.com"
DIRECT = f"db.{PROJECT}.supabase.co"
VERIFIED = "sslmode=verify-full&sslrootcert=/run/secrets/ca.crt"
URL = (
    f"postgres://${{secret:shop_login}}.{PROJECT}:${{secret:shop_password|urlencode}}@{POOLER}:6543/postgres?{VERIFIED}"
)
PUBLISHABLE, SECRET = "sb_publishable_" + "Kx7vQ2mZr9TfLw4BKx8vQ2", "sb_secret_" + "Jt4fVq8ZkP2sXw6BnR9cLd3MhG7y"


def token(role="anon", ref=PROJECT, days=365, **claims):
    expires = int((NOW + timedelta(days=days)).timestamp())
    return jwt.encode({"iss": "supabase", "role": role, "ref": ref, "exp": expires, **claims}, "known to nobody here")


SHOP = {
    "image": "registry.test/shop:1",
    "environment": {"SUPABASE_URL": f"https://{PROJECT}.supabase.co", "SUPABASE_KEY": "${secret:publishable_key}"},
    "files": {"/run/secrets/database_url": {"content": URL}},
}
CLEAN = Inventory(
    now=NOW,
    project=PROJECT,
    services=("redis",),
    catalog={"redis": {"image": "registry.test/redis:1"}},
    apps={"shop": SHOP},
    app_keys=("public",),
    secrets={"publishable_key": PUBLISHABLE, "secret_key": SECRET, "anon_key": token()},
    known_secrets=("shop_login", "shop_password"),
)
LOGIN = {
    "database_login_host": POOLER,
    "database_login_user": f"postgres.{PROJECT}",
    "database_ssl_mode": "verify-full",
    "database_ca_cert": "ca.crt",
}


def lines(**changes):
    return [str(fault) for fault in find_faults(replace(CLEAN, **changes))]


def app(text, **more):
    return {"apps": {"shop": {**SHOP, "environment": {"A": text}, **more}}}


def secrets(**values):
    return {"secrets": {**CLEAN.secrets, **values}}


def url(host=DIRECT, user="shop", query=f"?{VERIFIED}"):
    return f"postgresql://{user}:pw@{host}:5432/postgres{query}"


def test_a_hosted_project_needs_no_gateway_and_no_signing_secret():
    assert lines() == []
    assert any("neither envoy nor kong" in line for line in lines(project=""))


CASES = [
    ({"project": "shop"}, "supabase_project: 'shop' is not the reference of a project; write the 20 letters before"),
    ({"project": PROJECT.upper()}, "is not the reference of a project"),
    (
        {"services": ("redis", "db"), "catalog": {"db": {"image": "db:1"}, **CLEAN.catalog}},
        f"service db: it runs in the hosted project {PROJECT}; take it off stack_services",
    ),
    (secrets(publishable_key=SECRET + "x"), "secret publishable_key: its value does not begin with sb_publishable_"),
    (secrets(secret_key=PUBLISHABLE + "x"), "secret secret_key: its value does not begin with sb_secret_"),
    (secrets(anon_key=token(ref=OTHER)), f"secret anon_key: its claim ref is not '{PROJECT}'; copy it from the"),
    (secrets(anon_key=token("service_role")), "secret anon_key: its claim role is not 'anon'"),
    (secrets(anon_key=token(days=-2)), "secret anon_key: it expired 2 days ago"),
    (secrets(anon_key="not-a-token-but-long-enough"), "secret anon_key: it is not a JSON Web Token"),
    (secrets(service_role_key=token(aud="x")), "secret service_role_key: its claim role is not 'service_role'"),
    (app(f"https://{OTHER}.supabase.co/rest/v1"), f"app shop: its environment.A names {OTHER}.supabase.co, another"),
    (app(token(ref=OTHER)), "app shop: its environment.A holds a key of another project"),
    (
        app("${secret:secret_key}", public=True, files={}),
        "app shop: it is public and its environment.A holds secret secret_key",
    ),
    (
        app(url(query="")),
        f"app shop: its environment.A sends to whoever answers for {DIRECT}; add ?sslmode=verify-full&sslrootcert=FILE",
    ),
    (app(url(query="?sslmode=require")), "sends to whoever answers for"),
    (app(url(query="?sslmode=no-verify&application_name=a")), "sends to whoever answers for"),
    (app(url(POOLER)), f"app shop: its environment.A does not tell {POOLER} which project it is for; log in as ROLE."),
    (app(url(POOLER, f"shop.{OTHER}")), "does not tell"),
    (
        {**app(url()), "ipv6_only": (DIRECT,)},
        f"app shop: its environment.A names {DIRECT}, which has IPv6 addresses only, and containers",
    ),
    (
        app("x", files={"/url": {"content": URL.replace("verify-full", "verify-ca")}}),
        "app shop: its files./url.content sends to whoever",
    ),
]


@pytest.mark.parametrize(("changes", "expected"), CASES, ids=[expected[:60] for _changes, expected in CASES])
def test_each_fault_is_named_on_its_own(changes, expected):
    (found,) = lines(**changes)
    assert expected in found
    assert all(value not in found for value in (SECRET, PUBLISHABLE, "known to nobody"))


@pytest.mark.parametrize(
    "text",
    [
        url(),
        url(f"{DIRECT}"),
        url(query="?sslaccept=strict&sslcert=ca.crt"),
        url("db.internal", query=""),
        token(),
        "jdbc:postgresql://" + POOLER + ":6543/postgres?" + VERIFIED,
        "eyJub3Q.eyJhIjoxfQ.token",
    ],
)
def test_what_an_app_may_say(text):
    assert lines(**app(text)) == []


def test_the_reference_of_the_example_inventory_is_refused():
    found = lines(project=EXAMPLE_REFERENCE, apps={}, secrets={})
    assert found == [f"supabase_project: {EXAMPLE_REFERENCE} is an example; set it to the reference of your project"]


def test_hosts_without_a_pooler_are_found_wherever_they_stand():
    entry = {"environment": {"HOST": DIRECT}, "files": {"/a": {"content": url(f"db.{OTHER}.supabase.co")}}}
    assert direct_hosts({"a": entry, "b": SHOP}) == {DIRECT, f"db.{OTHER}.supabase.co"}


def login(project=PROJECT, given=("postgres_password",), without="", **changes):
    variables = {name: value for name, value in {**LOGIN, **changes}.items() if name != without}
    return [str(fault) for fault in find_login_faults(variables, project, given)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"database_login_port": 6543}, "database_login_port: 6543 is a transaction pooler's"),
        ({"database_login_port": "6543", "project": ""}, "database_login_port: 6543 is a transaction pooler's"),
        ({"without": "database_login_host"}, "database_login_host: it is missing, so there is no database"),
        (
            {"without": "database_login_user"},
            "database_login_user: postgres does not tell the pooler which project it is",
        ),
        ({"database_login_user": f"postgres.{OTHER}"}, f"set it to postgres.{PROJECT}"),
        ({"database_login_host": f"db.{OTHER}.supabase.co"}, f"set it to db.{PROJECT}.supabase.co"),
        ({"database_ssl_mode": "require"}, f"database_ssl_mode: require takes whoever answers for {POOLER}"),
        ({"without": "database_ssl_mode"}, "database_ssl_mode: it is missing, and its default takes whoever"),
        ({"without": "database_ca_cert"}, "database_ca_cert: it is missing, and no system knows Supabase's authority"),
        ({"given": ()}, "secret postgres_password: nobody gives it"),
        ({"database_settings": {"work_mem": "8MB"}}, "database_settings: ALTER SYSTEM needs a superuser"),
    ],
)
def test_a_login_that_would_not_do(changes, expected):
    (found,) = login(**changes)
    assert expected in found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"database_login_host": DIRECT, "database_login_user": "postgres"},
        {"given": (), "database_login_password_file": "/etc/password"},
        {"project": "", "without": "database_ssl_mode"},
    ],
)
def test_a_login_that_does(changes):
    assert login(**changes) == []


def test_a_project_that_is_known_by_its_api_alone_needs_no_login():
    assert list(find_login_faults({}, PROJECT, ())) == []
