# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of a restored server, copied into the live database beside their successors.

A table SCHEMA.NAME becomes restored_SCHEMA.NAME: its columns and rows, without indexes, keys to other tables, triggers
and policies. Nobody but postgres may look at it, and nothing that is there is touched.
"""

from __future__ import annotations

import subprocess
import tempfile

from scratch import ask

LONGEST = 63
# With a partitioned table its partitions, and with a schema all its tables.
FIND = """
select format('%I.%I', pn.nspname, p.relname)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
cross join lateral (select relid from pg_partition_tree(c.oid) union select c.oid) part
join pg_class p on p.oid = part.relid join pg_namespace pn on pn.oid = p.relnamespace
where c.relkind in ('r', 'p') and not c.relispartition and n.nspname = {schema} and {name} in (c.relname, '*')
order by 1
"""


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def wanted(text: str) -> list[tuple[str, str]]:
    """Schema and table of each entry; ``SCHEMA`` alone stands for all its tables, which is ``*``."""
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    pairs = [(schema, name or "*") for schema, _dot, name in (entry.partition(".") for entry in entries)]
    faults = [
        f"{schema}: restored_{schema} is longer than PostgreSQL's {LONGEST} bytes"
        for schema in sorted({schema for schema, _name in pairs})
        if len(f"restored_{schema}".encode()) > LONGEST
    ]
    if not pairs:
        faults = ["tables: none is named; give SCHEMA.TABLE or SCHEMA, several with commas"]
    if faults:
        raise SystemExit("\n".join(faults))
    return pairs


def check_tables(live: str, text: str) -> list[tuple[str, str]]:
    """What was asked for. Refused where an earlier restore's tables are still in the way."""
    pairs = wanted(text)
    schemas = sorted({f"restored_{schema}" for schema, _name in pairs})
    listed = ", ".join(map(literal, schemas))
    there = ask(live, f"select string_agg(nspname, ', ') from pg_namespace where nspname in ({listed})")
    if there:
        raise SystemExit(
            f"{there}: is there from an earlier restore. When nobody needs it any more: drop schema {there} cascade"
        )
    return pairs


def restore_tables(scratch: str, live: str, text: str) -> dict[str, int]:
    """Copy them in one transaction; rows of each by its new name."""
    moves: dict[str, str] = {}
    missing = []
    for schema, name in check_tables(live, text):
        found = ask(scratch, FIND.format(schema=literal(schema), name=literal(name))).splitlines()
        if not found:
            missing.append(f"{schema}.{name}" if name != "*" else f"{schema} (a schema with tables)")
        moves.update(dict.fromkeys(found, f"restored_{schema}"))
    if missing:
        raise SystemExit(f"{', '.join(missing)}: not in the database of that time; {scratch} is still there to look")
    schemas = sorted(set(moves.values()))
    # The restored server is a copy that nobody else uses: what is moved there needs no new name on its way here.
    statements = [f"create schema {identifier(schema)}" for schema in schemas]
    statements += [f"alter table {table} set schema {identifier(schema)}" for table, schema in moves.items()]
    ask(scratch, "; ".join(statements))
    login = ["-h", "127.0.0.1", "-U", "supabase_admin", "-d", "postgres"]
    parts = [word for schema in schemas for word in ("-n", identifier(schema))]
    sections = ["--section=pre-data", "--section=data"]
    # By way of a file: psql would take the end of a dump that breaks off for its end, and commit what it had.
    with tempfile.TemporaryFile(dir="/var/tmp") as file:
        dump = subprocess.run(
            ["docker", "exec", scratch, "pg_dump", *login, "--no-owner", "--no-acl", *sections, *parts],
            stdout=file,
            stderr=subprocess.PIPE,
            check=False,
        )
        file.seek(0)
        done = (
            dump
            if dump.returncode
            else subprocess.run(
                ["docker", "exec", "-i", live, "psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", *login]
                + ["-c", "set role postgres", "-f", "-"],
                stdin=file,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                check=False,
            )
        )
    if done.returncode:
        raise SystemExit(f"nothing was restored, the live database is as it was\n{done.stderr.decode().strip()}")
    listed = ", ".join(map(literal, schemas))
    count = (
        "select n.nspname || '.' || c.relname || ' ' || (xpath('/row/n/text()', query_to_xml("
        "format('select count(*) as n from %I.%I', n.nspname, c.relname), false, true, '')))[1]::text "
        "from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        f"where n.nspname in ({listed}) and c.relkind in ('r', 'p') and not c.relispartition order by 1"
    )
    lines = ask(live, count).splitlines()
    return {line.rpartition(" ")[0]: int(line.rpartition(" ")[2]) for line in lines}
