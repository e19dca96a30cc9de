"""Keys and passwords rotated under load: no request fails, whatever is killed; what was dropped is refused."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
import uuid
from pathlib import Path

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.key_ring import es256
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets import jwt
from conftest import THOROUGH, kill_play, started, thorough

API = "https://api.lab.test"
WHOAMI = "/rest/v1/rpc/whoami"
# What the service key may do and the public keys may not.
ALL_TODOS = "/rest/v1/todos?select=id&limit=1"
CLIENT = "groundwork-lab-client"
CALLERS = "/tmp/callers.json"
# Requests per second, and in all: most of two cores is left to what rotates.
RATE = 60
AT_LEAST = 100_000 if THOROUGH else 20_000
PASSWORDS = {
    "authenticator": "authenticator_password",
    "groundwork_backup": "backup_database_password",
    "groundwork_monitor": "monitor_password",
    "pgbouncer": "pgbouncer_password",
    "postgres": "postgres_password",
    "supabase_admin": "supabase_admin_password",
}
KEYS = ["key_ring", "jwt_keys", "jwt_jwks", "publishable_key", "secret_key", "anon_token", "service_role_token"]
DATABASE_REMEMBERS = (
    "docker logs supabase-db-1 2>&1; docker exec supabase-db-1 psql -X -A -t -U supabase_admin -d postgres "
    "-c 'select query from extensions.pg_stat_statements'"
)
UNTOUCHED = ["supabase-db-1", "supabase-envoy-1", "supabase-pgbouncer-1"]
# What waiting does to the ring, without the waiting: all its times two hours earlier.
TWO_HOURS_LATER = """
import datetime, hashlib, json, pathlib
store = pathlib.Path("/etc/groundwork/secrets")
ring, index = json.loads((store / "key_ring").read_text()), json.loads((store / ".index.json").read_text())
for key in ring["keys"]:
    for field in ("created", "since", "delivered"):
        if key.get(field):
            moment = datetime.datetime.fromisoformat(key[field]) - datetime.timedelta(hours=2)
            key[field] = moment.isoformat()
text = json.dumps(ring)
(store / "key_ring").write_text(text)
index["key_ring"]["seal"] = hashlib.sha256(text.encode()).hexdigest()[:16]
(store / ".index.json").write_text(json.dumps(index))
"""
# Whether a role can log in to the database from its host with the password on standard input.
LOGIN = """
import psycopg, sys
try:
    psycopg.connect(f"host=127.0.0.1 dbname=postgres user=ROLE password={sys.stdin.read()}").close()
except psycopg.OperationalError as error:
    sys.exit(str(error))
"""


class Load:
    """Callers that send requests all the time. What joins stays, since clients keep what they were given."""

    def __init__(self) -> None:
        source = Path(__file__).with_name("load.mjs")
        subprocess.run(["docker", "cp", "-q", str(source), f"{CLIENT}:/opt/client/load.mjs"], check=True)
        self.callers: list[dict[str, str]] = []
        self._write()
        environment = {"API_URL": API, "CALLERS": CALLERS, "RATE": str(RATE), "AT_LEAST": str(AT_LEAST)}
        environment["NODE_EXTRA_CA_CERTS"] = "/etc/ssl/lab-ca.crt"
        flags = [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
        # The bound ends it even when a test does not come back for it.
        script = "echo $$ > /tmp/load.pid; exec node /opt/client/load.mjs"
        command = ["docker", "exec", *flags, CLIENT, "timeout", "3000", "sh", "-c", script]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def join(self, name: str, apikey: str, token: str = "", path: str = WHOAMI) -> None:
        self.callers.append({"name": name, "apikey": apikey, "token": token, "path": path})
        self._write()

    def end(self) -> dict:
        subprocess.run(["docker", "exec", CLIENT, "sh", "-c", "kill $(cat /tmp/load.pid)"], check=True)
        output, _nothing = self._process.communicate(timeout=60 + AT_LEAST / RATE)
        return dict(json.loads(output.splitlines()[-1]))

    def _write(self) -> None:
        # Whole at once: it is read all the time.
        write = f"cat > {CALLERS}.new && mv {CALLERS}.new {CALLERS}"
        command = ["docker", "exec", "--interactive", CLIENT, "sh", "-c", write]
        subprocess.run(command, input=json.dumps(self.callers), text=True, check=True)


@pytest.fixture
def load(client):
    running = Load()
    yield running
    if running._process.poll() is None:
        running.end()


@pytest.fixture(scope="module")
def later(node1):
    return lambda: node1.check_output(f"python3 - <<'END'\n{TWO_HOURS_LATER}\nEND")


@pytest.fixture(scope="module")
def ring(secret):
    return lambda: json.loads(secret("key_ring"))["keys"]


@pytest.fixture(scope="module")
def user_token(secret, ring):
    """A user's token as Auth would sign it now, by the key that Auth was given to sign with."""

    def sign() -> str:
        claims = {"sub": str(uuid.uuid4()), "role": "authenticated", "aud": "authenticated"}
        claims["exp"] = int(time.time()) + 3600
        signing = next(key for key in json.loads(secret("jwt_keys")) if "sign" in key["key_ops"])
        return jwt.encode(claims, secret("jwt_secret")) if signing["kty"] == "oct" else es256.encode(claims, signing)

    return sign


