# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Base backups, their proof, and restores, on the host that keeps them.

usage: server make-repository             for the snapshots, with the password that lies here
       server backup [--label LABEL]      base backup
       server retain                      thins the snapshots out; Barman does the same for base backups by itself
       server verify                      reads back what is kept
       server prepare TARGET …            decides what a restore takes; refuses before anything is stopped
       server send                        the prepared restore as a tar stream
       server forget                      ends the offer of a prepared restore
       server check-database              refuses where what is kept is of a database that ran before
       server offsite                     sends base backup and WAL to the repository elsewhere
       server fetch [--snapshot ID]       their way back, onto a new host
       server begin-anew                  after a restore, a fetch or a lost slot: receive what is written from now on
       server drill [--time TIME]         restores a second here, a random one by default, and measures
"""

from __future__ import annotations

import argparse
import fcntl
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from functools import cache, partial
from pathlib import Path
from typing import Any, BinaryIO

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from metrics import read_metrics, write_metrics
from offsite import fetch, send_away
from recovery.barman import content_of, note_end, other_database, parse_backups, read_archive, wal_files
from recovery.choice import BaseBackup, Choice, Target, choose, parse_time, recovery_file
from recovery.snapshots import Snapshot, lock_patience, misdated, refusal, taken_at
from recovery.wal import HISTORY, parse_lsn
from scratch import ask, start_scratch

HOME = Path("/var/lib/barman")
BEAT = Path("/var/lib/groundwork-backup/beat.json")
REPORTS = Path("/var/lib/groundwork-backup/drills")
# What the other host may fetch, while it lies here.
TICKET = HOME / "ticket.json"
# Seconds: long enough for files that come before the database, and restic's own measure of an old lock.
OFFER_LIFE, LOCK_LIFE = 86400, 1800
SETTINGS_FILE = Path("/etc/groundwork-backup/settings.json")
# The image that the database of the source runs and the identifier of its cluster, as the role noted them.
DATABASE = Path("/etc/groundwork-backup/database.json")
# What is read back of the repository at once.
READ_AT_ONCE = 50 * 1024**3
# Where the recovery reads its WAL, in the data folder. A backup that has some of an earlier restore does without it.
RESTORED_WAL = "groundwork_wal"
# The database's user in Supabase's image.
OWNER, GROUP = 105, 106


def settings() -> dict[str, Any]:
    return dict(json.loads(SETTINGS_FILE.read_text(encoding="utf-8")))


def kept_files() -> tuple[str, ...]:
    """What the source has in snapshots."""
    return ("redis", "volumes", "config") if settings()["source"]["redis_container"] else ("volumes", "config")


def database_image() -> str:
    return str(json.loads(DATABASE.read_text(encoding="utf-8"))["image"])


def check_database() -> None:
    system = json.loads(DATABASE.read_text(encoding="utf-8")).get("system", "") if DATABASE.exists() else ""
    if refusal := other_database(HOME, system):
        raise SystemExit(refusal)


def barman(*arguments: str) -> str:
    """Raises SystemExit with what Barman said."""
    done = subprocess.run(["barman", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"barman {' '.join(arguments)}: {(done.stderr + done.stdout).strip()}")
    return done.stdout


def barman_json(*arguments: str) -> Any:
    return json.loads(barman("--format", "json", *arguments))


def restic(*arguments: str) -> str:
    """On this host's own repository, as its owner; only here can anything be deleted."""
    return run_restic({"RESTIC_REPOSITORY": f"{HOME}/restic"}, *arguments)


def restic_elsewhere(*arguments: str) -> str:
    offsite = settings()["offsite"]
    if not offsite["repository"]:
        raise SystemExit("backup_offsite_repository: is not set, so nothing is sent elsewhere or fetched from there")
    try:
        return run_restic({"RESTIC_REPOSITORY": offsite["repository"], **offsite["environment"]}, *arguments)
    except SystemExit as fault:
        raise SystemExit(
            f"repository elsewhere: {fault}\nlook at backup_offsite_repository, backup_offsite_environment and the "
            "repository's password (docs/backups.md, Another repository elsewhere)"
        ) from None


