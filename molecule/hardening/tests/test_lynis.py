"""Lynis, an auditor that is not ours, and what docs/hardening.md says about what it still suggests."""

from __future__ import annotations

import re

import pytest
from conftest import SCENARIO

PAGE = SCENARIO.parents[1] / "docs" / "hardening.md"
ROW = re.compile(r"^\| `([A-Z]+(?:-\d+)?)` \|", re.MULTILINE)
SUGGESTION = re.compile(r"^(?:suggestion|warning)\[\]=([A-Z]+(?:-\d+)?)\|", re.MULTILINE)
INDEX = re.compile(r"^hardening_index=(\d+)$", re.MULTILINE)
FLOORS = {"trixie": 83, "bookworm": 82}


@pytest.fixture(scope="module")
def report(server):
    server.check_output("apt-get install --yes --no-install-recommends lynis")
    # With this file an auditor skips what it thinks is not a container's business.
    server.check_output("rm -f /.dockerenv")
    server.check_output("lynis audit system --quick --quiet")
    return server.file("/var/log/lynis-report.dat").content_string


def test_the_index_stays_where_it_is(report, name):
    assert int(INDEX.findall(report)[0]) >= FLOORS[name]


def test_what_it_suggests_is_documented_with_the_reason_why_it_stays(report, name):
    everywhere, only_bookworm = PAGE.read_text(encoding="utf-8").split("Only on Debian 12:")
    suggested = set(SUGGESTION.findall(report))
    if name == "trixie":
        assert suggested == set(ROW.findall(everywhere))
    else:
        assert suggested <= set(ROW.findall(everywhere + only_bookworm))
