# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets import jwt

SECRET = "a-secret-of-thirty-two-characters"


def test_the_example_of_rfc_7515_verifies():
    # RFC 7515, appendix A.1; its key is binary, so only what is signed can be compared.
    token = jwt.decode(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
        ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
        ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    )
    assert token.header == {"typ": "JWT", "alg": "HS256"}
    assert token.claims["iss"] == "joe"
    assert len(token.signature) == 32


def test_what_is_encoded_decodes():
    token = jwt.decode(jwt.encode({"role": "anon", "exp": 1}, SECRET))
    assert token.claims == {"role": "anon", "exp": 1}
    assert token.is_signed_by(SECRET)
    assert not token.is_signed_by("another")


def test_an_unsigned_token_is_signed_by_nobody():
    # {"alg":"none"}.{"role":"service_role"}.
    token = jwt.decode("eyJhbGciOiJub25lIn0.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.")
    assert not token.is_signed_by(SECRET)
    assert not token.is_signed_by("")


def test_changed_claims_break_the_signature():
    header, _claims, signature = jwt.encode({"role": "anon"}, SECRET).split(".")
    claims = jwt.encode({"role": "service_role"}, "x").split(".")[1]
    assert not jwt.decode(f"{header}.{claims}.{signature}").is_signed_by(SECRET)


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c.d", "!!.e30.e30", "e30.e30.*", "W10.e30.e30", "eyJ.e30.e30"])
def test_what_is_no_token_is_refused_without_showing_it(text):
    with pytest.raises(jwt.MalformedToken) as raised:
        jwt.decode(text)
    assert not text or text not in str(raised.value)
