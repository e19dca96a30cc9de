# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry out a plan: each migration with its record, in one transaction or, where that cannot be, in several."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations.files import (
    History,
    Progress,
    Script,
    Seed,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations.history import Records, creation
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations.plan import Plan, Step
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations.session import TRY_AGAIN, Failed, Session
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations.statements import (
    Segment,
    concurrent_index,
    head,
    makes_setting,
    runs_alone,
    segments,
    waits_quietly,
)

# A file may leave settings behind, a dumped one an empty search_path. The CLI resets them, too; the lock stays.
RESET = [
    b"reset all",
    b"reset session authorization",
    # So that the server notices a client that was killed, and lets its locks go.
    b"select set_config('client_encoding', 'UTF8', false), set_config('client_connection_check_interval', '1s', false)",
]
# Records are written as the role that connected, whatever role the file took on.
AS_OURSELVES = b"reset session authorization"
# The server cuts the name to the length that it keeps, as it did when the index was made.
INDEX = """
select i.indisvalid, n.nspname, c.relname
from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_index i on i.indexrelid = c.oid
where c.relname = %s and i.indrelid = to_regclass(%s)
"""
# The server ends, or an administrator ended our connection.
CONNECTION_LOST = ("57P01", "57P02", "57P03")
# Errors that say "already exists" (PostgreSQL manual, "PostgreSQL Error Codes", class 42).
DUPLICATES = ("42P07", "42710", "42701", "42P06", "42723", "42P04")


@dataclass(frozen=True)
class Sent:
    """What is sent, and what it is for a person. number: position of a statement of the script, from 0."""

    text: bytes
    purpose: str
    number: int | None = None


@dataclass(frozen=True)
class FoundIndex:
    """An index that is in the catalog. A build that failed or was killed leaves one that is not valid."""

    valid: bool
    schema: str
    name: str


