# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge functions' main service on real Deno: which tokens pass. Supabase's runtime, which starts the function
itself, cannot run here; what it is asked for is answered in its place."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import pytest
from npm_programs import deno
from postgres_server import ROOT

SERVICE = ROOT / "roles" / "stack" / "templates" / "functions" / "main.ts.j2"
RUNTIME = """
(globalThis as any).EdgeRuntime = {
  userWorkers: {
    create: (options: { servicePath: string; envVars: [string, string][] }) =>
      Promise.resolve({
        fetch: () =>
          Promise.resolve(
            Response.json({ path: options.servicePath, environment: Object.fromEntries(options.envVars) }),
          ),
      }),
  },
}
"""
NOW = datetime.now(timezone.utc).replace(microsecond=0)
LEGACY = "Vb6kRz1XqWt0MfSy9LgPj4NcHd2AeUo8"
CLAIMS = {"iss": "supabase", "role": "authenticated", "exp": int(NOW.timestamp()) + 86400}


@pytest.fixture(scope="module")
def tokens(load):
    """A ring in the middle of a rotation, and tokens of all kinds."""
    documents, ring = load("module_utils.key_ring.documents"), load("module_utils.key_ring.ring")
    es256, jwt = load("module_utils.key_ring.es256"), load("module_utils.secrets.jwt")
    policy, now = ring.Policy(3600, 0, 0), NOW - timedelta(days=1)

    def make(chain):
        return documents.new_key(chain, now, os.urandom)

    stored = {"jwt_secret": LEGACY}
    keys = documents.new_ring(stored, now, os.urandom)
    keys = ring.confirm_delivery(keys, keys.serial, now)
    keys = ring.take_step(keys, "signing", "publish", policy, now, make)
    keys = ring.confirm_delivery(keys, keys.serial, now)
    keys = ring.take_step(keys, "signing", "switch", policy, now, make)
    active, stranger = keys.active("signing").value, es256.make_key()
    signed = es256.encode(CLAIMS, active)
    head, body, _signature = signed.split(".")
    other = es256.encode({**CLAIMS, "role": "service_role"}, active).split(".")[2]
    impostor = {**stranger, **es256.public_part(active)}
    return {
        "jwks": documents.derive(keys, stored, NOW)["jwt_jwks"].value,
        "active": signed,
        "legacy": jwt.encode(CLAIMS, LEGACY),
        "expired": es256.encode({**CLAIMS, "exp": int(NOW.timestamp()) - 60}, active),
        "a stranger's": es256.encode(CLAIMS, stranger),
        "a stranger's under our name": es256.encode(CLAIMS, {**impostor, "d": stranger["d"]}),
        "another secret's": jwt.encode(CLAIMS, LEGACY[::-1]),
        "public key as secret": jwt.encode(CLAIMS, json.dumps(es256.public_part(active))),
        "unsigned": f"eyJhbGciOiJub25lIn0.{body}.",
        "signature of another": f"{head}.{body}.{other}",
        "no token": "sb_publishable_something",
        "nothing": "",
    }


@contextmanager
def serving(folder, jwks, verify="true"):
    """The main service on a port of its own; ask(token, path, vouched) returns status and answer, vouched being the
    token that the gateway gives for an opaque key."""
    script = folder / "main.ts"
    script.write_text(RUNTIME + SERVICE.read_text(encoding="utf-8"), encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "SUPABASE_JWKS": jwks,
        "VERIFY_JWT": verify,
        "DENO_SERVE_ADDRESS": f"tcp:127.0.0.1:{port}",
        "DENO_NO_UPDATE_CHECK": "1",
    }
    command = [str(deno()), "run", "--check", "--allow-env", "--allow-net", str(script)]
    outputs = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, env=environment, start_new_session=True, **outputs) as run:

        def ask(token, path="hello", vouched=None):
            headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
            headers |= {"sb-api-key": vouched} if vouched is not None else {}
            request = urllib.request.Request(f"http://127.0.0.1:{port}/{path}", headers=headers)
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return answer.status, json.load(answer)
            except urllib.error.HTTPError as error:
                return error.code, json.load(error)

        try:
            wait_for(port, run)
            yield ask
        finally:
            # npm's program starts the real one, which would live on.
            os.killpg(run.pid, signal.SIGTERM)


def wait_for(port, process):
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None, process.stdout.read()
            assert time.monotonic() < end
            time.sleep(0.05)


def test_only_tokens_of_accepted_keys_pass(tmp_path, tokens):
    tokens = dict(tokens)
    with serving(tmp_path, tokens.pop("jwks")) as ask:
        answers = {name: ask(token)[0] for name, token in tokens.items()}
        assert {name for name, status in answers.items() if status == 200} == {"active", "legacy"}
        assert set(answers.values()) == {200, 401}
        assert ask(None)[1]["code"] == "UNAUTHORIZED_NO_AUTH_HEADER"
        status, started = ask(tokens["active"])
        assert (status, started["path"]) == (200, "/home/deno/functions/hello")
        assert ask(tokens["active"], "..%2fmain")[0] == ask(tokens["active"], "")[0] == 400


def test_an_opaque_key_passes_by_the_token_that_the_gateway_gives_for_it(tmp_path, tokens):
    with serving(tmp_path, tokens["jwks"]) as ask:
        for opaque in (None, "sb_publishable_something"):
            assert ask(opaque, vouched=tokens["active"])[0] == 200
            assert ask(opaque, vouched=tokens["a stranger's"])[0] == 401
        assert ask(tokens["expired"], vouched=tokens["active"])[0] == 401, "a user's own token counts"


def test_functions_may_be_open_to_everybody(tmp_path, tokens):
    with serving(tmp_path, tokens["jwks"], verify="false") as ask:
        assert ask(None)[0] == 200


def test_functions_get_the_public_keys_alone(tmp_path, tokens):
    with serving(tmp_path, tokens["jwks"]) as ask:
        environment = ask(tokens["active"])[1]["environment"]
    all_keys = json.loads(tokens["jwks"])["keys"]
    public = [key for key in all_keys if key["kty"] == "EC"]
    assert public and len(all_keys) > len(public)
    assert json.loads(environment["SUPABASE_JWKS"])["keys"] == public
    assert environment["VERIFY_JWT"] == "true"
