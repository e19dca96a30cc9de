# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tokens of load tests are such as the platform's own secrets sign."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ansible_collections.groundwork.supabase.plugins.module_utils.secrets import jwt

SCRIPT = Path(__file__).resolve().parents[1] / "load" / "users.py"
spec = importlib.util.spec_from_file_location("load_users", SCRIPT)
assert spec is not None and spec.loader is not None
users = importlib.util.module_from_spec(spec)
spec.loader.exec_module(users)


def test_a_token_says_what_it_was_given_and_bears_the_secrets_signature():
    claims = {"sub": "6f0f2c62-9c1c-4d0e-9f4e-2f4f6f3c2f11", "role": "authenticated", "exp": 4102444800}
    token = jwt.decode(users.sign(claims, "a" * 40))
    assert token.claims == claims
    assert token.is_signed_by("a" * 40)
    assert not token.is_signed_by("b" * 40)
