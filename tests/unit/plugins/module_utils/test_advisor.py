# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which findings a catalog gives, and what accepting does. Each rule alone is tested on a real server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.advisor.advise import (
    RULES,
    STALE,
    Acceptance,
    advise,
    failing,
    read_acceptances,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.advisor.exposure import SENSITIVE
from ansible_collections.groundwork.supabase.plugins.module_utils.advisor.model import SEVERITIES, Review
from ansible_collections.groundwork.supabase.plugins.module_utils.advisor.security import lets_all_write
from ansible_collections.groundwork.supabase.plugins.module_utils.catalog.model import (
    Catalog,
    Column,
    Function,
    Grant,
    Index,
    Key,
    Publication,
    Relation,
    Role,
    TablePolicy,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName

GUIDE = Path(__file__).resolve().parents[4] / "docs" / "advisor.md"
PRIMARY = Key("pkey", "primary", ("id",))
ROLES = (
    Role("anon"),
    Role("authenticated"),
    Role("authenticator", login=True, member_of=("anon", "authenticated", "partner", "service_role")),
    Role("partner", inherits=("readers",), member_of=("readers",)),
    Role("postgres", bypass_rls=True),
    Role("readers"),
    Role("service_role", bypass_rls=True),
)


def table(name, **fields):
    return Relation("public", name, "table", "postgres", **{"keys": (PRIMARY,), **fields})


def granted(role, *privileges, column=None):
    return Grant(role, privileges or ("select",), column)


def names(*relations, exposed=("public",), **others):
    catalog = Catalog(relations=relations, roles=ROLES, **others)
    return [(one.name, one.object) for one in advise(catalog, exposed)]


class TestWhoReaches:
    @pytest.mark.parametrize("role", ["anon", "partner", "readers", "public"])
    def test_by_a_grant_by_inheritance_and_as_anybody(self, role):
        assert names(table("t", grants=(granted(role),))) == [("rls_disabled_in_public", "public.t")]

    @pytest.mark.parametrize("role", ["service_role", "postgres", "authenticator"])
    def test_roles_that_are_meant_to_do_not_count(self, role):
        assert names(table("t", grants=(granted(role, "select", "truncate"),))) == []

    def test_a_single_column_is_enough(self):
        found = names(table("t", grants=(granted("anon", "update", column="a"),)))
        assert found == [("rls_disabled_in_public", "public.t")]

    def test_other_schemas_are_not_served(self):
        assert names(table("t", grants=(granted("anon"),)), exposed=["api"]) == []

    def test_without_the_gateways_role_the_usual_two(self):
        catalog = Catalog(roles=(Role("anon"), Role("authenticated"), Role("other")))
        assert Review(catalog, frozenset()).api_roles == ("anon", "authenticated")


class TestPartitions:
    PARENT = QualifiedName("public", "p")

    def test_a_leaf_of_a_leaf_is_judged_by_the_table_at_the_top(self):
        policy = TablePolicy("one", "all", ("public",), using="(id = 1)")
        top = table("p", rls_enabled=True, policies=(policy,))
        middle = table("p_1", partition_of=self.PARENT)
        leaf = table("p_1_1", partition_of=middle.qualified, grants=(granted("anon"),))
        assert names(top, middle, leaf) == [("partition_without_rls", "public.p_1_1")]

    def test_a_parent_without_policies_makes_a_leaf_an_open_table(self):
        leaf = table("p_1", partition_of=self.PARENT, grants=(granted("anon"),))
        assert names(table("p"), leaf) == [("rls_disabled_in_public", "public.p_1")]

    def test_inherited_keys_and_indexes_are_reported_once(self):
        key = Key("fkey", "foreign", ("other",), "public", "other", ("id",), True)
        twice = [Index(name, f"CREATE INDEX {name} ON ONLY public.p USING btree (a)", ("a",)) for name in ("a", "b")]
        part = [
            Index(name, f"CREATE INDEX {name} ON public.p_1 USING btree (a)", ("a",), inherited=True) for name in "cd"
        ]
        top = table("p", keys=(PRIMARY, key), indexes=tuple(twice))
        leaf = table(
            "p_1",
            keys=(Key("fkey", "foreign", ("other",), inherited=True),),
            indexes=tuple(part),
            partition_of=self.PARENT,
        )
        assert names(top, leaf) == [
            ("duplicate_index", "index b on public.p"),
            ("unindexed_foreign_keys", "foreign key fkey on public.p"),
        ]


class TestIndexes:
    def found(self, *indexes, columns=("a", "b")):
        key = Key("fkey", "foreign", columns, "public", "other", ("x", "y"), True)
        return names(table("t", keys=(PRIMARY, key), indexes=indexes))

    @pytest.mark.parametrize("columns", [("a", "b"), ("b", "a"), ("b", "a", "c")])
    def test_that_serve_a_foreign_key(self, columns):
        assert self.found(Index("i", "", columns)) == []

    @pytest.mark.parametrize(
        "index",
        [
            Index("i", "", ("a",)),
            Index("i", "", ("c", "a", "b")),
            Index("i", "", ("a", None)),
            Index("i", "", ("a", "b"), partial=True),
        ],
    )
    def test_that_do_not(self, index):
        assert self.found(index) == [("unindexed_foreign_keys", "foreign key fkey on public.t")]

    def test_the_one_of_a_constraint_stays(self):
        definition = 'CREATE UNIQUE INDEX {} ON public."t on x" USING btree (id)'
        indexes = [Index(name, definition.format(name), ("id",), unique=True) for name in ("again", "pkey")]
        assert names(table("t", indexes=tuple(indexes))) == [("duplicate_index", "index again on public.t")]


class TestPolicies:
    @pytest.mark.parametrize(
        ("command", "using", "check", "expected"),
        [
            ("insert", None, "true", True),
            ("insert", None, "(id = 1)", False),
            ("update", "(id = 1)", None, False),
            ("update", "(id = 1)", "true", True),
            ("update", "true", "(id = 1)", True),
            ("update", "true", None, True),
            ("delete", "(1 = 1)", None, True),
            ("all", "(id = 1)", None, False),
            ("all", None, "(id = 1)", True),
        ],
    )
    def test_that_let_everybody_write(self, command, using, check, expected):
        assert lets_all_write(TablePolicy("p", command, ("public",), True, using, check)) is expected

    def test_a_service_may_have_all_rows(self):
        policy = TablePolicy("p", "all", ("service_role",), True, "true", "true")
        assert names(table("t", rls_enabled=True, policies=(policy,))) == []

    def test_user_metadata_is_found_behind_a_helper(self):
        source = "select raw_user_meta_data from auth.users"
        helper = Function("private", "boss", "", "function", "sql", "postgres", search_path='""', source=source)
        policy = TablePolicy("p", "select", ("public",), True, "( SELECT private.boss() AS boss)")
        found = names(table("t", rls_enabled=True, policies=(policy,)), functions=(helper,))
        assert found == [("rls_references_user_metadata", "policy p on public.t")]

    def test_realtime_is_told_from_other_publications(self):
        publications = [Publication(name, (QualifiedName("public", "t"),)) for name in ("supabase_realtime", "etl")]
        assert names(table("t"), publications=tuple(publications)) == [("realtime_without_rls", "public.t")]


@pytest.mark.parametrize(
    "name", ["password", "api_key", "access_token", "credit_card", "2fa_secret", "ssn", "fingerprint"]
)
def test_sensitive_names(name):
    assert SENSITIVE.fullmatch(name)
    assert not SENSITIVE.fullmatch(f"{name}_changed_at")


class TestAcceptances:
    CATALOG = Catalog(
        relations=(
            table("a", grants=(granted("anon"),), columns=(Column("password", "text"),)),
            table("b[1]", grants=(granted("anon"),), keys=()),
        ),
        roles=ROLES,
    )

    def advise(self, *accepted):
        return advise(self.CATALOG, ["public"], [Acceptance(finding, place, "why") for finding, place in accepted])

    def test_the_worst_come_first(self):
        found = self.advise()
        assert [one.severity for one in found] == ["error", "error", "error", "info"]
        assert [one.name for one in found][-2:] == ["sensitive_columns_exposed", "no_primary_key"]

    @pytest.mark.parametrize(
        ("place", "accepted"),
        [("public.*", 2), ("public.?", 1), ("public.a", 1), ('public."b[1]"', 1), ("*", 2)],
    )
    def test_names_and_patterns(self, place, accepted):
        found = self.advise(("rls_disabled_in_public", place))
        assert [one.name for one in found if one.accepted] == ["rls_disabled_in_public"] * accepted

    def test_one_that_covers_nothing_is_stale(self):
        found = [one for one in self.advise(("truncate_granted", "public.a")) if one.category == "acceptance"]
        assert [(one.name, one.severity, one.object) for one in found] == [
            (STALE, "warning", "truncate_granted on public.a")
        ]

    @pytest.mark.parametrize(("fail_on", "expected"), [("none", 0), ("info", 2), ("warning", 1), ("error", 1)])
    def test_what_fails(self, fail_on, expected):
        found = self.advise(("rls_disabled_in_public", "*"))
        assert len(failing(found, fail_on)) == expected

    def test_faults_are_told_together(self):
        entries = [
            {"finding": "no_such", "object": "*", "reason": "x"},
            {"finding": "no_primary_key", "object": "*", "reason": ""},
        ]
        with pytest.raises(Faults) as raised:
            read_acceptances(entries)
        assert [fault.object for fault in raised.value.faults] == ["accepted[0]", "accepted[1]"]


def test_every_rule_has_a_name_of_its_own_and_a_known_severity():
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert {rule.severity for rule in RULES} == set(SEVERITIES)
    assert {rule.category for rule in RULES} == {"security", "performance"}


def test_the_guide_lists_every_rule_as_it_is():
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted([*((rule.name, rule.severity) for rule in RULES), (STALE, "warning")])
