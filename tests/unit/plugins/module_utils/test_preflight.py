# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight import inventory as preflight_inventory
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.inventory import Inventory, find_faults
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets import jwt

ROOT = Path(preflight_inventory.__file__).parents[3]
NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
DIGEST = "@sha256:" + "0a" * 32
KEY = "Jt4fVq8ZkP2sXw6BnR9cLd3MhG7yTe5A"
OTHER = "kR7vZq2LmX9pTw4BsN8cHd6JgF3yUa5E"


def token(role, key=KEY, days=365, **claims):
    return jwt.encode(
        {"iss": "supabase", "role": role, "exp": int((NOW + timedelta(days=days)).timestamp()), **claims}, key
    )


def image(name):
    return f"registry.test/{name}:1{DIGEST}"


def service(name, **more):
    return {"image": image(name), "environment": {}, **more}


CATALOG = {
    "db": service("db", environment={"POSTGRES_PASSWORD": "${secret:postgres_password}"}),
    "auth": service(
        "auth", environment={"GOTRUE_SMTP_HOST": "smtp.acme.test"}, depends_on={"db": {"condition": "service_healthy"}}
    ),
    "rest": service("rest", depends_on=["db"], ports=["127.0.0.1:3001:3001"]),
    "envoy": service("envoy", files={"/etc/envoy.yaml": {"content": "key: ${secret:anon_key}"}}),
    "kong": service("kong"),
    "pgbouncer": service("pgbouncer"),
    "supavisor": service("supavisor"),
    "caddy": service("caddy", ports=["80:80", "443:443"]),
    "studio": service("studio", depends_on={"analytics": {"required": False}}),
}
# Of every local stack that Supabase's CLI starts.
PUBLISHED_KEY = "sb_secret_" + "N7UND0UgjKTVK-Uodkm0Hg" + "_xSvEMPvz"
UNSIGNED = ".".join(["eyJhbGciOiJub25lIn0", token("anon").split(".")[1], ""])
WEB = service("web", public=True, environment={"SUPABASE_KEY": "${secret:anon_key}", "PORT": 8080})
CLEAN = Inventory(
    now=NOW,
    services=("db", "auth", "rest", "envoy", "pgbouncer", "caddy", "studio"),
    catalog=CATALOG,
    apps={"web": WEB, "api": service("api", ports=[{"target": 80, "published": 8081, "host_ip": "127.0.0.1"}])},
    app_keys=("public", "domain", "traffic"),
    images={name: image(name) for name in CATALOG},
    require_digests=True,
    hosts={"node1": "10.0.0.11", "node2.acme.test": ""},
    domains={"api": "api.acme.test", "studio": "studio.acme.test"},
    email="ops@acme.test",
    tls="acme",
    environment="prod",
    reserved_ports={"22": "sshd"},
    secrets={"jwt_secret": KEY, "anon_key": token("anon"), "service_role_key": token("service_role")},
    known_secrets=("postgres_password",),
)


def lines(**changes):
    return [str(fault) for fault in find_faults(replace(CLEAN, **changes))]


def chosen(*more, without=()):
    return {"services": tuple(name for name in CLEAN.services if name not in without) + more}


def app(**more):
    return {"apps": {"web": {**WEB, **more}}}


def catalog(**entries):
    return {"catalog": {**CATALOG, **entries}}


def auth(**environment):
    return catalog(auth=service("auth", environment=environment))


def one_domain(*more, **changes):
    return {**chosen(*more, **changes), "domains": {"api": "api.acme.test", "studio": "api.acme.test"}}


def secrets(**values):
    return {"secrets": {**CLEAN.secrets, **values}}


def test_a_clean_inventory_has_no_fault():
    assert lines() == []


def firewall(*rules):
    return {"firewall": {"rules": [{"name": "ssh", "zone": "internet", "ports": [22]}, *rules]}}


