# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what the arguments of module cron ask for; everything that is wrong with them is reported at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.cron.http import (
    find_http_causes,
    http_command,
    read_secrets,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.cron.model import DeclaredJob, Job, label
from ansible_collections.groundwork.supabase.plugins.module_utils.cron.schedules import find_causes, normalize
from ansible_collections.groundwork.supabase.plugins.module_utils.cron.tokens import find_tokens
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import check_identifier

SCHEDULE_REMEDY = "correct it, for example: 5 4 * * * (at 4:05), */15 * * * *, 30 seconds"
TOKEN_REMEDY = (
    "put the token into Vault, and name it as http.token_secret, or read vault.decrypted_secrets in the command"
)


def read_jobs(jobs: Sequence[Mapping[str, Any]], functions_url: str | None, database: str) -> list[DeclaredJob]:
    """The jobs of argument ``jobs``; those that name no database run in the given one. Raises Faults."""
    faults: list[Fault] = []
    declared: dict[str, DeclaredJob] = {}
    for position, arguments in enumerate(jobs):
        origin = f"jobs[{position}]"
        name = arguments["name"]
        object = f"{label(name)} ({origin})"
        wrong = list(_find_faults(object, arguments, functions_url))
        if name in declared:
            wrong.append(Fault(object, f"{declared[name].origin} has the same name", "give each job a name of its own"))
        faults.extend(wrong)
        if not wrong:
            declared[name] = _read_job(arguments, origin, functions_url, database)
    Faults.raise_all(faults)
    return list(declared.values())


def collect_tokens(jobs: Sequence[Mapping[str, Any]], functions_url: str | None) -> list[str]:
    """Tokens that the arguments hold although they must not, so that the refusal does not show them either."""
    texts = [text for arguments in jobs for text in _texts(arguments)]
    return [token for text in (*texts, functions_url or "") for token in find_tokens(text)]


def _texts(arguments: Mapping[str, Any]) -> Iterator[str]:
    yield arguments["command"] or ""
    http = arguments["http"] or {}
    for part in ("url", "function", "token_secret"):
        yield http.get(part) or ""
    for part in ("headers", "secret_headers", "body"):
        yield str(http.get(part) or "")


def _find_faults(object: str, arguments: Mapping[str, Any], functions_url: str | None) -> Iterator[Fault]:
    try:
        check_identifier(arguments["name"])
    except GroundworkError as error:
        yield Fault(object, error.cause, error.remedy)
    schedule = normalize(arguments["schedule"])
    for cause in find_causes(schedule):
        yield Fault(object, f"schedule {schedule!r}: {cause}", SCHEDULE_REMEDY)
    command = (arguments["command"] or "").strip()
    if not arguments["http"] and not command:
        yield Fault(object, "its command is empty", "give command or http")
    if "\0" in command:
        yield Fault(object, "its command has a zero byte", "take it out")
    for cause in find_http_causes(arguments["http"], functions_url) if arguments["http"] else ():
        yield Fault(object, cause, "correct http")
    if collect_tokens([arguments], functions_url):
        cause = "its text holds a token, which everybody who may read jobs, their runs or a dump would read"
        yield Fault(object, cause, TOKEN_REMEDY)


def _read_job(
    arguments: Mapping[str, Any], origin: str, functions_url: str | None, default_database: str
) -> DeclaredJob:
    http = arguments["http"]
    job = Job(
        name=arguments["name"],
        schedule=normalize(arguments["schedule"]),
        command=http_command(http, functions_url) if http else arguments["command"].strip(),
        database=arguments["database"] or default_database,
        active=arguments["active"],
    )
    return DeclaredJob(job, origin, read_secrets(http) if http else ())
