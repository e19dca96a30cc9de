# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module certificate_info on real files."""

from __future__ import annotations

import pytest
from certificate_pairs import make_pair


@pytest.fixture
def pair(tmp_path):
    def write(pair, name="own", key=None):
        (tmp_path / f"{name}.pem").write_text(pair.certificate, encoding="ascii")
        (tmp_path / f"{name}.key").write_text(key or pair.key, encoding="ascii")
        return {"certificate": str(tmp_path / f"{name}.pem"), "key": str(tmp_path / f"{name}.key")}

    return write


def test_good_certificates(run, pair):
    certificates = [pair(make_pair("a.test", "*.b.test"), "a") | {"names": ["a.test", "x.b.test"]}]
    first = run("certificate_info", {"certificates": certificates})
    assert not first.changed
    assert first.result["certificates"][0] | {"certificate": ""} == {
        "certificate": "", "names": ["*.b.test", "a.test"], "days_left": 29,
    }  # fmt: skip
    assert (
        run("certificate_info", {"certificates": certificates}, "--check").result["fingerprint"]
        == first.result["fingerprint"]
    )
    pair(make_pair("a.test", "*.b.test", days=3), "a")
    other = run("certificate_info", {"certificates": certificates})
    assert other.result["fingerprint"] != first.result["fingerprint"]
    assert "a.pem ends in 2 days" in other.output


def test_every_fault_at_once(run, pair, tmp_path):
    certificates = [
        pair(make_pair("a.test", days=-5), "expired"),
        pair(make_pair("a.test"), "foreign", key=make_pair("a.test").key),
        pair(make_pair("a.test"), "narrow") | {"names": ["b.test"]},
        {"certificate": str(tmp_path / "absent.pem"), "key": str(tmp_path / "narrow.key")},
        pair(make_pair("a.test"), "damaged", key="no key"),
    ]
    error = run("certificate_info", {"certificates": certificates}).error
    for part in (
        "5 faults:",
        "expired.pem: it expired",
        "foreign.pem: with",
        "key values mismatch",
        "narrow.pem: it is for a.test, and not for b.test",
        "absent.pem: it cannot be read (No such file or directory)",
        "damaged.pem: with",
    ):
        assert part in error, error
    assert "PRIVATE KEY" not in error
