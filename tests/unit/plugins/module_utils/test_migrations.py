# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations.files import (
    History,
    Progress,
    Seed,
    compare,
    read_migrations,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations.plan import Wish, pending, plan


def test_versions_are_numbers():
    files = {"10_b.sql": "select 1", "9_a.sql": "select 1"}
    assert [m.version for m in read_migrations(files)] == ["9", "10"]


def test_faulty_file_names_are_reported_together():
    with pytest.raises(GroundworkError) as error:
        read_migrations({"notes.sql": "", "1_a.sql": "", "01_b.sql": "", "x_y.sql": ""})
    for part in ("notes.sql", "x_y.sql", "same version"):
        assert part in str(error.value)


def test_only_what_the_history_lacks_is_pending():
    migrations = read_migrations({"1_a.sql": "", "2_b.sql": "", "3_c.sql": ""})
    assert [m.version for m in pending(migrations, ["1"])] == ["2", "3"]
    assert pending(migrations, ["1", "2", "3"]) == []


def test_a_late_file_and_a_lost_file_stop_the_run():
    migrations = read_migrations({"1_a.sql": "", "3_c.sql": ""})
    with pytest.raises(GroundworkError) as error:
        pending(migrations, ["2", "3"])
    assert "migration 2: it was applied" in str(error.value)
    assert "1_a.sql: it is older than 3" in str(error.value)


@pytest.mark.parametrize("statement", ["begin", "-- note\nCOMMIT", "/* a */ start transaction", "rollback", "END"])
def test_a_statement_that_ends_the_transaction_is_refused(statement):
    with pytest.raises(GroundworkError, match="statement 2 begins or ends a transaction"):
        pending(read_migrations({"1_a.sql": f"select 1; {statement}; select 2;"}), [])


def test_words_that_only_look_like_it_are_not():
    text = "create table ending (); do $$ begin commit; end $$; savepoint s; rollback to savepoint s; release s"
    assert pending(read_migrations({"1_a.sql": text}), [])


def test_what_was_applied_already_is_not_judged_again():
    assert pending(read_migrations({"1_a.sql": "begin; select 1; commit"}), ["1"]) == []


def test_a_version_that_is_no_number_is_named():
    with pytest.raises(GroundworkError, match="migration v1: its row of the history has no number"):
        pending([], ["v1"])


FILES = {"1_a.sql": "create table a ()", "2_b.sql": "create table b ()", "3_c.sql": "create table c ()"}
THREE = read_migrations(FILES)
DOWN = read_migrations({name: "select 1" for name in FILES})


def recorded(*versions, **more):
    checksums = {migration.version: migration.sha256 for migration in THREE if migration.version in versions}
    return History(versions=versions, checksums=checksums, **more)


def states(history, migrations=None):
    return [(entry.version, entry.state) for entry in compare(migrations or THREE, history)]


def test_every_version_has_a_state():
    history = recorded("1", "3", "9", statements={}, up={"2": Progress(1, "")})
    assert states(history) == [("1", "applied"), ("2", "partial"), ("3", "applied"), ("9", "unknown")]
    assert states(recorded("2")) == [("1", "late"), ("2", "applied"), ("3", "pending")]


@pytest.mark.parametrize(
    ("checksums", "statements", "state"),
    [
        ({"1": THREE[0].sha256}, {}, "applied"),
        ({"1": "another"}, {"1": ["create table a ()"]}, "applied"),
        ({"1": "another"}, {"1": ["create table x ()"]}, "edited"),
        ({"1": "another"}, {"1": None}, "edited"),
        ({}, {"1": ["create table a ()"]}, "applied"),
        ({}, {"1": ["create table a ()", "select 1"]}, "edited"),
        ({}, {"1": []}, "edited"),
        ({}, {"1": None}, "applied"),
    ],
)
def test_the_checksum_decides_or_else_what_was_run(checksums, statements, state):
    history = History(("1",), checksums, statements)
    assert states(history)[0] == ("1", state)


def test_a_plan_goes_down_newest_first_and_up_oldest_first():
    down = plan(Wish(THREE, DOWN, target="1", allow_down=True), recorded("1", "2", "3"))
    assert [step.version for step in down.down] == ["3", "2"] and not down.up
    up = plan(Wish(THREE, DOWN, target="2"), recorded())
    assert [step.version for step in up.up] == ["1", "2"] and not up.down


