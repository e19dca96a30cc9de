# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates from an ACME authority: issued, renewed, revoked and replaced, and no request is lost meanwhile."""

from __future__ import annotations

import re
import ssl

import pytest
from acme_authority import KEY_ID, MAC_KEY, running_authority
from constant_requests import constant_requests
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from edge_server import own_network, running_edge, wait_until

APP = {"domain": "app.lab.test", "upstream": "UPSTREAM"}
# Certificates are valid for so many seconds, and renewed as soon as ten of them are over.
VALID = 600
# What Caddy notes each time it looks, even while it waits a minute or more after an attempt that failed.
DUE = re.compile("certificate (?:needs renewal based on|is in configured renewal window)")
# An authority that goes away during an exchange is given up by Caddy after minutes, and nothing is renewed before.
PATIENCE = 240
STORE = "/data/caddy/certificates/pebble-14000-dir"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    with own_network() as network, running_authority(tmp_path_factory.mktemp("pebble"), network, VALID) as running:
        yield running


@pytest.fixture(scope="module")
def edge(load, authority, tmp_path_factory):
    settings = {
        "caddy_sites": [APP],
        "caddy_tls": "acme",
        "caddy_acme_directory": "https://pebble:14000/dir",
        "caddy_acme_ca_root": authority.root,
        "caddy_acme_eab": {"key_id": KEY_ID, "mac_key": "${secret:acme_mac_key}"},
        "caddy_acme_challenges": ["http-01"],
    }
    quick = f"{{\n\trenew_interval 1s\n\trenewal_window_ratio {1 - 10 / VALID:.3f}\n\tadmin"
    more = {"secrets": {"acme_mac_key": MAC_KEY}, "amend": lambda text: text.replace("{\n\tadmin", quick)}
    with running_edge(tmp_path_factory.mktemp("edge"), load, authority.network, settings, **more) as running:
        running.trust(authority.issuing_root())
        wait_until(lambda: running.ask().status == 200, "the first certificate is there")
        yield running


def served(edge, host="app.lab.test"):
    with edge.connect(host) as connection:
        return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True))


def wait_for_another(edge, serial):
    def another():
        certificate = served(edge)
        return certificate if certificate.serial_number != serial else None

    return wait_until(another, "another certificate is served", PATIENCE)


def test_each_challenge_is_answered_alone(edge, authority):
    assert "Pebble" in served(edge).issuer.rfc4514_string()
    assert '"challenge_type":"http-01"' in edge.log()
    assert '"challenge_type":"tls-alpn-01"' not in edge.log()
    edge.publish(caddy_acme_challenges=["tls-alpn-01"], caddy_sites=[APP, APP | {"domain": "api.lab.test"}])
    wait_until(lambda: edge.ask(host="api.lab.test").status == 200, "a certificate by the other challenge")
    assert '"challenge_type":"tls-alpn-01"' in edge.log()
    edge.publish()


def test_a_certificate_is_renewed_and_no_request_lost(edge):
    first = served(edge).serial_number
    with constant_requests(edge) as tally:
        wait_for_another(edge, first)
    assert tally.failures == {}
    assert tally.unanswered == 0


def test_an_authority_that_is_away_costs_nothing_while_the_certificate_lasts(edge, authority):
    authority.out_of_reach()
    try:
        first, noted = served(edge).serial_number, len(edge.log())
        with constant_requests(edge) as tally:
            wait_until(lambda: len(DUE.findall(edge.log(), noted)) > 10, "a renewal is due", PATIENCE)
            assert served(edge).serial_number == first
    finally:
        authority.within_reach()
    assert tally.failures == {}
    wait_for_another(edge, first)


def stored(edge) -> tuple[str, str]:
    """A certificate and its key, read again where it was just renewed in between."""
    while True:
        certificate, key = (edge.inside("cat", f"{STORE}/app.lab.test/app.lab.test.{end}") for end in ("crt", "key"))
        private = serialization.load_pem_private_key(key.encode(), None)
        if private.public_key() == x509.load_pem_x509_certificate(certificate.encode()).public_key():
            return certificate, key


def test_a_revoked_certificate_is_replaced_with_another_key(edge, authority):
    certificate, key = stored(edge)
    revoked = x509.load_pem_x509_certificate(certificate.encode())
    authority.revoke(certificate, key)
    assert authority.status(revoked.serial_number) == "Revoked"
    with constant_requests(edge) as tally:
        # What docs/edge.md tells to do.
        edge.inside("rm", "-r", f"{STORE}/app.lab.test")
        edge.inside("sh", "/etc/caddy/reload.sh")
        replaced = wait_for_another(edge, revoked.serial_number)
    assert tally.failures == {}
    assert replaced.public_key() != revoked.public_key()
    assert authority.status(replaced.serial_number) == "Valid"


def test_a_name_that_leads_elsewhere_gets_no_certificate_and_the_others_serve_on(edge):
    with constant_requests(edge) as tally:
        edge.publish(caddy_sites=[APP, APP | {"domain": "nowhere.lab.test"}])
        wait_until(
            lambda: '"identifier":"nowhere.lab.test"' in edge.log() and "will retry" in edge.log(), "it is tried"
        )
        with pytest.raises(ssl.SSLError):
            edge.ask(host="nowhere.lab.test")
        edge.publish()
    assert tally.failures == {}
    lines = [line for line in edge.log().splitlines() if '"nowhere.lab.test"' in line and '"level":"error"' in line]
    assert any("no such host" in line or "NXDOMAIN" in line or "DNS" in line for line in lines), lines
