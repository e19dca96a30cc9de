# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an answer proves, and what it does not."""

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.access.actor import Actor
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.isolation.model import (
    Attempt,
    Declared,
    Tenant,
    find_owner,
    read_sweep,
    resolve_argument,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.isolation.trials import Sample, Trial
from ansible_collections.groundwork.supabase.plugins.module_utils.isolation.verdict import (
    Answer,
    draw_table,
    judge,
    verdict_of,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import sql

ADA = Tenant(Actor("ada", "authenticated", {"sub": "a"}), {"tenant_id": "1", "user_id": "a"})
BOB = Tenant(Actor("bob", "authenticated", {"sub": "b"}), {"tenant_id": "2", "user_id": "b"})
COUNTED = sql.SQL("select 1")
DENIED_ANSWER = Answer("42501", "permission denied")
ONE = Answer(rows=1, before=1, after=2)
NONE = Answer()
UNIQUE, FOREIGN, CHECKED = (Answer(state, "no", "a_constraint") for state in ("23505", "23503", "23514"))
PARTITION = Answer("23514", "no partition of relation found for row")
RAISED = Answer("P0001", "not yours")


def trial(command="select", way="read", granted=True, locked_out=False, rows=True, counted=False, rewritten=False):
    return Trial(
        command, way, ADA.actor, BOB, granted, COUNTED, counted=COUNTED if counted else None,
        samples=(Sample({"id": "1"}),) if rows else (), locked_out=locked_out, rewritten=rewritten,
    )  # fmt: skip


INSERT = {"command": "insert", "way": "copy of a row", "counted": True}
GIFT = {"command": "update", "way": "own row given away", "counted": True}
CHANGE, REMOVAL = {"command": "update", "way": "change"}, {"command": "delete", "way": "remove"}


@pytest.mark.parametrize(
    ("tried", "answer", "control", "outcome"),
    [
        ({}, ONE, ONE, "leaked"),
        ({}, ONE, NONE, "leaked"),
        ({}, NONE, ONE, "empty"),
        ({}, NONE, NONE, "not_proven"),
        ({}, NONE, DENIED_ANSWER, "not_proven"),
        ({"rows": False}, NONE, ONE, "not_proven"),
        ({}, DENIED_ANSWER, ONE, "denied"),
        # Everybody is refused: the token may be wrong.
        ({}, DENIED_ANSWER, DENIED_ANSWER, "not_proven"),
        ({"granted": False}, DENIED_ANSWER, DENIED_ANSWER, "denied"),
        ({"locked_out": True, "rows": False}, NONE, NONE, "empty"),
        ({}, Answer("57014", "canceling statement"), ONE, "not_proven"),
        ({}, None, ONE, "not_proven"),
        (INSERT, DENIED_ANSWER, ONE, "denied"),
        (INSERT, DENIED_ANSWER, UNIQUE, "denied"),
        (INSERT, DENIED_ANSWER, DENIED_ANSWER, "not_proven"),
        ({**INSERT, "locked_out": True}, DENIED_ANSWER, DENIED_ANSWER, "denied"),
        # A key is checked after row level security: another key would have been accepted.
        (INSERT, UNIQUE, ONE, "leaked"),
        ({**INSERT, "rewritten": True}, UNIQUE, ONE, "not_proven"),
        (INSERT, FOREIGN, ONE, "not_proven"),
        (INSERT, CHECKED, ONE, "not_proven"),
        (INSERT, PARTITION, ONE, "not_proven"),
        (INSERT, RAISED, ONE, "not_proven"),
        # It went in, and no row of the other came of it.
        (INSERT, Answer(rows=1, before=1, after=1), ONE, "denied"),
        (INSERT, Answer("55000", "cannot insert into view"), Answer("55000"), "denied"),
        (GIFT, ONE, ONE, "leaked"),
        (GIFT, FOREIGN, ONE, "not_proven"),
        (CHANGE, CHECKED, ONE, "leaked"),
        (CHANGE, Answer("40001", "could not serialize"), ONE, "leaked"),
        (CHANGE, Answer("55P03", "lock timeout"), ONE, "not_proven"),
        (REMOVAL, FOREIGN, ONE, "leaked"),
        (REMOVAL, NONE, FOREIGN, "empty"),
        ({"command": "execute", "way": "call"}, Answer(rows=1), Answer(rows=2, hits=1), "empty"),
        ({"command": "execute", "way": "call", "counted": True}, Answer(rows=1, before=1, after=1), ONE, "empty"),
        # Whoever calls it gets something that does not say whose it is.
        ({"command": "execute", "way": "call"}, Answer(rows=1), Answer(rows=1), "not_proven"),
        # It went on, and only this row was in the way.
        ({"command": "execute", "way": "call"}, UNIQUE, Answer(rows=1, hits=1), "not_proven"),
        ({"command": "execute", "way": "call"}, UNIQUE, UNIQUE, "not_proven"),
        ({"command": "execute", "way": "call"}, Answer(rows=1, hits=1), Answer(rows=1), "leaked"),
        ({"command": "execute", "way": "call"}, NONE, NONE, "not_proven"),
        ({"command": "execute", "way": "call"}, RAISED, Answer(rows=1), "denied"),
        ({"command": "execute", "way": "call", "counted": True}, ONE, Answer(rows=1), "leaked"),
    ],
)
def test_an_answer_is_judged_by_what_it_proves(tried, answer, control, outcome):
    attempt = trial(**tried)
    assert judge(attempt, answer, control, attempt)[0] == outcome


def made(*outcomes, relation="app.notes", command="select"):
    return [Attempt(relation, command, "read", "ada", "authenticated", "bob", outcome) for outcome in outcomes]


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        (["own", "empty", "denied", "exempt"], "passed"),
        (["empty", "not_proven"], "not proven"),
        (["not_proven", "leaked"], "leaked"),
        (["own", "exempt"], "not proven"),
        ([], "not proven"),
    ],
)
def test_nothing_passes_that_was_not_tried(outcomes, verdict):
    assert verdict_of(made(*outcomes)) == verdict


