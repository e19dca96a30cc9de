# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.release.breaking_changes import (
    BreakingChange,
    find_crossings,
    read_version,
    require_acknowledged,
    tag_of,
)

DIGEST = "sha256:" + "0a" * 32
WORDS = {"breaks": "something breaks", "remedy": "mend it", "source": "https://example.com/changes"}
CHANGES = [
    BreakingChange("postgresql-major", ["db"], every="major", refused=True, **WORDS),
    BreakingChange("tables", ["auth", "storage"], every="downgrade", **WORDS),
    BreakingChange("rest-13", ["rest"], since="13", **WORDS),
    BreakingChange("rest-14", ["rest"], since="14.0", **WORDS),
]


@pytest.mark.parametrize(
    ("reference", "version"),
    [
        ("docker.io/supabase/postgres:17.6.1.136", (17, 6, 1, 136)),
        ("docker.io/supabase/postgres:15.8.1.085", (15, 8, 1, 85)),
        ("docker.io/supabase/studio:2026.09.07-sha-7996410", (2026, 9, 7)),
        ("edoburu/pgbouncer:v1.25.2-p0", (1, 25, 2)),
        ("timberio/vector:0.53.0-alpine", (0, 53)),
        (f"172.30.77.5:5000/rest:v14@{DIGEST}", (14,)),
        ("localhost:5000/redis:8.0.0", (8,)),
        ("localhost:5000/zero:0", (0,)),
        (f"172.30.77.5:5000/rest@{DIGEST}", None),
        ("172.30.77.5:5000/rest", None),
        ("rest:latest", None),
        ("rest:144ac839c537", None),
        ("rest:14.x", None),
    ],
)
def test_the_version_of_a_reference(reference, version):
    assert read_version(tag_of(reference)) == version


@pytest.mark.parametrize(
    ("service", "running", "wanted", "names"),
    [
        ("rest", "v13.0.7", "v14.17", ["rest-14"]),
        ("rest", "v12.2.12", "v14.17", ["rest-13", "rest-14"]),
        ("rest", "v14", "v14.17", []),
        ("rest", "v13.0.7", "v13.0.8", []),
        ("rest", "v14.17", "v14.17", []),
        ("rest", "v14.17", "v13.0.7", ["rest-14-back"]),
        ("rest", "v14.17", "v12.0.1", ["rest-13-back", "rest-14-back"]),
        ("rest", "v13.0.7", "mine", []),
        ("rest", "mine", "v14.17", []),
        ("db", "15.8.1.085", "17.6.1.136", ["postgresql-major"]),
        ("db", "17.6.1.136", "15.8.1.085", ["postgresql-major"]),
        ("db", "17.4.1.017", "17.6.1.136", []),
        ("db", "17.6.1.136", "17.4.1.017", []),
        ("auth", "v2.196.0", "v2.197.0", []),
        ("auth", "v2.197.0", "v2.196.0", ["tables"]),
        ("storage", "v1.74.0", "v1.73.0", ["tables"]),
        ("meta", "v0.99.0", "v0.1.0", []),
    ],
)
def test_what_lies_between_two_images(service, running, wanted, names):
    crossings = find_crossings(CHANGES, {service: f"a/b:{running}"}, {service: f"c.test:5000/d:{wanted}@{DIGEST}"})
    assert [crossing.name for crossing in crossings] == names


def test_a_first_deployment_a_new_and_a_removed_service_cross_nothing():
    require_acknowledged(CHANGES, {}, {"db": "db:17", "rest": "rest:v14"}, ())
    require_acknowledged(CHANGES, {"rest": "rest:v12"}, {"db": "db:17"}, ())


def test_a_change_stops_until_it_is_acknowledged_by_its_name():
    running, wanted = {"rest": "rest:v12.2.12", "auth": "auth:v2"}, {"rest": "rest:v14.17", "auth": "auth:v1"}
    with pytest.raises(GroundworkError) as refusal:
        require_acknowledged(CHANGES, running, wanted, {"rest-13", "of-former-days"})
    said = str(refusal.value)
    assert "rest-14: service rest from v12.2.12 to v14.17\n" in said
    assert all(words in said for words in WORDS.values())
    assert "tables: service auth from v2 to v1" in said and "rest-13:" not in said
    # What is given on the command line takes the place of what the inventory says.
    assert said.endswith("-e stack_acknowledged=of-former-days,rest-13,rest-14,tables")
    require_acknowledged(CHANGES, running, wanted, {"rest-13", "rest-14", "tables"})


def test_the_way_up_does_not_acknowledge_the_way_back():
    running, wanted = {"rest": "rest:v14.17"}, {"rest": "rest:v13.0.7"}
    with pytest.raises(GroundworkError, match="rest-14-back: .*\\n +it goes back across: something breaks"):
        require_acknowledged(CHANGES, running, wanted, {"rest-14"})
    require_acknowledged(CHANGES, running, wanted, {"rest-14-back"})


def test_another_major_version_of_postgresql_is_refused_whatever_is_acknowledged():
    running, wanted = {"db": "postgres:15.8"}, {"db": "postgres:17.6"}
    with pytest.raises(GroundworkError) as refusal:
        require_acknowledged(CHANGES, running, wanted, {"postgresql-major"})
    assert str(refusal.value).endswith("postgresql-major cannot be acknowledged")
