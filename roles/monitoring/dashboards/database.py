# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database, what stands before it, and its backups."""

from __future__ import annotations

from .drawing import HOST, Dashboard, Panel, Row
from .queries import highest, increase, rate, series, since, total

DATABASE = Dashboard(
    "database",
    "Database",
    "PostgreSQL, the pooler in front of it, and Redis.",
    (HOST,),
    (
        Row(
            "Connections",
            (
                Panel(
                    "Connections in use",
                    "percentunit",
                    "Share of max_connections.",
                    {"{{host}}": series("postgresql:connections:ratio")},
                    most=1,
                ),
                Panel(
                    "Connections by state",
                    "short",
                    "Those idle in transaction may hold locks.",
                    {"{{host}} {{state}}": total("host, state", series("pg_stat_activity_count")) + " > 0"},
                ),
                Panel(
                    "Longest transaction",
                    "s",
                    "It keeps vacuum from removing rows.",
                    {
                        "{{host}} {{datname}} {{usename}}": highest(
                            "host, datname, usename", series("pg_stat_activity_max_tx_duration")
                        )
                        + " > 0"
                    },
                ),
            ),
        ),
        Row(
            "Work",
            (
                Panel(
                    "Transactions",
                    "ops",
                    "Committed and rolled back.",
                    {
                        "{{host}} {{datname}} committed": total("host, datname", rate("pg_stat_database_xact_commit")),
                        "{{host}} {{datname}} rolled back": total(
                            "host, datname", rate("pg_stat_database_xact_rollback")
                        ),
                    },
                ),
                Panel(
                    "Rows written",
                    "ops",
                    "In all databases.",
                    {
                        "{{host}} inserted": total("host", rate("pg_stat_database_tup_inserted")),
                        "{{host}} updated": total("host", rate("pg_stat_database_tup_updated")),
                        "{{host}} deleted": total("host", rate("pg_stat_database_tup_deleted")),
                    },
                ),
                Panel(
                    "Blocks found in memory",
                    "percentunit",
                    "The others were read from disk, or from the kernel's cache.",
                    {"{{host}} {{datname}}": series("postgresql:cache_hits:ratio15m")},
                    most=1,
                ),
                Panel(
                    "Waiting for a lock",
                    "short",
                    "Sessions. View monitoring.blocked_sessions says for whom.",
                    {
                        "{{host}} {{datname}}": total(
                            "host, datname", series("pg_stat_activity_count", 'wait_event_type="Lock"')
                        )
                    },
                ),
                Panel(
                    "Deadlocks",
                    "short",
                    "Over ten minutes. PostgreSQL ends one of the two.",
                    {"{{host}} {{datname}}": increase("10m", "pg_stat_database_deadlocks")},
                ),
                Panel(
                    "Temporary files",
                    "Bps",
                    "Queries that need more than work_mem spill to disk.",
                    {"{{host}} {{datname}}": total("host, datname", rate("pg_stat_database_temp_bytes"))},
                ),
            ),
        ),
        Row(
            "Size",
            (
                Panel(
                    "Databases",
                    "bytes",
                    "Tables, indexes and all else.",
                    {"{{host}} {{datname}}": series("pg_database_size_bytes")},
                ),
                Panel(
                    "Write-ahead log",
                    "bytes",
                    "It grows while a replication slot or an archive holds it back.",
                    {"{{host}}": series("pg_wal_size_bytes")},
                ),
                Panel(
                    "Oldest transaction",
                    "short",
                    "Age in transactions. At two thousand million PostgreSQL stops writing.",
                    {"{{host}} {{datname}}": series("pg_database_wraparound_age_datfrozenxid_seconds")},
                ),
            ),
        ),
        Row(
            "Pooler",
            (
                Panel(
                    "Clients",
                    "short",
                    "Those that wait have no connection to the database.",
                    {
                        "{{host}} {{database}} {{user}} served": series("pgbouncer_pools_client_active_connections"),
                        "{{host}} {{database}} {{user}} waiting": series("pgbouncer_pools_client_waiting_connections"),
                    },
                ),
                Panel(
                    "Longest wait",
                    "s",
                    "Of the client that waits longest.",
                    {
                        "{{host}} {{database}} {{user}}": highest(
                            "host, database, user", series("pgbouncer_pools_client_maxwait_seconds")
                        )
                    },
                ),
                Panel(
                    "Connections to the database",
                    "short",
                    "Those that work.",
                    {"{{host}} {{database}} {{user}}": series("pgbouncer_pools_server_active_connections")},
                ),
            ),
        ),
        Row(
            "Redis",
            (
                Panel(
                    "Memory",
                    "percentunit",
                    "Share of its limit. At the limit it refuses to write, or drops keys.",
                    {"{{host}}": f"{series('redis_memory_used_bytes')} / ({series('redis_memory_max_bytes')} > 0)"},
                    most=1,
                ),
                Panel(
                    "Commands",
                    "ops",
                    "Of all clients.",
                    {"{{host}}": rate("redis_commands_processed_total")},
                ),
                Panel(
                    "Keys dropped",
                    "short",
                    "Over ten minutes, for want of memory.",
                    {"{{host}}": increase("10m", "redis_evicted_keys_total")},
                ),
            ),
        ),
    ),
)

