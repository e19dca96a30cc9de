# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of a webhook that have to be refused, and the one that has to be accepted. Pure: nothing is sent here."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.http_request import Request
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.placeholders import secret_names, substitute

ACCEPTED = (200, 201, 202, 204)
# A path that is not there, a broken service or a rate limit stops a call too, and says nothing about its signature.
REFUSED = (400, 401, 403, 422)
# Not of the others: there it would say that the call before, which was wrong as well, had been taken.
REPEATED = (*REFUSED, 409)
TOO_LARGE = (413,)
# Seconds beside the window, for a request that is on its way for that long.
MARGIN = 60


@dataclass(frozen=True)
class Webhook:
    """A webhook as the inventory declares it. window: seconds. body_limit: bytes.

    ``{id}`` and ``{timestamp}`` stand for themselves in headers, body and ``signed``; ``{body}`` in ``signed`` and
    ``{signature}`` in headers for what is computed.
    """

    name: str
    url: str
    secret: str
    algorithm: str
    signed: str
    headers: Mapping[str, str]
    body: str
    window: int
    body_limit: int

    @classmethod
    def from_argument(cls, raw: Mapping[str, Any]) -> Webhook:
        """A module argument; headers become text."""
        return cls(**{**raw, "headers": {name: str(value) for name, value in raw["headers"].items()}})


def find_webhook_faults(webhook: Webhook, secrets: Mapping[str, str]) -> list[Fault]:
    """Why a webhook cannot be called, or why its calls would prove nothing."""
    where, headers = f"webhook {webhook.name}", "".join(webhook.headers.values())
    faults = []
    lacking = sorted({webhook.secret, *secret_names(headers)} - secrets.keys())
    if lacking:
        remedy = "declare it in supabase_secrets and run site.yml"
        faults.append(Fault(where, f"the store lacks {', '.join(lacking)}", remedy))
    if "{body}" not in webhook.signed:
        faults.append(Fault(where, "what is signed leaves out {body}", "write {body} where the body belongs"))
    if "{signature}" not in headers:
        faults.append(Fault(where, "no header holds {signature}", "write it into the header that carries it"))
    if "{id}" not in webhook.body + headers:
        faults.append(Fault(where, "neither body nor headers hold {id}", "write it where the event's id belongs"))
    return faults


def webhook_calls(
    webhook: Webhook, secrets: Mapping[str, str], now: int, event: str, accepted: bool = True
) -> Iterator[Request]:
    """The calls, in the order in which they have to be sent: what is refused may not use up the event's id.

    now: seconds since 1970. event: an id that no call had yet. accepted: whether to send what is to be accepted too.
    """
    key, named = secrets[webhook.secret], f"webhook {webhook.name}, "

    def call(what: str, status: tuple[int, ...], body: str, at: int = now, said: int = 0, key: str = key) -> Request:
        """A call that is signed over the body, under the key, at a time. said: what the headers give as the time."""
        text = _fill(webhook.signed, event, at).replace("{body}", body)
        signature = hmac.new(key.encode(), text.encode(), getattr(hashlib, webhook.algorithm)).hexdigest()
        headers = {
            name: substitute(_fill(value, event, said or at).replace("{signature}", signature), secrets)
            for name, value in webhook.headers.items()
        }
        return Request(named + what, webhook.url, "POST", headers, body, status, "")

    body = _fill(webhook.body, event, now)
    good = call("signed", ACCEPTED, body)
    unsigned = {name: value for name, value in good.headers.items() if "{signature}" not in webhook.headers[name]}
    yield replace(good, name=f"{named}unsigned", status=REFUSED, headers=unsigned)
    yield call("signed with another key", REFUSED, body, key=f"not {event}")
    yield replace(good, name=f"{named}signed over another body", status=REFUSED, body=f"{body} ")
    if "{timestamp}" in webhook.signed:
        early, late = now - webhook.window - MARGIN, now + webhook.window + MARGIN
        yield call("older than its window", REFUSED, body, early)
        yield call("from beyond its window", REFUSED, body, late)
        yield call("old, under a new time that was not signed", REFUSED, body, early, said=now)
    padding = " " * (webhook.body_limit + 1 - len(body.encode()))
    yield call("too large", TOO_LARGE, body + padding)
    if accepted:
        yield good
        yield replace(good, name=f"{named}sent a second time", status=REPEATED)


def _fill(text: str, event: str, at: int) -> str:
    return text.replace("{id}", event).replace("{timestamp}", str(at))
