# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.cron.arguments import collect_tokens, read_jobs
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Faults

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.c2lnbmF0dXJl"
FUNCTIONS = "http://gateway:8000/functions/v1"


def entry(**arguments):
    return {
        "name": "j",
        "schedule": "* * * * *",
        "command": "select 1",
        "http": None,
        "database": None,
        "active": True,
        **arguments,
    }


def call(**arguments):
    http = {
        "function": None,
        "url": None,
        "method": "post",
        "body": {},
        "headers": {},
        "token_secret": None,
        "secret_headers": {},
        "timeout_ms": 5000,
        **arguments,
    }
    return entry(command=None, http=http)


def faults_of(*jobs, functions_url=FUNCTIONS):
    with pytest.raises(Faults) as raised:
        read_jobs(jobs, functions_url, "postgres")
    return str(raised.value), len(raised.value.faults)


def test_blanks_do_not_matter_and_the_database_has_a_default():
    first, second = read_jobs(
        [entry(schedule=" 5  4 * * *", command="\nselect 1\n"), entry(name="k", database="other", active=False)],
        None,
        "postgres",
    )
    assert (first.job.schedule, first.job.command, first.job.database) == ("5 4 * * *", "select 1", "postgres")
    assert (second.job.database, second.job.active, second.origin) == ("other", False, "jobs[1]")


def test_all_faults_at_once():
    text, count = faults_of(
        entry(name=""),
        entry(name="x" * 64),
        entry(name="a", schedule="61 * * * * "),
        entry(name="b", command="  "),
        entry(name="c"),
        entry(name="c"),
        entry(name="d", schedule="x x * * *", command=f"select '{JWT}'"),
    )
    assert count == 8
    assert "job c (jobs[5]): jobs[4] has the same name" in text
    assert "minute '61'" in text and "its command is empty" in text
    assert JWT not in text and "http.token_secret" in text


def test_a_call_reads_its_token_from_vault():
    (wanted,) = read_jobs(
        [
            call(
                function="send-mail",
                token_secret="it's",
                headers={"content-type": "text/plain", "X-Path": "a\\b"},
                secret_headers={"apikey": "api_key"},
                body={"b": 1, "a": "it's"},
            )
        ],
        FUNCTIONS + "/",
        "postgres",
    )
    assert wanted.secrets == ("it's", "api_key")
    assert wanted.job.command == (
        "select net.http_post(\n"
        "  url := 'http://gateway:8000/functions/v1/send-mail',\n"
        "  headers := jsonb_build_object(\n"
        "    'content-type', 'text/plain',\n"
        "    'X-Path', E'a\\\\b',\n"
        "    'apikey', (select decrypted_secret from vault.decrypted_secrets where name = 'api_key'),\n"
        "    'Authorization', 'Bearer ' || "
        "(select decrypted_secret from vault.decrypted_secrets where name = 'it''s')\n"
        "  ),\n"
        '  body := \'{"a": "it\'\'s", "b": 1}\'::jsonb,\n'
        "  timeout_milliseconds := 5000\n"
        ")"
    )


def test_a_call_without_a_body():
    (wanted,) = read_jobs([call(url="https://x.test/y?z=1", method="get", timeout_ms=1)], None, "postgres")
    assert wanted.job.command == (
        "select net.http_get(\n  url := 'https://x.test/y?z=1',\n  headers := '{}'::jsonb,\n"
        "  timeout_milliseconds := 1\n)"
    )


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ({"function": "../x"}, "not the name of one"),
        ({"url": "ftp://x"}, "does not start with http"),
        ({"url": "http://x/a b"}, "has a blank"),
        ({"url": "http://x", "method": "get", "body": {"a": 1}}, "cannot be sent with get"),
        ({"url": "http://x", "token_secret": "t", "headers": {"AUTHORIZATION": "x"}}, "authorization is given more"),
        ({"url": "http://x", "headers": {"Authorization": f"Bearer {JWT}"}}, "holds a token"),
        ({"url": "http://x", "body": {"deep": [{"key": "sb_secret_0123456789"}]}}, "holds a token"),
        ({"url": "http://user:hunter22@x"}, "holds a token"),
    ],
)
def test_what_a_call_must_not_be(arguments, cause):
    text, count = faults_of(call(**arguments))
    assert cause in text and count == 1


def test_a_function_needs_its_url():
    assert "functions_url" in faults_of(call(function="f"), functions_url=None)[0]


@pytest.mark.parametrize(
    ("command", "tokens"),
    [
        (f"select '{JWT}'", [JWT]),
        ("'Bearer eyAbc'", ["Bearer eyAbc"]),
        ("'bearer 0123456789abcdefghij=='", ["bearer 0123456789abcdefghij=="]),
        ("'sb_secret_abcdef'", ["sb_secret_abcdef"]),
        ("dblink('postgres://u:p%40ss@h/d')", ["u:p%40ss"]),
        ("'Bearer ' || (select decrypted_secret from vault.decrypted_secrets where name = 'bearer token')", []),
        ("delete from bearer cancelled_orders", []),
        ("select 'sb_publishable_abcdef', 'https://x.test/a?b=c@d', now()::text", []),
    ],
)
def test_what_looks_like_a_token(command, tokens):
    assert collect_tokens([entry(command=command)], None) == tokens
