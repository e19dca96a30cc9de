# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal as files, from a real journald: each message once, also when the program or its host was killed."""

from __future__ import annotations

import json
from pathlib import Path

from postgres_server import ROOT, docker, ensure_image

PROGRAM = ROOT / "roles" / "exporters" / "files" / "host_journal.py"
SCRIPT = r"""
/usr/lib/systemd/systemd-journald &
until [ -S /run/systemd/journal/dev-log ]; do sleep 0.1; done
ln -sf /run/systemd/journal/dev-log /dev/log
wait_for() { for _ in $(seq 100); do grep -qs "$1" /files/journal.log && return; sleep 0.1; done; exit 1; }

logger --priority user.err one
python3 /host_journal.py /files/journal.log &
program=$!
wait_for one
logger --priority user.warning two
wait_for two
kill -9 $program
printf '{"half of a li' >> /files/journal.log
logger --priority kern.info three
python3 /host_journal.py /files/journal.log &
wait_for three
printf 'four \xff\n' | logger
wait_for four
cat /files/journal.log
"""


def test_each_message_is_written_once_over_a_kill(tmp_path: Path) -> None:
    ensure_image("server")
    script = tmp_path / "script"
    script.write_text(SCRIPT, encoding="utf-8")
    options = ["--rm", "--label", "groundwork.integration"]
    options += ["--volume", f"{PROGRAM}:/host_journal.py:ro", "--volume", f"{script}:/script:ro", "--tmpfs", "/files"]
    output = docker("run", *options, "--entrypoint", "bash", "groundwork-lab/server:current", "/script")
    lines = [line for line in output.splitlines() if line.startswith("{")]
    assert lines.count('{"half of a li') == 1
    entries = [json.loads(line) for line in lines if line.endswith("}")]
    said = [(each["level"], each["message"]) for each in entries if each["identifier"] == "root"]
    assert said == [("error", "one"), ("warn", "two"), ("info", "three"), ("info", "four \ufffd")]
    assert {each["service"] for each in entries} == {"session"}