def states(ring, chain):
    return [key["state"] for key in ring() if key["chain"] == chain]


def status(client, apikey, token="", path=WHOAMI):
    bearer = f"-H 'Authorization: Bearer {token}'" if token else ""
    curl = "curl -s -o /dev/null -w '%{http_code}' --cacert /etc/ssl/lab-ca.crt"
    return client.check_output(f"{curl} -H 'apikey: {apikey}' {bearer} '{API}{path}'")


def can_log_in(node1, role, password):
    program = LOGIN.replace("ROLE", role)
    return node1.run(f"printf %s {shlex.quote(password)} | python3 -c {shlex.quote(program)}").rc == 0


def test_a_whole_rotation_fails_no_request(play, node1, client, secret, load, later, ring, user_token):
    began = started(node1)
    former = {"user": user_token(), "publishable": secret("publishable_key"), "secret": secret("secret_key")}
    load.join("legacy anon key", secret("anon_key"))
    load.join("legacy service key", secret("service_role_key"), path=ALL_TODOS)
    load.join("former publishable key", former["publishable"])
    load.join("former secret key", former["secret"], path=ALL_TODOS)
    load.join("user of the former signing key", former["publishable"], former["user"])
    load.join("application", former["publishable"], path="https://app.lab.test/")
    # Asks the application's database through the pooler.
    load.join("application's health", former["publishable"], path="https://app.lab.test/healthz")
    arguments = ("-e", "rotate_patience=0")

    # Killed where the ring has changed and nobody knows, and in the middle of a deployment.
    if THOROUGH:
        kill_play("Take the step", 1, "playbooks/rotate.yml", *arguments)
    kill_play("Deploy the release", 2, "playbooks/rotate.yml", *arguments)
    said = play("playbooks/rotate.yml", *arguments, "-vvv", "--diff").output
    assert states(ring, "signing")[-2:] == ["active", "standby"]
    # A check neither waits nor fails for what it has not waited for.
    assert 'are ready for "switch" at' in play("playbooks/rotate.yml", "--check").output
    later()
    if THOROUGH:
        kill_play("Take the step", 1, "playbooks/rotate.yml", *arguments, times=2)
        kill_play("Deploy the release", 2, "playbooks/rotate.yml", *arguments)
    play("playbooks/rotate.yml", *arguments)
    assert states(ring, "signing")[-2:] == ["retired", "active"]
    assert jwt.decode(user_token()).header["alg"] == "ES256"
    load.join("user of the new signing key", secret("publishable_key"), user_token())
    # Both kinds of API keys go the same way.
    for chain in ("publishable", "secret") if THOROUGH else ("secret",):
        play("playbooks/rotate.yml", *arguments, "-e", f"rotate_chain={chain}")
        assert states(ring, chain) == ["retired", "active"]
        assert secret(f"{chain}_key") != former[chain]
    load.join("new publishable key", secret("publishable_key"))
    load.join("new secret key", secret("secret_key"), path=ALL_TODOS)
    load.join("user of the new keys", secret("publishable_key"), user_token())

    # Passwords of the database: killed where the store has them and nobody else, and in the middle of a deployment.
    passwords = {role: secret(name) for role, name in PASSWORDS.items()}
    passwords[secret("tenant_app_login")] = secret("tenant_app_password")
    if THOROUGH:
        kill_play("Make new values", 3, "playbooks/rotate_secrets.yml")
        kill_play("Deploy the release", 3, "playbooks/rotate_secrets.yml")
    said += play("playbooks/rotate_secrets.yml", "-vvv", "--diff").output
    assert secret("tenant_app_login") not in passwords
    # A host that is lost now comes back with these, and not with those of last night.
    assert node1.run("test /var/lib/groundwork-backup/config.stamp -nt /etc/groundwork/secrets").rc == 0
    for role, name in {**PASSWORDS, secret("tenant_app_login"): "tenant_app_password"}.items():
        assert can_log_in(node1, role, secret(name)), role
    for role, password in passwords.items():
        assert not can_log_in(node1, role, password), role
    # Nothing of it is said or kept where others may read it, old or new.
    present = [secret(name) for name in (*PASSWORDS.values(), "tenant_app_password", *KEYS)]
    for text in (said, node1.check_output(DATABASE_REMEMBERS)):
        assert not [value for value in (*passwords.values(), *present) if value in text]
    # A deployment in the middle counts as a part of the walk, and the second changes nothing.
    assert play("site.yml").changed == 0

    result = load.end()
    answers = {name: set(said) for name, said in result["answers"].items()}
    # It says so when it is replaced, and when the gateway makes it wait for what is. Its database is always there.
    health = "application's health"
    answers[health] = {said for said in answers[health] if '"database":"ok"' not in said}
    assert answers == {caller["name"]: {"200"} for caller in load.callers}
    assert result["sent"] >= AT_LEAST
    # The gateway took every key over without being restarted, the database and its pooler every password.
    ended = started(node1)
    for name in UNTOUCHED:
        assert ended[name] == began[name], name