def run_restic(repository: dict[str, str], *arguments: str) -> str:
    """``repository`` is environment: a name may have a password in it. Raises SystemExit with restic's message."""
    password = Path("/etc/groundwork/secrets/backup_repository_password").read_text(encoding="utf-8").strip()
    environment = {
        **os.environ,
        "HOME": str(HOME),
        "RESTIC_PASSWORD": password,
        "RESTIC_CACHE_DIR": f"{HOME}/.cache/restic",
        **repository,
    }
    done = subprocess.run(
        ["restic", *lock_patience(subprocess.check_output(["restic", "version"], text=True)), *arguments],
        env=environment,
        user="barman",
        group="barman",
        extra_groups=[],
        cwd=HOME,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"restic {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def backups() -> tuple[BaseBackup, ...]:
    listing = barman_json("list-backups", "main")
    shown = {
        one["backup_id"]: barman_json("show-backup", "main", one["backup_id"])["main"]
        for one in listing.get("main", [])
        if one.get("status") in ("DONE", "WAITING_FOR_WALS")
    }
    return parse_backups(listing, shown)


@contextmanager
def locked(name: str) -> Iterator[None]:
    with open(f"/run/lock/groundwork-{name}.lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"{name}: is running already; wait for it to end") from None
        yield


@contextmanager
def reported(what: str) -> Iterator[dict[str, float]]:
    """Metrics of a run, written however it ends."""
    folder, key, started = settings()["metrics_dir"], f'{{what="{what}"}}', time.time()
    samples = read_metrics(folder, f"backup_{what}")
    samples[f"groundwork_backup_last_run_success{key}"] = 0
    try:
        yield samples
        samples[f"groundwork_backup_last_run_success{key}"] = 1
        samples[f"groundwork_backup_last_success_timestamp_seconds{key}"] = time.time()
        samples[f"groundwork_backup_duration_seconds{key}"] = time.time() - started
    finally:
        write_metrics(folder, f"backup_{what}", samples)


def back_up(label: str) -> None:
    with locked("backup"), reported("postgres") as samples:
        check_database()
        if not any((HOME / "main" / "wals").glob("0*/*")):
            # Barman begins none before it has seen a whole segment arrive.
            barman("switch-wal", "--force", "--archive", "--archive-timeout", "60", "main")
        take_base_backup(label)
        # The backup is of use only with the WAL of its time, which a quiet database would not hand over by itself.
        barman("switch-wal", "--force", "--archive", "--archive-timeout", "60", "main")
        newest = backups()[-1]
        samples['groundwork_backup_size_bytes{what="postgres"}'] = newest.size
        delete_unfinished()


def take_base_backup(label: str) -> None:
    """Barman refuses in the first seconds of a receiver, so what it finds wrong gets some seconds to pass."""
    patient_until = time.monotonic() + 15
    while True:
        try:
            barman("backup", *(["--name", label] if label else []), "main")
            return
        except SystemExit as fault:
            if "Impossible to start the backup" not in str(fault) or time.monotonic() > patient_until:
                raise SystemExit("\n".join([str(fault), *failed_checks()])) from None
        time.sleep(1)


def failed_checks() -> list[str]:
    """What Barman finds wrong: it refuses a backup without saying why."""
    said = subprocess.run(["barman", "check", "main"], capture_output=True, text=True, check=False).stdout
    return [line.strip() for line in said.splitlines() if "FAILED" in line]


def delete_unfinished() -> None:
    """What is left of backups that were killed: Barman never takes one for whole, and never deletes it either."""
    for one in barman_json("list-backups", "main").get("main", []):
        if one.get("status") in ("EMPTY", "STARTED", "FAILED"):
            barman("delete", "main", one["backup_id"])


def unlock() -> None:
    """A snapshot that was cut short, with its host for one, leaves a lock behind; this removes none that is in use.

    Not by ``restic unlock``: that goes by the source's clock and name, and takes a lock in use for an old one where the
    clock is late, or where both hosts have one name. A lock in use is written anew every five minutes.
    """
    for lock in (HOME / "restic" / "locks").glob("*"):
        with suppress(FileNotFoundError):
            if time.time() - lock.stat().st_mtime > LOCK_LIFE:
                lock.unlink()


def retain() -> None:
    """A job of its own: neither a backup nor a restore may fail because something is wrong with older snapshots."""
    with locked("retention"), reported("retention"):
        unlock()
        if doubtful := misdated(snapshots()):
            raise SystemExit(refusal(doubtful))
        keep = settings()["keep"]
        # Those of the last weeks stay whatever else is there: somebody on the source could add many, not make these go.
        policy = ["--keep-within", "14d"]
        for period in ("daily", "weekly", "monthly"):
            policy += [f"--keep-{period}", str(keep[period])]
        for what in kept_files():
            # Not by all tags: a label is a name to find a snapshot by, and would keep it for ever.
            restic("forget", "--tag", what, "--group-by", "host", *policy)
        restic("prune")


def snapshots() -> list[Snapshot]:
    """When one arrived is known here only: the source dates its snapshots as it likes."""
    return [
        Snapshot(
            one["id"],
            taken_at(one["time"]),
            datetime.fromtimestamp((HOME / "restic" / "snapshots" / one["id"]).stat().st_mtime, timezone.utc),
        )
        for one in json.loads(restic("snapshots", "--json"))
    ]


def verify() -> None:
    """Every part says for itself whether it is whole, so one that is damaged hides no other."""
    folder, faults = settings()["metrics_dir"], []
    samples = read_metrics(folder, "backup_verify")
    parts = {"postgres": verify_database, **{what: verify_files for what in kept_files()}}
    for what, part in parts.items():
        key = f'{{what="{what}"}}'
        try:
            part(what)
            samples[f"groundwork_backup_verify_success{key}"] = 1
            samples[f"groundwork_backup_verified_timestamp_seconds{key}"] = time.time()
        except SystemExit as fault:
            samples[f"groundwork_backup_verify_success{key}"] = 0
            faults.append(f"{what}: {fault}")
    write_metrics(folder, "backup_verify", samples)
    if faults:
        raise SystemExit("\n".join(faults))


def verify_database(_what: str) -> None:
    """The newest backup against its own manifest of checksums, and the WAL behind it without a gap."""
    choice = decide(Target(), {})
    assert choice.backup is not None
    barman("check-backup", "main", choice.backup.id)
    data = HOME / "main" / "base" / choice.backup.id / "data"
    # pg_verifybackup comes with the server, which this host has as the database's own image only.
    command = [
        "docker",
        "run",
        "--rm",
        "--network",
        "none",
        "-v",
        f"{data}:/backup:ro",
        "--entrypoint",
        "pg_verifybackup",
    ]
    done = subprocess.run(
        [*command, database_image(), "--no-parse-wal", "/backup"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"backup {choice.backup.id}: is damaged, take another one now\n{done.stderr.strip()}")


def verify_files(what: str) -> None:
    if not json.loads(restic("snapshots", "--json", "--tag", what)):
        raise SystemExit("there is no snapshot; start groundwork-backup-" + what)
    if fault := repository_fault():
        raise SystemExit(fault)


@cache
def repository_fault() -> str:
    """Nothing where all is well. The snapshots share what lies there, so a fault is one of each of them."""
    files = [file for file in (HOME / "restic" / "data").rglob("*") if file.is_file()]
    # All of it where that is little, else a part each week, so that every file has its turn.
    parts = min(1 + sum(file.stat().st_size for file in files) // READ_AT_ONCE, 256)
    turn = int(time.time() // (7 * 86400)) % parts + 1
    try:
        unlock()
        restic("check", "--read-data-subset", f"{turn}/{parts}")
    except SystemExit as fault:
        return str(fault)
    return ""


def decide(target: Target, free: dict[str, int]) -> Choice:
    check_database()
    choice = choose(read_archive(HOME, backups(), BEAT), target, free)
    if choice.refusals:
        raise SystemExit("\n".join(choice.refusals))
    return choice


def prepare(arguments: argparse.Namespace) -> None:
    if len([given for given in (arguments.time, arguments.lsn, arguments.name) if given]) > 1:
        raise SystemExit("target_time, target_lsn, target_name: PostgreSQL stops at one of them; give one")
    try:
        target = Target(
            parse_time(arguments.time) if arguments.time else None,
            parse_lsn(arguments.lsn) if arguments.lsn else None,
            arguments.name,
            arguments.backup,
        )
    except ValueError as error:
        raise SystemExit(str(error)) from None
    free = {place: int(size) for place, _equals, size in (one.partition("=") for one in arguments.free)}
    ticket = make_ticket(target, decide(target, free))
    if not arguments.check:
        TICKET.write_text(json.dumps(ticket), encoding="utf-8")
        shutil.chown(TICKET, "barman", "barman")
    summary = {key: ticket[key] for key in ("backup", "target", "acknowledged")}
    print(json.dumps({**summary, "segments": len(ticket["segments"])}))


def make_ticket(target: Target, choice: Choice) -> dict[str, Any]:
    assert choice.backup is not None
    files = wal_files(HOME)
    # All of them: a restored database gives its new timeline a number that none of these has.
    histories = [name for name in files if HISTORY.match(name)]
    return {
        "backup": choice.backup.id,
        "target": target.text,
        "auto_conf": recovery_file(
            (HOME / "main" / "base" / choice.backup.id / "data" / "postgresql.auto.conf").read_text(),
            target,
            choice.timeline,
        ),
        "segments": {name: str(files[name]) for name in [*choice.segments, *histories]},
        "acknowledged": json.loads(BEAT.read_text(encoding="utf-8")) if BEAT.exists() else None,
    }


def send(ticket: dict[str, Any], stream: BinaryIO) -> None:
    """The base backup, the WAL it needs and the settings of the recovery, as they will lie in the data folder."""
    data = HOME / "main" / "base" / ticket["backup"] / "data"
    if any((data / "pg_tblspc").iterdir()):
        raise SystemExit(f"backup {ticket['backup']}: has tablespaces, outside the data folder; use barman restore")
    # What is read at once fills tarfile's buffer, which it copies whole for each piece that is added to it.
    with tarfile.open(fileobj=stream, mode="w|", bufsize=1 << 20, copybufsize=1 << 20) as archive:
        archive.add(data, ".", filter=lambda member: None if member.name == f"./{RESTORED_WAL}" else owned(member))
        for name, path in ticket["segments"].items():
            add(archive, f"./{RESTORED_WAL}/{name}", content_of(HOME, Path(path)))
        add(archive, "./postgresql.auto.conf", ticket["auto_conf"].encode())
        add(archive, "./recovery.signal", b"")


def owned(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid, member.gid, member.uname, member.gname = OWNER, GROUP, "", ""
    return member


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = owned(tarfile.TarInfo(name))
    member.size, member.mode, member.mtime = len(content), 0o600, int(time.time())
    archive.addfile(member, io.BytesIO(content))


def offsite() -> None:
    with locked("offsite"), reported("offsite"):
        backup = decide(Target(), {}).backup
        assert backup is not None
        sent = send_away(HOME, backup, restic_elsewhere)
        print(
            f"snapshot {sent['snapshot_id'][:8]}: backup {backup.id} and its WAL, "
            f"{sent['total_bytes_processed']} bytes, of which {sent['data_added']} were new there"
        )


def begin_anew() -> None:
    """Keep what Barman does not file, and start at what the database writes now.

    pg_receivewal would ask for what follows on that, which a restored server does not have, nor one whose slot was
    given up or has moved on since. It is the unfinished segment, or the last whole one: Barman leaves one file there.
    """
    subprocess.run(["systemctl", "stop", "groundwork-wal-receiver"], check=True)
    try:
        if (HOME / "main" / "fetched").exists():
            # Barman's list of the WAL was not sent. Before 3.13 it never deletes what is on none.
            barman("rebuild-xlogdb", "main")
        barman("archive-wal", "main")
        note_end(HOME, BEAT)
        kept = HOME / "kept"
        kept.mkdir(exist_ok=True)
        for file in (HOME / "main" / "streaming").iterdir():
            file.replace(kept / file.name)
    finally:
        subprocess.run(["systemctl", "start", "groundwork-wal-receiver"], check=True)


def drill(at: str) -> None:
    with locked("drill"):
        started, folder = time.time(), settings()["metrics_dir"]
        samples = {**read_metrics(folder, "backup_drill"), "groundwork_drill_last_run_success": 0}
        place = HOME / "staging" / "drill"
        try:
            report = rehearse(place, Target(time=parse_time(at)) if at else random_second())
            samples |= {
                "groundwork_drill_last_run_success": 1,
                "groundwork_drill_last_success_timestamp_seconds": time.time(),
                "groundwork_drill_rto_seconds": report["rto_seconds"],
                "groundwork_drill_rpo_seconds": report["rpo_seconds"],
            }
            REPORTS.mkdir(parents=True, exist_ok=True)
            file = REPORTS / f"{datetime.fromtimestamp(started, timezone.utc):%Y-%m-%dT%H%M%SZ}.json"
            file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
            print(json.dumps(report))
        finally:
            subprocess.run(["docker", "rm", "-f", "groundwork-drill"], capture_output=True, check=False)
            shutil.rmtree(place, ignore_errors=True)
            write_metrics(folder, "backup_drill", samples)


def random_second() -> Target:
    archive = read_archive(HOME, backups(), BEAT)
    if not archive.backups or archive.seen is None:
        raise SystemExit("drill: there is no backup with WAL behind it; start groundwork-backup-postgres")
    begin = archive.backups[-1].ended + timedelta(seconds=1)
    span = (archive.seen - begin).total_seconds()
    return Target(
        time=(begin + timedelta(seconds=random.uniform(0, span))).replace(microsecond=0) if span > 2 else archive.seen
    )


def rehearse(place: Path, target: Target) -> dict[str, Any]:
    started = time.monotonic()
    choice = decide(target, {str(HOME): shutil.disk_usage(HOME).free})
    ticket = make_ticket(target, choice)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    unpack = subprocess.Popen(["tar", "-x", "-C", str(place), "--numeric-owner"], stdin=subprocess.PIPE)
    assert unpack.stdin is not None
    send(ticket, unpack.stdin)
    unpack.stdin.close()
    if unpack.wait():
        raise SystemExit("drill: the backup could not be unpacked; the lines before this one say why")
    start_scratch("groundwork-drill", database_image(), place, hours=24)
    answered = time.monotonic() - started
    beat, tables, rows = ask("groundwork-drill", CHECKS).split("|")
    assert target.time is not None
    loss = target.time.timestamp() - float(beat)
    # A beat a second, so the newest one before the target is close to it; one after it would be from the future.
    if not -0.001 <= loss <= 5:
        raise SystemExit(
            f"drill: the newest beat lies {loss:.1f} s before the target; "
            "the restore did not reach it, or no beats were written then"
        )
    return {
        "target": target.text,
        "backup": ticket["backup"],
        "segments": len(ticket["segments"]),
        "rto_seconds": round(answered, 1),
        "rpo_seconds": round(loss, 3),
        "tables": int(tables),
        "rows_estimated": int(rows),
    }


CHECKS = """
select (select extract(epoch from max(at)) from groundwork_backup.heartbeat),
  (select count(*) from pg_class where relkind = 'r'),
  (select coalesce(sum(greatest(reltuples, 0))::bigint, 0) from pg_class where relkind = 'r')
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("backup").add_argument("--label", default="")
    commands.add_parser("drill").add_argument("--time", default="")
    simple = {
        "make-repository": partial(restic, "init"),
        "retain": retain,
        "verify": verify,
        "check-database": check_database,
        "begin-anew": begin_anew,
        "offsite": offsite,
    }
    for name in (*simple, "send", "forget"):
        commands.add_parser(name)
    back = commands.add_parser("fetch")
    back.add_argument("--snapshot", default="latest")
    back.add_argument("--check", action="store_true")
    wanted = commands.add_parser("prepare")
    for option in ("time", "lsn", "name", "backup"):
        wanted.add_argument(f"--{option}", default="")
    wanted.add_argument("--free", action="append", default=[], metavar="PLACE=BYTES")
    wanted.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    if arguments.command == "backup":
        back_up(arguments.label)
    elif arguments.command == "prepare":
        prepare(arguments)
    elif arguments.command == "send":
        if not TICKET.exists():
            raise SystemExit("no restore is prepared here; playbooks/restore.yml does that")
        # Whoever takes the source over may fetch what is on offer, so an offer of a run that was cut short ends.
        if time.time() - TICKET.stat().st_mtime > OFFER_LIFE:
            raise SystemExit("the restore that was prepared here is older than a day; give its command again")
        send(json.loads(TICKET.read_text(encoding="utf-8")), sys.stdout.buffer)
    elif arguments.command == "fetch":
        with locked("offsite"):
            print(fetch(HOME, arguments.snapshot, restic_elsewhere, arguments.check))
    elif arguments.command == "drill":
        drill(arguments.time)
    elif arguments.command == "forget":
        TICKET.unlink(missing_ok=True)
    else:
        simple[arguments.command]()


if __name__ == "__main__":
    main()
