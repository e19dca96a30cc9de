# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kong as the gateway: what each control changes in its configuration, and what its functions make of requests."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta, timezone

import pytest
import yaml
from gateway_server import SETTINGS, render_service
from kong_config import Kong, Outcome, find_schema_faults

NOW = datetime.now(timezone.utc).replace(microsecond=0)
LEGACY = "Vb6kRz1XqWt0MfSy9LgPj4NcHd2AeUo8"
PASSWORD = 'a "password" with ü and \\'
SERVICES = ["auth", "rest", "realtime", "storage", "functions", "meta", "studio", "kong"]
# Every control away from its default, and as far as possible for one route too.
ALL = {
    "stack_cors_origins": ["https://app.lab.test", "https://*.app.lab.test"],
    "stack_gateway_timeout": 20,
    "stack_gateway_trusted_hops": 0,
    "stack_gateway_rate_limits": {"total": {"requests": 5000, "seconds": 1}},
    "stack_gateway_allow": ["198.51.100.0/24", "2001:db8::/32"],
    "stack_gateway_deny": ["198.51.100.66"],
    "stack_gateway_methods": ["GET", "HEAD", "POST"],
    "stack_gateway_body_bytes": 1000,
    "stack_gateway_header_kibibytes": 16,
    "stack_gateway_header_count": 50,
    "stack_gateway_maintenance": True,
    "stack_gateway_maintenance_message": 'Zurück um "acht" \\ neun',
    "stack_gateway_maintenance_seconds": 60,
    "stack_gateway_maintenance_exempt": ["10.1.0.0/16"],
    "stack_gateway_request_headers": {"X-Added": 'ü "quoted"'},
    "stack_gateway_request_headers_removed": ["x-secret"],
    "stack_gateway_response_headers": {"X-Frame-Options": "DENY", "Link": "<https://lab.test>; rel=a:b"},
    "stack_gateway_response_headers_removed": ["server"],
    "stack_gateway_compression": False,
    "stack_gateway_retries": 3,
    "stack_gateway_ejection_failures": 4,
    "stack_gateway_ejection_seconds": 7,
}
# One route's change, by control.
OF_A_ROUTE = {
    "rate_limits": {"address": {"requests": 5, "seconds": 3600}},
    "allow": ["192.0.2.1"],
    "deny": ["192.0.2.0/24"],
    "methods": ["GET"],
    "body_bytes": 0,
    "maintenance": True,
    "request_headers": {"x-one": "1"},
    "request_headers_removed": ["x-two"],
    "response_headers": {},
    "response_headers_removed": [],
    "timeout": 0,
    "retries": 0,
    "cors_origins": [],
    "ejection_failures": 2,
    "ejection_seconds": 3,
}


@pytest.fixture(scope="module")
def secrets(load):
    """Of a ring with two publishable and two secret keys, and with the legacy secret's own."""
    documents, ring = load("module_utils.key_ring.documents"), load("module_utils.key_ring.ring")
    jwt, policy, now = load("module_utils.secrets.jwt"), ring.Policy(3600, 0, 0), NOW - timedelta(days=1)
    claims = {"iss": "supabase", "exp": int(NOW.timestamp()) + 86400}
    stored = {
        "jwt_secret": LEGACY,
        "anon_key": jwt.encode({**claims, "role": "anon"}, LEGACY),
        "service_role_key": jwt.encode({**claims, "role": "service_role"}, LEGACY),
    }
    keys = documents.new_ring(stored, now, os.urandom)
    for chain in ("publishable", "secret"):
        keys = ring.take_step(
            keys, chain, "publish", policy, now, lambda which: documents.new_key(which, now, os.urandom)
        )
    derived = {name: document.value for name, document in documents.derive(keys, stored, NOW).items()}
    return {**stored, **derived, "dashboard_password": PASSWORD}


@pytest.fixture(scope="module")
def render(load, secrets):
    """Kong with these settings, as the role would send it to the host and the host would fill it in."""
    placeholders = load("module_utils.secrets.placeholders")

    def render(**settings):
        texts, entry = render_service("kong", {**SETTINGS, "stack_services": SERVICES, **settings})
        text = placeholders.substitute(texts["/etc/kong/kong.yml"], secrets)
        assert "${" not in text
        kong = Kong(yaml.safe_load(text), entry["environment"])
        assert find_schema_faults(kong.config) == []
        enabled = set(kong.environment["KONG_PLUGINS"].split(","))
        assert {name for owner in [kong.config, *kong.config["services"]] for name in names(owner)} <= enabled
        return kong

    return render