BACKUPS = Dashboard(
    "backups",
    "Backups",
    "Backups, what they would lose, and drills that restore them. Figures are there from the first run of each.",
    (HOST,),
    (
        Row(
            "Now",
            (
                Panel(
                    "Newest backup",
                    "s",
                    "Its age.",
                    {"{{what}}": since("groundwork_backup_last_success_timestamp_seconds")},
                    number=True,
                    red_from=26 * 3600,
                ),
                Panel(
                    "Last run succeeded",
                    "bool_yes_no",
                    "Of a failed run nothing is kept, and the former backup stays.",
                    {"{{what}}": series("groundwork_backup_last_run_success")},
                    number=True,
                    red_below=1,
                ),
                Panel(
                    "Last check",
                    "s",
                    "Time since the backup was compared with its checksums.",
                    {"{{what}}": since("groundwork_backup_verified_timestamp_seconds")},
                    number=True,
                    red_from=8 * 86400,
                ),
                Panel(
                    "Last drill",
                    "s",
                    "Time since a restore was tried and succeeded.",
                    {"{{host}}": since("groundwork_drill_last_success_timestamp_seconds")},
                    number=True,
                    red_from=9 * 86400,
                ),
            ),
        ),
        Row(
            "What would be lost",
            (
                Panel(
                    "Behind the database",
                    "s",
                    "Age of what the backup's host does not have yet.",
                    {"{{host}}": series("groundwork_backup_wal_lag_seconds")},
                ),
                Panel(
                    "Log not received yet",
                    "bytes",
                    "Write-ahead log on its way, and what the database keeps for it.",
                    {
                        "{{host}} on its way": series("groundwork_backup_wal_lag_bytes"),
                        "{{host}} kept": series("groundwork_backup_slot_retained_bytes"),
                    },
                ),
                Panel(
                    "Drills",
                    "s",
                    "Time to restore, and how much was missing.",
                    {
                        "{{host}} to restore": series("groundwork_drill_rto_seconds"),
                        "{{host}} missing": series("groundwork_drill_rpo_seconds"),
                    },
                ),
            ),
        ),
        Row(
            "Growth",
            (
                Panel(
                    "Size",
                    "bytes",
                    "Of the newest backup.",
                    {"{{host}} {{what}}": series("groundwork_backup_size_bytes")},
                ),
                Panel(
                    "Duration",
                    "s",
                    "Of the newest backup.",
                    {"{{host}} {{what}}": series("groundwork_backup_duration_seconds")},
                ),
            ),
        ),
    ),
    since="now-30d",
)
