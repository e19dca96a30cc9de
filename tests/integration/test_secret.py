# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module secret: made once, taken over, computed, kept; a lost one is not made anew, and none is ever shown."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import pytest

DECLARED = [
    {"name": "postgres_password"},
    {"name": "jwt_secret", "length": 64},
    {
        "name": "anon_key",
        "kind": "jwt",
        "signing_secret": "jwt_secret",
        "claims": {"iss": "supabase", "role": "anon"},
        "lifetime": 365,
    },
    {"name": "smtp_password", "kind": "opaque", "value": "Kx7vQ2mZr9TfLw4B"},
]
OTHER_SMTP_PASSWORD = "Jd3nYc8sHu5GpEo6"
GIVEN_JWT_SECRET = "Vb6kRz1XqWt0MfSy9LgPj4NcHd2AeUo8"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "secrets"


@pytest.fixture
def keep(run, folder, tmp_path):
    """Run the module as talkatively as it can be; nothing on the screen is a value of now or of before."""
    outputs, values = [], set()

    def call(secrets, *options, **arguments):
        secrets, inventory = name_values(secrets)
        variables = tmp_path / "variables.json"
        variables.write_text(json.dumps(inventory), encoding="utf-8")
        arguments = {"path": str(folder), "secrets": secrets, **arguments}
        outcome = run("secret", arguments, "-vvv", "--diff", "-e", f"@{variables}", *options)
        outputs.append(outcome.output)
        values.update(inventory.values(), read(folder).values())
        # The arguments are shown, so a value could have been.
        assert [secret["name"] for secret in outcome.result["invocation"]["module_args"]["secrets"]]
        assert not [value for value in values for output in outputs if value in output]
        return outcome

    return call


def name_values(secrets):
    """The list with variables in place of given values, as an inventory has it, and those variables."""
    variables = {f"vault_{secret['name']}": secret["value"] for secret in secrets if "value" in secret}
    named = [
        {**secret, "value": f"{{{{ vault_{secret['name']} }}}}"} if "value" in secret else secret for secret in secrets
    ]
    return named, variables


def read(folder):
    """Values by name, as a service gets them."""
    files = sorted(folder.glob("[a-z]*")) if folder.exists() else []
    return {path.name: path.read_text(encoding="utf-8") for path in files}


def states(outcome):
    return {secret["name"]: secret["state"] for secret in outcome.result["secrets"]}


def given(name, value):
    """The declarations with another value for one of them."""
    return [{**secret, "value": value} if secret["name"] == name else secret for secret in DECLARED]


def claims_of(token, key):
    """Claims of a token whose signature is right, by nothing but RFC 7515."""
    head, body, signature = token.split(".")
    wanted = hmac.new(key.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64decode(signature + "==") == wanted
    assert json.loads(base64.urlsafe_b64decode(head + "=="))["alg"] == "HS256"
    return json.loads(base64.urlsafe_b64decode(body + "=="))


def test_secrets_are_made_once_and_kept(keep, folder):
    new = {"anon_key": "derived", "jwt_secret": "made", "postgres_password": "made", "smtp_password": "given"}

    planned = keep(DECLARED, "--check")
    assert planned.changed and states(planned) == new
    assert not folder.exists()

    made = keep(DECLARED)
    assert made.changed and states(made) == new
    values = read(folder)
    assert {name: len(value) for name, value in values.items() if name != "anon_key"} == {
        "jwt_secret": 64,
        "postgres_password": 40,
        "smtp_password": 16,
    }
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}

    claims = claims_of(values["anon_key"], values["jwt_secret"])
    assert abs(claims["iat"] - time.time()) < 60
    assert claims == {"iss": "supabase", "role": "anon", "iat": claims["iat"], "exp": claims["iat"] + 365 * 86400}

    repeated = keep(DECLARED)
    assert not repeated.changed and set(states(repeated).values()) == {"kept"}
    assert read(folder) == values


def test_a_given_value_that_changes_is_taken_over_with_what_is_computed_from_it(keep, folder):
    assert keep(DECLARED).changed
    before = read(folder)

    changed = keep(given("smtp_password", OTHER_SMTP_PASSWORD))
    assert changed.changed and states(changed)["smtp_password"] == "given"
    assert read(folder) == {**before, "smtp_password": OTHER_SMTP_PASSWORD}

    rotated = given("jwt_secret", GIVEN_JWT_SECRET)
    rotated[-1] = {**rotated[-1], "value": OTHER_SMTP_PASSWORD}
    planned = keep(rotated, "--check")
    assert planned.changed and states(planned)["anon_key"] == "derived"
    assert read(folder)["jwt_secret"] == before["jwt_secret"]
    assert keep(rotated).changed
    after = read(folder)
    assert after["jwt_secret"] == GIVEN_JWT_SECRET and after["anon_key"] != before["anon_key"]
    assert claims_of(after["anon_key"], GIVEN_JWT_SECRET)["role"] == "anon"
    assert not keep(rotated).changed