@thorough
def test_passwords_with_which_a_service_does_not_start_are_taken_back(play, node1, secret, requests_throughout):
    former = {role: secret(name) for role, name in PASSWORDS.items()}
    broken = {"stack_overrides": {"rest": {"environment": {"PGRST_DB_URI": "postgres://nobody@db:5432/nowhere"}}}}
    requests = requests_throughout(API + WHOAMI, f"apikey: {secret('publishable_key')}")
    said = play("playbooks/rotate_secrets.yml", "-e", json.dumps({**broken, "stack_timeout": 40}), expect=2).output
    assert "serves on" in said
    for role, password in former.items():
        assert can_log_in(node1, role, password), role
    # What the store holds by now is what the next deployment brings.
    play("site.yml", "--skip-tags", "hardening,docker")
    for role, name in PASSWORDS.items():
        assert secret(name) != former[role] and can_log_in(node1, role, secret(name)), role
        assert not can_log_in(node1, role, former[role]), role
    answers = requests.stop()
    assert answers and set(answers) == {"200"}


def test_what_was_dropped_is_refused(play, client, secret, later, ring, user_token):
    former = {key: secret(key) for key in ("anon_key", "service_role_key")}
    publishable = secret("publishable_key")
    legacy_user = jwt.encode({"role": "authenticated", "exp": int(time.time()) + 3600}, secret("jwt_secret"))
    assert status(client, publishable, legacy_user) == "200"
    later()
    play("playbooks/rotate.yml", "-e", "rotate_patience=0", "-e", "rotate_consent=true")
    assert states(ring, "signing") == ["revoked", "active"]
    for key in former.values():
        assert status(client, key) == status(client, key, key) == "401"
    assert status(client, publishable, legacy_user) == "401"
    assert status(client, publishable, user_token()) == "200"
    assert status(client, secret("secret_key"), path=ALL_TODOS) == "200"
    assert play("playbooks/verify.yml").changed == 0


def test_a_stolen_key_is_refused_at_once(play, client, secret, ring, user_token):
    stolen = next(key["kid"] for key in ring() if key["chain"] == "signing" and key["state"] == "active")
    token = user_token()
    refused = play("playbooks/rotate.yml", "-e", f"rotate_revoke={stolen}", expect=2)
    assert "users whose access token was signed by" in refused.output and "consent" in refused.output
    assert status(client, secret("publishable_key"), token) == "200"
    play("playbooks/rotate.yml", "-e", f"rotate_revoke={stolen}", "-e", "rotate_consent=true")
    assert status(client, secret("publishable_key"), token) == "401"
    assert status(client, secret("publishable_key"), user_token()) == "200"


def test_a_key_that_the_inventory_gives_is_refused_before_the_first_step(play, secret, ring):
    before = ring()
    given = {"rotate_chain": "secret", "stack_given_secrets": {"secret_key": secret("secret_key")}}
    refused = play("playbooks/rotate.yml", "-e", json.dumps(given), expect=2)
    assert "secret_key: the inventory gives its value" in " ".join(refused.output.split())
    assert ring() == before
