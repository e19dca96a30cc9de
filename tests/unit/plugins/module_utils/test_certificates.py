# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.certificates import (
    find_certificate_faults,
    read_certificate,
)

# What OpenSSL 3.0 and 3.5 print.
ANSWER = """\
notBefore=Nov  1 00:00:00 2026 GMT
notAfter=Jan 30 00:00:00 2027 GMT
X509v3 Subject Alternative Name:
    DNS:API.acme.test, DNS:*.apps.acme.test, IP Address:192.0.2.1
"""
BEGIN, END = 1793491200, 1801267200
DAY = 86400


def lines(names, now):
    return [str(fault) for fault in find_certificate_faults("a.pem", read_certificate(ANSWER), names, now)]


def test_a_good_certificate():
    assert lines(["api.acme.test", "App.apps.acme.test"], BEGIN + DAY) == []
    assert read_certificate(ANSWER).days_left(END - 10 * DAY - 1) == 10


@pytest.mark.parametrize(
    ("names", "now", "fault"),
    [
        ([], END + 1, "a.pem: it expired on 2027-01-30; "),
        ([], BEGIN - 1, "a.pem: it is not valid yet; "),
        (["acme.test"], BEGIN, "a.pem: it is for *.apps.acme.test, api.acme.test, and not for acme.test; "),
        (["a.b.apps.acme.test"], BEGIN, "and not for a.b.apps.acme.test; "),
        (["apps.acme.test"], BEGIN, "and not for apps.acme.test; "),
    ],
)
def test_a_fault_is_found(names, now, fault):
    assert any(fault in line for line in lines(names, now)), lines(names, now)


def test_faults_are_found_together():
    assert len(lines(["acme.test"], END + 9 * DAY)) == 2


@pytest.mark.parametrize("answer", ["", "notAfter=Jan 30 00:00:00 2027 GMT\n"])
def test_what_is_no_certificate(answer):
    with pytest.raises(ValueError, match="validity"):
        read_certificate(answer)