def test_a_secret_is_rotated_when_it_was_asked_for(keep, folder):
    declared = [*DECLARED, {"name": "redis_password", "max_age": 90}]
    assert keep(declared).result["overdue"] == []
    before = read(folder)
    index = json.loads((folder / ".index.json").read_text(encoding="utf-8"))
    index["redis_password"]["created"] = "2026-01-01T00:00:00+00:00"
    (folder / ".index.json").write_text(json.dumps(index), encoding="utf-8")

    old = keep(declared)
    assert not old.changed and old.result["overdue"] == ["redis_password"]
    assert "older than their max_age: redis_password" in old.output
    planned = keep(declared, "--check", rotate=["redis_password"])
    assert planned.changed and read(folder) == before
    rotated = keep(declared, rotate=["redis_password"])
    assert states(rotated)["redis_password"] == "rotated" and rotated.result["overdue"] == []
    after = read(folder)
    assert {name for name in before if before[name] != after[name]} == {"redis_password"}
    assert not keep(declared).changed

    refused = keep(declared, rotate=["smtp_password", "anon_key"])
    assert "secret smtp_password (rotate): the inventory gives its value" in refused.error
    assert "secret anon_key (rotate): it is computed from jwt_secret; rotate jwt_secret" in refused.error


def test_a_lost_file_is_refused_and_nothing_else_is_written(keep, folder):
    assert keep(DECLARED).changed
    (folder / "postgres_password").unlink()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for options in (["--check"], []):
        refused = keep(given("smtp_password", OTHER_SMTP_PASSWORD), *options)
        assert f"secret postgres_password in {folder}: its file is gone; restore it from the backup" in refused.error
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_lost_store_is_not_filled_anew(keep, folder, tmp_path):
    (tmp_path / "db-data").mkdir()
    refused = keep(DECLARED, witnesses=[str(tmp_path / "db-data")])
    assert str(tmp_path / "db-data") in refused.error and "restore it from the backup" in refused.error
    assert not folder.exists()


def test_given_values_that_will_not_do_are_named_and_not_shown(keep, folder):
    weak = [{"name": "short", "value": "Zq8"}, {"name": "quoted", "value": "Rt5'xM2kWv9LbN7cHj"}]
    refused = keep(weak)
    assert "secret short: its value has 3 characters" in refused.error
    assert "secret quoted: its value contains a quotation mark" in refused.error
    assert not folder.exists()


def test_a_login_takes_turns_with_each_password_that_was_delivered(keep, folder, run):
    declared = [{"name": "password"}, {"name": "login", "kind": "turn", "of": "password", "username": "billing"}]

    def login():
        return read(folder)["login"]

    def deliver(*options, **arguments):
        return run("secret", {"path": str(folder), "secrets": [], "delivered": ["login"], **arguments}, *options)

    # In a dry run what an earlier task would have made is not there.
    assert not deliver("--check").changed
    assert "secret login (delivered): the store has no login name that is called so" in deliver().error
    assert keep(declared).changed and login() == "billing_a"
    before = read(folder)
    waiting = keep(declared, rotate=["password"])
    assert not waiting.changed and waiting.result["under_way"] == ["password"] and "kept, since" in waiting.output
    assert read(folder) == before

    planned = deliver("--check", "--diff")
    assert planned.changed and "+login: delivered" in planned.output
    assert deliver().changed and not deliver().changed and not keep(declared).changed
    planned = keep(declared, "--check", rotate=["password"])
    assert planned.changed and states(planned) == {"password": "rotated", "login": "derived"}
    assert read(folder) == before
    rotated = keep(declared, rotate=["password"])
    assert (
        rotated.result["under_way"] == [] and login() == "billing_b" and read(folder)["password"] != before["password"]
    )
    assert not keep(declared).changed and deliver().changed
    assert keep(declared, rotate=["password"]).changed and login() == "billing_a"
    assert "it is computed from password; rotate password" in keep(declared, rotate=["login"]).error
