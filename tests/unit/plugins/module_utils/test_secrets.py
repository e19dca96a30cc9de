# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets import jwt
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets import values as secret_values
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.plan import (
    Secret,
    StoredSecret,
    describe,
    find_expiring,
    htpasswd,
    make_value,
    new_values,
    plan,
)

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
KEY = "Jt4fVq8ZkP2sXw6BnR9cLd3MhG7yTe5A"
GOOD = "kR7vZq2LmX9pTw4BsN8c"
JWT_SECRET = Secret("jwt_secret", "password")
ANON = Secret("anon_key", "jwt", signing_secret="jwt_secret", claims={"iss": "supabase", "role": "anon"})


def stored(name, value, kind="password", **more):
    return {name: StoredSecret(name, kind, NOW - timedelta(days=10), value, **more)}


def randomness(count):
    return bytes(range(count))


def run(secrets, there=None, now=NOW, rotate=()):
    steps = plan(secrets, there or {}, now, rotate=rotate)
    return {step.secret.name: step.state for step in steps}, new_values(steps, there or {}, now, randomness)


def token(claims, key=KEY, days=1825, now=NOW):
    return jwt.encode({**claims, "iat": int(now.timestamp()), "exp": int(now.timestamp()) + days * 86400}, key)


def faults_of(secrets, there=None):
    with pytest.raises(Faults) as raised:
        plan(secrets, there or {}, NOW)
    return [f"{fault.object}: {fault.cause}" for fault in raised.value.faults]


def test_what_is_missing_is_made_and_what_is_there_is_kept():
    states, values = run([Secret("a", "password"), Secret("b", "hex")], stored("a", "whatever-it-is"))
    assert states == {"a": "kept", "b": "made"}
    assert list(values) == ["b"]


@pytest.mark.parametrize(
    ("secret", "length"),
    [
        (Secret("a", "password"), 40),
        (Secret("a", "password", length=16), 16),
        (Secret("a", "password", length=31, prefix="sb_publishable_"), 46),
        (Secret("a", "hex"), 64),
        (Secret("a", "hex", length=16), 32),
        (Secret("a", "base64", length=48), 64),
        (Secret("a", "base64", length=16), 24),
    ],
)
def test_lengths(secret, length):
    value = make_value(secret, randomness)
    assert len(value) == secret.characters == length
    assert value.startswith(secret.prefix)


def test_a_password_is_letters_and_digits_without_bias():
    value = make_value(Secret("a", "password", length=2000), lambda count: bytes([255, 248] + [7] * (count - 2)))
    assert set(value) == {"h"}


def test_a_given_value_is_taken_over_again_only_when_it_differs():
    secret = Secret("a", "password", value=GOOD)
    assert run([secret]) == ({"a": "given"}, {"a": GOOD})
    assert run([secret], stored("a", GOOD)) == ({"a": "kept"}, {})
    assert run([secret], stored("a", "another-value")) == ({"a": "given"}, {"a": GOOD})


def test_a_token_follows_its_secret_and_order_does_not_matter():
    states, values = run([ANON, JWT_SECRET])
    assert states == {"anon_key": "derived", "jwt_secret": "made"}
    made = jwt.decode(values["anon_key"])
    assert made.is_signed_by(values["jwt_secret"])
    assert made.claims["exp"] - NOW.timestamp() == 1825 * 86400


CLAIMS = {"iss": "supabase", "role": "anon"}


@pytest.mark.parametrize(
    ("value", "state"),
    [
        (token(CLAIMS), "kept"),
        (token(CLAIMS, key="another-key"), "derived"),
        (token({**CLAIMS, "role": "service_role"}), "derived"),
        (token(CLAIMS, days=100), "derived"),
        (token(CLAIMS, now=NOW - timedelta(days=1794)), "kept"),
        (token(CLAIMS, now=NOW - timedelta(days=1796)), "derived"),
        (token(CLAIMS, now=NOW - timedelta(days=3000)), "derived"),
        ("not-a-token", "derived"),
    ],
)
def test_a_token_is_renewed_when_it_no_longer_fits(value, state):
    there = {**stored("jwt_secret", KEY), **stored("anon_key", value, "jwt")}
    assert run([JWT_SECRET, ANON], there)[0] == {"jwt_secret": "kept", "anon_key": state}