def names(owner):
    return [plugin["name"] for plugin in owner["plugins"]]


@pytest.fixture(scope="module")
def usual(render):
    return render()


def changed(before, after):
    """Names of the services whose part of the configuration, or of the gate's table, is another."""
    return {
        service["name"]
        for service, former in zip(after.config["services"], before.config["services"], strict=True)
        if (service, row(after, service["name"])) != (former, row(before, service["name"]))
    }


def row(kong, route):
    """What stands of a route in the gate's table."""
    (text,) = kong.plugins()["post-function"]["access"]
    return text.partition(f'  ["{route}"] = {{\n')[2].partition("\n  },\n")[0]


@pytest.mark.parametrize(
    "settings", [{}, ALL, {"stack_services": ["rest", "kong"]}, {"supabase_studio_domain": "api.lab.test"}]
)
def test_kong_would_take_it(render, settings):
    assert render(**settings).config["_format_version"] == "3.0"


@pytest.mark.parametrize("control", OF_A_ROUTE)
def test_a_control_of_one_route_changes_that_route_alone(render, usual, control):
    kong = render(stack_gateway_routes=[{"route": "functions", control: OF_A_ROUTE[control]}])
    same = {part: kong.config[part] == usual.config[part] for part in ("_format_version", "services")}
    if control.startswith("ejection"):
        assert same == {"_format_version": True, "services": True}
        assert len(kong.config.get("upstreams", [])) == (control == "ejection_failures")
    else:
        assert changed(usual, kong) == {"functions"}
        assert "upstreams" not in kong.config
    assert kong.plugins()["rate-limiting"] == usual.plugins()["rate-limiting"]


def test_a_services_name_means_all_its_routes(render, usual):
    kong = render(stack_gateway_routes=[{"route": "rest", "allow": ["192.0.2.1"]}])
    assert changed(usual, kong) == {"rest", "rest-root", "graphql"}


def test_the_names_of_plugins_and_their_fields_are_looked_at(usual):
    wrong = {
        **usual.config,
        "plugins": [{"name": "cors", "config": {"origin": ["*"], "max_age": "1"}}, {"name": "jwt"}] * 2,
    }
    assert find_schema_faults(
        {**wrong, "plugins": [{**plugin, "config": plugin.get("config", {})} for plugin in wrong["plugins"]], "x": 1}
    ) == [
        ".plugins.name: 'jwt' is none of " + str(sorted(names_of_all())),
        ".plugins.name: 'jwt' is none of " + str(sorted(names_of_all())),
        ".x: unknown field",
        ": cors twice",
        ": jwt twice",
        ".cors.origin: unknown field",
        ".cors.max_age: '1' is not a int",
        ".cors.origin: unknown field",
        ".cors.max_age: '1' is not a int",
    ]


def names_of_all():
    from kong_config import PLUGINS

    return PLUGINS


def test_gates(usual, secrets):
    publishable, secret = secrets["publishable_key"], secrets["secret_key"]
    keys = json.loads(secrets["api_keys"])
    assert sorted(keys.values()) == ["anon"] * 3 + ["service_role"] * 3
    for key, role in keys.items():
        signed = secrets[{"anon": "anon_token", "service_role": "service_role_token"}[role]]
        seen = usual.ask("/rest/v1/todos", "GET", ("apikey", key))
        assert seen.headers["apikey"] == (signed if key.startswith("sb_") else key)
        assert seen.headers["authorization"] == "Bearer " + seen.headers["apikey"]
        assert usual.ask("/pg/tables", "GET", ("apikey", key)).status == (0 if role == "service_role" else 403)
        assert usual.ask("/rest/v1/", "GET", ("apikey", key)).status == (0 if role == "service_role" else 403)
    assert usual.ask("/rest/v1/todos").status == 401
    for hostile in (
        "",
        " ",
        "sb_",
        "null",
        "wrong",
        f"{publishable},{secret}",
        f"{publishable}x",
        '"',
        "]]",
        "a" * 9000,
    ):
        assert usual.ask("/rest/v1/todos", "GET", ("apikey", hostile)).status == 401, hostile
    assert usual.ask("/auth/v1/verify").status == usual.ask("/auth/v1/verify/x").status == 0
    assert usual.ask("/auth/v1/verifyx").status == usual.ask("/auth/v1/user").status == 401
    closed = usual.plugins("realtime-tenants")["request-termination"]
    assert closed["status_code"] == 403
    assert usual.ask("/realtime/v1/api/tenants", "GET", ("apikey", secret)).status == 403