def test_going_down_names_all_that_is_missing():
    with pytest.raises(GroundworkError) as error:
        plan(Wish(THREE, DOWN[:1], target="0"), recorded("1", "2", "3"))
    for part in ("3_c.sql: it is newer", "2_b.sql: it is newer", "3 faults", "allow_down"):
        assert part in str(error.value)
    assert "1_a.sql: it is newer" not in str(error.value)


def test_going_back_before_a_deployment_takes_what_it_and_later_ones_brought():
    history = recorded("1", "2", "3", deployments={"1": "20260101", "2": "20260102", "3": "20260103"})
    for deployment, versions in (
        ("20260104", []),
        ("20260103", ["3"]),
        ("20260102", ["3", "2"]),
        ("20260101T", ["3", "2"]),
    ):
        back = plan(Wish(THREE, DOWN, before_deployment=deployment, allow_down=True), history)
        assert ([step.version for step in back.steps], back.adopted) == (versions, ())


def test_what_somebody_else_applied_above_it_goes_back_too():
    history = recorded("1", "2", "3", deployments={"1": "20260101", "2": "20260102"})
    back = plan(Wish(THREE, DOWN, before_deployment="20260102", allow_down=True), history)
    assert [step.version for step in back.down] == ["3", "2"]


def test_going_back_before_a_deployment_judges_only_what_goes_back():
    files = {**FILES, "1_a.sql": "edited", "02_late.sql": "begin", "4_new.sql": "create table d ()"}
    del files["2_b.sql"]
    history = recorded("1", "3", deployments={"3": "run"}, statements={"1": ["create table a ()"]})
    back = plan(Wish(read_migrations(files), DOWN, before_deployment="run", allow_down=True), history)
    assert [step.version for step in back.steps] == ["3"]


def test_going_back_before_a_deployment_names_what_has_no_down_script():
    history = recorded("1", "2", "3", deployments={"2": "run", "3": "run"})
    with pytest.raises(GroundworkError) as error:
        plan(Wish(THREE, DOWN[2:], before_deployment="run"), history)
    assert "migration 2_b.sql: it came with deployment run or after it and has no down script; write" in str(
        error.value
    )
    assert "deployment run: 1 newer migrations would be taken back" in str(error.value)


def test_going_down_past_a_file_that_is_lost_needs_only_its_down_script():
    history = recorded("1", "2", "3", "4")
    script = read_migrations({"4_d.sql": "drop table d"})
    down = plan(Wish(THREE, [*DOWN, *script], target="3", allow_down=True), history)
    assert [step.script.file_name for step in down.down] == ["4_d.sql"]


def test_a_half_done_migration_is_finished_first():
    history = recorded("1", up={"2": Progress(0, THREE[1].digest_of_first(0))})
    with pytest.raises(GroundworkError, match="2_b.sql: it was applied in part"):
        plan(Wish(THREE, DOWN, target="1"), history)
    assert [step.version for step in plan(Wish(THREE), history).up] == ["2", "3"]
    with pytest.raises(GroundworkError, match="migration 1: its down script ran in part"):
        plan(Wish(THREE), recorded("1", down={"1": Progress(1, "")}))


@pytest.mark.parametrize("number", [3, 0])
def test_resuming_behind_the_end_is_refused(number):
    with pytest.raises(GroundworkError, match="correct resume"):
        plan(Wish(THREE, resume={"1": number}), recorded())


def test_resuming_is_for_what_is_pending():
    (step, *_rest) = plan(Wish(THREE, resume={"1": 2}), recorded()).up
    assert step.progress == Progress(1, THREE[0].digest_of_first(1))
    assert plan(Wish(THREE, resume={"1": 2}), recorded("1", "2", "3")).up == ()
    with pytest.raises(GroundworkError, match="resume 7: no pending migration"):
        plan(Wish(THREE, resume={"7": 1}), recorded())


def test_seeds_follow_only_without_a_target():
    seeds = [Seed("supabase/seed.sql", "select 1", "new"), Seed("supabase/old.sql", "select 1", "old")]
    history = recorded("1", "2", "3", seeds={"supabase/seed.sql": "before", "supabase/old.sql": "old"})
    assert [seed.file_name for seed in plan(Wish(THREE, seeds=seeds), history).seeds] == ["supabase/seed.sql"]
    assert plan(Wish(THREE, seeds=seeds, target="3"), history).seeds == ()


def test_a_place_is_where_an_editor_has_it():
    (migration,) = read_migrations({"1_a.sql": "-- note\n\n  select 1;\n  select\n    größe;\n"})
    assert migration.place(0, None) == "line 1"
    assert migration.place(1, 8 + 4) == "line 5, column 5"
