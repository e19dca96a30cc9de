# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role exporters: what is taken out of lines of logs, and the program that writes the journal as files."""

from __future__ import annotations

import importlib.util
import json
import logging
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROLE = Path(__file__).resolve().parents[2] / "roles" / "exporters"
REDACTIONS: list[dict[str, str]] = yaml.safe_load((ROLE / "vars" / "main" / "logs.yml").read_text(encoding="utf-8"))[
    "__exporters_redactions"
]
# Made up for this, and by no service.
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.c2lnbmF0dXJl"
SECRET = "Zr9xKp2Vb8NdM5sY"


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("host_journal", ROLE / "files" / "host_journal.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["host_journal"] = module
    spec.loader.exec_module(module)
    return module


def redact(line: str) -> str:
    """As the shipper does; tests/integration/test_monitoring_logs.py asks the shipper itself."""
    for each in REDACTIONS:
        line = re.sub(each["pattern"], each["replacement"].replace("${1}", r"\g<1>"), line)
    return line


@pytest.mark.parametrize(
    ("line", "left"),
    [
        (f"session of {JWT} ends", "session of [redacted] ends"),
        (f"GET /rest/v1/todos?apikey={JWT}&select=id", "GET /rest/v1/todos?apikey=[redacted]&select=id"),
        (f"key sb_secret_{SECRET}_1a2b3c4d", "key sb_secret_[redacted]"),
        (f"key sb_publishable_{SECRET}", "key sb_publishable_[redacted]"),
        (f"signed by v1,whsec_{SECRET}=", "signed by v1,whsec_[redacted]"),
        (f"Authorization: Bearer {SECRET}", "Authorization: Bearer [redacted]"),
        (f"Authorization: Basic {SECRET}==", "Authorization: Basic [redacted]"),
        (f"apikey: {SECRET}", "apikey: [redacted]"),
        (f"Cookie: theme=dark; sid={SECRET}", "Cookie: [redacted]"),
        (f"refresh_token: {SECRET}", "refresh_token: [redacted]"),
        (f"api_key: '{SECRET}'", "api_key: '[redacted]'"),
        (f"AWS_SECRET_ACCESS_KEY={SECRET}", "AWS_SECRET_ACCESS_KEY=[redacted]"),
        (f"/verify?token_hash={SECRET}&type=email", "/verify?token_hash=[redacted]&type=email"),
        (f"password={SECRET} user=web", "password=[redacted] user=web"),
        (f"PGPASSWORD='{SECRET}'", "PGPASSWORD='[redacted]'"),
        (f"smtp_password: {SECRET}", "smtp_password: [redacted]"),
        (f"client_secret={SECRET}&grant_type=code", "client_secret=[redacted]&grant_type=code"),
        (f"postgres://app:{SECRET}@db:5432/postgres", "postgres://app:[redacted]@db:5432/postgres"),
        (f"alter role app password '{SECRET} and more';", "alter role app password '[redacted]';"),
        (f'{{"password": "{SECRET} and more", "id": 1}}', '{"password": "[redacted]", "id": 1}'),
        (f'{{"Authorization":["{SECRET}"]}}', '{"Authorization":["[redacted]"]}'),
        (f'{{"set-cookie":["a=1", "sid={SECRET}]"],"id":1}}', '{"set-cookie":["[redacted]"],"id":1}'),
        (f'{{"secretAccessKey":"{SECRET}"}}', '{"secretAccessKey":"[redacted]"}'),
        ('{"password":12345678}', '{"password":"[redacted]"}'),
        (f'{{"body":"{{\\"refresh_token\\":\\"{SECRET}\\"}}"}}', '{"body":"{\\"refresh_token\\":\\"[redacted]\\"}"}'),
        (f'{{"service_api_key": "{SECRET}\\"x"}}', '{"service_api_key": "[redacted]"}'),
    ],
)  # fmt: skip
def test_a_secret_is_taken_out(line: str, left: str) -> None:
    assert redact(line) == left
    if line.startswith("{"):
        json.loads(redact(line))


@pytest.mark.parametrize(
    "line",
    [
        'FATAL:  password authentication failed for user "app"',
        "invalid token: token is expired",
        "GET http://rest:3000/todos?email=a@lab.test 200",
        "listening on 127.0.0.1:8080, password_encryption = scram-sha-256",
        '{"level":"info","msg":"token refreshed","path":"/token"}',
    ],
)
def test_the_rest_of_a_line_stays(line: str) -> None:
    assert redact(line) == line


@pytest.mark.parametrize(
    ("entry", "service"),
    [
        ({"_TRANSPORT": "kernel"}, "kernel"),
        ({"_SYSTEMD_UNIT": "ssh.service"}, "ssh"),
        ({"_SYSTEMD_UNIT": "getty@tty1.service"}, "getty"),
        ({"_SYSTEMD_UNIT": "session-12.scope"}, "session"),
        ({"_SYSTEMD_UNIT": "run-u123.service"}, "run"),
        ({"_SYSTEMD_UNIT": f"run-r{'c0ffee' * 5}00.service"}, "run"),
        ({}, "session"),
    ],
)
def test_services_are_as_many_as_a_host_has(program: ModuleType, entry: dict[str, str], service: str) -> None:
    assert program.service_of(entry) == service


def entry(number: int, **fields: Any) -> dict[str, Any]:
    return {"__REALTIME_TIMESTAMP": "1700000000000001", "__CURSOR": f"s={number}", "MESSAGE": "text", **fields}


def test_a_line_says_when_what_and_how_bad(program: ModuleType) -> None:
    line = json.loads(program.render(entry(1, PRIORITY="3", _SYSTEMD_UNIT="ssh.service", MESSAGE=[0x66, 0xFF])))
    assert line["time"] == "2023-11-14T22:13:20.000001+00:00"
    assert (line["level"], line["service"], line["message"], line["cursor"]) == ("error", "ssh", "f\ufffd", "s=1")


@pytest.mark.parametrize(
    ("message", "text"), [(None, "(too long, see journalctl)"), ([[0x66], "g"], "[102]"), (["f", None], "f"), ([], "")]
)
def test_no_entry_ends_it(program: ModuleType, message: Any, text: str) -> None:
    line = json.loads(program.render(entry(1, MESSAGE=message, PRIORITY=["4", "5"], _SYSTEMD_UNIT=["a.service", "b"])))
    assert (line["level"], line["service"], line["message"]) == ("warn", "a", text)
    assert json.loads(program.render(entry(2, PRIORITY="12")))["level"] == "info"


def test_a_full_disk_ends_it_rather_than_losing_a_line(program: ModuleType) -> None:
    with pytest.raises(OSError, match="No space left"):
        program.Files("/dev/full").emit(logging.makeLogRecord({"msg": "text"}))


def test_it_goes_on_behind_the_last_whole_line(program: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    assert program.last_cursor(path) is None
    lines = [program.render(entry(number)) for number in (1, 2)]
    path.write_text(f"{lines[0]}\n{lines[1][:20]}", encoding="utf-8")
    program.end_half_line(path)
    assert path.read_text(encoding="utf-8").endswith("\n")
    assert program.last_cursor(path) == "s=1"
    # A file that was begun anew has none yet.
    path.rename(tmp_path / "journal.log.1")
    path.touch()
    assert program.last_cursor(path) == "s=1"
