# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.key_ring import es256
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets import jwt

# RFC 7515, appendix A.3.
KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
}
TOKEN = (
    "eyJhbGciOiJFUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)


def test_the_example_of_rfc_7515_verifies():
    assert es256.is_signed_by(jwt.decode(TOKEN), KEY)
    assert es256.is_signed_by(jwt.decode(TOKEN), es256.public_part(KEY))


def test_the_thumbprint_hashes_the_required_members_in_order():
    # RFC 7517, appendix A.1; its thumbprint as other implementations give it.
    key = {
        "kty": "EC",
        "crv": "P-256",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        "use": "enc",
        "kid": "1",
    }
    assert es256.thumbprint(key) == "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"


def test_what_is_encoded_verifies_and_names_its_key():
    key = es256.make_key()
    token = jwt.decode(es256.encode({"role": "anon", "exp": 1}, key))
    assert token.header == {"alg": "ES256", "typ": "JWT", "kid": es256.thumbprint(key)}
    assert token.claims == {"role": "anon", "exp": 1}
    assert len(token.signature) == 64
    assert es256.is_signed_by(token, es256.public_part(key))
    assert not es256.is_signed_by(token, es256.public_part(es256.make_key()))


def test_numbers_of_a_key_always_have_32_bytes():
    for _attempt in range(40):
        key = es256.make_key()
        assert {len(key[member]) for member in ("x", "y", "d")} == {43}


def test_no_two_keys_are_one_to_storage():
    for _attempt in range(40):
        assert "_" not in es256.thumbprint(es256.make_key())


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES384", None])
def test_another_algorithm_is_refused(algorithm):
    token = jwt.decode(TOKEN)
    assert not es256.is_signed_by(jwt.Token({"alg": algorithm}, token.claims, token.signed, token.signature), KEY)


def test_a_changed_token_is_refused():
    token = jwt.decode(TOKEN)
    for signature in (b"", bytes(64), token.signature[:-1] + b"\0", token.signature + b"\0"):
        assert not es256.is_signed_by(jwt.Token(token.header, token.claims, token.signed, signature), KEY)
    assert not es256.is_signed_by(jwt.Token(token.header, token.claims, token.signed + b"x", token.signature), KEY)


def test_the_public_part_has_no_private_member():
    assert set(es256.public_part(KEY)) == {"kty", "crv", "x", "y"}
    assert KEY["d"] not in json.dumps(es256.public_part(KEY))


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setattr(es256, "CRYPTOGRAPHY_ERROR", "Traceback\nModuleNotFoundError: No module named 'cryptography'")
    with pytest.raises(GroundworkError, match="No module named 'cryptography'; install python3-cryptography"):
        es256.make_key()
