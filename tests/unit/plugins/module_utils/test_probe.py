# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import threading
import time
from xml.etree import ElementTree

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.probe import (
    backups,
    certificate,
    host,
    ports,
    queries,
    report,
    websocket,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.checks import (
    FAILED,
    OK,
    SKIPPED,
    WARNING,
    Check,
    Outcome,
    Seen,
    failed,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.http_request import Answer, Request
from ansible_collections.groundwork.supabase.plugins.module_utils.probe.runner import make_all

HOUR = 3600
DAY = 24 * HOUR
FAULT = Fault("rest", "it answered 502", "look at the gateway")


def lifetime(seconds):
    begin = 1_700_000_000
    form = "%b %d %H:%M:%S %Y GMT"
    dates = [time.strftime(form, time.gmtime(at)) for at in (begin, begin + seconds)]
    return begin + seconds, {"notBefore": dates[0], "notAfter": dates[1]}


@pytest.mark.parametrize(
    ("whole", "left", "verdict"),
    [
        (12 * HOUR, 3 * HOUR, OK),
        (12 * HOUR, 1 * HOUR, FAILED),
        (6 * DAY, 25 * HOUR, OK),
        (90 * DAY, 20 * DAY, OK),
        (90 * DAY, 13 * DAY, FAILED),
        (398 * DAY, 15 * DAY, OK),
        (398 * DAY, 13 * DAY, FAILED),
    ],
)
def test_a_certificate_is_renewed_in_time_whatever_its_lifetime(whole, left, verdict):
    ends, dates = lifetime(whole)
    assert certificate.judge("it", "TLSv1.3", dates, ends - left).verdict == verdict


def test_old_tls_is_a_fault():
    ends, dates = lifetime(90 * DAY)
    seen = certificate.judge("it", "TLSv1.1", dates, ends - 60 * DAY)
    assert (seen.text, seen.verdict) == ("TLSv1.1, 60 days left", FAILED)
    assert certificate.span(HOUR) == "1 hour" and certificate.span(49 * HOUR) == "2 days"


def test_a_websocket_needs_the_proof():
    # The example of RFC 6455, section 1.3.
    key, proof = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    request = websocket.opening(Request("ws", "wss://a.test/", "GET", {"apikey": "x"}, "", (101,), ""), key)
    assert request.headers["apikey"] == "x" and request.headers["Upgrade"] == "websocket"

    def judged(status, headers, expected=(101,)):
        request = Request("ws", "wss://a.test/", "GET", {}, "", expected, "")
        return websocket.judge_opening(request, key, Answer(status, "", headers))

    assert judged(101, {"sec-websocket-accept": proof}) is None
    assert "without the proof" in str(judged(101, {}))
    assert "it answered 401 where 101 is right" in str(judged(401, {}))
    assert judged(401, {}, (401,)) is None


def test_a_command_to_redis_is_made_of_lengths():
    assert ports.encoded("AUTH", "pä ss\r\n") == b"*2\r\n$4\r\nAUTH\r\n$8\r\np\xc3\xa4 ss\r\n\r\n"


def test_a_row_says_whether_all_is_well():
    assert queries.judge_row("q", [(True, 3)]) == Seen("3")
    assert queries.judge_row("q", [(False, "5 slots")]).fault.cause == "5 slots"
    for rows in ([], [(True,)], [(1, "x")], [(None, "x")], [(True, "x"), (True, "y")]):
        with pytest.raises(GroundworkError, match="not a yes or no and a text"):
            queries.judge_row("q", rows)


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (200, '{"data": {"result": []}}', None),
        (200, '{"data": {"result": [{"metric": {"__name__": "up", "b": "2", "a": "1"}}]}}', "up{a=1,b=2}"),
        (200, json.dumps({"data": {"result": [{"metric": {}}] * 4}}), "finds 4: {}, {}, {}, …"),
        (400, '{"error": "parse error"}', "it answered 400"),
        (0, "timed out", "no answer: timed out"),
    ],
)
def test_what_a_query_finds_is_wrong(status, body, text):
    seen = queries.judge_series("q", Answer(status, body))
    assert (seen.fault is None) if text is None else (text in str(seen.fault))


