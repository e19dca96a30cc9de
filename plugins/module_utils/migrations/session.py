# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection that sends many statements in one round trip, and that sees who blocks it while it waits."""

from __future__ import annotations

import random
import select
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import (
    Blocked,
    attempts,
    connect,
    has_lock,
    holders,
)

if TYPE_CHECKING:
    import psycopg
    from psycopg import pq

# lock_not_available and deadlock_detected (PostgreSQL manual, "PostgreSQL Error Codes").
TRY_AGAIN = ("55P03", "40P01")
# Seconds between two looks at who blocks us. At least two looks fall into the time that a statement waits for a lock.
MAX_LOOK = 1.0
LOCK_TIMEOUT = "select set_config('lock_timeout', {}, false)"
BLOCKERS = """
select b.pid, a.usename, a.application_name, a.backend_type, date_trunc('second', a.xact_start)::text, a.state,
  left(regexp_replace(a.query, '\\s+', ' ', 'g'), 80)
from (select distinct unnest(pg_blocking_pids(%s)) as pid) b left join pg_stat_activity a using (pid)
order by a.xact_start, b.pid
"""


class Failed(Exception):
    """A statement that the server refused. index: its place in what was sent; position: in it, in characters from 1."""

    def __init__(self, index: int, message: str, sqlstate: str = "", position: int | None = None) -> None:
        super().__init__(message)
        self.index = index
        self.message = message
        self.sqlstate = sqlstate
        self.position = position


