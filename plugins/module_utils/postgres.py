# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place that talks to PostgreSQL."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName, quote_identifier
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import Step, sql

try:
    import psycopg
    from psycopg import pq

    PSYCOPG_ERROR = None
except ImportError:
    PSYCOPG_ERROR = traceback.format_exc()

# Names as in community.postgresql; login_password_file is ours, so that a password need not leave its host.
LOGIN_ARGUMENTS: dict[str, Any] = {
    "login_host": {"type": "str", "default": "127.0.0.1"},
    "login_port": {"type": "int", "default": 5432},
    "login_user": {"type": "str", "default": "postgres"},
    "login_password": {"type": "str", "no_log": True},
    "login_password_file": {"type": "path", "no_log": False},
    "login_db": {"type": "str", "default": "postgres"},
    "ssl_mode": {
        "type": "str",
        "choices": ["allow", "disable", "prefer", "require", "verify-ca", "verify-full"],
        "default": "prefer",
    },
    "ca_cert": {"type": "path"},
}
LOCK_ARGUMENTS: dict[str, Any] = {"lock_timeout": {"type": "int", "default": 4000}}

# Any constant does, as long as every deployer takes the same: the first eight bytes of "groundwork" as a bigint.
ADVISORY_LOCK = 0x67726F756E64776F
LOCK_NOT_AVAILABLE = "55P03"
# By SQLSTATE or its class (manual, appendix "PostgreSQL Error Codes"), where nothing is wrong with the declaration.
REMEDIES = {
    "25006": "connect to the primary",
    "42501": "connect as a role that may do it, or let its owner",
    "40": "run again",
    "53": "see to the server's disk, memory and connections, then run again",
    "57P": "somebody ended it: see to the server, then run again",
    "58": "see to the server's log, then run again",
}
# By lower-case words of the client library and of Supavisor, where no SQLSTATE tells why nobody was let in.
POOLER_REMEDY = (
    "log in as ROLE.PROJECT, by which the pooler knows the project, and at the host that it gives the project"
)
LOGIN_REMEDIES = {
    "certificate": "check that ca_cert holds the authority of the server's certificate, and that this names login_host",
    "network is unreachable": "a host with IPv6 addresses only needs IPv6 here; take the session pooler of a hosted "
    "project instead, or add IPv4 to it",
    "tenant or user not found": POOLER_REMEDY,
    "tenant/user": POOLER_REMEDY,
}
# How expressions are read and written depends on these: a server that rounds floating point numbers, as Supabase's,
# writes two of them alike. Milliseconds for the lock's.
PIN = """
select set_config('search_path', 'pg_catalog', true), set_config('TimeZone', 'UTC', true),
  set_config('DateStyle', 'ISO, YMD', true), set_config('IntervalStyle', 'postgres', true),
  set_config('standard_conforming_strings', 'on', true), set_config('quote_all_identifiers', 'off', true),
  set_config('client_min_messages', 'warning', true), set_config('extra_float_digits', '1', true),
  set_config('statement_timeout', '0', true),
  set_config('lock_timeout', %s, true)
"""
# Whoever only waits for the strongest lock holds up everybody who came later.
HOLDERS = r"""
select distinct a.pid, a.usename, nullif(a.application_name, ''), date_trunc('second', now() - a.xact_start),
  left(regexp_replace(a.query, '\s+', ' ', 'g'), 80)
from pg_locks l join pg_stat_activity a using (pid)
where a.pid <> pg_backend_pid()
  and l.database = (select oid from pg_database where datname = current_database())
  and case when %(relations)s::text[] = '{}' then
        l.granted and l.locktype = 'advisory' and l.objsubid = 1
        and (l.classid::bigint << 32 | l.objid::bigint) = %(lock)s
      else l.relation = any (array(select to_regclass(name)::oid from unnest(%(relations)s::text[]) name))
        and (l.mode = 'AccessExclusiveLock' or l.granted and not %(reading)s) end
order by a.pid
"""
# Seconds between two attempts to take the lock that keeps two runs apart.
LOCK_POLL = 0.1
# Statements sent before their answers are read. Answers to these statements are short, so no buffer fills up.
BATCH = 500


class Unreachable(GroundworkError):
    """The server cannot be reached, or not yet: nothing listens, no client library, no password."""


def connect(params: Mapping[str, Any]) -> psycopg.Connection[Any]:
    """Open a connection by the login arguments.

    Raises Unreachable when psycopg, the password or the server is missing, GroundworkError when it does not let us in.
    """
    server = f"database {params['login_db']} at {params['login_host']}:{params['login_port']}"
    if PSYCOPG_ERROR:
        raise Unreachable(server, "the host has no psycopg 3", "install python3-psycopg")
    password = params["login_password"]
    if params["login_password_file"]:
        path = Path(params["login_password_file"])
        try:
            password = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise Unreachable(server, f"its password cannot be read: {error}", f"check {path}") from error
    try:
        return psycopg.connect(
            host=params["login_host"],
            port=params["login_port"],
            user=params["login_user"],
            password=password,
            dbname=params["login_db"],
            sslmode=params["ssl_mode"],
            sslrootcert=params["ca_cert"],
            connect_timeout=10,
            application_name="groundwork",
            autocommit=True,
        )
    except psycopg.OperationalError as error:
        remedy = login_remedy(str(error), params["login_user"])
        # An answer with an SQLSTATE came from the server; without one nobody answered.
        kind = GroundworkError if error.sqlstate or "FATAL" in str(error) else Unreachable
        raise kind(server, str(error).strip().splitlines()[0], remedy) from error


