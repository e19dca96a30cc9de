# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away PostgreSQL with Supabase's roles, in a container of the lab's image."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parents[2]
# The newest major version that Supabase runs, and the oldest.
IMAGES = {17: "postgres", 15: "postgres-15"}
CONFIG = "config_file=/etc/postgresql/postgresql.conf"
# The image sets this database up; a test gets a copy. Its "postgres" cannot be copied: pg_cron is connected to it.
TEMPLATE = "supabase"
READY_SECONDS = 60


@dataclass(frozen=True)
class Server:
    """A running container. ``supabase_admin`` is its superuser, ``postgres`` owns the databases."""

    container: str
    port: int
    password_file: Path
    major: int = 17

    @property
    def password(self) -> str:
        return self.password_file.read_text(encoding="ascii")

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        login = {"user": "supabase_admin", "password": self.password, "dbname": "postgres", **options}
        return psycopg.connect(host="127.0.0.1", port=self.port, connect_timeout=5, autocommit=True, **login)

    def log(self) -> str:
        """Everything the server has logged; its image logs to the error stream."""
        return docker("logs", self.container, errors=subprocess.STDOUT)

    def create_database(self, name: str) -> Database:
        statement = sql.SQL("create database {} template {} owner postgres")
        with self.connect() as connection:
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(TEMPLATE)))
        return Database(self, name)

    def drop_database(self, name: str) -> None:
        """Whoever is still connected loses the connection."""
        with self.connect() as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def databases(self) -> set[str]:
        with self.connect() as connection:
            return {name for (name,) in connection.execute("select datname from pg_database")}

    def roles(self) -> set[str]:
        with self.connect() as connection:
            return {name for (name,) in connection.execute("select rolname from pg_roles")}

    def drop_roles(self, names: set[str]) -> None:
        """All in one statement, since one may have granted another."""
        if names:
            with self.connect() as connection:
                connection.execute(sql.SQL("drop role {}").format(sql.SQL(", ").join(map(sql.Identifier, names))))


@dataclass(frozen=True)
class Database:
    """One test's own database."""

    server: Server
    name: str

    @property
    def login(self) -> dict[str, Any]:
        """Arguments by which a module reaches this database, as role ``postgres``."""
        password_file = str(self.server.password_file)
        return {"login_port": self.server.port, "login_db": self.name, "login_password_file": password_file}

    def connect(self, user: str = "postgres", **options: Any) -> psycopg.Connection[Any]:
        return self.server.connect(user=user, dbname=self.name, **options)

    def query(
        self, statement: str, parameters: Sequence[Any] | None = None, user: str = "postgres"
    ) -> list[tuple[Any, ...]]:
        """Rows of a statement, none where it returns none."""
        with self.connect(user) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def has(self, relation: str) -> bool:
        return bool(self.query("select to_regclass(%s) is not null", [relation])[0][0])


@contextmanager
def running_server(folder: Path, major: int = 17) -> Iterator[Server]:
    """Start a server of a major version and take it away again. Its password lies in the folder."""
    password_file = folder / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(secrets.token_hex(16), encoding="ascii")
    ensure_image(IMAGES[major])
    container = start_container(password_file, f"groundwork-lab/{IMAGES[major]}:current")
    try:
        port = int(docker("port", container, "5432/tcp").splitlines()[0].rpartition(":")[2])
        server = Server(container, port, password_file, major)
        wait_until_ready(server)
        yield server
    finally:
        docker("rm", "--force", "--volumes", container)


def ensure_image(name: str) -> None:
    """Build the image where it is not there as it is now."""
    subprocess.run([str(ROOT / "images" / "build"), "--local", name], check=True, capture_output=True)


def start_container(password_file: Path, image: str) -> str:
    """Id of a new container. Nothing in it outlives it, so nothing is written to a disk."""
    options = ["--detach", "--label", "groundwork.integration", "--publish", "127.0.0.1::5432"]
    options += ["--tmpfs", "/var/lib/postgresql/data", "--env", "POSTGRES_PASSWORD", "--env", f"POSTGRES_DB={TEMPLATE}"]
    return docker(
        "run", *options, image, "postgres", "-c", CONFIG, "-c", "fsync=off",
        environment={"POSTGRES_PASSWORD": password_file.read_text(encoding="ascii")},
    ).strip()  # fmt: skip


def wait_until_ready(server: Server) -> None:
    """The server listens on its port when the cluster is complete, not before."""
    end = time.monotonic() + READY_SECONDS
    while True:
        try:
            return server.connect().close()
        except psycopg.OperationalError as error:
            if time.monotonic() > end:
                message = f"no answer for {READY_SECONDS} s: {error}\n{server.log()}"
                raise TimeoutError(message) from error
        time.sleep(0.1)


def docker(*command: str, environment: dict[str, str] | None = None, errors: int = subprocess.PIPE) -> str:
    """What a Docker command prints. With ``errors=subprocess.STDOUT`` its error stream is part of that."""
    variables = {**os.environ, **(environment or {})}
    done = subprocess.run(
        ["docker", *command], env=variables, stdout=subprocess.PIPE, stderr=errors, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"docker {command[0]} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout
