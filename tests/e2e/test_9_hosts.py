"""A hardened server of the lab, with its Docker engine."""

from __future__ import annotations

import json

import pytest

PLAY = ("playbooks/harden.yml", "--limit", "node2")


@pytest.fixture(scope="module")
def node(play, node2):
    play(*PLAY)
    return node2


def test_a_second_run_changes_nothing(play, node):
    assert play(*PLAY).changed == 0


def test_the_server_and_its_engine_are_well(node):
    assert node.check_output("systemctl is-system-running") == "running"
    assert node.service("docker").is_running


def test_users_see_their_own_processes_only(node):
    assert "dockerd" in node.check_output("ps -A -o comm=")
    assert "dockerd" not in node.check_output("runuser -u nobody -- ps -A -o comm=")


def test_changes_to_the_engine_are_recorded_but_not_every_write_of_the_database(node):
    rules = node.file("/etc/audit/rules.d/90-groundwork.rules").content_string
    assert "-F dir=/etc/docker " in rules and "-F path=/var/lib/docker " in rules
    assert "-F dir=/var/lib/docker" not in rules


def test_the_kernel_is_the_machines(node):
    assert node.file("/etc/sysctl.d/90-groundwork-hardening.conf").exists
    assert node.check_output("sysctl -n kernel.kptr_restrict") != "2"


def test_a_component_is_switched_off_and_on_again(play, node):
    before = node.file("/etc/issue").content_string
    play(*PLAY, "--tags", "hardening_banners", "-e", "hardening_banners=false")
    assert "Debian" in node.file("/etc/issue").content_string
    play(*PLAY, "--tags", "hardening_banners")
    assert node.file("/etc/issue").content_string == before


def test_wrong_input_is_told_at_once_and_changes_nothing(play, node):
    wrong = {
        "hardening_kernel_settings": {"net.ipv4.ip_forward": 0},
        "hardening_updates_reboot_time": "25:00",
        "hardening_accounts_unused": ["admin"],
    }
    told = play(*PLAY, "--tags", "hardening_kernel", "-e", json.dumps(wrong), expect=2)
    assert told.changed == 0
    for name in wrong:
        assert name in told.output
