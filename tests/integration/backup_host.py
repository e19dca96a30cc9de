# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup host and the database that it keeps, in one container: the role's own files, Debian's Barman and restic."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from certificate_pairs import make_pair
from compose_plugin import build_image
from edge_server import wait_until
from gateway_server import render_variable
from postgres_server import ROOT, docker, ensure_image

ROLE = ROOT / "roles" / "backup"
IMAGE = "groundwork-test/backup-host:current"
DOCKERFILE = """\
FROM groundwork-lab/postgres:current
RUN apt-get update \\
    && apt-get install -y --no-install-recommends barman restic rclone faketime \\
    && rm -rf /var/lib/apt/lists/*
"""
SERVER = "/usr/local/lib/groundwork/groundwork_backup/server"
REPOSITORY = "/var/lib/barman/restic"
PASSWORD = "integration"  # noqa: S105
SETTINGS = {
    "inventory_hostname": "node2",
    "backup_source": "node1",
    "backup_server": "node2",
    "backup_source_address": "127.0.0.1",
    "backup_server_address": "127.0.0.1",
    "supabase_root": "/opt/groundwork",
    "supabase_secrets_dir": "/etc/groundwork/secrets",
    "role_path": str(ROLE),
}
# What the clock of PostgreSQL, Barman and the role's tools is shifted by, read anew at each look at it.
CLOCK = "/clock"
FAKED_CLOCK = {
    "LD_PRELOAD": "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "FAKETIME_TIMESTAMP_FILE": CLOCK,
    "FAKETIME_NO_CACHE": "1",
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    "NO_FAKE_STAT": "1",
}


