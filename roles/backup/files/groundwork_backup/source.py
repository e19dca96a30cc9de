# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of Redis, volumes and configuration into a repository on another host; and their way back.

usage: source redis|volumes|config [--label LABEL]
       source restore config|volumes|redis … --target FOLDER [--check]
       source receive FOLDER           (the database that the other host has prepared)
       source scratch FOLDER           (a server on it, beside the live one)
       source recover FOLDER           (only until it has recovered: what is left is to start it in its place)
       source tables TABLES [--check]  (copied from that server into the live database)
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from metrics import read_metrics, write_metrics
from recovery.snapshots import OF_DATABASE, lock_patience, other_history, taken_at
from scratch import ask, start_scratch
from tables import check_tables, restore_tables

FOLDER = Path("/etc/groundwork-backup")
SETTINGS: dict[str, Any] = json.loads((FOLDER / "settings.json").read_text(encoding="utf-8"))
SOURCE = SETTINGS["source"]
VOLUMES = Path("/var/lib/docker/volumes")
MANIFEST = Path("/var/lib/groundwork-backup/volumes.json")
STAMPS = Path("/var/lib/groundwork-backup")
# Which database it was that last said so.
IDENTIFIER_NOTE = Path("/var/lib/groundwork-backup/database-identifier")
SCRATCH = "groundwork-restored"
RECOVERY = "groundwork-recovery"
# Redis's own auto-aof-rewrite-percentage.
REDIS_REWRITES = "100"


def ssh() -> list[str]:
    server = SETTINGS["server"]
    return [
        "ssh",
        "-T",
        "-q",
        # Processors have instructions for AES: with it a restore takes two thirds of the time that ChaCha20 takes.
        "-c",
        "^aes256-gcm@openssh.com",
        "-p",
        str(server["ssh_port"]),
        "-i",
        f"{FOLDER}/id_ed25519",
        "-o",
        f"UserKnownHostsFile={FOLDER}/known_hosts",
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        "UpdateHostKeys=no",
        "-o",
        "BatchMode=yes",
        "-o",
        "ServerAliveInterval=10",
        f"barman@{server['address']}",
    ]


def repositories() -> list[tuple[list[str], dict[str, str]]]:
    """Arguments and environment of each repository; the one on the backup host first."""
    near = ["-r", "rclone:repository", "-o", f"rclone.program={' '.join(ssh())} rclone"]
    offsite = SETTINGS["offsite"]
    # By the environment: a repository's name may have a password in it, and arguments are there for everybody to see.
    far = {"RESTIC_REPOSITORY": offsite["repository"], **offsite["environment"]}
    return [(near, {}), *([([], far)] if offsite["repository"] else [])]


class Incomplete(SystemExit):
    """A snapshot was taken, and of some files it has nothing."""


