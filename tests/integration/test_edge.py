# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge on real Caddy: no change restarts it, and each control by a request that passes and one that is stopped."""

from __future__ import annotations

import threading

import pytest
from constant_requests import constant_requests
from edge_server import RefusedError, own_network, running_edge
from in_process import importing
from postgres_server import docker

APP = {"domain": "app.lab.test", "aliases": ["www.lab.test"], "upstream": "UPSTREAM"}
SITES = [APP, {"domain": "api.lab.test", "upstream": "UPSTREAM"}]


@pytest.fixture(scope="module")
def load():
    yield from importing()


@pytest.fixture(scope="module")
def edge(load, tmp_path_factory):
    folder = tmp_path_factory.mktemp("edge")
    with own_network() as network, running_edge(folder, load, network, {"caddy_sites": SITES}) as running:
        begun = docker("inspect", "--format", "{{.State.StartedAt}}", running.container)
        yield running
        assert docker("inspect", "--format", "{{.State.StartedAt}}", running.container) == begun


@pytest.fixture
def publish(edge):
    """Change the inventory's settings; afterwards the defaults are back."""

    def change(*sites, **settings):
        edge.publish(**({"caddy_sites": list(sites)} if sites else {}), **settings)

    yield change
    edge.publish()


def upgraded(edge):
    connection = edge.connect()
    connection.sendall(
        b"GET /socket HTTP/1.1\r\nHost: app.lab.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert b" 101 " in connection.recv(4096)
    return connection


def echoes(connection):
    connection.sendall(b"\x81\x02hi")
    return connection.recv(1024) == b"\x81\x02hi"


def test_a_change_loses_no_request_and_no_connection(edge, publish):
    websocket = upgraded(edge)
    slow = []
    waiting = threading.Thread(target=lambda: slow.append(edge.ask("/slow", x_wait="4").status))
    with constant_requests(edge) as tally:
        waiting.start()
        for number in range(8):
            publish(APP | {"headers": {"X-Number": str(number)}})
            assert edge.ask().headers["X-Number"] == str(number)
        waiting.join(timeout=30)
    assert (tally.failures, slow) == ({}, [200])
    assert all(len(found) > 20 for found in tally.statuses.values()), tally
    assert tally.asked_again <= 8
    assert echoes(websocket)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"caddy_max_body": "lots"}, "parsing max_size"),
        ({"caddy_sites": [APP | {"retry": "soon"}]}, "bad duration value soon"),
        ({"caddy_sites": [APP | {"certificate": "absent"}]}, "/etc/caddy/tls/absent.pem: no such file"),
        ({"caddy_acme_dns": "nobody", "caddy_tls": "acme"}, "module not registered: dns.providers.nobody"),
    ],
)
def test_a_broken_configuration_is_refused_and_the_former_serves_on(edge, publish, settings, said):
    websocket = upgraded(edge)
    with constant_requests(edge) as tally:
        edge.switch(settings)
        with pytest.raises(RefusedError, match=said):
            edge.accepted()
        edge.publish()
    assert tally.failures == {}
    assert echoes(websocket)
