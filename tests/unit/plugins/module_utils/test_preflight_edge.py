# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest
import yaml
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.edge import find_edge_faults

ROLE = Path(__file__).resolve().parents[4] / "roles" / "caddy"
OPTIONS = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]["main"][
    "options"
]
NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
PLATFORM = {"api.acme.test", "studio.acme.test"}
APP = {"domain": "app.acme.test", "upstream": "app:8080"}
HASH = "$2a$14$" + "a" * 53
CLEAN = {
    "caddy_tls": "acme",
    "caddy_acme_eab": {"key_id": "ours", "mac_key": "${secret:acme_mac_key}"},
    "caddy_acme_directory": "https://ca.acme.test/acme/directory",
    "caddy_trusted_proxies": ["private_ranges", "203.0.113.0/24"],
    "caddy_security_txt": "Contact: mailto:security@acme.test\nExpires: 2027-06-01T00:00:00Z\n",
    "caddy_body_timeout": "1m30s",
    "supabase_sites": [
        APP | {"aliases": ["www.acme.test"], "basic_auth": {"ann": "${secret:ann_hash}", "ben": HASH}},
        {"domain": "acme.test", "redirect": "https://app.acme.test{uri}"},
        {"domain": "docs.acme.test", "root": "/srv/docs", "redirects": [{"from": "/old/*", "to": "/new{uri}"}]},
        {"domain": "fonts.acme.test", "root": "/srv/fonts", "cors": {"origins": ["https://app.acme.test"]}},
    ],
}


def lines(**changes):
    secrets = {"acme_mac_key", "ann_hash", "postgres_password"}
    return [str(fault) for fault in find_edge_faults({**CLEAN, **changes}, OPTIONS, PLATFORM, NOW, secrets)]


def site(**changes):
    return {"supabase_sites": [{**APP, **changes}]}


def test_a_clean_edge_has_no_faults():
    assert lines() == []
    assert list(find_edge_faults({}, OPTIONS, PLATFORM, NOW)) == []
    assert lines(supabase_edge_log="/run/edge", caddy_trusted_proxies=[]) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"caddy_tls_profil": "modern"}, "variable caddy_tls_profil: role caddy has no such option; did you mean"),
        ({"supabase_edge_log": "/run/edge"}, "supabase_edge_log: behind caddy_trusted_proxies a ban would stop nobody"),
        ({"caddy_client_log": "/run/edge"}, "caddy_client_log: behind caddy_trusted_proxies a ban would stop nobody"),
        ({"caddy_tls_profile": "old"}, "caddy_tls_profile must be one of: intermediate, modern, got: old"),
        (site(upstraem="a:1"), "supabase_sites[0]: unknown key upstraem; did you mean upstream?"),
        (site(hsts="always"), "must be one of: off, host, subdomains, preload"),
        (
            site(redirects=[{"from": "/a", "to": "/b", "status": 200}]),
            "supabase_sites[0].redirects[0]: value of status",
        ),
        (
            {"supabase_sites": [APP, APP | {"domain": "x.acme.test", "aliases": ["app.acme.test"]}]},
            "[1], x.acme.test: app.acme.test is served by supabase_sites[0], app.acme.test already; leave it out",
        ),
        (site(domain="studio.acme.test"), "studio.acme.test is served by the API or the dashboard already"),
        (site(upstream=""), "it has none of upstream, root, redirect, respond; give it one of them"),
        (site(root="/srv/a"), "it has upstream and root; give it one of them"),
        (site(domain="https://a.test/"), "'https://a.test/' is not a domain"),
        (site(domain="*.acme.test"), "only DNS-01 proves *.acme.test, and caddy_acme_dns is not set"),
        (site(upstream="app"), "upstream 'app' is not HOST:PORT"),
        (site(upstream=["a:1", "b:1"], shift=True), "shift is for a single upstream; name the one service"),
        (site(certificate="../etc"), "certificate '../etc' is no name"),
        (site(max_body="much"), "supabase_sites[0], app.acme.test: max_body: 'much' is no size; write 60MB"),
        ({"caddy_retry": "15"}, "caddy_retry: '15' is no time; write 30s"),
        (site(allow=["10.0.0.1/8"]), "allow: 10.0.0.1/8 has bits beyond its prefix"),
        (site(methods=["GET /"]), "methods: 'GET /' is no name of a method"),
        (site(headers={"X-A": "a\nb"}), "headers: the value of X-A has a line break"),
        ({"caddy_cookie_attributes": ["secret"]}, "secret is no attribute that every cookie could have"),
        (site(cookie_attributes=["SameSite=None"]), "browsers drop cookies with SameSite=None and without Secure"),
        (site(basic_auth={"ann": ""}), "user ann of basic_auth has no hash; write what caddy hash-password makes"),
        (site(basic_auth={"ann": "hunter2"}), "what user ann of basic_auth has is no hash of bcrypt or argon2id"),
        (site(basic_auth={"ann": "${secret:an_hash}"}), "nobody makes or gives secret an_hash; did you mean ann_hash?"),
        (
            site(forward_auth={"upstream": "https://a", "uri": "/"}),
            "forward_auth.upstream 'https://a' is not HOST:PORT",
        ),
        (site(upstream="api-gw:8000", cors={"origins": ["https://a.test"]}), "the gateway answers for origins itself"),
        (site(cors={"origins": ["*"]}), "cors.origins: * is no origin"),
        ({"caddy_acme_challenges": []}, "caddy_acme_challenges: none is left to prove a name by"),
        ({"caddy_acme_eab": {"key_id": "a"}}, "caddy_acme_eab: it has key_id alone"),
        ({"caddy_acme_directory": ""}, "caddy_acme_eab: it is an account, and nothing says where"),
        ({"caddy_acme_directory": "ca.test"}, "caddy_acme_directory: 'ca.test' is no address of a directory"),
        ({"caddy_acme_ca_root": "/etc/ca.pem"}, "caddy_acme_ca_root: it is no PEM text"),
        ({"caddy_security_txt": "Expires: 2027-06-01T00:00:00Z"}, "caddy_security_txt: it has no Contact"),
        ({"caddy_security_txt": "Contact: a\nExpires: soon"}, "it has no Expires with a time"),
        ({"caddy_security_txt": "Contact: a\nExpires: 2026-06-01T00:00:00Z"}, "caddy_security_txt: it has expired"),
    ],
)
def test_a_fault_is_found(changes, fault):
    assert any(fault in line for line in lines(**changes)), lines(**changes)


