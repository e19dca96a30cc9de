# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ssl

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.http_request import (
    Answer,
    Request,
    judge,
    missing_secrets,
    send,
)

RAW = {"name": "auth", "url": "https://api.test/x", "method": "GET", "headers": {"apikey": "${secret:anon_key}"}}


def request(**more):
    return Request.from_argument({**RAW, "status": [200, 204], "contains": "ok", **more}, {"anon_key": "eyJ"})


def test_a_secret_is_put_into_a_header():
    assert request().headers == {"apikey": "eyJ"}
    assert missing_secrets(RAW, {}) == ["anon_key"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(200, "all ok"), None),
        (Answer(204, "ok"), None),
        (Answer(500, "boom\nboom"), "it answered 500 where 200 or 204 is right: boom boom"),
        (Answer(200, "well"), "its answer lacks 'ok'"),
        (Answer(0, "connection refused"), "no answer: connection refused"),
    ],
)
def test_the_verdict_names_the_request_and_what_came(answer, expected):
    fault = judge(request(), answer)
    if expected is None:
        assert fault is None
    else:
        assert expected in str(fault)
        assert "auth (GET https://api.test/x)" in str(fault)
        assert "eyJ" not in str(fault)


def test_a_closed_port_is_no_answer():
    answer = send(request(url="http://127.0.0.1:9/"), "", ssl.create_default_context(), 2)
    assert answer.status == 0
