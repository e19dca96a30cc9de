# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a beat into the database every second, and measures how far the received WAL is behind.

The last beat that was acknowledged lies on this host, which outlives the database's: after a restore the difference
to the newest beat in the restored database is what was lost.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import psycopg2

sys.path.insert(0, str(Path(__file__).resolve().parent))
from metrics import write_metrics

SETTINGS: dict[str, Any] = json.loads(Path("/etc/groundwork-backup/settings.json").read_text(encoding="utf-8"))
ACKNOWLEDGED = Path("/var/lib/groundwork-backup/beat.json")
LAG = """
select coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), r.write_lsn), -1),
  coalesce(pg_wal_lsn_diff(r.write_lsn, '0/0'), 0),
  pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0'), coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn), 0)
from (select 1) one
left join pg_replication_slots s on s.slot_name = 'groundwork_backup'
left join pg_stat_replication r on r.pid = s.active_pid
"""
# The newest beat of before the database started stays, too: after a restore it says what was lost.
FORGET = """
delete from groundwork_backup.heartbeat where at < now() - interval '1 hour' and at is distinct from
  (select max(at) from groundwork_backup.heartbeat where at < pg_postmaster_start_time())
"""
BEAT = "insert into groundwork_backup.heartbeat default values returning beat, extract(epoch from at)"


def acknowledge(beat: int, at: float) -> None:
    new = ACKNOWLEDGED.with_suffix(".new")
    new.write_text(json.dumps({"beat": beat, "acknowledged": at}), encoding="utf-8")
    os.replace(new, ACKNOWLEDGED)


def connect() -> Any:
    server = SETTINGS["server"]
    connection = psycopg2.connect(
        host="127.0.0.1",
        port=server["port"],
        user=server["role"],
        dbname="postgres",
        sslmode="require",
        passfile="/var/lib/barman/.pgpass",
        connect_timeout=5,
        application_name="groundwork_heartbeat",
        options="-c statement_timeout=5000",
    )
    connection.autocommit = True
    return connection


def measure(cursor: Any, sent: deque[tuple[float, float]]) -> dict[str, float]:
    """``sent`` holds time and position of beats that may not have been received yet."""
    cursor.execute(LAG)
    behind, received, current, retained = map(float, cursor.fetchone())
    now = time.time()
    sent.append((now, current))
    while sent and sent[0][1] <= received:
        sent.popleft()
    return {
        "groundwork_backup_wal_receiver_up": float(behind >= 0),
        "groundwork_backup_wal_lag_bytes": max(behind, 0),
        "groundwork_backup_wal_lag_seconds": now - sent[0][0] if sent else 0,
        "groundwork_backup_slot_retained_bytes": retained,
    }


def beat(connection: Any) -> None:
    sent: deque[tuple[float, float]] = deque(maxlen=100_000)
    with connection.cursor() as cursor:
        for number in range(sys.maxsize):
            began = time.monotonic()
            cursor.execute(BEAT)
            number_of_beat, at = cursor.fetchone()
            acknowledge(int(number_of_beat), float(at))
            samples = measure(cursor, sent)
            if number % 5 == 0:
                write_metrics(SETTINGS["metrics_dir"], "backup_wal", samples)
            if number % 60 == 59:
                cursor.execute(FORGET)
            time.sleep(max(0.0, 1 - (time.monotonic() - began)))


def main() -> None:
    while True:
        try:
            beat(connect())
        except psycopg2.Error as error:
            print(f"database: {str(error).strip()}; trying again", flush=True)
            write_metrics(SETTINGS["metrics_dir"], "backup_wal", {"groundwork_backup_wal_receiver_up": 0})
            time.sleep(2)


if __name__ == "__main__":
    main()
