"""The program of role exporters that writes figures of containers and disks."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "roles" / "exporters" / "files" / "host_metrics.py"


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("host_metrics", PROGRAM)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["host_metrics"] = module
    spec.loader.exec_module(module)
    return module


def details(**state: Any) -> dict[str, Any]:
    labels = {"com.docker.compose.project": "supabase", "com.docker.compose.service": "rest"}
    return {
        "Name": "/supabase-rest-1",
        "Config": {"Labels": labels},
        "State": {"Status": "running", **state},
        "RestartCount": 2,
        "HostConfig": {"Memory": 100},
    }


def test_a_container_says_how_it_is(program: ModuleType) -> None:
    stats = {
        "memory_stats": {"usage": 80, "stats": {"inactive_file": 30}},
        "cpu_stats": {"cpu_usage": {"total_usage": 1_500_000_000}},
    }
    found = program.container_samples(details(Health={"Status": "unhealthy"}), stats)
    assert {name: value for name, _labels, value in found} == {
        "groundwork_container_running": 1.0,
        "groundwork_container_healthy": 0.0,
        "groundwork_container_restarts_total": 2.0,
        "groundwork_container_memory_bytes": 50.0,
        "groundwork_container_memory_limit_bytes": 100.0,
        "groundwork_container_cpu_seconds_total": 1.5,
    }


def test_a_container_that_starts_is_not_unhealthy_and_one_without_a_check_says_nothing(program: ModuleType) -> None:
    starting = {
        name: value for name, _l, value in program.container_samples(details(Health={"Status": "starting"}), {})
    }
    assert starting["groundwork_container_healthy"] == 1.0
    assert "groundwork_container_healthy" not in {name for name, _l, _v in program.container_samples(details(), {})}


def test_a_container_that_compose_did_not_make_goes_by_its_name(program: ModuleType) -> None:
    assert program.labels_of({}, "/by-hand") == {"unit": "docker", "service": "by-hand"}


def test_disks_are_counted_once_and_containers_are_none(program: ModuleType, tmp_path: Path) -> None:
    here = str(tmp_path)
    mounts = f"/dev/a {here} ext4 rw 0 0\n/dev/a {here}/.. ext4 ro 0 0\noverlay /home overlay rw 0 0\n"
    found = list(program.read_disks(mounts))
    assert {labels["mountpoint"] for _name, labels, _value in found} == {here}
    assert ("groundwork_filesystem_readonly", {"mountpoint": here, "fstype": "ext4"}, 0.0) in found


def test_labels_are_escaped_and_nothing_is_said_twice(program: ModuleType) -> None:
    samples = [("a_total", {"x": 'say "hi"\\'}, 1.0), ("b", {}, 2.0), ("a_total", {"x": 'say "hi"\\'}, 3.0)]
    assert program.render(samples) == '# TYPE a_total counter\na_total{x="say \\"hi\\"\\\\"} 1\n# TYPE b gauge\nb{} 2\n'


def test_an_engine_that_does_not_answer_is_a_figure_too(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(program, "SOCKET", str(tmp_path / "none.sock"))
    monkeypatch.setattr(program, "read_units", lambda: iter(()))
    found = {name: value for name, _labels, value in program.read_all(program.Killed())}
    assert found["groundwork_container_engine_up"] == 0.0
    assert "groundwork_filesystem_size_bytes" in found
