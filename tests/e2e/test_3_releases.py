"""Changing one service, a release that does not become healthy, and the way back."""

from __future__ import annotations

import json

import pytest
from conftest import started

WHOAMI = "https://api.lab.test/rest/v1/rpc/whoami"
# The platform's services alone, where the test is about one of them.
STACK = ("site.yml", "--tags", "stack")


def current(host, unit: str = "supabase") -> str:
    """Name of the release that serves."""
    return host.check_output(f"readlink /opt/groundwork/{unit}/current").rsplit("/", 1)[-1]


def overrides(**services) -> tuple[str, str]:
    return "-e", json.dumps({"stack_overrides": services})


@pytest.fixture(scope="module")
def anon_header(secret) -> str:
    return f"apikey: {secret('publishable_key')}"


def test_a_changed_setting_restarts_that_service_alone(play, node1):
    before = started(node1)
    play(*STACK, *overrides(rest={"environment": {"PGRST_DB_MAX_ROWS": "999"}}))
    after = started(node1)
    assert {name for name in after if after[name] != before.get(name)} == {"supabase-rest-1"}


def test_rollback_without_arguments_goes_back(play, node1):
    before = current(node1)
    assert play("rollback.yml").changed == 1
    assert current(node1) != before
    assert node1.check_output("docker exec supabase-rest-1 printenv PGRST_DB_MAX_ROWS") == "1000"
    assert play(*STACK).changed == 0


def test_rollback_takes_back_every_unit_that_the_last_deployment_changed(play, node1):
    before = {unit: current(node1, unit) for unit in ("supabase", "edge", "apps")}
    change = {"stack_overrides": {"rest": {"environment": {"PGRST_DB_MAX_ROWS": "997"}}}, "caddy_max_body": "59MB"}
    play("site.yml", "--tags", "stack,caddy,app", "-e", json.dumps(change))
    after = {unit: current(node1, unit) for unit in before}
    assert {unit for unit in before if before[unit] != after[unit]} == {"supabase", "edge"}
    play("rollback.yml")
    assert {unit: current(node1, unit) for unit in before} == before


def test_a_release_that_does_not_become_healthy_takes_no_traffic(play, node1, client, anon_header, requests_throughout):
    before, serving = started(node1), current(node1)
    requests = requests_throughout(WHOAMI, anon_header)
    broken = overrides(rest={"environment": {"PGRST_DB_URI": "postgres://nobody@db:5432/nowhere"}})
    result = play(*STACK, *broken, "-e", "stack_timeout=40", expect=2)
    answers = requests.stop()
    assert "did not become healthy" in result.output
    assert "Attempting to connect to the database" in result.output, "the container's last log lines are missing"
    assert f"release {serving} serves on" in result.output
    assert len(answers) > 20 and set(answers) == {"200"}
    assert started(node1) == before
    assert current(node1) == serving
    assert node1.check_output("docker ps --all --quiet --filter label=com.docker.compose.project=supabase-trial") == ""


def test_a_service_replaced_in_place_resumes_when_the_new_one_fails(play, node1):
    serving = current(node1)
    broken = overrides(redis={"command": ["redis-server", "--no-such-option"]})
    result = play(*STACK, *broken, "-e", "stack_timeout=40", expect=2)
    assert "did not become healthy" in result.output
    assert "serves again" in result.output
    assert current(node1) == serving
    assert node1.check_output("docker inspect supabase-redis-1 --format '{{.State.Health.Status}}'") == "healthy"


def test_rollback_to_a_named_release(play, node1, anon_header, requests_throughout):
    good = current(node1)
    play(*STACK, *overrides(rest={"environment": {"PGRST_DB_MAX_ROWS": "998"}}))
    requests = requests_throughout(WHOAMI, anon_header)
    assert play("rollback.yml", "-e", f"release={good}").changed == 1
    answers = requests.stop()
    assert current(node1) == good
    assert answers and set(answers) == {"200"}


def test_a_stopped_service_is_started_again(play, node1):
    node1.check_output("docker stop supabase-redis-1")
    assert play(*STACK).changed == 1
    assert node1.check_output("docker inspect supabase-redis-1 --format '{{.State.Health.Status}}'") == "healthy"
    assert play(*STACK).changed == 0
