# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.published_ports import (
    PublishedPort,
    find_port_faults,
    read_ports,
)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (80, [("0.0.0.0", 0, "tcp")]),
        ("8080:80", [("0.0.0.0", 8080, "tcp")]),
        ("127.0.0.1:8080:80", [("127.0.0.1", 8080, "tcp")]),
        ("127.0.0.1::80", [("127.0.0.1", 0, "tcp")]),
        ("[::1]:8080:80/udp", [("::1", 8080, "udp")]),
        ("9090-9091:8080-8081", [("0.0.0.0", 9090, "tcp"), ("0.0.0.0", 9091, "tcp")]),
        ({"target": 80}, [("0.0.0.0", 0, "tcp")]),
        ({"target": 80, "published": "8080", "host_ip": "10.0.0.5"}, [("10.0.0.5", 8080, "tcp")]),
        ({"target": 53, "published": 53, "protocol": "udp"}, [("0.0.0.0", 53, "udp")]),
        ({"target": 80, "published": "8080-8081"}, [("0.0.0.0", 8080, "tcp"), ("0.0.0.0", 8081, "tcp")]),
    ],
)
def test_syntax(entry, expected):
    assert [(port.address, port.port, port.protocol) for port in read_ports("x", [entry])] == expected


@pytest.mark.parametrize(
    "entries",
    [
        "80:80",
        ["eighty"],
        ["80:80/icmp"],
        ["70000:80"],
        ["9091-9090:80"],
        ["8000-8001:80-82"],
        ["999.1.1.1:80:80"],
        [{"published": 80}],
        [{"target": "x"}],
        [{"target": 80, "host_ip": "localhost"}],
    ],
)
def test_what_is_no_port_is_refused(entries):
    with pytest.raises(ValueError):
        read_ports("x", entries)


@pytest.mark.parametrize(
    ("first", "second", "collide"),
    [
        ("80:80", "80:8080", True),
        ("80:80", "127.0.0.1:80:80", True),
        ("[::]:80:80", "127.0.0.1:80:80", True),
        ("127.0.0.1:80:80", "10.0.0.1:80:80", False),
        ("80:80", "80:80/udp", False),
        ("80:80", "81:80", False),
        ("80", "81", False),
        ("8000-8010:80", "8005:80", True),
    ],
)
def test_collisions(first, second, collide):
    ports = [*read_ports("service a", [first]), *read_ports("service b", [second])]
    faults = [str(fault) for fault in find_port_faults(ports, ["service a", "service b"])]
    assert bool(faults) is collide
    assert all("service b: port" in fault and "taken by service a" in fault for fault in faults)


@pytest.mark.parametrize(
    ("address", "public"),
    [("0.0.0.0", True), ("::", True), ("1.1.1.1", True), ("127.0.0.1", False), ("::1", False), ("10.1.2.3", False)],
)
def test_public_addresses(address, public):
    port = PublishedPort("app a", address, 5432)
    assert port.is_public is public
    assert len(find_port_faults([port], [])) == int(public)
    assert find_port_faults([port], ["app a"]) == []