def login_remedy(message: str, user: str) -> str:
    """What to do about a login that failed, by what was said of it."""
    usual = f"check that it runs and that {user} may log in"
    return next((remedy for words, remedy in LOGIN_REMEDIES.items() if words in message.lower()), usual)


class Blocked(Exception):
    """A lock was waited for in vain. Without relations it is the lock that keeps two runs apart.

    reading: only the strongest lock stands in the way of a statement that reads.
    """

    def __init__(self, object: str, relations: Sequence[QualifiedName] = (), reading: bool = False) -> None:
        super().__init__(object)
        self.object = object
        self.relations = tuple(relations)
        self.reading = reading


@contextmanager
def exclusive(params: Mapping[str, Any], check_mode: bool) -> Iterator[psycopg.Connection[Any]]:
    """One transaction that no second run shares. It is taken back in check mode, and when anything fails.

    params: the login arguments and lock_timeout. Raises GroundworkError, which names the holders of a lock.
    """
    with connect(params) as connection:
        try:
            for _attempt in attempts(connection, int(params["lock_timeout"])):
                # In a transaction of its own: what is left open by the last one has a snapshot as well.
                with connection.transaction(force_rollback=check_mode):
                    connection.execute(PIN, [str(params["lock_timeout"])])
                    if has_lock(connection, "pg_try_advisory_xact_lock"):
                        yield connection
                        return
        except Blocked as blocked:
            cause = f"no lock within {params['lock_timeout']} ms; {holders(connection, blocked)}"
            raise GroundworkError(
                blocked.object, cause, "let that end, then run again; nothing was changed"
            ) from blocked
        except psycopg.Error as error:
            # Outside of a step: the catalog, the lock, the commit, of which nobody knows whether it went through.
            cause = next(iter(str(error).strip().splitlines()), "the connection was lost")
            remedy = _remedy(error.sqlstate or "") or "see to the server, then run again"
            raise GroundworkError(f"database {params['login_db']}", cause, remedy) from error


def attempts(connection: psycopg.Connection[Any], timeout: int) -> Iterator[None]:
    """To take the lock that keeps two runs apart; raises Blocked after so many milliseconds, never where they are 0.

    It is asked for again and again: a statement that waits holds a snapshot, and whoever has the lock may be building
    an index concurrently, which waits for every snapshot. The server would end that build as a deadlock.
    """
    end = time.monotonic() + timeout / 1000
    while True:
        yield
        if timeout and time.monotonic() >= end:
            raise Blocked(f"database {connection.info.dbname}")
        time.sleep(LOCK_POLL)


def has_lock(connection: psycopg.Connection[Any], function: str) -> bool:
    query = sql.SQL("select {}(%s)").format(sql.Identifier(function))
    ((taken,),) = connection.execute(query, [ADVISORY_LOCK]).fetchall()
    return bool(taken)


def holders(connection: psycopg.Connection[Any], blocked: Blocked) -> str:
    names = [".".join(map(quote_identifier, name)) for name in blocked.relations]
    arguments = {"relations": names, "lock": ADVISORY_LOCK, "reading": blocked.reading}
    rows = connection.execute(HOLDERS, arguments).fetchall()
    if not rows:
        return "whoever held it has let go since"
    held = [
        f"process {pid} of {role}{f' ({application})' if application else ''} for {since or 'an unknown time'}: {query}"
        for pid, role, application, since, query in rows
    ]
    return "it is held by " + ", ".join(held)


def run_steps(connection: psycopg.Connection[Any], steps: Sequence[Step]) -> None:
    """Send all steps of a transaction, many to a round trip, each by itself by the extended protocol.

    Raises GroundworkError naming the step that failed, Blocked where it waited for a lock in vain.
    """
    for start in range(0, len(steps), BATCH):
        batch = steps[start : start + BATCH]
        for step, failed in zip(batch, _pipeline(connection, batch)):
            if failed:
                raise _error(step, failed)


def _pipeline(connection: psycopg.Connection[Any], steps: Sequence[Step]) -> list[pq.abc.PGresult | None]:
    """The result of every step that failed. After the first failure PostgreSQL skips the rest."""
    server = connection.pgconn
    failures: list[pq.abc.PGresult | None] = []
    server.enter_pipeline_mode()
    try:
        for step in steps:
            server.send_query_params(step.statement.as_bytes(connection), None)
        server.pipeline_sync()
        for _step in steps:
            result = server.get_result()
            failures.append(result if result and result.status == pq.ExecStatus.FATAL_ERROR else None)
            while result:
                result = server.get_result()
        server.get_result()
    finally:
        server.exit_pipeline_mode()
    return failures


def _error(step: Step, failed: pq.abc.PGresult) -> Exception:
    def field(name: pq.DiagnosticField) -> str:
        return (failed.error_field(name) or b"").decode(errors="replace")

    state = field(pq.DiagnosticField.SQLSTATE)
    if state == LOCK_NOT_AVAILABLE:
        return Blocked(step.object, step.relations)
    # Functions of extensions pack their whole call stack into the message.
    message = next(iter(field(pq.DiagnosticField.MESSAGE_PRIMARY).splitlines()), "")
    parts = [message, field(pq.DiagnosticField.MESSAGE_DETAIL)]
    cause = "; ".join(part for part in parts if part) or failed.error_message.decode(errors="replace").strip()
    where = f" ({step.origin})" if step.origin else ""
    remedy = field(pq.DiagnosticField.MESSAGE_HINT) or _remedy(state) or "correct it"
    return GroundworkError(f"{step.object}{where}", cause, f"{remedy}; nothing was changed")


def _remedy(state: str) -> str:
    return next((REMEDIES[part] for part in (state, state[:3], state[:2]) if part in REMEDIES), "")
