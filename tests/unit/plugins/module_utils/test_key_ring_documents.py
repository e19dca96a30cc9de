# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What services get of a ring: Auth's, PostgREST's, Realtime's, Storage's and the gateway's rules."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.key_ring import es256
from ansible_collections.groundwork.supabase.plugins.module_utils.key_ring.documents import (
    derive,
    find_store_faults,
    new_key,
    new_ring,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.key_ring.record import read_ring, write_ring
from ansible_collections.groundwork.supabase.plugins.module_utils.key_ring.report import describe
from ansible_collections.groundwork.supabase.plugins.module_utils.key_ring.ring import (
    CHAINS,
    SIGNING,
    Policy,
    confirm_delivery,
    replace_hmac_secret,
    revoke,
    take_step,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets import jwt

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
POLICY = Policy(3600, 0, 0)
LEGACY = "Vb6kRz1XqWt0MfSy9LgPj4NcHd2AeUo8"
STORED = {
    "jwt_secret": LEGACY,
    "anon_key": jwt.encode({"iss": "supabase", "role": "anon"}, LEGACY),
    "service_role_key": jwt.encode({"iss": "supabase", "role": "service_role"}, LEGACY),
    "publishable_key": "sb_publishable_Kx7vQ2mZr9TfLw4BJd3nYc8sHu5GpEo",
    "secret_key": "sb_secret_Jd3nYc8sHu5GpEoKx7vQ2mZr9TfLw4B",
}


def make(chain):
    return new_key(chain, NOW, os.urandom)


def walk(ring, *steps, chain=SIGNING):
    """The ring after steps with a deployment after each, late enough for all of them."""
    now = NOW
    for step in steps:
        ring = take_step(ring, chain, step, POLICY, now, make, consent=True)
        ring = confirm_delivery(ring, ring.serial, now)
        now += timedelta(days=1)
    return ring


def adopted():
    return new_ring(STORED, NOW, os.urandom)


def values(ring, stored=None, now=NOW):
    return {name: document.value for name, document in derive(ring, STORED if stored is None else stored, now).items()}


def auth_accepts(text):
    """The rules of supabase/auth internal/conf/jwk.go, without what its libraries check of the numbers."""
    keys = json.loads(text)
    assert isinstance(keys, list)
    by_kid = {}
    for key in keys:
        assert key["kty"] in ("EC", "oct") and key["alg"] in ("ES256", "HS256") and key["use"] == "sig"
        assert key.get("kid", "") not in by_kid
        by_kid[key.get("kid", "")] = key
    assert [key for key in keys if "sign" in key["key_ops"]] == [key for key in keys if "d" in key or signs(key)]
    assert sum(signs(key) for key in keys) == 1
    return by_kid


def signs(key):
    return "sign" in key["key_ops"]


def states(document):
    """Algorithm, may it sign, is its private half there."""
    return [(key["alg"], signs(key), "d" in key) for key in json.loads(document)]


def test_an_adopted_secret_goes_on_signing_as_before():
    documents = values(adopted())
    key = next(iter(auth_accepts(documents["jwt_keys"]).values()))
    assert key["kty"] == "oct" and "kid" not in key
    assert base64.urlsafe_b64decode(key["k"] + "==").decode() == LEGACY
    # PostgREST, Storage and Realtime find it without a kid, as the tokens that it signed have none.
    assert json.loads(documents["jwt_jwks"])["keys"] == [{"kty": "oct", "k": key["k"], "alg": "HS256"}]
    assert documents["jwt_hmac_secret"] == LEGACY
    assert jwt.decode(documents["anon_token"]).is_signed_by(LEGACY)
    assert jwt.decode(documents["realtime_health_token"]).is_signed_by(LEGACY)
    assert documents["publishable_key"] == STORED["publishable_key"]
    assert documents["secret_key"] == STORED["secret_key"]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((), [("HS256", True, False)]),
        (("publish",), [("HS256", True, False), ("ES256", False, False)]),
        (("publish", "switch"), [("HS256", False, False), ("ES256", True, True)]),
        (("publish", "switch", "drop"), [("ES256", True, True)]),
        (("publish", "switch", "drop", "publish", "switch"), [("ES256", False, False), ("ES256", True, True)]),
    ],
)
def test_auth_gets_one_key_that_signs_and_no_private_half_beside_it(steps, expected):
    documents = values(walk(adopted(), *steps))
    auth_accepts(documents["jwt_keys"])
    assert states(documents["jwt_keys"]) == expected
    verifying = json.loads(documents["jwt_jwks"])["keys"]
    assert [key["alg"] for key in verifying] == [entry[0] for entry in expected]
    for key in verifying:
        assert "d" not in key
        if key["kty"] == "EC":
            assert key["key_ops"] == ["verify"] and key["kid"] == es256.thumbprint(key)


