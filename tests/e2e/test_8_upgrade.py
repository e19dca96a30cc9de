"""Other images: a breaking change stops a deployment until it is acknowledged, and what upgrade.yml does around one.

The lab names its images by digest alone, which says no version. Here they have a tag as well; the digest is pulled.
"""

from __future__ import annotations

import json

import pytest
import yaml
from conftest import ROOT, started, thorough

STACK = ("site.yml", "--tags", "stack")
REST, DATABASE = "v13.0.7", "17.6.1.136"


def images(rest: str = REST, db: str = DATABASE) -> tuple[str, str]:
    lab = yaml.safe_load((ROOT / ".lab" / "images.yml").read_text(encoding="utf-8"))
    named = {"rest": lab["rest"].replace("@", f":{rest}@"), "db": lab["postgres"].replace("@", f":{db}@")}
    return "-e", json.dumps({"stack_overrides": {name: {"image": image} for name, image in named.items()}})


def acknowledged(*names: str) -> tuple[str, str]:
    return "-e", f"stack_acknowledged={','.join(names)}"


@pytest.fixture(scope="module", autouse=True)
def tagged(play):
    """What serves has versions, and what the inventory says serves again at the end."""
    play(*STACK, *images())
    yield
    play(*STACK)


@pytest.mark.parametrize("mode", [pytest.param("--check", marks=thorough), "--diff"])
def test_a_breaking_change_stops_the_deployment(play, node1, mode):
    before = started(node1)
    result = play(*STACK, *images(rest="v14.17"), mode, expect=2)
    assert "rest-14: service rest from v13.0.7 to v14.17" in result.output
    assert "-e stack_acknowledged=rest-14" in result.output and "rest-13" not in result.output
    assert started(node1) == before


def test_another_major_version_of_postgresql_is_refused_even_when_acknowledged(play, node1):
    before = started(node1)
    result = play(*STACK, *images(db="15.8.1.085"), *acknowledged("postgresql-major"), expect=2)
    assert "postgresql-major: service db from 17.6.1.136 to 15.8.1.085" in result.output
    assert "postgresql-major cannot be acknowledged" in result.output
    assert started(node1) == before


def test_upgrade_stops_before_the_backup(play, node1, node2):
    before, backups = started(node1), node2.check_output("barman list-backups main --minimal")
    result = play("upgrade.yml", *images(rest="v14.17"), expect=2)
    assert "rest-14: service rest from v13.0.7 to v14.17" in result.output
    assert node2.check_output("barman list-backups main --minimal") == backups
    assert started(node1) == before


@thorough
def test_upgrade_wants_a_platform_that_is_well(play, node1):
    node1.check_output("docker stop supabase-redis-1")
    result = play("upgrade.yml", *images(), expect=2)
    assert "not serving: redis;" in " ".join(result.output.split())
    play(*STACK, *images())


def test_upgrade_backs_up_deploys_and_verifies(play, node1, node2):
    before, backups = started(node1), set(node2.check_output("barman list-backups main --minimal").split())
    skipped = ("--skip-tags", "hardening,docker,backup,monitoring")
    result = play("upgrade.yml", *images(rest="v14.17"), *acknowledged("rest-14"), *skipped)
    after = started(node1)
    assert {name for name in after if after[name] != before.get(name)} == {"supabase-rest-1"}
    (made,) = set(node2.check_output("barman list-backups main --minimal").split()) - backups
    assert "before-upgrade" in node2.check_output(f"barman show-backup main {made}")
    # Lines are broken where they are long. The summary at the end names tasks again.
    said = " ".join(result.output.partition("SUMMARY [")[0].split())
    assert "ansible-playbook rollback.yml takes" in said and "-e over=node1 -e target_time=20" in said
    steps = [said.rindex(task) for task in ("Take a base backup", "Remember this moment", "Deploy the release")]
    assert steps == sorted(steps) and steps[-1] < said.index("Nothing is wrong")


@thorough
def test_the_way_up_does_not_acknowledge_the_way_back(play, node1):
    before = started(node1)
    result = play(*STACK, *images(), *acknowledged("rest-14"), expect=2)
    assert "rest-14-back: service rest from v14.17 to v13.0.7" in result.output
    assert started(node1) == before


def test_rollback_asks_nobody(play, node1):
    assert play("rollback.yml").changed == 1
    image = node1.check_output("docker inspect supabase-rest-1 --format '{{.Config.Image}}'")
    assert f":{REST}@" in image