class Runner:
    """One run over one connection, of the deployment of that identifier, which may be empty."""

    def __init__(self, session: Session, plan: Plan, history: History, deployment: str) -> None:
        self._session = session
        self._records = Records(session.connection, deployment)
        tables = ["schema_migrations", "groundwork_migrations"] if plan.steps else []
        if any(_tracked(step) for step in plan.steps):
            tables.append("groundwork_progress")
        if plan.seeds:
            tables.append("seed_files")
        self._creation = creation(history, tables)

    def run(self, step: Step) -> None:
        """Apply a migration or take it back; raises GroundworkError."""
        began = time.monotonic()
        statements = step.script.statements
        progress = step.progress
        todo = segments(statements, progress.done if progress else 0)
        if not todo or todo[-1].alone:
            # The end needs a transaction of its own.
            todo.append(Segment(len(statements), len(statements), alone=False))
        for segment in todo:
            try:
                if segment.alone:
                    progress = self._alone(step, segment, progress)
                else:
                    progress = self._together(step, segment, progress, int((time.monotonic() - began) * 1000))
            except _Refused as refused:
                self._explain(step, refused, progress.done if progress else 0)

    def seed(self, seed: Seed) -> None:
        """Run a seed and note its checksum in one transaction; raises GroundworkError."""
        sent = [*self._opening(seed, 0), *_numbered(seed, 0, len(seed.statements))]
        sent += [Sent(AS_OURSELVES, "recording it"), Sent(self._records.seeded(seed), "recording it")]
        try:
            self._transaction(sent)
        except _Refused as refused:
            cause = f"{_where(seed, refused)} failed: {refused.failed.message}{self._blockers(refused)}"
            first = "let that end" if refused.failed.sqlstate in TRY_AGAIN else "correct the file"
            remedy = f"{first}, then run again; nothing of it was kept"
            raise GroundworkError(f"seed {seed.file_name}", cause, remedy) from refused.failed

    def _together(self, step: Step, segment: Segment, progress: Progress | None, spent: int) -> Progress:
        """A run of ordinary statements, with its record, as one transaction."""
        script = step.script
        now = Progress(segment.end, script.digest_of_first(segment.end))
        sent = [*self._opening(script, segment.first), *_numbered(script, segment.first, segment.end)]
        sent.append(Sent(AS_OURSELVES, "recording it in the history"))
        if segment.end < len(script.statements):
            records = [self._records.progress(step.version, _direction(step), now)]
        else:
            records = self._records.taken_back(step.version) if step.down else []
            records = records or self._records.applied(script, step.version, spent)
            records += [self._records.no_progress(step.version)] if _tracked(step) else []
        self._transaction([*sent, *(Sent(record, "recording it in the history") for record in records)])
        return now

    def _alone(self, step: Step, segment: Segment, progress: Progress | None) -> Progress:
        """A statement that runs outside of a transaction.

        It is noted before as begun and after as done, so that a run that is killed between can be told from others.
        """
        number, script = segment.first, step.script
        statement = script.statements[number]
        before = progress or Progress(0, script.digest_of_first(0))
        quiet = waits_quietly(statement)
        session = self._session
        # Who queues up behind nobody waits once, as long as all attempts together: each would build anew.
        patience = session.lock_timeout * (session.lock_retries + 1) if quiet else session.lock_timeout
        for attempt in range(1 if quiet else session.lock_retries + 1):
            try:
                begun = self._begin(step, number, before)
                if not begun:
                    break
                before = begun
                session.send([session.limit_waiting(patience)])
                session.send([statement.encode()])
                break
            except Failed as failed:
                if quiet or failed.sqlstate not in TRY_AGAIN or attempt == session.lock_retries:
                    raise _Refused(failed, Sent(b"", "", number), session.blockers) from failed
            session.pause()
        after = Progress(number + 1, script.digest_of_first(number + 1))
        self._note(step, after)
        return after

    def _begin(self, step: Step, number: int, before: Progress) -> Progress | None:
        """Clear what an attempt before has left and note that the statement begins. None where it is done already."""
        statement = step.script.statements[number]
        if not before.started:
            self._note(step, before)
        self._session.send([sent.text for sent in self._opening(step.script, number)])
        found = self._find_index(statement)
        if found and found.valid and before.started:
            return None
        if found and not found.valid:
            # It is of no use to anybody, and would make the statement fail: "already exists".
            self._session.send([self._records.drop_index(found.schema, found.name)])
        # An index that was there before is no work of ours; the server says so, or skips IF NOT EXISTS.
        if not before.started and not (found and found.valid):
            before = Progress(before.done, before.digest, started=True)
            self._note(step, before)
            self._session.send([sent.text for sent in self._opening(step.script, number)])
        return before

    def _find_index(self, statement: str) -> FoundIndex | None:
        wanted = concurrent_index(statement)
        row = self._session.ask(INDEX, [wanted.name, wanted.table]) if wanted else None
        return FoundIndex(*row) if row else None

    def _note(self, step: Step, progress: Progress) -> None:
        note = Sent(self._records.progress(step.version, _direction(step), progress), "recording its progress")
        self._transaction([*self._opening(step.script, 0), note])

    def _opening(self, script: Script, first: int) -> list[Sent]:
        """Settings as at the start of a session, then those that the script's statements so far have made."""
        session = self._session
        texts = [*RESET, session.limit_waiting(session.lock_timeout)]
        texts += [text.encode() for text in script.statements[:first] if makes_setting(text)]
        return [Sent(text, "preparing the session") for text in texts]

    def _transaction(self, sent: Sequence[Sent]) -> None:
        """Send all of it as one transaction; what stands before the first statement of the script is outside of it."""
        opening = [part for part in sent if part.purpose == "preparing the session"]
        tables = [Sent(text, "making the history") for text in self._creation]
        whole = [
            *opening,
            Sent(b"begin", "beginning it"),
            *tables,
            *sent[len(opening) :],
            Sent(b"commit", "committing it"),
        ]
        try:
            self._session.send_with_retries([part.text for part in whole])
        except Failed as failed:
            part = whole[failed.index] if failed.index >= 0 else Sent(b"", "the connection")
            raise _Refused(failed, part, self._session.blockers) from failed
        self._creation = []

    def _explain(self, step: Step, refused: _Refused, done: int) -> NoReturn:
        failed, script = refused.failed, step.script
        cause = f"{_where(script, refused)} failed: {failed.message}{self._blockers(refused)}"
        name = f"down script of migration {script.file_name}" if step.down else f"migration {script.file_name}"
        kept = f"statements 1 to {done} were kept and are not run again" if done else "nothing of it was kept"
        if failed.sqlstate in TRY_AGAIN:
            remedy = f"let that end, then run again; {kept}"
        elif failed.sqlstate in DUPLICATES and not step.down and (hint := self._half_pushed(step, refused)):
            remedy = hint
        elif refused.sent.number is not None and head(script.statements[refused.sent.number]).startswith("reindex"):
            remedy = f"drop invalid indexes whose names end in _ccnew, then run again; {kept}"
        elif not failed.sqlstate or failed.sqlstate in CONNECTION_LOST:
            remedy = "run again; the history tells what was kept"
        else:
            remedy = f"correct the file, then run again; {kept}"
        raise GroundworkError(name, cause, remedy) from failed

    def _half_pushed(self, step: Step, refused: _Refused) -> str:
        """What to do where the server has part of a file that no history knows, as a broken-off push leaves it.

        The CLI's push commits what stands before a concurrent index when it reaches it, and the index with it.
        """
        for number in range(len(step.script.statements) - 1, -1, -1):
            if refused.sent.number is None or refused.sent.number > number:
                return ""
            try:
                found = self._find_index(step.script.statements[number])
            except Failed:
                return ""
            if found:
                go_on = number + 2 if found.valid else number + 1
                state = "valid" if found.valid else "invalid"
                return (
                    f"index {found.name} of statement {number + 1} is there and {state}, as a supabase db push leaves "
                    f"it that broke off; if statements 1 to {go_on - 1} were run, go on with the next one by "
                    f"resume: {{'{step.version}': {go_on}}}"
                )
        return ""

    def _blockers(self, refused: _Refused) -> str:
        if refused.failed.sqlstate not in TRY_AGAIN:
            return ""
        return refused.blockers or "; whoever held the lock has let go since"


class _Refused(Exception):
    def __init__(self, failed: Failed, sent: Sent, blockers: str) -> None:
        super().__init__(failed.message)
        self.failed = failed
        self.sent = sent
        self.blockers = blockers


def _numbered(script: Script, first: int, end: int) -> list[Sent]:
    return [Sent(script.statements[number].encode(), "", number) for number in range(first, end)]


def _where(script: Script, refused: _Refused) -> str:
    number = refused.sent.number
    if number is None:
        return refused.sent.purpose
    place = script.place(number, refused.failed.position)
    return f"statement {number + 1} of {len(script.statements)} ({place})"


def _direction(step: Step) -> str:
    return "down" if step.down else "up"


def _tracked(step: Step) -> bool:
    """Whether it is not one transaction, so that its progress is recorded."""
    return bool(step.progress) or any(map(runs_alone, step.script.statements))
