# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.image_references import (
    find_image_faults,
    read_reference,
)

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("redis:8.2", ("redis", "8.2", None)),
        ("postgrest/postgrest:v14.17", ("postgrest/postgrest", "v14.17", None)),
        (f"10.0.0.5:5000/auth@{DIGEST}", ("10.0.0.5:5000/auth", None, DIGEST)),
        (f"registry.test:5000/a/b__c:1@{DIGEST}", ("registry.test:5000/a/b__c", "1", DIGEST)),
        ("localhost:5000/a", ("localhost:5000/a", None, None)),
    ],
)
def test_parts(text, parts):
    reference = read_reference(text)
    assert (reference.name, reference.tag, reference.digest) == parts


@pytest.mark.parametrize(
    ("text", "required", "fault"),
    [
        ("", False, "no reference"),
        ("Upper/Case:1", False, "not an image reference"),
        ("a b:1", False, "not an image reference"),
        ("redis:", False, "not an image reference"),
        ("redis:8@sha256:123", False, "is not sha256:"),
        ("redis:8@" + DIGEST.upper(), False, "is not sha256:"),
        ("redis:8@", False, "is not sha256:"),
        ("redis", False, "another image every time"),
        ("redis:latest", False, "another image every time"),
        ("redis:8.2", True, "has no digest"),
        ("redis:8.2", False, None),
        (f"redis@{DIGEST}", True, None),
        (f"registry.example.com/web@{DIGEST}", True, "is an example"),
        ("192.0.2.5:5000/web:1", False, "is an example"),
        ("example/web:1", False, None),
    ],
)
def test_faults(text, required, fault):
    found = [str(fault) for fault in find_image_faults("image redis", text, required)]
    assert found == [] if fault is None else len(found) == 1 and fault in found[0]


def test_an_example_that_moves_is_two_faults():
    found = [str(fault) for fault in find_image_faults("app web", "registry.example.com/web:latest", False)]
    assert [part in line for part, line in zip(("is an example", "every time"), found)] == [True, True]