@dataclass
class Session:
    """One connection and its patience.

    lock_timeout: milliseconds that a statement waits for a lock; lock_retries: further attempts after the first one.
    """

    connection: psycopg.Connection[Any]
    params: Mapping[str, Any]
    blockers: str = ""
    _watcher: psycopg.Connection[Any] | None = None

    def __post_init__(self) -> None:
        self.lock_timeout = int(self.params["lock_timeout"])
        self.lock_retries = max(0, int(self.params["lock_retries"]))
        self._look = min(MAX_LOOK, self.lock_timeout / 3000) or MAX_LOOK

    def lock(self) -> None:
        """Take the session's advisory lock; raises GroundworkError where another run holds it."""
        import psycopg

        remedy = "wait for that run to end, then run again"
        try:
            for _attempt in attempts(self.connection, self.lock_timeout):
                if has_lock(self.connection, "pg_try_advisory_lock"):
                    return
        except Blocked as blocked:
            cause = f"another run is migrating this database; {holders(self.connection, blocked)}"
            raise GroundworkError("migrations", cause, remedy) from blocked
        except psycopg.Error as error:
            cause = f"the lock that keeps two runs apart could not be taken: {str(error).strip()}"
            raise GroundworkError("migrations", cause, remedy) from error

    def limit_waiting(self, milliseconds: int) -> bytes:
        """A statement that sets how long the statements after it wait for a lock."""
        from psycopg import sql

        return sql.SQL(LOCK_TIMEOUT).format(sql.Literal(str(milliseconds))).as_bytes(self.connection)

    def ask(self, query: str, arguments: Sequence[Any]) -> tuple[Any, ...] | None:
        """The first row of a query of our own; raises Failed."""
        import psycopg

        try:
            return self.connection.execute(query.encode(), arguments).fetchone()
        except psycopg.Error as error:
            raise Failed(-1, str(error).strip(), error.sqlstate or "") from error

    def send_with_retries(self, statements: Sequence[bytes]) -> None:
        """Send a whole transaction, again where it waited for a lock in vain or met a deadlock; raises Failed.

        Between two attempts others get about as long as they were kept waiting, by chance more or less, so that two
        who meet do not meet again.
        """
        for attempt in range(self.lock_retries + 1):
            try:
                return self.send(statements)
            except Failed as failed:
                if failed.sqlstate not in TRY_AGAIN or attempt == self.lock_retries:
                    raise
            self.pause()

    def pause(self) -> None:
        time.sleep(self.lock_timeout / 1000 * random.uniform(0.5, 1.0))

    def send(self, statements: Sequence[bytes]) -> None:
        """Send statements in one round trip, each by itself by the extended protocol. Raises Failed for the first.

        A single statement goes outside of the pipeline, since some run only there. What is left open is rolled back.
        """
        import psycopg

        self.blockers = ""
        server = self.connection.pgconn
        try:
            failed = (
                self._send_one(server, statements[0]) if len(statements) == 1 else self._pipeline(server, statements)
            )
            if failed and server.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                self.connection.execute("rollback")
        except psycopg.OperationalError as error:
            failed = Failed(-1, str(error).strip())
        finally:
            self._end_watch()
        if failed:
            raise failed

    def _send_one(self, server: pq.abc.PGconn, statement: bytes) -> Failed | None:
        server.send_query_params(statement, None)
        return self._outcome(server, 0)

    def _pipeline(self, server: pq.abc.PGconn, statements: Sequence[bytes]) -> Failed | None:
        # Not blocking: results of any size may come while there is still something to send.
        server.nonblocking = 1
        server.enter_pipeline_mode()
        for statement in statements:
            server.send_query_params(statement, None)
        server.pipeline_sync()
        first = None
        for index in range(len(statements)):
            # After the first failure PostgreSQL skips the rest.
            failed = self._outcome(server, index)
            first = first or failed
        self._wait(server)
        server.get_result()
        server.exit_pipeline_mode()
        server.nonblocking = 0
        return first

    def _outcome(self, server: pq.abc.PGconn, index: int) -> Failed | None:
        """Wait for a statement's results and read them to their end."""
        from psycopg.pq import ExecStatus

        copying = (ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH)
        failed = None
        while True:
            self._wait(server)
            result = server.get_result()
            if result is None:
                return failed
            if result.status in copying:
                # It would come for ever.
                self.connection.close()
                raise Failed(index, "it would take its data from the client, or give it to it")
            if result.status == ExecStatus.FATAL_ERROR and not failed:
                failed = failure(index, result)

    def _wait(self, server: pq.abc.PGconn) -> None:
        while server.is_busy():
            unsent = server.flush()
            readable, writable, _failed = select.select(
                [server.socket], [server.socket] if unsent else [], [], self._look
            )
            if readable:
                server.consume_input()
            elif not writable:
                self._see_blockers()

    def _see_blockers(self) -> None:
        """Note who blocks us now: once the statement is given up, the server no longer knows."""
        import psycopg

        try:
            self._watcher = self._watcher or connect(self.params)
            rows = self._watcher.execute(BLOCKERS, [self.connection.info.backend_pid]).fetchall()
        except (psycopg.Error, GroundworkError) as error:
            self.blockers = f"; who blocks it could not be asked ({str(error).strip().splitlines()[0]})"
            return
        if rows:
            self.blockers = "; it is blocked by " + ", and by ".join(describe_blocker(*row) for row in rows)

    def _end_watch(self) -> None:
        if self._watcher:
            self._watcher.close()
            self._watcher = None


def describe_blocker(
    pid: int,
    role: str | None,
    application: str | None,
    kind: str | None,
    since: str | None,
    state: str | None,
    query: str,
) -> str:
    if not pid:
        return "a prepared transaction (see pg_prepared_xacts)"
    who = f"role {role}" if role else kind or "unknown"
    program = f", application {application}" if application else ""
    begun = f", in a transaction since {since}" if since else ""
    return f"process {pid} ({who}{program}{begun}, {state or 'at work'}: {query})"


def failure(index: int, result: pq.abc.PGresult) -> Failed:
    """What the server says, without the excerpt of the statement that clients add: it may hold a secret."""
    from psycopg.pq import DiagnosticField

    def text(name: DiagnosticField) -> str:
        return (result.error_field(name) or b"").decode(errors="replace")

    fields = (DiagnosticField.MESSAGE_PRIMARY, DiagnosticField.MESSAGE_DETAIL, DiagnosticField.MESSAGE_HINT)
    message = "; ".join(filter(None, map(text, fields)))
    position = text(DiagnosticField.STATEMENT_POSITION)
    message = message or result.error_message.decode(errors="replace").strip()
    return Failed(index, message, text(DiagnosticField.SQLSTATE), int(position) if position else None)