def restic(arguments: list[str], environment: dict[str, str], *command: str) -> str:
    """Run restic and return what it printed; its warnings go to the journal. Raises SystemExit with its message."""
    environ = {**os.environ, **environment, "RESTIC_PASSWORD_FILE": f"{FOLDER}/repository-password"}
    environ["RESTIC_CACHE_DIR"] = "/var/cache/groundwork-restic"
    done = subprocess.run(
        ["restic", *arguments, *lock_patience(subprocess.check_output(["restic", "version"], text=True)), *command],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        where = "the repository elsewhere" if environment else "the backup host"
        # Of "backup": "at least one source file could not be read" (restic's manual, exit status codes).
        fault = Incomplete if done.returncode == 3 else SystemExit
        raise fault(f"restic {command[0]}, {where}: {done.stderr.strip()}")
    sys.stderr.write(done.stderr)
    return done.stdout


def redis_cli(*command: str) -> str:
    script = 'REDISCLI_AUTH="$(cat /run/secrets/redis_password)" exec redis-cli "$@"'
    return subprocess.run(
        ["docker", "exec", SOURCE["redis_container"], "sh", "-c", script, "sh", *command],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@contextmanager
def redis_at_rest() -> Iterator[None]:
    """No rewriting of the append-only files while they are copied (redis.io, "Backing up AOF persistence")."""
    name = "auto-aof-rewrite-percentage"
    percentage = redis_cli("CONFIG", "GET", name).split()[-1]
    redis_cli("CONFIG", "SET", name, "0")
    try:
        while "aof_rewrite_in_progress:1" in redis_cli("INFO", "persistence"):
            time.sleep(0.5)
        yield
    finally:
        # Of a backup that was killed 0 is left, with which the files would grow until the disk is full.
        redis_cli("CONFIG", "SET", name, REDIS_REWRITES if percentage == "0" else percentage)


def volumes() -> list[Path]:
    """Every named volume but those that have a way of their own and those that the inventory excludes."""
    others = {SOURCE["database_volume"], SOURCE["redis_volume"], *SOURCE["volumes_excluded"]}
    named = [folder for folder in sorted(VOLUMES.glob("*")) if (folder / "_data").is_dir()]
    # Docker names a volume that nobody named by 64 hexadecimal digits.
    return [folder / "_data" for folder in named if folder.name not in others and len(folder.name) != 64]


def write_manifest() -> None:
    """Names and labels of all volumes, without which Compose takes none of them for its own."""
    names = subprocess.run(["docker", "volume", "ls", "-q"], capture_output=True, text=True, check=True).stdout.split()
    shown = subprocess.run(["docker", "volume", "inspect", *names], capture_output=True, text=True, check=True).stdout
    labels = {one["Name"]: one["Labels"] or {} for one in json.loads(shown) if len(one["Name"]) != 64}
    MANIFEST.write_text(json.dumps(labels, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def has(what: str) -> bool:
    """Whether the platform has it: Redis may be left out."""
    return what != "redis" or bool(SOURCE["redis_container"])


def save(what: str, label: str) -> int:
    """Back one thing up into every repository and return the bytes that it has."""
    if what == "redis":
        paths = [VOLUMES / SOURCE["redis_volume"] / "_data"]
    elif what == "volumes":
        paths = volumes()
    else:
        write_manifest()
        paths = [*map(Path, SOURCE["paths"]), MANIFEST]
    size, faults = 0, []
    tags = ["--tag", what, *(["--tag", f"label={label}"] if label else [])]
    # A host that is away is what the other repository is for.
    for arguments, environment in repositories():
        try:
            if environment:
                refuse_other_history(arguments, environment)
            out = whole_snapshot(arguments, environment, "--host", "source", *tags, *map(str, paths))
        except SystemExit as fault:
            faults.append(str(fault))
        else:
            size = int(json.loads(out.splitlines()[-1])["total_bytes_processed"])
    if faults:
        raise SystemExit("\n".join(faults))
    return size


def whole_snapshot(arguments: list[str], environment: dict[str, str], *what: str) -> str:
    """Files come and go while they are read. A restore takes the newest snapshot, so that had better be a whole one."""
    for _attempt in range(2):
        try:
            return restic(arguments, environment, "backup", "--json", *what)
        except Incomplete as fault:
            print(f"{fault}\nonce more", file=sys.stderr)
    return restic(arguments, environment, "backup", "--json", *what)


def refuse_other_history(arguments: list[str], environment: dict[str, str]) -> None:
    """A database that does not answer is the one that last did; before it ever has, it may be any."""
    system = ask(SOURCE["database_container"], "select system_identifier from pg_control_system()", tolerant=True)
    if system:
        IDENTIFIER_NOTE.write_text(system, encoding="utf-8")
    else:
        system = IDENTIFIER_NOTE.read_text(encoding="utf-8") if IDENTIFIER_NOTE.exists() else "not known"
    listing = json.loads(restic(arguments, environment, "snapshots", "--json", *OF_DATABASE, "--latest", "1"))
    if refusal := other_history(listing, system):
        raise SystemExit(refusal)


def back_up(what: str, label: str) -> None:
    started, folder, key = time.time(), SETTINGS["metrics_dir"], f'{{what="{what}"}}'
    samples = read_metrics(folder, f"backup_{what}")
    samples[f"groundwork_backup_last_run_success{key}"] = 0
    try:
        with open(f"/run/lock/groundwork-backup-{what}.lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Whatever is older than this file is in a snapshot.
            stamp = STAMPS / f"{what}.stamp"
            begun = stamp.with_suffix(".begun")
            begun.touch()
            if what == "redis":
                with redis_at_rest():
                    size = save(what, label)
            else:
                size = save(what, label)
            begun.replace(stamp)
        samples[f"groundwork_backup_last_run_success{key}"] = 1
        samples[f"groundwork_backup_last_success_timestamp_seconds{key}"] = time.time()
        samples[f"groundwork_backup_size_bytes{key}"] = size
        samples[f"groundwork_backup_duration_seconds{key}"] = time.time() - started
    finally:
        write_metrics(folder, f"backup_{what}", samples)


def restore(tags: list[str], target: str, check: bool = False) -> None:
    """The newest snapshot of each. To /, where the files were, Docker gets its volumes as well.

    Each from the repository on the backup host, or where that is new and lacks it, from the one elsewhere. A lost host
    comes back without what was never backed up, but not without its configuration and keys.
    """
    listing = ["snapshots", "--json", "--host", "source", "--tag"]
    wanted, found, taken = [tag for tag in tags if has(tag)], {}, {}
    for arguments, environment in repositories():
        for tag in [tag for tag in wanted if tag not in found]:
            if there := json.loads(restic(arguments, environment, *listing, tag)):
                found[tag] = arguments, environment
                taken[tag] = max(taken_at(one["time"]) for one in there)
    missing = [tag for tag in wanted if tag not in found]
    if missing and (target != "/" or "config" in missing):
        raise SystemExit(f"{', '.join(missing)}: no repository has a snapshot of it")
    for tag in missing:
        print(f"{tag}: was never backed up, so nothing of it comes back")
    if check:
        for tag, at in taken.items():
            print(f"{tag}: would come back as it was at {at:%Y-%m-%d %H:%M:%S} UTC")
        return
    for tag in filter(found.get, wanted):
        arguments, environment = found[tag]
        restic(arguments, environment, "restore", "latest", "--host", "source", "--tag", tag, "--target", target)
        if tag == "config" and target == "/":
            for name, labels in json.loads(MANIFEST.read_text(encoding="utf-8")).items():
                options = [f"--label={key}={value}" for key, value in labels.items()]
                subprocess.run(["docker", "volume", "create", *options, name], stdout=subprocess.DEVNULL, check=True)


def receive(folder: str) -> None:
    """The prepared database, unpacked into an empty folder."""
    if any(Path(folder).iterdir()):
        raise SystemExit(f"{folder}: is not empty; a restore writes over nothing")
    sender = subprocess.Popen([*ssh(), "send"], stdout=subprocess.PIPE)
    subprocess.run(["tar", "-x", "-C", folder, "--numeric-owner"], stdin=sender.stdout, check=True)
    if sender.wait():
        raise SystemExit("the backup host ended early; its journal says why, and nothing was started from what arrived")


def recover(folder: str) -> None:
    """Whatever keeps PostgreSQL from reaching its target is known before anything else is stopped."""
    image, program = database_program()
    try:
        # Of a large database it may take long; what was received is there, and the platform serves meanwhile.
        start_scratch(RECOVERY, image, Path(folder), program, hours=48)
        subprocess.run(["docker", "stop", "--time", "600", RECOVERY], check=True, stdout=subprocess.DEVNULL)
    finally:
        subprocess.run(["docker", "rm", "-f", RECOVERY], capture_output=True, check=False)


def database_program() -> tuple[str, list[str]]:
    """The live database's image and command: some of its settings change what is recovered, and how."""
    command = ["docker", "inspect", "-f", "{{json .Config}}", SOURCE["database_container"]]
    config = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return config["Image"], config["Cmd"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for what in ("redis", "volumes", "config"):
        commands.add_parser(what).add_argument("--label", default="")
    files = commands.add_parser("restore")
    files.add_argument("tags", nargs="+", choices=["config", "volumes", "redis"])
    files.add_argument("--target", required=True)
    files.add_argument("--check", action="store_true")
    for name in ("receive", "scratch", "recover"):
        commands.add_parser(name).add_argument("folder")
    tables = commands.add_parser("tables")
    tables.add_argument("tables")
    tables.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    os.umask(0o077)
    if arguments.command == "restore":
        restore(arguments.tags, arguments.target, arguments.check)
    elif arguments.command == "scratch":
        image, program = database_program()
        start_scratch(SCRATCH, image, Path(arguments.folder), program, hours=48)
    elif arguments.command == "recover":
        recover(arguments.folder)
    elif arguments.command == "tables" and arguments.check:
        check_tables(SOURCE["database_container"], arguments.tables)
    elif arguments.command == "tables":
        print(json.dumps(restore_tables(SCRATCH, SOURCE["database_container"], arguments.tables)))
    elif arguments.command == "receive":
        receive(arguments.folder)
    elif has(arguments.command):
        back_up(arguments.command, arguments.label)


if __name__ == "__main__":
    main()
