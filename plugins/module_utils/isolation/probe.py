# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements as somebody else, each in a savepoint that is taken back, and what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.isolation.trials import Trial
from ansible_collections.groundwork.supabase.plugins.module_utils.isolation.verdict import Answer

if TYPE_CHECKING:
    import psycopg
    from psycopg.sql import Composable

# One round trip tries many statements. An exception takes back what a block did, so each ends with one: ours, which
# carries the answer, or that of the statement. Its text is English or not, so only its SQLSTATE is looked at.
ATTEMPT = """
create function pg_temp.groundwork_attempt(
  role_name text, claims text, path text, statement text, reads boolean, counted text, owner_claims text
) returns jsonb language plpgsql as $function$
declare
  result jsonb; value jsonb; number bigint; state text; message text; object_name text; field_name text;
begin
  begin
    perform set_config('request.jwt.claims', claims, true), set_config('search_path', path, true),
      set_config('role', role_name, true);
    if reads then
      execute statement into value;
    else
      execute statement;
      get diagnostics number = row_count;
    end if;
    result := jsonb_build_object('value', value, 'rows', number);
    if counted is not null then
      -- A view may show its rows to their owner only.
      perform set_config('role', 'none', true), set_config('search_path', 'pg_catalog', true),
        set_config('request.jwt.claims', owner_claims, true);
      execute counted into value;
      result := result || jsonb_build_object('after', value);
    end if;
    raise exception using errcode = 'GW001', message = result::text;
  exception
    when sqlstate 'GW001' then
      result := sqlerrm::jsonb;
    when others then
      get stacked diagnostics state = returned_sqlstate, message = message_text, object_name = constraint_name,
        field_name = column_name;
      result := jsonb_build_object('state', state, 'message', message,
        'constraint', coalesce(nullif(object_name, ''), field_name));
  end;
  if result ? 'after' then
    perform set_config('request.jwt.claims', owner_claims, true);
    execute counted into value;
    result := result || jsonb_build_object('before', value);
  end if;
  return result;
end
$function$
"""
TRY = """
select pg_temp.groundwork_attempt(t.role_name, t.claims, t.path, t.statement, t.reads, t.counted, t.owner_claims)
from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::boolean[], %s::text[], %s::text[])
  with ordinality as t(role_name, claims, path, statement, reads, counted, owner_claims, number)
order by t.number
"""
QUERY_CANCELED = "57014"


class Probe:
    """Tries statements in the transaction of the connection."""

    def __init__(self, connection: psycopg.Connection[Any], path: str) -> None:
        """path: the setting that names in the statements are looked up with."""
        self._connection = connection
        self._path = path
        connection.execute(ATTEMPT)

    def answers(self, trials: Sequence[Trial]) -> list[Answer | None]:
        """An answer for each trial, null for those without a statement."""
        sent = [trial for trial in trials if trial.statement is not None]
        values = iter(self.values(sent))
        return [_answer(next(values)) if trial.statement is not None else None for trial in trials]

    def values(self, trials: Sequence[Trial]) -> list[dict[str, Any]]:
        """Raw answers; where all together take too long, one by one."""
        import psycopg

        if not trials:
            return []
        columns = [
            ["none" if trial.trusted else trial.actor.role for trial in trials],
            [trial.actor.token for trial in trials],
            [self._path] * len(trials),
            [self._text(trial.statement) for trial in trials],
            [trial.reads for trial in trials],
            [self._text(trial.counted) for trial in trials],
            [trial.rows_of.actor.token for trial in trials],
        ]
        try:
            with self._connection.transaction():
                return [row[0] for row in self._connection.execute(TRY, columns)]
        except psycopg.errors.QueryCanceled as error:
            if len(trials) > 1:
                return [value for trial in trials for value in self.values([trial])]
            return [{"state": QUERY_CANCELED, "message": error.diag.message_primary}]

    def _text(self, statement: Composable | None) -> str | None:
        return statement.as_string(self._connection) if statement is not None else None


def _answer(value: dict[str, Any]) -> Answer:
    if value.get("state"):
        return Answer(value["state"], value.get("message") or "", value.get("constraint") or "")
    returned = value.get("value")
    before, after = value.get("before"), value.get("after")
    if isinstance(returned, dict):
        return Answer(rows=returned["rows"], hits=returned["hits"], before=before, after=after)
    return Answer(rows=int(returned or 0) if value.get("rows") is None else value["rows"], before=before, after=after)
