# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module signing_keys: rotations walked with real files and a real PostgREST, interrupted, resumed and never shown."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import socket
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from datetime import datetime, timedelta
from subprocess import STDOUT

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from postgres_server import docker
from psycopg import sql

LEGACY = "Vb6kRz1XqWt0MfSy9LgPj4NcHd2AeUo8"
# Their waiting is tested without a server; here a test does not wait.
AT_ONCE = {"propagation": 0, "overlap": 0}
REST_IMAGE = "groundwork-lab/rest:current"
DECLARED = [
    {"name": "jwt_secret", "value": LEGACY, "kind": "opaque"},
    {"name": "publishable_key", "prefix": "sb_publishable_", "length": 31},
    {"name": "secret_key", "prefix": "sb_secret_", "length": 31},
    {"name": "anon_key", "kind": "jwt", "signing_secret": "jwt_secret", "claims": {"iss": "supabase", "role": "anon"}},
]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "secrets"


@pytest.fixture
def filled(run, folder):
    """A store as a stack has it before the ring."""
    assert run("secret", {"path": str(folder), "secrets": DECLARED}).changed
    return folder


@pytest.fixture
def ring(run, folder):
    """Run the module as talkatively as it can be; nothing on the screen is a value of now or of before."""
    outputs, values = [], set()

    def call(*options, **arguments):
        values.update(private_texts(folder))
        outcome = run("signing_keys", {"path": str(folder), **AT_ONCE, **arguments}, "-vvv", "--diff", *options)
        outputs.append(outcome.output)
        values.update(private_texts(folder))
        assert not [value for value in values for output in outputs if value in output]
        return outcome

    return call


@pytest.fixture
def turn(ring):
    """Take a step: checked first, then taken, then taken again without a change, then delivered."""

    def call(**arguments):
        planned = ring("--check", **arguments)
        done = ring(**arguments)
        assert planned.changed and done.changed
        assert list(states(planned).values()) == list(states(done).values())
        again = ring(**arguments)
        assert not again.changed and again.result["diff"]["before"] == again.result["diff"]["after"]
        delivered = ring(delivered=done.result["serial"])
        assert delivered.changed and delivered.result["secrets"] == ["key_ring"]
        return done

    return call


def private_texts(folder):
    """Every value of the store and the private parts within."""
    values = {path.read_text(encoding="utf-8") for path in folder.glob("[a-z]*")} if folder.exists() else set()
    if (folder / "key_ring").exists():
        document = json.loads(read(folder, "key_ring"))
        parts = [part for key in document["keys"] for name, part in key["value"].items() if name in ("d", "key")]
        values.update([document["hmac_secret"], *parts])
    return {value for value in values if len(value) > 8}


def read(folder, name):
    return (folder / name).read_text(encoding="utf-8")


def states(outcome, chain="signing"):
    """Names and states of a chain's keys."""
    return {key["kid"]: key["state"] for key in outcome.result["keys"] if key["chain"] == chain}


def steps(outcome, chain="signing"):
    return [entry["step"] for entry in outcome.result["next"] if entry["chain"] == chain]


def age(folder, hours):
    """Let hours pass: every time in the ring is so much earlier, in a store that is whole."""
    document = json.loads(read(folder, "key_ring"))
    for key in document["keys"]:
        for name in ("created", "since", "delivered"):
            if key[name]:
                key[name] = (datetime.fromisoformat(key[name]) - timedelta(hours=hours)).isoformat()
    text = json.dumps(document, separators=(",", ":"), sort_keys=True)
    (folder / "key_ring").write_text(text, encoding="utf-8")
    index = json.loads(read(folder, ".index.json"))
    index["key_ring"]["seal"] = hashlib.sha256(text.encode()).hexdigest()[:16]
    (folder / ".index.json").write_text(json.dumps(index), encoding="utf-8")


