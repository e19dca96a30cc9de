# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "doctor.py"
spec = importlib.util.spec_from_file_location("doctor", SCRIPT)
assert spec is not None and spec.loader is not None
doctor = importlib.util.module_from_spec(spec)
sys.modules["doctor"] = doctor
spec.loader.exec_module(doctor)

FIT = doctor.Machine(
    root=True,
    sudo=False,
    apt=True,
    engine=False,
    engine_installed=False,
    capable=True,
    registry_port_taken=False,
    disk=40.0,
    disk_path="/var/lib",
    memory=16.0,
    pythons=[("python3", (3, 11), True)],
    networks=[("bridge", "172.17.0.0/16")],
)


def test_a_plain_debian_machine_lacks_nothing():
    assert doctor.faults(FIT) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"root": False}, "sudo"),
        ({"apt": False}, "no apt"),
        ({"capable": False}, "virtual machine"),
        ({"registry_port_taken": True}, "127.0.0.1:5077"),
        ({"disk": 3.4, "disk_path": "/data"}, "/data has 3 GiB free"),
        ({"memory": 1.9}, "1.9 GiB of memory"),
        ({"pythons": [("python3", (3, 10), True)]}, "apt-get install python3.11"),
        ({"pythons": []}, "no python3 of 3.11"),
        ({"networks": [("office", "172.30.0.0/16")]}, "office uses 172.30.0.0/16"),
        ({"networks": [("route on tun0", "172.30.77.128/25")]}, "route on tun0"),
    ],
)
def test_each_fault_is_one_line_with_its_remedy(change, words):
    (fault,) = doctor.faults(dataclasses.replace(FIT, **change))
    assert words in fault
    assert "\n" not in fault and ": " in fault


def test_all_faults_are_told_together():
    broken = dataclasses.replace(FIT, root=False, disk=1.0, memory=1.0, pythons=[], registry_port_taken=True)
    assert len(doctor.faults(broken)) == 5


@pytest.mark.parametrize(
    "change",
    [
        {"root": False, "sudo": True},
        {"root": False, "engine": True},
        {"apt": False, "engine": True},
        {"capable": False, "engine": True},
        {"apt": False, "engine_installed": True},
        {"pythons": [("python3", (3, 11), False)]},
        {"networks": [("groundwork-lab", "172.30.77.0/24")]},
        {"networks": [("route on tun0", "172.16.0.0/12")]},
        {"networks": [("route on br-bf30fff47063", "172.30.77.0/24")]},
        {"networks": [("six", "fd00::/64")]},
    ],
)
def test_what_does_no_harm_is_no_fault(change):
    assert doctor.faults(dataclasses.replace(FIT, **change)) == []


def test_a_python_that_can_make_environments_is_preferred():
    found = [("python3", (3, 10), True), ("python3.12", (3, 12), False), ("python3.11", (3, 11), True)]
    assert doctor.choose_python(found) == ("python3.11", True)
    assert doctor.choose_python(found[:2]) == ("python3.12", False)
    assert doctor.choose_python(found[:1]) is None


def test_routes_are_read_from_the_kernel():
    table = (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0102000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "tun0\t004D1EAC\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    )
    assert doctor.routes(table) == [("route on eth0", "0.0.0.0/0"), ("route on tun0", "172.30.77.0/24")]


def test_memory_and_capabilities_are_read_from_the_kernel():
    assert doctor.memory_gib("MemTotal:       16777216 kB\nMemFree: 1 kB\n") == 16.0
    assert doctor.may_run_engine("Name:\tx\nCapBnd:\t000001ffffffffff\n")
    assert not doctor.may_run_engine("CapBnd:\t00000000a80425fb\n")