@pytest.mark.parametrize("body", ["<html>", '{"data": {"result": [1, "2"]}}', '{"data": {}}', "[]"])
def test_an_answer_that_is_no_vector_is_said(body):
    with pytest.raises(GroundworkError, match="it gives no vector"):
        queries.judge_series("q", Answer(200, body))
    assert (
        queries.query_url("http://p:9090/", 'up{a="b c"}') == "http://p:9090/api/v1/query?query=up%7Ba%3D%22b%20c%22%7D"
    )


def test_the_filesystems_are_those_that_last():
    mounts = (
        "overlay / overlay rw 0 0\ntmpfs /run tmpfs rw 0 0\n/dev/sda1 /srv/a\\040b ext4 rw 0 0\n"
        "overlay /var/lib/docker/overlay2/x/merged overlay rw 0 0\n/dev/sdb /data xfs rw 0 0\n"
    )
    assert list(host.mount_points(mounts)) == ["/", "/srv/a b", "/data"]


@pytest.mark.parametrize(
    ("size", "free", "inodes", "free_inodes", "verdict"),
    [
        (100, 10, 100, 50, OK),
        (100, 9, 100, 50, FAILED),
        (100, 50, 100, 9, FAILED),
        (100, 50, 0, 0, OK),
        (0, 0, 0, 0, FAILED),
    ],
)
def test_space_and_inodes(size, free, inodes, free_inodes, verdict):
    assert host.judge_disk("/", size, free, inodes, free_inodes, 10).verdict == verdict


def test_memory():
    assert host.judge_memory("MemTotal: 1000 kB\nMemAvailable:  60 kB\n").verdict == OK
    assert host.judge_memory("MemTotal: 1000 kB\nMemAvailable:  40 kB\n").verdict == FAILED


def test_the_clock_of_a_container_is_its_machines():
    assert host.judge_clock(True, 0, "no").verdict == SKIPPED
    assert host.judge_clock(False, 0, "yes\n").verdict == OK
    assert host.judge_clock(False, 0, "no\n").text == "not synchronised"
    assert host.judge_clock(False, 127, "there is no timedatectl").text == "timedatectl: there is no timedatectl"
    assert host.judge_clock(False, 1, "").text == "timedatectl: ended with 1"


def test_failed_units_and_a_reboot():
    assert host.judge_systemd(0, "").verdict == OK
    failing = host.judge_systemd(0, "a.service loaded failed failed A\nb.timer loaded failed failed B\n")
    assert failing.text == "a.service, b.timer" and "systemctl status a.service" in failing.fault.remedy
    assert host.judge_systemd(1, "no bus\nsee log").text == "systemctl: no bus"
    assert host.judge_reboot(False, []).verdict == OK
    assert host.judge_reboot(True, ["libc6", "linux", "libc6"]) == Seen("needed by libc6, linux", WARNING)


def test_a_unit_names_what_does_not_serve():
    assert host.judge_unit("edge", None, 0, {}).fault.remedy == "run site.yml"
    seen = host.judge_unit("edge", "r1", 2, {"caddy": "exited with 1"})
    assert seen.text == "do not serve: caddy, exited with 1"
    assert seen.fault.remedy.startswith("docker logs edge-caddy-1 ")
    assert host.judge_unit("edge", "r1", 2, {}).text == "2 of 2 serve, r1"


def test_backups_by_their_metrics():
    metrics = (
        'groundwork_backup_last_success_timestamp_seconds{what="postgres"} 1.7e+09\n'
        '# HELP x\ngroundwork_backup_last_run_success{what="postgres"} 1\n'
        'groundwork_backup_last_run_success{what="config"} 0\n'
        'groundwork_backup_last_success_timestamp_seconds{what="redis"} 1700000000\n'
        'groundwork_backup_last_run_success{what="redis"} 0\n'
        'groundwork_backup_size_bytes{what="redis"} 7\n'
    )
    found = {backup.what: backup for backup in backups.read_backups(metrics)}
    assert found.keys() == {"postgres", "config", "redis"}
    soon, late = 1_700_000_000 + 25 * HOUR, 1_700_000_000 + 27 * HOUR
    assert backups.judge_backup(found["postgres"], soon, 26) == Seen("25 hours old")
    assert "older than 26 hours" in str(backups.judge_backup(found["postgres"], late, 26).fault)
    assert "the last run failed" in str(backups.judge_backup(found["redis"], soon, 26).fault)
    assert "none was ever made" in str(backups.judge_backup(found["config"], soon, 26).fault)