CLOSED = "hardening_firewall_rules: nobody is let in to port 443, where the edge serves"
CASES = [
    (firewall(), CLOSED),
    (firewall({"name": "web", "zone": "internet", "ports": ["80-442", "444-500"]}), CLOSED),
    (firewall({"name": "http3", "zone": "internet", "protocol": "udp", "ports": [443]}), CLOSED),
    ({"firewall": {"rules": []}}, CLOSED),
    (chosen("rset"), "service rset: there is no such service; did you mean rest?"),
    (chosen("db"), "service db: it is chosen more than once"),
    (chosen(without=["db"]), "service auth: it depends on db, which is not chosen; choose db too"),
    (chosen(without=["envoy"]), "gateway: neither envoy nor kong is chosen"),
    (chosen("kong"), "gateway: both envoy and kong are chosen"),
    (chosen("supavisor"), "pooler: both pgbouncer and supavisor are chosen"),
    ({"apps": {"db": service("web")}}, "app db: a service has the same name"),
    (
        {
            **catalog(envoy=service("envoy", networks={"gateway": {"aliases": ["api-gw"]}})),
            "apps": {"api-gw": service("web")},
        },
        "app api-gw: on its networks envoy has that name; rename the app",
    ),
    (
        {"apps": {"a": service("web"), "a-trial": service("web")}},
        "app a-trial: on its networks the trial of a has that",
    ),
    ({"apps": {"My shop": service("web")}}, "app My shop: its name is none that Compose takes"),
    ({"known_secrets": ("postgres_password", "Key")}, "secret Key: its name is not lower case letters, digits and _"),
    (catalog(db="image"), "service db: its entry is not a mapping"),
    (catalog(db=service("db", imgae="x")), "service db: unknown key imgae; did you mean image?"),
    ({"apps": {"web": service("web", traffic={"steps": [90, 10]})}}, "app web: traffic: steps [90, 10] are no rising"),
    (catalog(db=service("db", traffic={})), "service db: unknown key traffic"),
    (catalog(db=service("db", public=True)), "service db: unknown key public"),
    (catalog(db={"image": image("db"), "environment": ["A=b"]}), "service db: environment is not a mapping"),
    (catalog(db=service("db", files=["x"])), "service db: files is not a mapping"),
    (catalog(db=service("db", live=["x"])), "service db: live is not a mapping with files"),
    (catalog(db=service("db", live={"files": ["x"]})), "service db: live is not a mapping with files"),
    (
        catalog(db=service("db", live={"files": {"a": {"content": "${secret:postgres_pasword}"}}})),
        "service db: nobody makes or gives secret postgres_pasword",
    ),
    ({"images": {"db": "db:1"}}, "image db: db:1 has no digest"),
    ({"images": {"db": "db:latest"}, "require_digests": False}, "image db: db:latest is another image every time"),
    ({"images": {"db": "db@sha256:12"}}, "image db: digest 'sha256:12' is not sha256:"),
    (app(image="web"), "app web: image: web has no digest"),
    (app(image=None), "app web: image: it has no reference"),
    (app(image="registry.example.com/web" + DIGEST), f"app web: image: registry.example.com/web{DIGEST} is an example"),
    ({"hosts": {"node1": "198.51.100.11"}}, "host node1: 198.51.100.11 is an example; set ansible_host"),
    ({"hosts": {"node1.example.com": ""}}, "host node1.example.com: node1.example.com is an example"),
    ({"domains": {"api": ""}}, "domain api: it is missing"),
    ({"domains": {"api": None}}, "domain api: it is missing"),
    ({"domains": {"api": "https://a.test/"}}, "domain api: 'https://a.test/' is not a domain"),
    ({"domains": {"api": "-a.test"}}, "domain api: '-a.test' is not a domain"),
    ({"domains": {"api": "api.example.com"}}, "domain api: api.example.com is an example"),
    ({"other_images": {"caddy_image": "caddy:2"}}, "caddy_image: caddy:2 has no digest"),
    ({"other_images": {"caddy_image": "caddy"}, "require_digests": False}, "caddy_image: caddy is another image every"),
    ({"other_images": {"caddy_image": ""}}, "caddy_image: it has no reference"),
    ({"email": ""}, "email: it is missing"),
    ({"email": "ops"}, "email: 'ops' is not an address"),
    ({"email": "ops@example.com"}, "email: ops@example.com is an example"),
    (app(ports=["127.0.0.1:3001:80"]), "app web: port 3001/tcp on 127.0.0.1 is taken by service rest"),
    (app(ports=["127.0.0.1:3000-3002:80-82"]), "app web: port 3001/tcp on 127.0.0.1 is taken by service rest"),
    (app(ports=["127.0.0.1:22:22"]), "app web: port 22/tcp on 127.0.0.1 is taken by sshd"),
    (app(ports=["5432:5432"]), "app web: port 5432/tcp on every address can be reached from outside"),
    (app(ports=["eighty"]), "app web: port eighty is not ADDRESS:HOST:CONTAINER"),
    (secrets(x=""), "secret x: it is empty"),
    (secrets(x=None), "secret x: it is empty"),
    (secrets(x="Zq8-vR2mXp"), "secret x: its value has 10 characters, fewer than 16"),
    (secrets(vault_enc_key=OTHER + "x"), "secret vault_enc_key: its value has 33 characters where exactly 32 are"),
    (secrets(realtime_db_enc_key=OTHER), "secret realtime_db_enc_key: its value has 32 characters where exactly 16"),
    (secrets(secret_key_base=OTHER), "secret secret_key_base: its value has 32 characters, fewer than 64"),
    (secrets(x="aaaaaaaaaaaaaaaaaaaa"), "secret x: its value is easy to guess"),
    (secrets(x="abcdefghijklmnopqrstuvwxyz012345"), "secret x: its value is easy to guess"),
    (secrets(x="Zq8-Zq8-Zq8-Zq8-Zq8-"), "secret x: its value is easy to guess"),
    (secrets(x="0101101001011010110100101"), "secret x: its value is easy to guess"),
    (secrets(x="Acme-Password-2026-prod"), "secret x: its value is easy to guess"),
    (secrets(x="with a blank " + OTHER), "secret x: its value contains a space"),
    (secrets(x=OTHER, y=OTHER), "secret y: its value equals that of x"),
    (secrets(x=KEY), "secret x: its value equals that of jwt_secret"),
    (secrets(secret_key=PUBLISHED_KEY), "secret secret_key: its value is an example that Supabase published"),
    (app(environment={"KEY": PUBLISHED_KEY}, public=False), "app web: its environment.KEY holds an example that"),
    (app(build={"args": {"KEY": PUBLISHED_KEY}}, public=False), "app web: its build.args.KEY holds an example that"),
    (
        catalog(db=service("db", environment={"DB_ENC_KEY": "supabase" + "realtime"})),
        "service db: its environment.DB_ENC_KEY holds an example that Supabase published; write ${secret:NAME}",
    ),
    (secrets(realtime_db_enc_key="supabase" + "realtime"), "its value is an example that Supabase published"),
    (secrets(anon_key=token("anon", key=OTHER)), "secret anon_key: its signature is not that of jwt_secret"),
    (secrets(anon_key=token("service_role", aud="x")), "secret anon_key: its claim role is not 'anon'"),
    (secrets(service_role_key=token("anon", aud="x")), "secret service_role_key: its claim role is not 'service_role'"),
    (secrets(service_role_key=token("service_role", key=OTHER)), "secret service_role_key: its signature is not that"),
    (secrets(service_role_key=token("service_role", iss="supabase-demo")), "service_role_key: its claim iss is not"),
    (secrets(service_role_key=token("service_role", days=-1)), "secret service_role_key: it expired 1 days ago"),
    (secrets(anon_key=token("anon", exp=None)), "secret anon_key: it never expires"),
    (secrets(anon_key=UNSIGNED), "secret anon_key: its signature is not that of jwt_secret"),
    (secrets(anon_key=token("anon", iss="other")), "secret anon_key: its claim iss is not 'supabase'"),
    (secrets(anon_key=token("anon", days=-5)), "secret anon_key: it expired 5 days ago"),
    (secrets(anon_key="not-a-token-but-long-enough"), "secret anon_key: it is not a JSON Web Token"),
    ({"secrets": {"anon_key": token("anon")}}, "secret anon_key: it is given, but jwt_secret that signed it is not"),
    (app(environment={"A": "${secret:cookie_key}"}), "app web: nobody makes or gives secret cookie_key"),
    (
        app(files={"/etc/app.conf": {"content": "k=${secret:postgres_pasword}"}}),
        "app web: nobody makes or gives secret postgres_pasword; did you mean postgres_password?",
    ),
    (
        app(environment={"A": "${secret:service_role_key}"}),
        "app web: it is public and its environment.A holds secret service_role_key",
    ),
    (app(environment={"A": "${secret:postgres_password}"}), "environment.A holds secret postgres_password"),
    (app(environment={"A": "${secret:jwt_keys}"}), "app web: it is public and its environment.A holds secret jwt_keys"),
    (app(build={"args": {"A": "${secret:api_keys}"}}), "its build.args.A holds secret api_keys"),
    (app(environment={"SUPABASE_SERVICE_ROLE_KEY": "x"}), "holds the name of a secret key"),
    (app(environment={"SUPABASE_SECRET_KEY": "x"}), "holds the name of a secret key"),
    (app(build={"args": ["JWT_SECRET=x"]}), "its build.args holds the name of a secret key"),
    (
        app(build={"args": {"KEY": token("service_role", key=OTHER)}}),
        "build.args.KEY holds a token of role service_role",
    ),
    (app(labels={"a": "sb_secret_0123456789abcdef"}), "labels.a holds a secret API key"),
    (
        app(files={"/c.js": {"content": f"const k = '{KEY}'"}}),
        "files./c.js.content holds the value of secret jwt_secret",
    ),
    (auth(), "service auth: who signs up has to confirm an address and no mail server is set"),
    (auth(GOTRUE_SMTP_HOST=""), "set stack_smtp.host, or stack_email_autoconfirm: true, or stack_signup: false"),
    (
        auth(GOTRUE_SMTP_HOST=None, GOTRUE_DISABLE_SIGNUP=False, GOTRUE_MAILER_AUTOCONFIRM="False"),
        "so nobody could ever",
    ),
    (
        auth(GOTRUE_EXTERNAL_GOOGLE_ENABLED="false", GOTRUE_EXTERNAL_EMAIL_ENABLED="true"),
        "so nobody could ever sign in",
    ),
]


