"""Lynis, an auditor that is not ours, and what docs/hardening.md says about what it still suggests."""

from __future__ import annotations

import re

import pytest
from conftest import SCENARIO

DOCUMENTED = re.compile(r"^\| `([A-Z]+-\d+[^`]*)` \|", re.MULTILINE)
# Of the SSH daemon's settings, each is a suggestion of its own.
SUGGESTION = re.compile(r"^(?:suggestion|warning)\[\]=([A-Z]+-\d+)\|[^|]*\|(.*?) ?(?:\(|\|)", re.MULTILINE)
INDEX = re.compile(r"^hardening_index=(\d+)$", re.MULTILINE)
FLOORS = {"trixie": 75, "bookworm": 75}


@pytest.fixture(scope="module")
def report(server):
    server.check_output("apt-get install --yes --no-install-recommends lynis")
    # With this file an auditor skips what it thinks is not a container's business.
    server.check_output("rm -f /.dockerenv")
    server.check_output("lynis audit system --quick --quiet")
    return server.file("/var/log/lynis-report.dat").content_string


def test_the_index_stays_where_it_is(report, name):
    assert int(INDEX.findall(report)[0]) >= FLOORS[name]


def test_every_suggestion_that_is_left_is_documented_with_its_reason(report, name):
    left = {f"{id} {detail}" if id == "SSH-7408" else id for id, detail in SUGGESTION.findall(report)}
    documented = set(DOCUMENTED.findall((SCENARIO.parents[1] / "docs" / "hardening.md").read_text(encoding="utf-8")))
    assert left - documented == set()
    # The list is of Debian 13's Lynis; the one before knows less.
    if name == "trixie":
        assert documented - left == set()
