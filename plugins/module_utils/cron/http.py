# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a job that calls a URL by Supabase's extension pg_net.

What authenticates it is read from Vault when the job runs (Supabase documentation, "Scheduling Edge Functions"), so
that it stands neither in the job nor in the record of its runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

URL = re.compile(r"https?://[^\s/]+\S*")
FUNCTION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_/-]*")
SECRET = "(select decrypted_secret from vault.decrypted_secrets where name = {})"


def find_http_causes(http: Mapping[str, Any], functions_url: str | None) -> Iterator[str]:
    """Everything that is wrong with the argument."""
    if http["function"] and not functions_url:
        yield "a function is called, and functions_url does not say where functions are"
    if http["function"] and not FUNCTION.fullmatch(http["function"]):
        yield f"function {http['function']!r} is not the name of one"
    if http["url"] and not URL.fullmatch(http["url"]):
        yield "its url does not start with http:// or https://, or has a blank in it"
    if http["method"] == "get" and http["body"]:
        yield "a body cannot be sent with get"
    names = [name.lower() for name in (*http["headers"], *http["secret_headers"])]
    names += ["authorization"] if http["token_secret"] else []
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"header {name} is given more than once"


def read_secrets(http: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the secrets that the job reads from Vault."""
    token = [http["token_secret"]] if http["token_secret"] else []
    return tuple(dict.fromkeys([*token, *map(str, http["secret_headers"].values())]))


def http_command(http: Mapping[str, Any], functions_url: str | None) -> str:
    """The job's text, the same for the same arguments."""
    url = http["url"] or f"{(functions_url or '').rstrip('/')}/{http['function']}"
    arguments = {"url": _literal(url), "headers": _headers(http)}
    if http["method"] == "post":
        body = json.dumps(http["body"], ensure_ascii=False, sort_keys=True)
        arguments["body"] = f"{_literal(body)}::jsonb"
    arguments["timeout_milliseconds"] = str(http["timeout_ms"])
    given = ",\n".join(f"  {name} := {value}" for name, value in arguments.items())
    return f"select net.http_{http['method']}(\n{given}\n)"


def _headers(http: Mapping[str, Any]) -> str:
    headers = {"Content-Type": _literal("application/json")} if http["method"] == "post" else {}
    for name, value in http["headers"].items():
        headers = {other: text for other, text in headers.items() if other.lower() != name.lower()}
        headers[name] = _literal(str(value))
    for name, secret in http["secret_headers"].items():
        headers[name] = SECRET.format(_literal(str(secret)))
    if http["token_secret"]:
        headers["Authorization"] = "'Bearer ' || " + SECRET.format(_literal(http["token_secret"]))
    pairs = ",".join(f"\n    {_literal(name)}, {value}" for name, value in headers.items())
    return f"jsonb_build_object({pairs}\n  )" if pairs else "'{}'::jsonb"


def _literal(text: str) -> str:
    # With a backslash in it, only this form means the same whatever standard_conforming_strings says.
    quoted = "'" + text.replace("'", "''").replace("\\", "\\\\") + "'"
    return f"E{quoted}" if "\\" in text else quoted