def redirect(name, target):
    return {"domain": name, "redirect": target}


@pytest.mark.parametrize(
    ("sites", "fault"),
    [
        ([redirect("a.test", "https://a.test{uri}")], "its redirect is a loop: a.test → a.test"),
        (
            [
                redirect("a.test", "https://b.test{uri}"),
                redirect("b.test", "https://c.test/"),
                redirect("c.test", "https://a.test"),
            ],
            "its redirect is a loop: a.test → b.test → c.test → a.test",
        ),
        (
            [APP | {"redirects": [{"from": "/a", "to": "/b"}, {"from": "/b", "to": "/a"}]}],
            "they are a loop: /a → /b → /a",
        ),
        (
            [APP | {"redirects": [{"from": "/a*", "to": "https://app.acme.test/a/new{uri}"}]}],
            "they are a loop: /a* → /a*",
        ),
    ],
)
def test_a_loop_is_found_once(sites, fault):
    assert (
        [line for line in lines(supabase_sites=sites) if "loop" in line][0]
        .partition(": ")[2]
        .endswith(f"{fault}; let one of them lead elsewhere")
    )
    assert len([line for line in lines(supabase_sites=sites) if "loop" in line]) == 1


def test_redirects_that_end_are_none():
    sites = [
        redirect("a.test", "https://b.test{uri}"),
        redirect("b.test", "https://app.acme.test{uri}"),
        APP
        | {
            "redirects": [
                {"from": "/a", "to": "/b"},
                {"from": "/b", "to": "/c"},
                {"from": "/d", "to": "https://x.test/d"},
            ]
        },
    ]
    assert lines(supabase_sites=sites) == []


def test_faults_are_found_together_and_show_no_password():
    found = lines(
        supabase_sites=[APP | {"basic_auth": {"ann": "hunter2"}, "max_body": "much"}, APP], caddy_tls="selfmade"
    )
    assert len(found) == 4, found
    assert "hunter2" not in "".join(found)


def test_all_sites_in_one_variable_stand_for_themselves():
    assert (
        lines(caddy_sites=[APP | {"domain": "api.acme.test"}], supabase_sites=[APP | {"domain": "api.acme.test"}]) == []
    )