def test_keys_where_services_look_for_them(usual, secrets):
    key, token = secrets["publishable_key"], secrets["anon_token"]
    signed = {"apikey": token, "authorization": f"Bearer {token}"}
    assert subset(usual.ask(f"/rest/v1/t?a=1&apikey={key}&b=%20"), signed).query == "a=1&b=%20"
    assert subset(usual.ask("/rest/v1/t", "GET", ("apikey", key), ("Authorization", f"Bearer {key}")), signed)
    own = usual.ask("/rest/v1/t", "GET", ("apikey", key), ("Authorization", "Bearer a.b.c"))
    assert own.headers["authorization"] == "Bearer a.b.c"
    assert subset(usual.ask("/realtime/v1/websocket", "GET", ("apikey", key)), {"apikey": token, "x-api-key": token})
    function = usual.ask("/functions/v1/f", "GET", ("apikey", key), ("sb-api-key", "forged"))
    assert subset(function, {"apikey": key, "sb-api-key": token})
    assert "sb-api-key" not in usual.ask("/functions/v1/f", "GET", ("sb-api-key", "forged")).headers
    assert usual.ask("/storage/v1/object/a").headers.keys() == {"host"}
    assert usual.ask(f"/storage/v1/object/a?apikey={key}").query == f"apikey={key}"
    graphql = usual.ask("/graphql/v1", "POST", ("apikey", key))
    assert graphql.headers["content-profile"] == "graphql_public"
    other = usual.ask("/graphql/v1", "POST", ("apikey", key), ("Content-Profile", "x"))
    assert other.headers["content-profile"] == "x"


def subset(outcome: Outcome, headers):
    assert outcome.status == 0, outcome
    assert {name: outcome.headers.get(name) for name in headers} == headers
    return outcome


def test_hostile_requests(usual, secrets):
    key, secret = secrets["publishable_key"], secrets["secret_key"]
    for path in (
        "/rest/v1/a%2Fb",
        "/rest/v1/a%5cb",
        "/rest/v1/a\\b",
        "/rest/v1/a;b",
        "/rest/v1/a%3Bb",
        "/rest/v1/a%00",
    ):
        assert usual.ask(path, "GET", ("apikey", key)).status == 400, path
    assert usual.ask("/storage/v1/object/a;b").status == 0
    assert usual.ask("/storage/v1/object/a%2fb").status == 400
    for first, second in ((key, secret), (secret, key), (key, key)):
        for path in ("/pg/tables", "/storage/v1/object/x"):
            assert usual.ask(path, "GET", ("apikey", first), ("ApiKey", second)).status == 400
    assert usual.ask(f"/pg/tables?apikey={key}&apikey={secret}").status == 400
    assert usual.ask(f"/rest/v1/t?apikey={secret}", "GET", ("apikey", key)).status == 400
    assert usual.ask("/rest/v1/t", "GET", ("apikey", key), ("x_y", "z")).status == 400
    forged = usual.ask("/rest/v1/t", "GET", ("apikey", key), ("x-gateway-address", "me"), ("x-gateway-total", "me"))
    assert not [name for name in forged.headers if name.startswith("x-gateway")]
    assert usual.ask("/rest/v1/t", "GET", ("apikey", key), route="no such route").status == 403
    many = [(f"x-{number}", "y") for number in range(98)]
    assert usual.ask("/rest/v1/t", "GET", *many, ("apikey", key)).status == 0
    assert usual.ask("/rest/v1/t", "GET", *many, ("x-more", "y"), ("apikey", key)).status == 431


def test_rate_limits(render, usual):
    assert usual.plugins()["rate-limiting"] == {
        "minute": 60000,
        "policy": "local",
        "limit_by": "header",
        "header_name": "x-gateway-address",
        "error_code": 429,
        "error_message": "Too many requests",
    }
    assert usual.plugins("auth")["rate-limiting"]["minute"] == 600
    assert "rate-limiting" not in usual.plugins("rest")
    day = {"total": {"requests": 7, "seconds": 86400}}
    kong = render(stack_gateway_rate_limits={}, stack_gateway_routes=[{"route": "rest", "rate_limits": day}])
    assert "rate-limiting" not in kong.plugins()
    limit = kong.plugins("graphql")["rate-limiting"]
    assert (limit["day"], limit["header_name"]) == (7, "x-gateway-total")