@pytest.mark.parametrize(("changes", "expected"), CASES, ids=[expected[:60] for _changes, expected in CASES])
def test_each_fault_is_named_on_its_own(changes, expected):
    found = lines(**changes)
    assert sum(expected in line for line in found) == 1, found
    assert all("\n" not in line and ": " in line and "; " in line for line in found)


ALLOWED = [
    {"environment": "staging", "tls": "internal", "email": ""},
    {"environment": "dev", "domains": {"api": "api.example.com"}, "email": "ops@example.com"},
    {"domains": {"wildcard": "*.acme.test"}},
    {"images": {"auth": "registry.test:5000/auth" + DIGEST}},
    {"known_secrets": None, **app(public=False, environment={"A": "${secret:whatever}"})},
    {"opaque_secrets": ("smtp_password",), **secrets(smtp_password="Zq8-vR2mXp")},
    {"edge": ("caddy", "web"), **app(ports=["8443:8443"])},
    {
        **app(public=False, environment={"WEBHOOK_KEY": "${secret:webhook_key}"}),
        "known_secrets": ("postgres_password", "webhook_key"),
    },
    app(public=False, environment={"DB_PASSWORD": "${secret:postgres_password}"}),
    app(files={"/help.html": {"content": "Never paste a service_role key here."}}),
    app(depends_on=["web"]),
    one_domain(),
    one_domain("kong", without=["envoy"]),
    {"other_images": {"caddy_image": image("caddy")}},
    app(environment={"DATABASE": "postgres"}),
    auth(GOTRUE_DISABLE_SIGNUP="True"),
    auth(GOTRUE_MAILER_AUTOCONFIRM=True),
    auth(GOTRUE_HOOK_SEND_EMAIL_ENABLED="true"),
    auth(GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED="True"),
    auth(GOTRUE_EXTERNAL_GOOGLE_ENABLED="true"),
    auth(GOTRUE_EXTERNAL_EMAIL_ENABLED="false"),
    catalog(auth=service("auth", env_file=["auth.env"])),
    firewall({"name": "web", "zone": "office", "ports": [80, "440-449"]}),
    {"firewall": {}},
    {**auth(), **chosen(without=["auth"])},
    {"services": tuple(name for name in CLEAN.services if name != "envoy") + ("kong",)},
]


