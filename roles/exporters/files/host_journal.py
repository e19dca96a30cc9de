# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the journal as lines of JSON into files of bounded size, from which the shipper takes it.

The shipper's image has no journalctl, and not every host has rsyslog. What was written last says where to go on: no
line is lost or written twice over a restart of this program or of the host.
"""

from __future__ import annotations

import json
import logging.handlers
import re
import subprocess
import sys
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NoReturn

FILE_BYTES = 10 * 1024 * 1024
FILES = 5
# A host that has nothing to say still says this, so that silence means that something between here and Loki is broken.
MARK_SECONDS = 300
FIELDS = "MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_PID,_SYSTEMD_UNIT,_TRANSPORT"
LEVELS = ("fatal", "fatal", "fatal", "error", "warn", "info", "info", "debug")


class Files(logging.handlers.RotatingFileHandler):
    """Ends the program where a line cannot be written. It is started again, and takes up there."""

    def handleError(self, record: logging.LogRecord) -> NoReturn:
        error = sys.exc_info()[1]
        assert error is not None
        raise error


def service_of(entry: dict[str, Any]) -> str:
    """As many values as the host has services: instances, sessions and transient units are not told apart."""
    if entry.get("_TRANSPORT") == "kernel":
        return "kernel"
    name, _dot, kind = text_of(entry, "_SYSTEMD_UNIT").rpartition(".")
    if kind != "service":
        return "session"
    return "run" if re.match(r"run-([pu][0-9]|r[0-9a-f]{32})", name) else name.partition("@")[0]


def text_of(entry: dict[str, Any], name: str) -> str:
    """Bytes that are no text come as a list of numbers, what an entry has twice as a list, what is too long as null."""
    value = entry.get(name, "")
    if isinstance(value, list):
        is_bytes = all(isinstance(each, int) for each in value)
        value = bytes(value).decode(errors="replace") if is_bytes else value[0]
    return "(too long, see journalctl)" if value is None else str(value)


def level_of(entry: dict[str, Any]) -> str:
    priority = text_of(entry, "PRIORITY")
    return LEVELS[int(priority)] if re.fullmatch("[0-7]", priority) else "info"


def render(entry: dict[str, Any]) -> str:
    seconds = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
    return json.dumps(
        {
            "time": datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="microseconds"),
            "level": level_of(entry),
            "service": service_of(entry),
            "identifier": text_of(entry, "SYSLOG_IDENTIFIER"),
            "pid": text_of(entry, "_PID"),
            "message": text_of(entry, "MESSAGE"),
            "cursor": entry["__CURSOR"],
        }
    )


def last_cursor(path: Path) -> str | None:
    """Of the last line that is whole: a host that lost its power may have half a line there."""
    for each in (path, path.with_name(f"{path.name}.1")):
        lines = each.read_bytes().split(b"\n")[:-1] if each.exists() else []
        for line in reversed(lines):
            try:
                return str(json.loads(line)["cursor"])
            except (ValueError, KeyError, TypeError):
                continue
    return None


def end_half_line(path: Path) -> None:
    if path.exists() and path.stat().st_size and not path.read_bytes().endswith(b"\n"):
        with path.open("ab") as file:
            file.write(b"\n")


def say_mark() -> None:
    """Into the journal, so that the whole way is taken."""
    while True:
        print("mark", flush=True)
        time.sleep(MARK_SECONDS)


def main(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    end_half_line(path)
    cursor = last_cursor(path)
    begin = f"--after-cursor={cursor}" if cursor else "--since=-1h"
    writer = Files(path, maxBytes=FILE_BYTES, backupCount=FILES - 1, encoding="utf-8")
    threading.Thread(target=say_mark, daemon=True).start()
    command = ["journalctl", "--follow", "--no-tail", "--quiet", "--output=json", f"--output-fields={FIELDS}", begin]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as journal:
        try:
            for line in journal.stdout or ():
                writer.emit(logging.makeLogRecord({"msg": render(json.loads(line))}))
        finally:
            journal.terminate()
    return journal.returncode or 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