def test_addresses_are_counted_by_network(usual, secrets):
    """The gate takes the header away, so here the first function runs alone."""
    first = Kong({**usual.config, "plugins": [*usual.config["plugins"]]}, {})
    for plugin in first.config["plugins"]:
        if plugin["name"] == "post-function":
            first.config["plugins"][first.config["plugins"].index(plugin)] = {
                **plugin,
                "config": {"access": ["return function() end"]},
            }

    def counted(address):
        return first.ask("/rest/v1/t", "GET", ("X-Gateway-Address", "forged"), address=address).headers

    assert counted("203.0.113.10")["x-gateway-address"] == "cb00710a"
    assert counted("0.10.13.0")["x-gateway-address"] == "000a0d00"
    same = {counted(address)["x-gateway-address"] for address in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::")}
    assert same == {"20010db800010002"}
    assert counted("2001:db8:1:3::1")["x-gateway-address"] == "20010db800010003"
    assert counted("203.0.113.10")["x-gateway-total"] == "all"


def test_addresses_bodies_and_headers_of_answers(render, usual):
    assert "ip-restriction" not in usual.plugins("rest")
    kong = render(**ALL, stack_gateway_routes=[{"route": "meta", "allow": [], "body_bytes": 0, "response_headers": {}}])
    for service in ("rest", "realtime-tenants", "studio"):
        plugins = kong.plugins(service)
        assert plugins["ip-restriction"]["allow"] == ALL["stack_gateway_allow"]
        assert plugins["ip-restriction"]["deny"] == ["198.51.100.66"]
        assert plugins["request-size-limiting"]["allowed_payload_size"] == 1000
        assert plugins["request-size-limiting"]["size_unit"] == "bytes"
        assert plugins["response-transformer"] == {
            "remove": {"headers": ["server"]},
            "add": {"headers": ["X-Frame-Options:DENY", "Link:<https://lab.test>; rel=a:b"]},
        }
    assert set(kong.plugins("meta")["ip-restriction"]) == {"deny", "message"}
    assert "request-size-limiting" not in kong.plugins("meta")
    assert "request-size-limiting" not in kong.plugins("storage"), "it has a limit of its own"
    assert kong.plugins("meta")["response-transformer"]["add"] == {"headers": []}


def test_origins(render, usual):
    assert usual.plugins("auth")["cors"]["origins"] == ["*"]
    routes = [{"route": "rest", "cors_origins": []}, {"route": "auth", "cors_origins": ["https://a.test"]}]
    kong = render(**ALL, stack_gateway_routes=routes)
    assert kong.plugins("meta")["cors"]["origins"] == [
        "https://app.lab.test",
        r"https://[^/]*\.app\.lab\.test",
        "https://studio.lab.test",
    ]
    assert kong.plugins("auth")["cors"]["origins"] == ["https://a.test"]
    assert "cors" not in kong.plugins("rest"), "an empty list means everybody to Kong"


def test_methods_and_request_headers(render, secrets):
    key = ("apikey", secrets["publishable_key"])
    settings = {name: ALL[name] for name in ALL if "request_headers" in name or name == "stack_gateway_methods"}
    kong = render(**settings, stack_gateway_routes=[{"route": "graphql", "methods": ["POST"]}])
    assert kong.ask("/rest/v1/t", "POST", key).status == 0
    refused = kong.ask("/rest/v1/t", "DELETE", key)
    assert (refused.status, refused.headers) == (405, {"allow": "GET, HEAD, POST"})
    assert [kong.ask("/graphql/v1", method, key).status for method in ("GET", "POST", "OST", "GET, HEAD")] == [
        405,
        0,
        405,
        405,
    ]
    seen = kong.ask("/rest/v1/t", "GET", key, ("X-Secret", "s"), ("x-added", "forged"))
    assert seen.headers["x-added"] == 'ü "quoted"'
    assert "x-secret" not in seen.headers
    kept = render(stack_gateway_request_headers_removed=["apikey"]).ask("/rest/v1/t", "GET", key)
    assert "apikey" not in kept.headers, "taken away after the gate has seen it"
    assert kept.headers["authorization"] == "Bearer " + secrets["anon_token"]


def test_maintenance(render, secrets):
    key = ("apikey", secrets["publishable_key"])
    kong = render(**ALL)
    away = kong.ask("/rest/v1/t", "GET", key, address="10.2.0.1")
    assert (away.status, away.message) == (503, ALL["stack_gateway_maintenance_message"])
    assert away.headers == {"retry-after": "60"}
    assert kong.ask("/rest/v1/t", "GET", key, address="10.1.2.3").status == 0
    assert kong.ask("/rest/v1/t", address="10.1.2.3").status == 401
    one = render(stack_gateway_routes=[{"route": "storage", "maintenance": True}])
    assert [one.ask(path, "GET", key).status for path in ("/storage/v1/object/a", "/rest/v1/t")] == [503, 0]


def test_timeouts_retries_and_ejection(render, usual):
    rest = usual.service("rest")
    assert [rest[name] for name in ("connect_timeout", "read_timeout", "write_timeout", "retries")] == [
        1000,
        30000,
        30000,
        12,
    ]
    assert usual.service("storage")["read_timeout"] == 3600000, "none, as far as Kong can"
    routes = [
        {"route": "rest", "timeout": 5, "retries": 0, "ejection_failures": 9},
        {"route": "meta", "ejection_failures": 0},
    ]
    kong = render(**ALL, stack_gateway_routes=routes)
    assert (kong.service("graphql")["read_timeout"], kong.service("graphql")["retries"]) == (5000, 0)
    assert (kong.service("auth")["write_timeout"], kong.service("auth")["retries"]) == (20000, 3)
    upstreams = {upstream["name"]: upstream for upstream in kong.config["upstreams"]}
    assert "meta" not in upstreams
    # Kong takes an upstream by the name that a service has for its host.
    hosts = {service["url"].split("/")[2].split(":")[0] for service in kong.config["services"]}
    assert upstreams.keys() == hosts - {"meta"}
    assert upstreams["auth"]["targets"] == [{"target": "auth:9999"}]
    checks = upstreams["rest"]["healthchecks"]
    assert checks["passive"]["unhealthy"] == {
        "http_statuses": [502, 503, 504], "http_failures": 9, "tcp_failures": 9, "timeouts": 9,
    }  # fmt: skip
    assert not set(checks["passive"]["healthy"]["http_statuses"]) & {502, 503, 504}
    assert (checks["passive"]["healthy"]["successes"], checks["active"]["unhealthy"]["interval"]) == (1, 7)


def test_settings_of_the_container(render, usual):
    def of(kong, *parts):
        return [kong.environment[f"KONG_{part}"] for part in parts]

    sizes = (
        "NGINX_HTTP_LARGE_CLIENT_HEADER_BUFFERS",
        "NGINX_PROXY_GZIP",
        "NGINX_PROXY_BROTLI",
        "NGINX_PROXY_CLIENT_BODY_TIMEOUT",
    )
    assert of(usual, *sizes) == ["1 60k", "on", "on", "30s"]
    assert of(render(**ALL), *sizes) == ["1 16k", "off", "off", "20s"]
    assert of(usual, "REAL_IP_HEADER", "REAL_IP_RECURSIVE") == ["X-Forwarded-For", "off"]
    assert "10.0.0.0/8" in usual.environment["KONG_TRUSTED_IPS"]
    assert render(**ALL).environment["KONG_TRUSTED_IPS"] == "127.0.0.1"
    log = usual.environment["KONG_NGINX_HTTP_LOG_FORMAT"]
    assert "$$uri" in log
    assert not any(
        name in log for name in ("request_uri", "$$args", '$$request"', "http_apikey", "http_authorization", "referer")
    )
    assert usual.plugins()["correlation-id"]["header_name"] == "x-request-id"
    assert "prometheus" in usual.plugins()


def test_the_dashboard(render, usual):
    import base64

    good = ("Authorization", "Basic " + base64.b64encode(f"supabase:{PASSWORD}".encode()).decode())
    refused = usual.ask("/project/default", host="studio.lab.test")
    assert (refused.status, refused.headers) == (401, {"www-authenticate": 'Basic realm="dashboard"'})
    for wrong in ("", "Basic", "Basic c3VwYWJhc2U6", "Bearer x", good[1][:-1]):
        assert usual.ask("/", "GET", ("Authorization", wrong), host="studio.lab.test").status == 401
    assert usual.ask("/", "GET", good, host="studio.lab.test").headers.keys() == {"host"}
    assert usual.route("/api/mcp", "studio.lab.test") == "studio-api-mcp"
    assert usual.route("/rest/v1/t", "studio.lab.test") == "studio", "the API is elsewhere"
    assert usual.route("/unknown") == ""
    single = render(supabase_studio_domain="api.lab.test")
    assert [single.route(path) for path in ("/", "/rest/v1/t", "/mcp", "/mcpx")] == [
        "studio",
        "rest",
        "studio-mcp",
        "studio",
    ]
    without = render(stack_services=["rest", "kong"])
    assert [service["name"] for service in without.config["services"]] == ["rest-root", "rest", "graphql"]


def test_a_route_without_any_control(render):
    nothing = {"cors_origins": [], "body_bytes": 0, "response_headers": {}, "response_headers_removed": []}
    kong = render(stack_gateway_rate_limits={}, stack_gateway_routes=[{"route": "rest", **nothing}])
    assert kong.service("rest")["plugins"] == []