def test_the_table_shows_the_worst_of_each():
    attempts = made("empty", "leaked", "own") + made("denied", command="insert") + made("denied", relation="app.a")
    assert draw_table(attempts).splitlines() == [
        "relation   select  insert",
        "app.a      denied  -",
        "app.notes  LEAKED  denied",
    ]


def test_the_first_owner_column_decides_unless_it_is_declared():
    owns = {"tenant_id": "1", "user_id": "a"}
    assert find_owner(["id", "user_id", "tenant_id"], owns, None) == ("tenant_id", "tenant_id", None)
    assert find_owner(["id", "user_id"], owns, None) == ("user_id", "user_id", None)
    assert find_owner(["id"], owns, None) == (None, None, None)
    declared = Declared(QualifiedName("app", "notes"), "id", "tenant_id")
    assert find_owner(["id", "tenant_id"], owns, declared) == ("id", "tenant_id", None)


def test_arguments_stand_for_what_tenants_own():
    assert resolve_argument("own.user_id", ADA, BOB) == "a"
    assert resolve_argument("other.tenant_id", ADA, BOB) == "2"
    assert resolve_argument("other", ADA, BOB) == "other"


def test_all_faults_of_the_arguments_come_at_once():
    tenant = {"name": "ada", "role": "authenticated", "claims": {}, "owns": {"tenant_id": 1}, "setup": ["rollback"]}
    params = {
        "tenants": [tenant, tenant], "schemas": [], "api_role": "authenticator", "trusted_roles": [],
        "relations": [{"name": "notes", "shared": "x"}], "functions": [{"name": "app.f"}],
    }  # fmt: skip
    with pytest.raises(GroundworkError) as error:
        read_sweep(params)
    for words in (
        "same name",
        "same tenant_id",
        "end the transaction",
        "SCHEMA.NAME",
        "not one thing",
        "none is named",
    ):
        assert words in str(error.value)