OUTCOMES = [
    Outcome("Auth is well", "http", Seen("200"), 34),
    Outcome("Reboot", "host", Seen("needed by linux", WARNING), 0),
    Outcome("Clock", "host", Seen("a container's", SKIPPED), 1),
    Outcome('REST <"é">\n', "http", failed("502 " + "x" * 90, FAULT), 1200),
]


def test_the_table_reads_well():
    lines = report.table(OUTCOMES).splitlines()
    assert lines[0] == "ok       Auth is well     34 ms  200"
    assert lines[-1] == "4 checks: 1 ok, 1 warning, 1 skipped, 1 FAILED"
    assert report.table([]) == "0 checks: nothing was asked"
    assert max(map(len, lines)) < 120


def test_junit_is_a_document_whatever_the_names():
    odd = Outcome("\x00\x1b[31m]]>&", "http", failed("\ud800", FAULT), 1)
    root = ElementTree.fromstring(report.junit([*OUTCOMES, odd], 'h"1').encode("utf-8", "strict"))
    suite = root.find("testsuite")
    assert suite.attrib == {
        "name": 'h"1', "tests": "5", "failures": "2", "errors": "0", "skipped": "1", "time": "1.236",
    }  # fmt: skip
    assert [len(case.findall("failure")) for case in suite] == [0, 0, 0, 1, 1]
    assert suite[3].find("failure").text == str(FAULT)


def test_metrics_leave_out_what_was_skipped():
    text = report.metrics(OUTCOMES, 1700000000.4)
    assert 'groundwork_probe_success{check="Auth is well"} 1\n' in text
    assert 'groundwork_probe_success{check="Reboot"} 1\n' in text
    assert 'groundwork_probe_success{check="REST <\\"é\\">\\n"} 0\n' in text
    assert 'groundwork_probe_duration_seconds{check="Auth is well"} 0.034\n' in text
    assert "Clock" not in text and text.endswith("groundwork_probe_timestamp_seconds 1700000000\n")


def test_outcomes_keep_their_order_and_jobs_theirs():
    made = []

    def look(number):
        time.sleep(0.002 * (10 - number))
        made.append(number)
        return Seen(str(number))

    jobs = [[Check(str(n), "x", lambda n=n: look(n)) for n in range(start, start + 2)] for start in range(0, 10, 2)]
    outcomes = make_all(jobs, 5, width=3)
    assert [outcome.seen.text for outcome in outcomes] == [str(number) for number in range(10)]
    assert all(made.index(number) < made.index(number + 1) for number in range(0, 10, 2))


def test_what_hangs_is_left_behind():
    """More hang than there are threads, and the one after them is made all the same."""
    forever = threading.Event()
    hanging = Check("hangs", "x", forever.wait)
    after = Check("after", "x", lambda: Seen("well"))
    began = time.monotonic()
    outcomes = make_all([[hanging, after], [hanging], [hanging], [after]], timeout=0.0, width=2)
    assert time.monotonic() - began < 10
    forever.set()
    assert [outcome.seen.verdict for outcome in outcomes] == [FAILED, FAILED, FAILED, FAILED, OK]
    assert outcomes[0].seen.text == "nothing within 0 s"


def test_what_breaks_is_a_fault_of_its_check():
    def breaks(error):
        raise error

    def outcome(error):
        return make_all([[Check("c", "x", lambda: breaks(error))]], 5)[0].seen

    assert outcome(GroundworkError("db", "gone", "start it")).fault == Fault("db", "gone", "start it")
    assert outcome(ConnectionRefusedError(111, "Connection refused")).text == "Connection refused"
    assert outcome(KeyError("x")).text == "the check broke: KeyError: 'x'"
    assert make_all([], 5) == []