@pytest.mark.parametrize("changes", ALLOWED)
def test_what_is_allowed(changes):
    assert lines(**changes) == []


def test_no_secret_of_the_platform_is_for_a_front_end():
    """Whatever its name: the role's own secrets, and those that module signing_keys computes."""
    role = ROOT / "roles" / "stack"
    made = yaml.safe_load((role / "defaults/main/secrets.yml").read_text(encoding="utf-8"))["stack_secrets"]
    computed = yaml.safe_load((role / "vars/main/keys.yml").read_text(encoding="utf-8"))["__stack_ring_secrets"]
    names = {secret["name"] for secret in made} | set(computed)
    found = lines(known_secrets=tuple(names), **app(environment={name: f"${{secret:{name}}}" for name in names}))
    refused = {name for name in names if any(f"holds secret {name};" in line for line in found)}
    assert names - refused == {"anon_key", "publishable_key"}


def ten_faults():
    return {
        "services": ("db", "auth", "rset", "envoy", "kong", "caddy"),
        "images": {"db": "db:latest", **{name: image(name) for name in CATALOG if name != "db"}},
        "domains": {"api": "", "studio": "studio.example.org"},
        "email": "ops",
        "apps": {
            "web": {**WEB, "environment": {"A": "${secret:service_role_key}"}, "ports": ["5432:5432"]},
            "api": service("api", comand="x", environment={"B": "${secret:nothing}"}),
        },
    }


def test_ten_faults_are_ten_lines():
    assert len(lines(**ten_faults())) == 10


def test_no_line_holds_a_value():
    planted = {"a": "short", "b": "has a blank in it " + OTHER, "c": "x" * 30, "d": OTHER, "e": OTHER}
    found = lines(**secrets(anon_key=token("anon", key=OTHER), **planted), **app(environment={"A": OTHER, "B": KEY}))
    assert len(found) >= 6
    assert not any(value in line for line in found for value in [*planted.values(), KEY, token("anon", key=OTHER)])


def test_a_large_inventory_takes_no_time():
    apps = {f"app{i}": service("web", public=True, ports=[f"127.0.0.1:{9000 + i}:80"]) for i in range(300)}
    start = time.perf_counter()
    assert lines(apps=apps) == []
    assert time.perf_counter() - start < 1