def test_roles_tokens_are_signed_by_the_active_key_and_kept_until_it_changes():
    before = walk(adopted(), "publish")
    first = values(before)
    kept = values(before, {**STORED, **first}, NOW + timedelta(days=1700))
    assert kept["anon_token"] == first["anon_token"]
    renewed = values(before, {**STORED, **first}, NOW + timedelta(days=1796))
    assert renewed["anon_token"] != first["anon_token"]
    after = take_step(before, SIGNING, "switch", POLICY, NOW, make)
    switched = values(after, {**STORED, **first})
    for name, role in (("anon_token", "anon"), ("service_role_token", "service_role")):
        token = jwt.decode(switched[name])
        assert es256.is_signed_by(token, after.active(SIGNING).value)
        issued = int(NOW.timestamp())
        claims = {"iss": "supabase", "role": role, "iat": issued, "exp": issued + 1825 * 86400}
        assert token.claims == claims and token.header["kid"] == after.active(SIGNING).kid
    assert values(after, {**STORED, **switched}) == switched
    # One role's token in the place of the other's is not kept.
    swapped = {**STORED, **switched, "anon_token": switched["service_role_token"]}
    assert jwt.decode(values(after, swapped)["anon_token"]).claims["role"] == "anon"


def test_nothing_that_was_signed_before_verifies_without_the_legacy_secret():
    ring = walk(adopted(), "publish", "switch", "drop")
    documents = values(ring)
    assert LEGACY not in json.dumps(documents)
    keys = json.loads(documents["jwt_jwks"])["keys"] + json.loads(documents["jwt_keys"])
    assert {key["kty"] for key in keys} == {"EC"}
    # Storage and Realtime would take what the former secret signed, whatever the set of keys says.
    assert documents["jwt_hmac_secret"] == ring.hmac_secret != LEGACY and len(ring.hmac_secret) == 64
    assert jwt.decode(documents["realtime_health_token"]).is_signed_by(ring.hmac_secret)
    assert STORED["anon_key"] not in documents["api_keys"]


def test_the_gateway_accepts_every_key_that_clients_may_have():
    ring = take_step(adopted(), "secret", "publish", POLICY, NOW, make)
    standby = ring.of("secret", "standby")[0].value["key"]
    documents = values(ring)
    assert json.loads(documents["api_keys"]) == {
        STORED["publishable_key"]: "anon",
        STORED["anon_key"]: "anon",
        STORED["secret_key"]: "service_role",
        STORED["service_role_key"]: "service_role",
        standby: "service_role",
    }
    assert documents["secret_key"] == STORED["secret_key"]
    ring = confirm_delivery(ring, ring.serial, NOW)
    ring = take_step(ring, "secret", "switch", POLICY, NOW, make)
    documents = values(ring)
    assert documents["secret_key"] == standby and STORED["secret_key"] in json.loads(documents["api_keys"])
    ring = revoke(ring, ring.of("secret", "retired")[0].kid, POLICY, NOW, make, consent=True)
    assert STORED["secret_key"] not in json.loads(values(ring)["api_keys"])


def test_a_token_that_another_secret_signed_is_no_api_key():
    other = jwt.encode({"role": "service_role"}, "another")
    for token in (other, "nonsense", ""):
        accepted = json.loads(values(adopted(), {**STORED, "service_role_key": token})["api_keys"])
        assert token not in accepted


def test_a_new_api_key_has_the_form_and_the_checksum_of_supabases_own():
    ring = new_ring({}, NOW, os.urandom)
    for name, prefix in (("publishable_key", "sb_publishable_"), ("secret_key", "sb_secret_")):
        key = values(ring, {})[name]
        assert key.startswith(prefix) and len(key) == len(prefix) + 31
        head, checksum = key[:-9], key[-8:]
        expected = hashlib.sha256(f"supabase-self-hosted|{head}".encode()).digest()
        assert key[-9] == "_" and checksum == base64.urlsafe_b64encode(expected).decode()[:8]


def test_a_ring_without_a_legacy_secret_begins_with_es256():
    documents = values(new_ring({}, NOW, os.urandom), {})
    assert states(documents["jwt_keys"]) == [("ES256", True, True)]
    assert len(documents["jwt_hmac_secret"]) == 64


