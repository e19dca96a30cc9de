"""A real client against the platform, from another host, over HTTPS and a websocket."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import time
import uuid
from pathlib import Path

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets import jwt

API = "https://api.lab.test"
# A well-formed token that no key of the platform signed.
WRONG_KEY = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIiwiZXhwIjo0MTAyNDQ0ODAwfQ."
    "c2lnbmVkLWJ5LW5vYm9keS1hdC1hbGwtbm90LWV2ZW4"
)


def users_without_auth(node1, secret) -> str:
    """Two users as Auth would have made them: rows in auth.users, and tokens signed with the platform's secret."""
    users = []
    for name in ("alice", "bob"):
        user, email = str(uuid.uuid4()), f"{name}-{uuid.uuid4()}@lab.test"
        claims = {"sub": user, "role": "authenticated", "aud": "authenticated", "exp": int(time.time()) + 3600}
        users.append({"id": user, "email": email, "token": jwt.encode(claims, secret("jwt_secret"))})
    rows = ", ".join(f"('{user['id']}', '{user['email']}')" for user in users)
    statement = f"insert into auth.users (id, email) values {rows}"
    node1.check_output(f'docker exec supabase-db-1 psql -U supabase_admin -d postgres -qc "{statement}"')
    return json.dumps(users)


@pytest.fixture(scope="module")
def session(client, secret, node1):
    script = Path(__file__).with_name("session.mjs")
    subprocess.run(["docker", "cp", str(script), "groundwork-lab-client:/opt/client/session.mjs"], check=True)
    environment = {
        "API_URL": API,
        "APP_URL": "https://app.lab.test",
        "ANON_KEY": secret("anon_key"),
        "WRONG_KEY": WRONG_KEY,
        "NODE_EXTRA_CA_CERTS": "/etc/ssl/lab-ca.crt",
    }
    if not node1.check_output("docker ps --quiet --filter name=supabase-auth-1"):
        environment["USERS"] = users_without_auth(node1, secret)
    flags = [part for key, value in environment.items() for part in ("--env", f"{key}={value}")]
    command = ["docker", "exec", *flags, "groundwork-lab-client", "node", "/opt/client/session.mjs"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_user_inserts_and_selects(session):
    assert session["inserted"] == 1
    assert session["own"] == ["water the plants"]


def test_another_user_sees_and_writes_nothing_of_it(session):
    assert session["foreign"] == []
    assert session["smuggled"] == "refused"


def test_no_key_and_a_wrong_key_are_refused(session):
    assert session["noKey"] == 401
    assert session["wrongKey"] == 401
    assert session["forgedToken"] == 401


def test_a_websocket_through_the_edge_shows_each_user_their_own(session):
    assert session["aliceLive"] == ["ready", "snapshot", "change"]
    assert session["bobLive"] == ["ready", "snapshot"]
    assert session["nobodyLive"] == 4401


def test_the_service_key_passes_where_anon_does_not(client, secret):
    for name, expected in (("service_role_key", "200"), ("anon_key", "403")):
        key = secret(name)
        status = client.check_output(
            f"curl -s -o /dev/null -w '%{{http_code}}' --cacert /etc/ssl/lab-ca.crt -H 'apikey: {key}' {API}/rest/v1/"
        )
        assert status == expected, name


def test_http_is_redirected_and_https_says_so(client):
    head = client.check_output("curl -sI http://api.lab.test/rest/v1/todos")
    assert " 308" in head.splitlines()[0]
    assert "location: https://api.lab.test/rest/v1/todos" in head.lower()
    secure = client.check_output(f"curl -sI --cacert /etc/ssl/lab-ca.crt {API}/rest/v1/todos").lower()
    assert "strict-transport-security: max-age=" in secure
    assert "server: caddy" not in secure


def webhook(client, key: str, event: str, sent: str = "", age: int = 0) -> str:
    """Status of a call signed that many seconds ago over the event; sent: another body in its place."""
    signed = str(int(time.time()) - age)
    signature = hmac.new(key.encode(), f"{signed}.{event}".encode(), hashlib.sha512).hexdigest()
    return client.check_output(
        "curl -s -o /dev/null -w '%{http_code}' --cacert /etc/ssl/lab-ca.crt -H 'content-type: application/json' "
        f"-H 'x-webhook-timestamp: {signed}' -H 'x-webhook-signature: {signature}' "
        f"--data '{sent or event}' https://app.lab.test/webhooks/payments"
    )


def test_a_webhook_passes_once_and_only_rightly_signed(client, secret, node1):
    """As playbooks/verify.yml tries it on the host, here from another one."""
    name = str(uuid.uuid4())
    event = f'{{"id":"{name}","event":"charge.success","data":{{"reference":"r-1","amount":4500,"currency":"NGN"}}}}'
    key = secret("payments_webhook_secret")
    assert webhook(client, "another key", event) == "401"
    assert webhook(client, key, event, sent=event.replace("4500", "9900")) == "401"
    assert webhook(client, key, event, age=400) == "401"
    # Signed a little earlier, so that the second call is not taken for one that was signed anew.
    assert webhook(client, key, event, age=10) == "200"
    assert webhook(client, key, event, age=10) == "409"
    count = f"select count(*) from private.payment_events where event_id = '{name}'"
    assert node1.check_output(f'docker exec supabase-db-1 psql -U supabase_admin -d postgres -Atqc "{count}"') == "1"


def test_metrics_of_the_application_are_not_public(client):
    status = client.check_output(
        "curl -s -o /dev/null -w '%{http_code}' --cacert /etc/ssl/lab-ca.crt https://app.lab.test/metrics"
    )
    assert status == "404"
