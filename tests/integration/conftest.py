# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the integration tests stand on: one server for the session, a database of its own for each test."""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ad_hoc import AdHocRun, Outcome, command_line
from postgres_server import IMAGES, ROOT, Database, Server, running_server
from warm_process import WarmProcess

SETTINGS = {
    "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
    "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_FORCE_COLOR": "0",
    "ANSIBLE_PIPELINING": "1",
}
numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    majors = ",".join(map(str, IMAGES))
    parser.addoption("--postgres", default=majors, help=f"major versions of PostgreSQL to test on (default: {majors})")
    parser.addoption(
        "--websockets", type=int, default=300, help="websockets that the gateway has to hold (default: 300)"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server" in metafunc.fixturenames:
        majors = [int(major) for major in metafunc.config.getoption("--postgres").split(",")]
        if getattr(metafunc.module, "NEWEST_ONLY", False):
            majors = [max(majors)]
        metafunc.parametrize("server", majors, indirect=True, scope="session", ids=lambda major: f"postgres{major}")


@pytest.fixture(scope="session")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Server]]:
    """A major version's server is started once and stays, however often tests go from one to the other."""
    with ExitStack() as running:
        yield cache(lambda major: running.enter_context(running_server(tmp_path_factory.mktemp("server"), major)))


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, start_server: Callable[[int], Server]) -> Server:
    return start_server(request.param)


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    """Goes when the test ends, and with it what the test has made on the server: other databases, then roles."""
    databases, roles = server.databases(), server.roles()
    yield server.create_database(f"test_{next(numbers)}")
    for name in server.databases() - databases:
        server.drop_database(name)
    server.drop_roles(server.roles() - roles)


@pytest.fixture(scope="session")
def start() -> Iterator[Callable[..., AdHocRun]]:
    """Start a module and do not wait: ``start("migration", arguments, "--check")``."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in SETTINGS.items():
            environment.setenv(name, value)
        ansible = WarmProcess("ansible")
        yield lambda module, arguments, *options: AdHocRun(ansible, command_line(module, arguments, *options))
        ansible.end()


@pytest.fixture(scope="session")
def run(start: Callable[..., AdHocRun]) -> Callable[..., Outcome]:
    """Run a module: ``run("migration", arguments, "--check")``."""
    return lambda module, arguments, *options: start(module, arguments, *options).wait()


@pytest.fixture(scope="module")
def load() -> Iterator[Callable[[str], Any]]:
    """Import a part of the collection here, where ``ansible`` would be started too often: ``load("modules.rls")``.

    None stays, since Ansible has its own way to load them.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "collections"))
        yield lambda name: importlib.import_module(f"ansible_collections.groundwork.supabase.plugins.{name}")
    for name in [name for name in sys.modules if name.partition(".")[0] == "ansible_collections"]:
        del sys.modules[name]


@pytest.fixture
def store(tmp_path: Path) -> Callable[[Mapping[str, str]], dict[str, Any]]:
    """Put secrets into a store as somebody would by hand; returns the argument that names it."""
    folder = tmp_path / "secrets"

    def write(values: Mapping[str, str]) -> dict[str, Any]:
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / ".index.json").write_text("{}", encoding="utf-8")
        for name, value in values.items():
            (folder / name).touch(mode=0o600)
            (folder / name).write_text(value, encoding="utf-8")
        return {"secrets_dir": str(folder)}

    return write


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Write a project's files anew; returns the argument that names its migrations.

    ``project({"1_a.sql": "select 1", "down/1_a.sql": "select 2"})``
    """

    def write(files: Mapping[str, str]) -> dict[str, Any]:
        folder = tmp_path / "supabase" / "migrations"
        (folder / "down").mkdir(parents=True, exist_ok=True)
        for old in folder.rglob("*.sql"):
            old.unlink()
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        return {"path": str(folder)}

    return write