@pytest.mark.parametrize("secret", ["", "Another0Secret0That0Has0Signed00", None])
def test_a_legacy_secret_that_changed_is_refused(secret):
    stored = {name: value for name, value in {**STORED, "jwt_secret": secret}.items() if value is not None}
    with pytest.raises(Faults, match="secret jwt_secret"):
        derive(adopted(), stored, NOW)
    # The way out that the message names.
    given_up = revoke(adopted(), "jwt_secret", POLICY, NOW, make, consent=True)
    assert states(values(given_up, stored)["jwt_keys"]) == [("ES256", True, True)]


def test_an_api_key_that_somebody_else_wrote_is_found():
    assert find_store_faults(adopted(), STORED) == []
    (fault,) = find_store_faults(adopted(), {**STORED, "secret_key": "sb_secret_of_somebody_else"})
    assert fault.object == "secret secret_key" and "somebody_else" not in str(fault)
    # A run that was killed left it there.
    assert find_store_faults(walk(adopted(), "publish", "switch", "drop", chain="secret"), STORED) == []


def test_a_ring_is_read_as_it_was_written():
    ring = walk(adopted(), "publish", "switch")
    text = write_ring(ring)
    assert read_ring(text) == ring and write_ring(read_ring(text)) == text
    assert "\n" not in text and text.isprintable()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:-20],
        lambda text: "[]",
        lambda text: "null",
        lambda text: text.replace('"active"', '"lively"'),
        lambda text: text.replace('"kid"', '"dik"'),
    ],
)
def test_a_damaged_ring_is_refused_and_not_quoted(damage):
    with pytest.raises(GroundworkError, match="it is damaged") as caught:
        read_ring(damage(write_ring(adopted())))
    assert caught.value.__cause__ is None and STORED["secret_key"] not in str(caught.value)


def test_a_ring_of_a_later_collection_is_refused():
    with pytest.raises(GroundworkError, match="it has version 2, not 1"):
        read_ring(write_ring(adopted()).replace('"version":1', '"version":2'))


def test_nothing_secret_is_told():
    before = walk(adopted(), "publish")
    for chain in CHAINS:
        before = take_step(before, chain, "publish", POLICY, NOW, make)
    after = take_step(before, SIGNING, "switch", POLICY, NOW + timedelta(days=1), make)
    told = (
        json.dumps(describe(before, after, POLICY, NOW)) + repr(before) + repr(after) + repr(derive(after, STORED, NOW))
    )
    secret = [*STORED.values(), after.hmac_secret, *(value for key in before.keys for value in key.value.values())]
    secret = [value for value in secret if len(value) > 8]
    assert len(secret) > 10 and not [value for value in secret if value in told]
    # A derived text must not be told either.
    assert not [value for value in values(after).values() if value in told]


def test_who_is_logged_out_is_told():
    ring = adopted()
    revoked = revoke(ring, "jwt_secret", POLICY, NOW, make, consent=True)
    assert any("users whose access token was signed by jwt_secret" in line for line in _lost(ring, revoked))
    # What a rotation drops when its time is over logs nobody out.
    rotated = walk(adopted(), "publish", "switch", "drop", "publish", "switch")
    later = NOW + timedelta(days=5)
    assert _lost(rotated, take_step(rotated, SIGNING, "drop", POLICY, later, make), later) == []
    assert _lost(None, ring) == []


def test_what_stands_in_for_the_legacy_secret_is_replaced_when_that_is_gone():
    with pytest.raises(GroundworkError, match="it is jwt_secret as yet; revoke jwt_secret"):
        replace_hmac_secret(adopted(), "another", consent=True)
    ring = walk(adopted(), "publish", "switch", "drop")
    with pytest.raises(GroundworkError, match="signed URLs of Storage.*; set consent=true"):
        replace_hmac_secret(ring, "another", consent=False)
    replaced = replace_hmac_secret(ring, "another", consent=True)
    assert values(replaced)["jwt_hmac_secret"] == "another" and replaced.serial == ring.serial + 1
    assert _lost(ring, replaced) == ["signed URLs of Storage that were handed out, for good"]


def _lost(before, after, now=NOW):
    return describe(before, after, POLICY, now)["logged_out"]


def test_a_wait_ends_no_earlier_than_the_step_is_allowed():
    policy = replace(POLICY, propagation=600)
    ring = walk(adopted(), "publish")
    (advice,) = [entry for entry in describe(ring, ring, policy, NOW)["next"] if entry["chain"] == SIGNING]
    # The adopted keys were confirmed together with the new one.
    assert (advice["step"], advice["wait"], advice["consent"]) == ("switch", 600, False)
    take_step(ring, SIGNING, "switch", policy, NOW + timedelta(seconds=advice["wait"]), make)
