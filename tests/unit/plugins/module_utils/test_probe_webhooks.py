# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which calls a webhook gets. tests/integration/test_webhooks.py shows that they find what they are for."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.webhooks import (
    Webhook,
    find_webhook_faults,
    webhook_calls,
)

NOW = 1790000000
SECRETS = {"key": "canary-key-of-the-webhook", "anon_key": "canary-anon"}
RAW = {
    "name": "billing",
    "url": "https://app.test/hook",
    "secret": "key",
    "algorithm": "sha256",
    "signed": "{timestamp}.{body}",
    "headers": {"Stripe-Signature": "t={timestamp},v1={signature}", "apikey": "${secret:anon_key}", "x": 1},
    "body": '{"id":"{id}"}',
    "window": 300,
    "body_limit": 100,
}


def webhook(**more):
    return Webhook.from_argument({**RAW, **more})


def calls(accepted=True, **more):
    return {call.name: call for call in webhook_calls(webhook(**more), SECRETS, NOW, "evt", accepted)}


def is_signed(call, key=SECRETS["key"]):
    """As a service looks at it that knows nothing of how it was made."""
    time, _comma, signature = call.headers["Stripe-Signature"].partition(",")
    seal = hmac.new(key.encode(), f"{time[2:]}.{call.body}".encode(), hashlib.sha256).hexdigest()
    return signature == f"v1={seal}", int(time[2:])


def test_one_call_is_right_and_each_other_is_wrong_in_one_way():
    made = calls()
    names = [name.partition(", ")[2] for name in made]
    assert names[-2:] == ["signed", "sent a second time"]
    good = made["webhook billing, signed"]
    assert is_signed(good) == (True, NOW)
    assert json.loads(good.body) == {"id": "evt"}
    assert good.headers["apikey"] == "canary-anon" and good.headers["x"] == "1"
    assert good.status == (200, 201, 202, 204)
    assert all(200 not in call.status for call in made.values() if call is not good)

    unsigned = made["webhook billing, unsigned"]
    assert "Stripe-Signature" not in unsigned.headers and unsigned.headers["apikey"] == "canary-anon"
    assert is_signed(made["webhook billing, signed with another key"]) == (False, NOW)
    assert is_signed(made["webhook billing, signed over another body"]) == (False, NOW)
    assert is_signed(made["webhook billing, older than its window"]) == (True, NOW - 360)
    assert is_signed(made["webhook billing, from beyond its window"]) == (True, NOW + 360)
    assert is_signed(made["webhook billing, old, under a new time that was not signed"]) == (False, NOW)
    large = made["webhook billing, too large"]
    assert is_signed(large) == (True, NOW)
    assert len(large.body) == 101 and json.loads(large.body) == {"id": "evt"} and large.status == (413,)
    again = made["webhook billing, sent a second time"]
    assert (again.headers, again.body) == (good.headers, good.body)


def test_without_a_time_there_is_no_window():
    made = calls(signed="{body}", headers={"X-Hub-Signature-256": "sha256={signature}"})
    assert not [name for name in made if "window" in name or "time" in name and "second time" not in name]
    seal = hmac.new(SECRETS["key"].encode(), b'{"id":"evt"}', hashlib.sha256).hexdigest()
    assert made["webhook billing, signed"].headers == {"X-Hub-Signature-256": f"sha256={seal}"}


def test_what_changes_something_can_be_left_out():
    assert all(200 not in call.status for call in calls(accepted=False).values())


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, None),
        ({"secret": "keey"}, "webhook billing: the store lacks keey"),
        ({"headers": {"a": "{signature}${secret:other}"}}, "webhook billing: the store lacks other"),
        ({"signed": "{timestamp}"}, "webhook billing: what is signed leaves out {body}"),
        ({"headers": {"a": "b"}}, "webhook billing: no header holds {signature}"),
        ({"body": "{}"}, "webhook billing: neither body nor headers hold {id}"),
        ({"body": "{}", "headers": {"webhook-id": "{id}", "s": "{signature}"}}, None),
    ],
)
def test_a_declaration_that_proves_nothing_is_refused(more, expected):
    found = [str(fault) for fault in find_webhook_faults(webhook(**more), SECRETS)]
    assert len(found) == (0 if expected is None else 1), found
    assert all(line.startswith(expected) for line in found)
