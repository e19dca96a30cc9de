# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users of the example application for a load test, made on the database's host as Auth would have made them.

``users.py SECRETS CONTAINER COUNT`` first removes every user that it made before, with tenant and rows, then makes
COUNT, and prints ``[{"id": …, "token": …}]``. A user's tenant has the user's id. Tokens hold for an hour and are signed
with the legacy secret (``jwt_secret`` in the folder SECRETS), which does not leave the host; where a rotation has ended
that secret, nobody accepts them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LIFETIME = 3600
REPLACE = """
begin;
delete from public.tenants using auth.users where tenants.id = users.id and users.email like '%@load.invalid';
delete from auth.users where email like '%@load.invalid';
insert into auth.users (id, email) select id, id || '@load.invalid' from unnest(:'ids'::uuid[]) id;
insert into public.tenants (id, name) select id, 'load' from unnest(:'ids'::uuid[]) id;
insert into public.memberships (tenant_id, user_id, role) select id, id, 'owner' from unnest(:'ids'::uuid[]) id;
commit;
"""


def sign(claims: dict[str, Any], secret: str) -> str:
    """A JSON Web Token with HS256 (RFC 7515)."""

    def encode(part: bytes) -> str:
        return base64.urlsafe_b64encode(part).decode().rstrip("=")

    signed = ".".join(encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return f"{signed}.{encode(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))}"


def replace_users(container: str, ids: Sequence[str]) -> None:
    """Raises CalledProcessError when the database refuses; then nothing has changed."""
    psql = [
        "psql",
        "-U",
        "supabase_admin",
        "-d",
        "postgres",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-v",
        f"ids={{{','.join(ids)}}}",
    ]
    subprocess.run(["docker", "exec", "-i", container, *psql], input=REPLACE, text=True, check=True)


def main(secrets: str, container: str, count: str) -> None:
    ids = [str(uuid.uuid4()) for _number in range(int(count))]
    replace_users(container, ids)
    secret = Path(secrets, "jwt_secret").read_text(encoding="utf-8").strip()
    claims = {"role": "authenticated", "aud": "authenticated", "exp": int(time.time()) + LIFETIME}
    print(json.dumps([{"id": user, "token": sign({"sub": user, **claims}, secret)} for user in ids]))


if __name__ == "__main__":
    main(*sys.argv[1:])