def part(value):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def octets(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def token(key, **header):
    """A user's token as Auth signs it with a key of JWT_KEYS, by nothing but RFC 7515."""
    named = {"kid": key["kid"]} if "kid" in key else {}
    header = {"alg": key["alg"], "typ": "JWT", **named, **header}
    signed = f"{part(header)}.{part({'role': 'authenticated', 'exp': int(time.time()) + 3600})}"
    if key["kty"] == "oct":
        return f"{signed}.{part(hmac.new(octets(key['k']), signed.encode(), hashlib.sha256).digest())}"
    private = ec.derive_private_key(int.from_bytes(octets(key["d"]), "big"), ec.SECP256R1())
    r, s = decode_dss_signature(private.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{part(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def signing_key(folder):
    """The one key with which Auth may sign."""
    (key,) = [key for key in json.loads(read(folder, "jwt_keys")) if "sign" in key["key_ops"]]
    return key


@contextmanager
def rest(database, folder):
    """Call PostgREST, which runs with the store's JWT_JWKS: what a token gives is a status and a role."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "PGRST_DB_URI": f"postgres://authenticator@127.0.0.1:{database.server.port}/{database.name}",
        "PGPASSWORD": database.server.password,
        "PGRST_DB_SCHEMAS": "public",
        "PGRST_DB_ANON_ROLE": "anon",
        "PGRST_SERVER_HOST": "127.0.0.1",
        "PGRST_SERVER_PORT": str(port),
        "PGRST_JWT_SECRET": read(folder, "jwt_jwks"),
    }
    options = [option for name in settings for option in ("--env", name)]
    command = ["run", "--detach", "--network", "host", "--label", "groundwork.integration", *options, REST_IMAGE]
    container = docker(*command, environment=settings).strip()

    def call(bearer=None):
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/rpc/who_am_i", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, None

    try:
        wait_until_ready(call, container)
        yield call
    finally:
        docker("rm", "--force", container)


def wait_until_ready(call, container):
    end = time.monotonic() + 30
    while True:
        try:
            if call() == (200, "anon"):
                return
        except OSError:
            pass
        assert time.monotonic() < end, f"PostgREST does not answer: {docker('logs', container, errors=STDOUT)}"
        time.sleep(0.2)


@pytest.fixture
def asking(database):
    password = sql.Literal(database.server.password)
    with database.server.connect() as connection:
        connection.execute(sql.SQL("alter role authenticator password {}").format(password))
    database.query("create function public.who_am_i() returns text stable language sql as 'select current_user::text'")
    return database


def test_the_ring_takes_over_what_is_there_and_is_kept(ring, filled):
    before = {name: read(filled, name) for name in ("jwt_secret", "publishable_key", "secret_key", "anon_key")}
    planned = ring("--check")
    assert planned.changed and states(planned) == {"jwt_secret": "active"}
    assert not (filled / "key_ring").exists()
    assert ring().changed
    assert {name: read(filled, name) for name in before} == before
    assert read(filled, "jwt_hmac_secret") == LEGACY
    assert {path.stat().st_mode & 0o777 for path in filled.iterdir()} == {0o600}
    assert not ring().changed


def test_module_secret_keeps_what_the_ring_rotates(run, ring, filled, turn):
    ring()
    turn(chain="secret", step="publish")
    turn(chain="secret", step="switch")
    rotated = read(filled, "secret_key")
    assert not run("secret", {"path": str(filled), "secrets": DECLARED}).changed
    assert read(filled, "secret_key") == rotated


def test_a_rotation_refuses_nobody_and_then_the_former_key(ring, turn, filled, asking):
    ring()
    first = token(signing_key(filled))
    legacy = read(filled, "anon_key")
    turn(step="publish")
    with rest(asking, filled) as call:
        assert call(first) == (200, "authenticated")
    turn(step="switch")
    second = token(signing_key(filled))
    with rest(asking, filled) as call:
        assert [call(bearer) for bearer in (first, second)] == [(200, "authenticated")] * 2
        assert call(legacy) == call(read(filled, "anon_token")) == (200, "anon")
        assert call(read(filled, "service_role_token")) == (200, "service_role")

    assert "legacy anon_key or service_role_key" in ring(step="drop").error
    assert "wait until" in ring(step="drop", consent=True).error
    age(filled, hours=2)
    turn(step="publish")
    turn(step="switch")
    third = token(signing_key(filled))
    with rest(asking, filled) as call:
        assert [call(bearer) for bearer in (first, second, third)] == [(200, "authenticated")] * 3

    age(filled, hours=2)
    dropped = turn(step="drop", consent=True)
    assert sorted(states(dropped).values()) == ["active", "revoked", "revoked"]
    assert "anon_key" in dropped.result["logged_out"][0] and "users" not in str(dropped.result["logged_out"])
    with rest(asking, filled) as call:
        assert call(third) == (200, "authenticated")
        assert [call(bearer)[0] for bearer in (first, second, legacy)] == [401, 401, 401]
    assert "signed URLs of Storage" in str(dropped.result["logged_out"])
    assert LEGACY not in read(filled, "jwt_jwks") + read(filled, "jwt_keys") + read(filled, "jwt_hmac_secret")


def test_what_stands_in_for_the_legacy_secret_was_in_no_backup_before_and_is_revoked_too(ring, folder, filled):
    ring()
    made_with_the_ring = json.loads(read(folder, "key_ring"))["hmac_secret"]
    assert "it is not in the ring; choose one of jwt_secret" in ring(revoke="", consent=True).error
    ring(revoke="jwt_secret", consent=True)
    first = read(folder, "jwt_hmac_secret")
    assert first not in (LEGACY, made_with_the_ring)

    assert "signed URLs of Storage" in ring(revoke="jwt_hmac_secret").error
    assert read(folder, "jwt_hmac_secret") == first
    revoked = ring(revoke="jwt_hmac_secret", consent=True)
    assert revoked.result["secrets"] == ["jwt_hmac_secret", "key_ring", "realtime_health_token"]
    assert read(folder, "jwt_hmac_secret") not in (first, made_with_the_ring)
    assert ring(delivered=revoked.result["serial"]).result["serial"] == revoked.result["serial"]


def test_hostile_tokens_are_refused(ring, turn, filled, asking):
    ring()
    turn(step="publish")
    standby = [key for key in json.loads(read(filled, "jwt_jwks"))["keys"] if key["kty"] == "EC"][0]
    turn(step="switch")
    active = signing_key(filled)
    assert active["kid"] == standby["kid"]
    private = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    strangers = {**active, "d": part(private.to_bytes(32, "big"))}
    public = {"kty": "oct", "alg": "HS256", "kid": active["kid"], "k": part(json.dumps(standby).encode())}
    good = token(active)
    body = good.rsplit(".", 1)[0]
    hostile = {
        "unsigned": f"{part({'alg': 'none', 'typ': 'JWT'})}.{body.split('.')[1]}.",
        "without its signature": f"{body}.",
        "of a stranger who names our key": token(strangers),
        "of a stranger with a name of his own": token({**strangers, "kid": "another"}),
        "signed with the public key as if it were a secret": token(public),
        "of another algorithm": token(active, alg="HS256"),
    }
    with rest(asking, filled) as call:
        assert call(good) == (200, "authenticated")
        assert {name: call(bearer)[0] for name, bearer in hostile.items()} == dict.fromkeys(hostile, 401)


def test_a_stolen_key_is_refused_at_once(ring, filled, asking):
    kid = "jwt_secret"
    ring()
    stolen = token(signing_key(filled))
    refused = ring(revoke=kid)
    assert "users whose access token was signed by jwt_secret" in refused.error and "consent=true" in refused.error
    assert signing_key(filled)["kty"] == "oct"
    revoked = ring(revoke=kid, consent=True)
    assert revoked.changed and len(revoked.result["logged_out"]) == 4
    assert sorted(states(revoked).values()) == ["active", "revoked"] and steps(revoked) == ["deliver"]
    assert not ring(revoke=kid, consent=True).changed
    with rest(asking, filled) as call:
        assert call(stolen)[0] == 401
        assert call(token(signing_key(filled))) == (200, "authenticated")
        assert call(read(filled, "service_role_token")) == (200, "service_role")


def test_a_rotation_of_api_keys_overlaps(ring, turn, filled):
    ring()
    first = read(filled, "secret_key")
    turn(chain="secret", step="publish")
    assert read(filled, "secret_key") == first
    (new,) = [key for key in json.loads(read(filled, "api_keys")) if key.startswith("sb_secret_") and key != first]
    turn(chain="secret", step="switch")
    assert read(filled, "secret_key") == new and first in json.loads(read(filled, "api_keys"))
    assert "wait until" in ring(chain="secret", step="drop", overlap=3600).error
    assert states(ring()) == {"jwt_secret": "active"}
    turn(chain="secret", step="drop")
    assert first not in read(filled, "api_keys") + read(filled, "key_ring")


def test_a_delivery_of_something_else_starts_no_wait(ring, filled):
    serial = ring().result["serial"]
    assert ring(step="publish").result["serial"] == serial + 1
    assert f"serial {serial} was deployed" in ring(delivered=serial).error
    assert "nobody has confirmed" in ring(step="switch").error
    assert steps(ring()) == ["deliver"]


def test_a_run_that_was_killed_between_two_files_is_finished_by_the_next(ring, turn, filled):
    ring()
    turn(step="publish")
    former = {name: read(filled, name) for name in ("jwt_keys", "jwt_jwks", "anon_token")}
    ring(step="switch")
    index = json.loads(read(filled, ".index.json"))
    for name, text in former.items():
        (filled / name).write_text(text, encoding="utf-8")
        index[name]["unfinished"] = True
    (filled / ".index.json").write_text(json.dumps(index), encoding="utf-8")
    finished = ring()
    assert finished.changed and set(finished.result["secrets"]) == set(former)
    assert signing_key(filled)["alg"] == "ES256"
    assert not ring().changed


def test_a_switch_of_api_keys_that_was_killed_is_finished_by_the_next_deployment(run, ring, turn, filled):
    ring()
    turn(chain="secret", step="publish")
    former = read(filled, "secret_key")
    ring(chain="secret", step="switch")
    new = read(filled, "secret_key")
    index = json.loads(read(filled, ".index.json"))
    index["secret_key"]["unfinished"] = True
    (filled / "secret_key").write_text(former, encoding="utf-8")
    (filled / ".index.json").write_text(json.dumps(index), encoding="utf-8")
    # As role stack does it: it takes the former one for the value of a run of its own that was interrupted.
    assert run("secret", {"path": str(filled), "secrets": DECLARED}).changed
    assert ring().result["secrets"] == ["secret_key"]
    assert read(filled, "secret_key") == new
    assert not run("secret", {"path": str(filled), "secrets": DECLARED}).changed


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / "key_ring").unlink(), "secret key_ring in {folder}: its file is gone"),
        (lambda folder: os.truncate(folder / "key_ring", 100), "secret key_ring in {folder}: its file is empty or dam"),
        (
            lambda folder: (folder / "jwt_jwks").write_text("{}"),
            "secret jwt_jwks in {folder}: its file is empty or dam",
        ),
        (lambda folder: (folder / ".index.json").unlink(), ".index.json: it is missing"),
    ],
)
def test_a_damaged_store_is_refused_and_left_alone(run, ring, filled, spoil, reason):
    ring()
    spoil(filled)
    before = {path.name: path.read_bytes() for path in filled.iterdir()}
    refused = run("signing_keys", {"path": str(filled), "step": "publish"})
    assert reason.format(folder=filled) in refused.error
    assert {path.name: path.read_bytes() for path in filled.iterdir()} == before


def test_a_lost_store_is_not_filled_anew(ring, folder, tmp_path):
    (tmp_path / "data").mkdir()
    assert "they are in use" in ring(witnesses=[str(tmp_path / "data")]).error
    assert not folder.exists()


def test_values_that_clients_have_are_replaced_by_nobody_but_the_ring(run, ring, turn, filled):
    def refused(*declared, **more):
        before = {path.name: path.read_bytes() for path in filled.iterdir()}
        error = run("secret", {"path": str(filled), "secrets": list(declared), **more}).error
        assert {path.name: path.read_bytes() for path in filled.iterdir()} == before
        return error

    ring()
    given = {"name": "secret_key", "kind": "opaque", "value": read(filled, "secret_key")}
    assert not run("secret", {"path": str(filled), "secrets": [given]}).changed
    turn(chain="secret", step="publish")
    turn(chain="secret", step="switch")
    error = refused(given)
    assert "secret secret_key: the key ring has another value" in error and "out of the inventory" in error
    other = {**DECLARED[0], "value": LEGACY[::-1]}
    assert "secret jwt_secret: the key ring has another value, which clients use; put the" in refused(
        other, *DECLARED[1:]
    )
    assert "secret publishable_key: the key ring" in refused(DECLARED[1], rotate=["publishable_key"])
    assert not ring().changed
    turn(revoke="jwt_secret", consent=True)
    assert run("secret", {"path": str(filled), "secrets": [other, *DECLARED[3:]]}).changed, "it signs nothing any more"


def test_a_legacy_key_stays_when_the_inventory_no_longer_gives_it(run, ring, load, folder):
    """Whatever its lifetime: clients have it."""
    now = int(time.time())
    claims = {**DECLARED[3]["claims"], "iat": now - 86400, "exp": now + 20 * 86400}
    value = load("module_utils.secrets.jwt").encode(claims, LEGACY)
    given = {"path": str(folder), "secrets": [*DECLARED[:3], {**DECLARED[3], "value": value}]}
    assert run("secret", given).changed
    ring()
    done = run("secret", {"path": str(folder), "secrets": DECLARED})
    assert not done.changed and read(folder, "anon_key") == value
    assert done.result["expiring"] == ["anon_key"] and "clients have them: anon_key; give" in done.output


def test_a_key_of_a_hosted_project_stays_when_the_inventory_no_longer_gives_it(run, load, folder):
    now = int(time.time())
    claims = {
        "iss": "supabase",
        "ref": "abcdefghijklmnopqrst",
        "role": "anon",
        "iat": now,
        "exp": now + 10 * 365 * 86400,
    }
    signed = {
        "path": str(folder),
        "secrets": [*DECLARED[:3], {**DECLARED[3], "value": load("module_utils.secrets.jwt").encode(claims, LEGACY)}],
    }
    assert run("secret", signed).changed
    assert not run("secret", {"path": str(folder), "secrets": DECLARED}).changed


def test_encryption_keys_and_nonsense_are_refused(ring, filled):
    ring()
    assert "are encrypted under it" in ring(revoke="vault_enc_key", consent=True).error
    assert "are encrypted under it" in ring(chain="pg_meta_crypto_key", step="publish").error
    assert "it is not in the ring" in ring(revoke="unknown", consent=True).error
    assert "mutually exclusive" in ring(step="drop", revoke="jwt_secret").error
    assert "max_token_life: 0 seconds are too few" in ring(max_token_life=0).error
