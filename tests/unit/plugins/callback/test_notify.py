# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a real receiver gets of real runs, and what a run says when there is none."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.run import notification

CHANGE = {"ansible.builtin.debug": {"msg": "done"}, "changed_when": True}
FAIL = {"name": "Start <auth>", "ansible.builtin.fail": {"msg": "log-line-canary"}}
PATH = "/services/T000/canary-5d41402abc"
ROOT = Path(__file__).resolve().parents[4]


@dataclass
class Receiver:
    """Answers with ``status``, or not before the test ends where that is 0."""

    server: http.server.ThreadingHTTPServer
    status: int = 204
    got: list[dict[str, Any]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}{PATH}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == PATH and self.headers["Content-Type"] == "application/json"
            here.got.append(json.loads(body))
            if here.status == 0:
                here.over.wait()
                return
            self.send_response(here.status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            """Tests have no log."""

    here = Receiver(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
    thread = threading.Thread(target=here.server.serve_forever)
    thread.start()
    yield here
    here.over.set()
    here.server.shutdown()
    thread.join()
    here.server.server_close()


def test_both_messages_of_a_run_that_fails(play, receiver):
    extra = json.dumps({"awx_user_name": "jane", "awx_inventory_name": "prod"})
    done = play(
        [{"hosts": "one:two", "tasks": [{"ansible.builtin.raw": "env", "changed_when": False}, CHANGE, FAIL]}],
        *("--limit", "one", "--tags", "all,never", "-e", extra, "-vvvv"),
        GROUNDWORK_NOTIFY_URL=receiver.url,
    )
    assert done.code == 2 and not done.warnings
    first, last = receiver.got
    start = {key: first.pop(key) for key in ("run", "controller")}
    assert first == {
        "event": "begun",
        "playbook": "deploy.yml",
        "inventory": "prod",
        "user": "jane",
        "limit": "one",
        "tags": ["all", "never"],
        "text": f"deploy.yml on prod, limited to one, only all, never was begun by jane on {start['controller']}",
    }
    assert {key: last.pop(key) for key in start} == start
    assert last.pop("seconds") >= 0 and "log-line-canary" not in json.dumps(last)
    assert (last["event"], last["result"], last["changed"]) == ("ended", "failed", 1)
    assert last["failed"] == [{"host": "one", "task": "Start <auth>"}]
    # The address is a secret, and the environment of a task was shown.
    assert "ANSIBLE_CONFIG=" in done.output and PATH not in done.output


def test_slack_gets_what_it_understands(play, receiver, tmp_path):
    (tmp_path / "url").write_text(receiver.url + "\n")
    settings = {"GROUNDWORK_NOTIFY_URL_FILE": str(tmp_path / "url"), "GROUNDWORK_NOTIFY_FORMAT": "slack"}
    done = play([{"hosts": "one", "tasks": [CHANGE, FAIL]}], **settings)
    assert done.code == 2
    assert [list(message) for message in receiver.got] == [["text"], ["text"]]
    begin, end = (message["text"] for message in receiver.got)
    assert begin.startswith("deploy.yml on hosts.json was begun by ")
    assert end.startswith("deploy.yml on hosts.json failed after ")
    assert end.endswith(" s, with 1 changed\none: Start &lt;auth&gt;")


@pytest.mark.parametrize(
    ("options", "name"), [(["--check"], "deploy.yml"), ([], "verify.yml")], ids=["check mode", "a look"]
)
def test_nobody_is_told_of_what_changes_nothing(play, receiver, options, name):
    done = play([{"hosts": "one", "tasks": [CHANGE]}], *options, name=name, GROUNDWORK_NOTIFY_URL=receiver.url)
    assert done.code == 0 and receiver.got == []


def test_a_receiver_that_refuses_is_named_in_a_line(play, receiver):
    receiver.status = 404
    done = play([{"hosts": "one", "tasks": [CHANGE]}], GROUNDWORK_NOTIFY_URL=receiver.url)
    assert done.code == 0
    assert [line for line in done.warnings.splitlines() if line] == [
        "[WARNING]: Nobody was notified that deploy.yml begins: the receiver answered 404",
        "[WARNING]: Nobody was notified that deploy.yml ended: the receiver answered 404",
    ]


def test_a_run_that_breaks_off_is_told_of(play, receiver):
    """As one that is interrupted does, it ends without the event that others end with."""
    plays = [{"hosts": "one", "tasks": [CHANGE]}, {"hosts": "{{ nobody_knows }}"}]
    done = play(plays, GROUNDWORK_NOTIFY_URL=receiver.url)
    assert done.code not in (0, 2) and "nobody_knows" in done.warnings
    assert [message.get("result") for message in receiver.got] == [None, "stopped"]
    assert receiver.got[1]["changed"] == 1


def deliver(url: str) -> str:
    reason = notification.deliver(url, {"text": "x"})
    assert "canary" not in reason
    return reason


def test_a_silent_receiver_is_not_waited_for(receiver, monkeypatch):
    receiver.status = 0
    monkeypatch.setattr(notification, "TIMEOUT", 1)
    began = time.monotonic()
    assert deliver(receiver.url) == "no answer within 1 seconds"
    assert time.monotonic() - began < 10


def test_a_redirect_is_no_delivery(receiver):
    receiver.status = 302
    assert deliver(receiver.url) == "the receiver answered 302"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("canary", "the address begins neither with https:// nor with http://"),
        ("http://127.0.0.1:1/canary", "Connection refused"),
        ("http://127.0.0.1:canary/", "InvalidURL"),
        ("http://127.0.0.1/canary with spaces", "InvalidURL"),
    ],
)
def test_addresses_that_are_none(url, said):
    assert said in deliver(url)


def test_slack_is_known_by_its_address():
    assert notification.is_slack("https://hooks.slack.com/services/T/B/x")
    assert not notification.is_slack("https://example.com/hooks.slack.com")


def test_playbooks_that_only_look_are_there():
    assert all((ROOT / "playbooks" / name).is_file() for name in notification.LOOKS_ONLY)