@dataclass(frozen=True)
class BackupHost:
    container: str

    def run(self, *command: str, user: str = "root", expect: int | None = 0, clock: bool = False) -> str:
        """What a command prints, errors too. With ``clock`` it sees the shifted one."""
        done = subprocess.run(
            ["docker", "exec", *(faked_clock() if clock else ()), "--user", user, self.container, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert expect is None or done.returncode == expect, done.stdout
        return done.stdout

    def script(self, text: str, user: str = "root") -> str:
        return self.run("bash", "-euc", text, user=user)

    def write(self, files: dict[str, tuple[str, int]], owner: int = 0) -> None:
        """Text and mode by path."""
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for path, (text, mode) in files.items():
                member = tarfile.TarInfo(path.lstrip("/"))
                member.size, member.mode, member.uid, member.gid = len(text.encode()), mode, owner, owner
                archive.addfile(member, io.BytesIO(text.encode()))
        unpack = ["docker", "exec", "--interactive", self.container, "tar", "-x", "-C", "/"]
        subprocess.run(unpack, input=stream.getvalue(), check=True)

    def sql(self, query: str) -> str:
        command = ("psql", "-X", "-A", "-t", "-q", "-h", "127.0.0.1", "-p", "15432", "-U", "supabase_admin", "postgres")
        return self.run(*command, "-c", query).strip()

    def metrics(self, name: str) -> dict[str, float]:
        lines = self.run("cat", f"/var/lib/groundwork/metrics/{name}.prom").splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def faked_clock() -> list[str]:
    return [part for name, value in FAKED_CLOCK.items() for part in ("--env", f"{name}={value}")]


@contextmanager
def running_host(**settings: object) -> Iterator[BackupHost]:
    """With variables of the role beside those that it needs."""
    ensure_image("postgres")
    build_image(IMAGE, DOCKERFILE)
    options = ["--detach", "--init", "--label", "groundwork.integration", "--env", f"POSTGRES_PASSWORD={PASSWORD}"]
    options += ["--tmpfs", "/var/lib/postgresql/data:exec", "--tmpfs", "/var/lib/barman:exec,mode=755"]
    host = BackupHost(docker("run", *options, IMAGE, "sleep", "infinity").strip())
    try:
        install(host, {**SETTINGS, **settings})
        yield host
    finally:
        docker("rm", "--force", "--volumes", host.container)


def install(host: BackupHost, settings: dict[str, object]) -> None:
    """What the role does on the two hosts, as far as it is about keeping backups."""
    rendered = [*render_variable(ROLE, "__backup_tool_files", settings)]
    rendered += render_variable(ROLE, "__backup_unit_files", settings)
    host.write({one["path"]: (one["content"], int(one["mode"], 8)) for one in rendered})
    host.write({"/etc/groundwork/secrets/backup_repository_password": (PASSWORD, 0o600)})
    host.script(
        "chown barman: /var/lib/barman; mkdir -p /var/lib/groundwork-backup /var/lib/groundwork/metrics /run/lock"
    )
    host.write({"/var/lib/barman/.pgpass": (f"127.0.0.1:15432:*:groundwork_backup:{PASSWORD}\n", 0o600)})
    host.script("chown barman: /var/lib/barman/.pgpass")


def start_database(host: BackupHost, shift: str) -> None:
    """On a shifted clock, with all that the role puts into it, and the receiver of its WAL."""
    host.write({CLOCK: (shift, 0o644)})
    # Makes the cluster. No shell sees the clock: it hangs.
    host.run("docker-entrypoint.sh", "postgres", "--version")
    start_server(host)
    prepare_database(host)
    (command,) = commands(host, "groundwork-wal-receiver")
    # Started anew whenever it ends, as by the unit.
    clock = " ".join(f"{name}={value}" for name, value in FAKED_CLOCK.items())
    loop = f"while :; do env {clock} {' '.join(command)}; sleep 1; done"
    docker("exec", "--detach", "--user", "barman", host.container, "sh", "-c", loop)
    # On a quiet database Barman would wait long for the end of a segment.
    beat = "insert into groundwork_backup.heartbeat default values \\watch 0.5"
    psql = "psql -X -q -h 127.0.0.1 -p 15432 -U supabase_admin postgres"
    docker("exec", "--detach", host.container, "sh", "-c", f"echo '{beat}' | {psql}")
    wait_until(lambda: host.sql("select 1 from pg_stat_replication where state = 'streaming'"), "WAL is received")


def start_server(host: BackupHost) -> None:
    settings = ["config_file=/etc/postgresql/postgresql.conf", "fsync=off", "port=15432"]
    # A receiver is not to be taken for dead when the clock goes on by days.
    settings += ["wal_sender_timeout=0"]
    options = [part for setting in settings for part in ("-c", setting)]
    docker("exec", "--detach", *faked_clock(), "--user", "postgres", host.container, "postgres", *options)
    wait_until(lambda: "accepting" in host.run("pg_isready", "-h", "127.0.0.1", "-p", "15432", expect=None), "it is up")


def prepare_database(host: BackupHost) -> None:
    """TLS, the role that backups log in as, and the heartbeat."""
    pair = make_pair("db")
    host.write({"/tmp/own.pem": (pair.certificate, 0o644), "/tmp/own.key": (pair.key, 0o600)}, owner=105)  # noqa: S108
    for setting in ("ssl_cert_file = '/tmp/own.pem'", "ssl_key_file = '/tmp/own.key'", "ssl = on"):
        host.sql(f"alter system set {setting}")
    host.sql("select pg_reload_conf()")
    host.sql(f"create role groundwork_backup login replication password '{PASSWORD}'")
    host.sql((ROLE / "files" / "groundwork_backup" / "database.sql").read_text(encoding="utf-8"))


def commands(host: BackupHost, unit: str) -> list[list[str]]:
    """What a unit of the role starts."""
    lines = host.run("cat", f"/etc/systemd/system/{unit}.service").splitlines()
    return [line.partition("=")[2].split() for line in lines if line.startswith("ExecStart=")]


def make_repository(host: BackupHost) -> None:
    """Its key is one that this processor would take a moment for, not half a second: hundreds of runs open it."""
    docker("update", "--cpus", "0.2", host.container)
    try:
        host.run("env", f"RESTIC_PASSWORD={PASSWORD}", "restic", "init", "--no-cache", "-r", REPOSITORY, user="barman")
    finally:
        docker("update", "--cpus", str(os.cpu_count()), host.container)