@pytest.mark.parametrize(
    ("value", "state", "is_named"),
    [
        # Of Supabase's generator, five years with a leap day.
        (token(CLAIMS, days=1826), "kept", False),
        (token({"role": "anon"}, days=100), "kept", False),
        (token(CLAIMS, days=29), "kept", True),
        (token(CLAIMS, days=0), "derived", False),
        (token(CLAIMS, key="another-key"), "derived", False),
        ("not-a-token", "derived", False),
    ],
)
def test_a_token_that_clients_have_is_kept_until_it_has_expired(value, state, is_named):
    there = {**stored("jwt_secret", KEY), **stored("anon_key", value, "jwt")}
    steps = plan([JWT_SECRET, ANON], there, NOW, held=["anon_key", "service_role_key"])
    assert {step.secret.name: step.state for step in steps}["anon_key"] == state
    assert find_expiring(steps, there, ["anon_key"], NOW) == (["anon_key"] if is_named else [])


def test_a_new_signing_secret_renews_its_tokens():
    there = {**stored("jwt_secret", KEY), **stored("anon_key", token(CLAIMS), "jwt")}
    other = KEY[::-1]
    states, values = run([Secret("jwt_secret", "password", value=other), ANON], there)
    assert states == {"jwt_secret": "given", "anon_key": "derived"}
    assert jwt.decode(values["anon_key"]).is_signed_by(other)


def test_an_htpasswd_line_is_the_one_that_apache_writes():
    # htpasswd -nbs supabase password
    assert htpasswd("supabase", "password") == "supabase:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="


@pytest.mark.parametrize(
    ("username", "password", "state"), [("u", GOOD, "kept"), ("v", GOOD, "derived"), ("u", "x", "derived")]
)
def test_an_htpasswd_line_follows_password_and_user(username, password, state):
    there = {**stored("password", password), **stored("line", htpasswd("u", GOOD), "htpasswd")}
    secrets = [Secret("password", "password"), Secret("line", "htpasswd", of="password", username=username)]
    assert run(secrets, there)[0]["line"] == state


def test_a_killed_run_is_finished_with_the_value_that_it_wrote():
    there = stored("a", "value-of-the-killed-run", unfinished=True)
    assert run([Secret("a", "password")], there) == ({"a": "made"}, {"a": "value-of-the-killed-run"})


def test_a_rotated_secret_gets_a_new_value_and_so_does_what_is_computed_from_it():
    there = {**stored("password", GOOD), **stored("line", htpasswd("u", GOOD), "htpasswd"), **stored("other", KEY)}
    secrets = [
        Secret("line", "htpasswd", of="password", username="u"),
        Secret("password", "password"),
        Secret("new", "hex"),
    ]
    states, values = run([*secrets, Secret("other", "password")], there, rotate=["password", "new"])
    assert states == {"password": "rotated", "line": "derived", "new": "made", "other": "kept"}
    assert values["password"] != GOOD and values["line"] == htpasswd("u", values["password"])


@pytest.mark.parametrize(
    ("secret", "cause"),
    [
        (Secret("other", "password"), "it is not in the list"),
        (Secret("a", "password", immutable=True), "a login depends on it"),
        (Secret("a", "password", value=GOOD), "the inventory gives its value"),
        (Secret("a", "htpasswd", of="p", username="u"), "it is computed from p"),
        (Secret("a", "opaque"), "it was given, and cannot be made"),
    ],
)
def test_what_cannot_be_rotated_is_refused(secret, cause):
    with pytest.raises(Faults, match=cause):
        plan([secret, Secret("p", "password")], {**stored("a", GOOD), **stored("p", KEY)}, NOW, rotate=["a"])


def test_what_is_older_than_it_may_be_is_named():
    there = {**stored("a", GOOD), **stored("b", KEY)}
    secrets = [Secret("a", "password", max_age=10), Secret("b", "password", max_age=11), Secret("c", "hex", max_age=1)]
    for rotate, overdue in (((), ["a"]), (["a"], [])):
        assert describe(plan(secrets, there, NOW, rotate=rotate), there, (), NOW)["overdue"] == overdue
    assert "is no age" in faults_of([Secret("a", "hex", max_age=0)])[0]


@pytest.mark.parametrize(
    ("secrets", "there", "fault"),
    [
        ([Secret("A", "hex")], {}, "name is not lower case"),
        ([Secret("a", "hex"), Secret("a", "hex")], {}, "more than once"),
        ([Secret("a", "opaque")], {}, "nobody gives its value"),
        ([Secret("a", "hex", length=4)], {}, "length 4 is too little"),
        ([Secret("a", "jwt", signing_secret="b")], {}, "signing_secret b is not a secret"),
        ([Secret("a", "jwt")], {}, "kind jwt needs signing_secret"),
        ([JWT_SECRET, ANON, Secret("a", "jwt", signing_secret="anon_key")], {}, "anon_key is computed itself"),
        ([JWT_SECRET, Secret("a", "jwt", signing_secret="jwt_secret", claims={"exp": 1})], {}, "claim exp is set"),
        ([JWT_SECRET, Secret("a", "jwt", signing_secret="jwt_secret", lifetime=30)], {}, "every run would renew it"),
        ([Secret("jwt_secret", "password", length=20), ANON], {}, "fewer than 32 characters"),
        ([Secret("jwt_secret", "password", value=GOOD), ANON], {}, "has 20 characters, fewer than 32"),
        ([Secret("p", "password"), Secret("a", "htpasswd", of="p")], {}, "username is missing"),
        ([Secret("a", "opaque", value=GOOD, exact=True)], {}, "exact says nothing"),
        ([Secret("a", "password", value=GOOD, length=16, exact=True)], {}, "20 characters where exactly 16"),
        ([Secret("a", "password", value="short")], {}, "fewer than 16"),
        ([Secret("a", "opaque", value="short")], {}, "fewer than 8"),
        ([Secret("a", "password", value="")], {}, "it is empty"),
        ([Secret("a", "password", value="ab" * 20)], {}, "easy to guess"),
        ([Secret("a", "password", value="abcdefghijklmnopqrst")], {}, "easy to guess"),
        ([Secret("a", "password", value="change-me-" + GOOD)], {}, "easy to guess"),
        ([Secret("a", "password", value=GOOD), Secret("b", "password", value=GOOD)], {}, "equals that of a"),
        ([Secret("a", "password", value=GOOD, immutable=True)], stored("a", "x" * 20), "data is encrypted"),
        (
            [JWT_SECRET, Secret("a", "jwt", value=token(CLAIMS), signing_secret="jwt_secret")],
            {},
            "that signed it is not",
        ),
    ],
)
def test_refusals(secrets, there, fault):
    found = faults_of(secrets, there)
    assert any(fault in line for line in found), found
    assert not any(secret.value and secret.value in line for secret in secrets for line in found)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (token(CLAIMS), None),
        (token(CLAIMS, key="x"), "signature"),
        (token({**CLAIMS, "role": "service_role"}), "claim role is not 'anon'"),
        (token(CLAIMS, now=NOW - timedelta(days=1830)), "expired 5 days ago"),
        (jwt.encode(CLAIMS, KEY), "never expires"),
        ("no-token-at-all", "not a JSON Web Token"),
    ],
)
def test_a_given_token_has_to_fit(value, fault):
    secrets = [
        Secret("jwt_secret", "password", value=KEY),
        Secret("anon_key", "jwt", value=value, signing_secret="jwt_secret", claims=CLAIMS),
    ]
    if fault is None:
        assert run(secrets)[0] == {"jwt_secret": "given", "anon_key": "given"}
    else:
        assert any(fault in line for line in faults_of(secrets))


INVISIBLE = ["\u200b", "\ufeff", "\u00ad", "\u202e", "\ue000"]


@pytest.mark.parametrize("character", ["\n", "'", '"', "`", "\\", "$", " ", "\t", "\x00", "\x7f", "\u2028", *INVISIBLE])
def test_characters_that_do_not_survive(character):
    assert secret_values.find_unsafe(f"{GOOD}{character}x")


def test_published_values_are_known_by_their_hash(monkeypatch):
    monkeypatch.setattr(secret_values, "PUBLISHED", {hashlib.sha256(GOOD.encode()).hexdigest()})
    assert "published" in faults_of([Secret("a", "password", value=GOOD)])[0]
    # The one published value that is a plain word.
    monkeypatch.undo()
    assert secret_values.is_published("supabase" + "realtime")
    assert all(len(seal) == 64 for seal in secret_values.PUBLISHED)


def test_made_values_are_never_called_guessable():
    for secret in (Secret("a", "password", length=16), Secret("a", "hex", length=16), Secret("a", "base64")):
        assert not any(secret_values.is_guessable(make_value(secret, os.urandom)) for _round in range(300))


def test_all_faults_are_raised_together():
    assert len(faults_of([Secret("A", "hex"), Secret("b", "password", value="a b"), Secret("c", "opaque")])) >= 4


def test_the_result_has_names_and_ages_but_no_values():
    there = stored("a", GOOD)
    steps = plan([Secret("a", "password"), Secret("b", "password", value=KEY)], there, NOW)
    result = describe(steps, there, (), NOW)
    assert [(entry["name"], entry["state"], entry["age_days"]) for entry in result["secrets"]] == [
        ("a", "kept", 10),
        ("b", "given", 0),
    ]
    assert result["changed"] is True
    assert result["diff"] == {"before": "b: absent\n", "after": "b: given (the inventory gives it)\n"}
    assert GOOD not in str(result) and KEY not in str(result) and KEY not in str(steps)
