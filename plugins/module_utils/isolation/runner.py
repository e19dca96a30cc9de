# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sweep over everything that is exposed: have each attempt made, and its answer judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ansible_collections.groundwork.supabase.plugins.module_utils.access.actor import Actor, check_roles, search_path
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.isolation.calls import call_trial, fingerprint_query
from ansible_collections.groundwork.supabase.plugins.module_utils.isolation.catalog import (
    read_exposed,
    read_hidden,
    read_reachable,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.isolation.model import (
    DENIED,
    EXEMPT,
    LEAKED,
    NOT_PROVEN,
    OWN,
    Attempt,
    Exposed,
    ExposedFunction,
    Sweep,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.isolation.probe import Probe
from ansible_collections.groundwork.supabase.plugins.module_utils.isolation.trials import (
    BLIND_GIFT,
    GIVE,
    REFER,
    Bench,
    Sample,
    Trial,
    passing_query,
    relation_trials,
    sample_trials,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.isolation.verdict import (
    Answer,
    judge,
    why_leaked,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName

if TYPE_CHECKING:
    import psycopg

# Milliseconds for both. Everything is done in one snapshot, so that what others write meanwhile is not taken for ours.
BEGIN = """
select set_config('search_path', 'pg_catalog', true),
  set_config('statement_timeout', %s, true), set_config('lock_timeout', %s, true),
  set_config('client_min_messages', 'warning', true), set_config('row_security', 'on', true)
"""
# No row of a relation that is not let read, is locked or too slow shows anything, and that is what attempts will say.
UNREADABLE = ("42501", "55P03", "57014")
DATA_EXCEPTION = "22"
CALLERS_RIGHTS = "it runs with its caller's rights, so what they may reach counts"


class Runner:
    """One sweep in the transaction that the caller takes back."""

    def __init__(self, connection: psycopg.Connection[Any], sweep: Sweep, timeouts: tuple[int, int]) -> None:
        """timeouts: of a statement and of a lock, in milliseconds."""
        self._connection = connection
        self._sweep = sweep
        connection.execute("set transaction isolation level repeatable read")
        connection.execute(BEGIN, [str(timeout) for timeout in timeouts])

    def run(self) -> list[Attempt]:
        """Try everything; raises Faults for what is wrong with the arguments, GroundworkError where it cannot go on."""
        import psycopg

        try:
            return self._run()
        except psycopg.Error as error:
            cause = error.diag.message_primary or str(error)
            remedy = "see to that, then run again; nothing was changed and nothing is proven"
            raise GroundworkError(f"schemas {', '.join(self._sweep.schemas)}", cause, remedy) from error

    def _run(self) -> list[Attempt]:
        attempts, outsiders = self._reachable()
        roles = list(dict.fromkeys(actor.role for actor in [*self._tenant_actors(), *outsiders]))
        check_roles(self._connection, roles)
        self._set_up()
        relations, functions = read_exposed(self._connection, self._sweep, roles)
        self._probe = Probe(self._connection, search_path(self._connection, self._sweep.schemas))
        everything = [Bench(relation, self._sweep.tenants, tuple(outsiders)) for relation in relations]
        owned = {bench.relation.name: bench for bench in self._sampled(everything)}
        for bench in everything:
            relation = bench.relation
            attempts += self._truncate(bench)
            if relation.shared is not None:
                attempts.append(_remark(str(relation.name), "select", EXEMPT, relation.shared))
            elif relation.owner_column is None:
                attempts += self._unowned(bench)
            else:
                attempts += self._sweep_relation(owned[relation.name], owned)
        hidden = [
            Bench(relation, self._sweep.tenants) for relation in read_hidden(self._connection, self._sweep, relations)
        ]
        for function in functions:
            attempts += self._sweep_function(function, [*owned.values(), *hidden], outsiders)
        return attempts

    def _tenant_actors(self) -> list[Actor]:
        return [tenant.actor for tenant in self._sweep.tenants]

    def _reachable(self) -> tuple[list[Attempt], list[Actor]]:
        """Roles that a token may name. One that is above policies is a leak by itself."""
        attempts, outsiders = [], []
        api_role = self._sweep.api_role
        tenants = {actor.role for actor in self._tenant_actors()}
        for role, above, may_become in read_reachable(self._connection, api_role):
            if role in self._sweep.trusted_roles:
                continue
            if above:
                why = f"{api_role} may become it, and row level security does not hold for it"
                attempts.append(Attempt(f"role {role}", "become", "bypass", role, role, "everybody", LEAKED, 0, why))
            elif role != api_role and not may_become:
                why = "the connecting role may not become it, so it was not tried"
                attempts.append(
                    Attempt(f"role {role}", "become", "member", role, role, "everybody", NOT_PROVEN, 0, why)
                )
            elif role != api_role:
                outsiders.append(Actor(f"{role} without a user" if role in tenants else role, role))
        return attempts, outsiders

    def _set_up(self) -> None:
        import psycopg

        for tenant in self._sweep.tenants:
            for statement in tenant.setup:
                try:
                    # binary: by the extended protocol, which takes one statement only.
                    self._connection.execute(statement.encode(), binary=True)
                except psycopg.Error as error:
                    cause = f"{error.diag.message_primary or error} in: {statement[:120]}"
                    raise GroundworkError(f"tenant {tenant.name}: setup", cause, "correct the statement") from error

    def _truncate(self, bench: Bench) -> Iterator[Attempt]:
        """Row level security does not hold for TRUNCATE. It locks out everybody, so the privilege is looked at."""
        relation = bench.relation
        if not relation.is_table:
            return
        for role in dict.fromkeys(actor.role for actor in [*self._tenant_actors(), *bench.outsiders]):
            granted = relation.rights[role].truncate
            why = "TRUNCATE is granted, and row level security does not hold for it" if granted else ""
            outcome = LEAKED if granted else DENIED
            yield Attempt(str(relation.name), "truncate", "privilege", role, role, "everybody", outcome, 0, why)

    def _unowned(self, bench: Bench) -> Iterator[Attempt]:
        relation = bench.relation
        commands = ("select", "insert", "update", "delete")
        for role in dict.fromkeys(actor.role for actor in [*self._tenant_actors(), *bench.outsiders]):
            for command in commands:
                name = str(relation.name)
                if not relation.rights[role].may(command):
                    yield Attempt(name, command, "privilege", role, role, "everybody", DENIED)
                elif relation.locks_out(role, command):
                    why = "no policy lets the role in"
                    yield Attempt(name, command, "policies", role, role, "everybody", DENIED, 0, why)
                else:
                    why = "no column says whose its rows are; name it in relations, with owner_column or as shared"
                    yield Attempt(name, command, "unknown", role, role, "everybody", NOT_PROVEN, 0, why)

    def _sampled(self, benches: Sequence[Bench]) -> Iterator[Bench]:
        """Those whose rows are owned, with rows of each tenant; all are asked for at once."""
        owned = [bench for bench in benches if bench.relation.shared is None and bench.relation.owner_column]
        asked = [(bench, trial) for bench in owned for trial in sample_trials(bench)]
        found: dict[QualifiedName, dict[str, tuple[Sample, ...]]] = {bench.relation.name: {} for bench in owned}
        faults = []
        for (bench, trial), value in zip(asked, self._probe.values([trial for _bench, trial in asked])):
            relation, message = bench.relation, value.get("message")
            state = value.get("state") or ""
            if state.startswith(DATA_EXCEPTION):
                cause = f"column {relation.owner_column} does not take what owns says: {message}"
                remedy = "name the relation in relations, with another owner_column or as shared"
                faults.append(Fault(f"relation {relation.name}", cause, remedy))
            elif state and state not in UNREADABLE:
                faults.append(Fault(f"relation {relation.name}", f"it cannot be read: {message}", "see to that"))
            samples = tuple(Sample(dict(zip(relation.columns, values))) for values in value.get("value") or ())
            found[relation.name][trial.rows_of.name] = samples
        Faults.raise_all(list(dict.fromkeys(faults)))
        for bench in owned:
            yield replace(bench, samples=found[bench.relation.name])

    def _sweep_relation(self, bench: Bench, benches: Mapping[QualifiedName, Bench]) -> list[Attempt]:
        trials = list(relation_trials(bench, benches))
        answers = self._probe.answers(trials)
        # Each tenant does each thing to their own rows once.
        controls = {
            (trial.command, trial.rows_of.name): (trial, answer)
            for trial, answer in zip(trials, answers)
            if trial.actor == trial.rows_of.actor
        }
        attempts: list[Attempt] = []
        leaked: list[tuple[int, Trial]] = []
        for trial, answer in zip(trials, answers):
            control, controlled = controls[trial.command, trial.rows_of.name]
            attempt = _attempt(str(bench.relation.name), trial, answer, control, controlled)
            if attempt.outcome == LEAKED and trial.way == REFER:
                attempt = replace(attempt, why="; ".join(part for part in (trial.why, attempt.why) if part))
            elif attempt.outcome == LEAKED:
                rights = bench.relation.rights[trial.actor.role]
                why = why_leaked(bench.relation, rights, trial.actor.role, trial.command)
                attempt = replace(attempt, why="; ".join(part for part in (why, attempt.why) if part))
                leaked.append((len(attempts), trial))
            attempts.append(attempt)
        for position, names in self._policies(bench.relation, leaked):
            attempts[position] = replace(attempts[position], policies=names)
        return attempts

    def _policies(
        self, relation: Exposed, leaked: Sequence[tuple[int, Trial]]
    ) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Permissive policies that let the leaks through; all of them where a row cannot tell them apart."""
        for position, trial in leaked:
            if not relation.rights[trial.actor.role].policies_hold:
                continue
            policies = [
                applied.policy for applied in relation.applicable(trial.actor.role, trial.command)
                if applied.policy.permissive
            ]  # fmt: skip
            # A row that is written must pass the check, one that is reached the other expression.
            writes = trial.command == "insert" or trial.way in (GIVE, BLIND_GIFT)
            texts = [(policy.check or policy.using if writes else policy.using) or "true" for policy in policies]
            passing: list[bool] = []
            if trial.samples and texts:
                query = passing_query(relation, texts, trial.samples)
                asked = replace(trial, statement=query, reads=True, counted=None)
                passing = self._probe.values([asked])[0].get("value") or []
            names = tuple(policy.name for policy, passes in zip(policies, passing) if passes)
            yield position, names or tuple(policy.name for policy in policies)

    def _sweep_function(
        self, function: ExposedFunction, benches: Sequence[Bench], outsiders: Sequence[Actor]
    ) -> list[Attempt]:
        name, declared = function.signature, self._sweep.functions.get(function.name)
        actors = [*self._tenant_actors(), *outsiders]
        if declared and declared.shared is not None:
            return [_remark(name, "execute", EXEMPT, declared.shared)]
        if not any(actor.role in function.executable for actor in actors):
            return [_remark(name, "execute", DENIED, "")]
        given = declared.arguments if declared else None
        called = given is not None or not (function.volatile or function.required or function.kind == "procedure")
        if not called and not function.definer:
            return [_remark(name, "execute", EXEMPT, CALLERS_RIGHTS)]
        if not called:
            why = (
                f"it runs with the rights of {function.owner} and was not called; name it in functions, with arguments"
            )
            return [_remark(name, "execute", NOT_PROVEN, f"{why} or as shared")]
        attempts: list[Attempt] = []
        for own, other in self._sweep.pairs():
            # `other` owns what is looked for; they call it themselves first.
            watched = fingerprint_query(benches, other)
            control = call_trial(function, given or (), other.actor, other, other, watched)
            trials = [control, call_trial(function, given or (), own.actor, own, other, watched)]
            trials += [call_trial(function, given or (), actor, own, other, watched) for actor in outsiders]
            answers = self._probe.answers(trials)
            for trial, answer in zip(trials, answers):
                attempt = _attempt(name, trial, answer, control, answers[0])
                if attempt.outcome == LEAKED:
                    rights = f"it runs with the rights of {function.owner}" if function.definer else ""
                    effect = _effect(answer)
                    attempt = replace(attempt, why="; ".join(part for part in (rights, effect) if part))
                elif attempt.outcome == NOT_PROVEN and not function.definer and given is None:
                    attempt = replace(attempt, outcome=EXEMPT, why=CALLERS_RIGHTS)
                attempts.append(attempt)
        return attempts


def _attempt(name: str, trial: Trial, answer: Answer | None, control: Trial, controlled: Answer | None) -> Attempt:
    if trial.actor == trial.rows_of.actor:
        outcome, why = OWN, trial.why or (answer.error if answer else "")
    else:
        outcome, why = judge(trial, answer, controlled, control)
    actor, rows = trial.actor, (answer.hits if trial.command == "execute" else answer.rows) if answer else 0
    return Attempt(name, trial.command, trial.way, actor.name, actor.role, trial.rows_of.name, outcome, rows, why)


def _remark(name: str, command: str, outcome: str, why: str) -> Attempt:
    return Attempt(name, command, "privilege" if outcome == DENIED else "not tried", "", "", "", outcome, 0, why)


def _effect(answer: Answer | None) -> str:
    """Tables in which a call changed rows."""
    if not answer or not isinstance(answer.after, dict) or not isinstance(answer.before, dict):
        return ""
    tables = [name for name, state in answer.after.items() if answer.before.get(name) != state]
    return f"it changed rows in {', '.join(tables)}" if tables else ""
