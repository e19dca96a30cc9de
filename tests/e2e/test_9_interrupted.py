"""A run that is killed leaves something that the next run completes."""

from __future__ import annotations

import pytest
from conftest import documented, kill_play, started, thorough

# Text in the output after which the run is killed.
MOMENTS = {
    "while the engine is installed": "TASK [groundwork.supabase.docker :",
    "while services are pulled and started": "Deploy the release",
    "after the stack role": "TASK [groundwork.supabase.database :",
    "after the database role": "TASK [groundwork.supabase.caddy :",
}
ALWAYS = ("while the engine is installed", "while services are pulled and started")
# The engine too, unlike in most tests.
SITE = ("site.yml", "--skip-tags", "hardening,backup,monitoring")


@pytest.mark.parametrize(
    "moment", [pytest.param(moment, marks=[] if moment in ALWAYS else [thorough]) for moment in MOMENTS]
)
def test_a_killed_run_is_followed_by_one_that_converges(moment, play, node1):
    if moment == "while the engine is installed":
        play("playbooks/lab.yml", "-e", "lab_rebuild=node1")
    kill_play(MOMENTS[moment], 6 if "started" in moment else 1, *SITE)


def test_the_last_run_converges_and_the_next_changes_nothing(play, node1):
    play(*SITE)
    before = started(node1)
    assert play(*SITE).changed == 0
    assert started(node1) == before
    play("playbooks/verify.yml", "--limit", "node1")


@thorough
def test_backups_of_the_database_made_anew_begin_as_documented(play, node2):
    refused = play("site.yml", "--tags", "all", expect=2)
    assert "is the history of database" in " ".join(refused.output.split())
    for command in documented("backups.md", "A database made anew", "node2"):
        node2.check_output(command)
    play("site.yml", "--tags", "all")
    play("playbooks/backup.yml")
    assert play("site.yml", "--tags", "all").changed == 0
