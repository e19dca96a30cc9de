# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database in a repository elsewhere: real PostgreSQL, Barman, restic and rclone."""

from __future__ import annotations

import json
import re

import pytest
from backup_host import PASSWORD, SERVER, commands, running_host, start_database, start_server
from edge_server import wait_until
from postgres_server import docker

ELSEWHERE = "/srv/elsewhere"
STORED = "/etc/groundwork/secrets/backup_repository_password"
OPEN = f"RESTIC_PASSWORD={PASSWORD} restic --no-cache -r {ELSEWHERE}"
LAST_RUN = 'groundwork_backup_last_run_success{what="offsite"}'
SUCCEEDED = 'groundwork_backup_last_success_timestamp_seconds{what="offsite"}'


@pytest.fixture(scope="module")
def host():
    """With a database of some size, a base backup of it, and rows that are in the WAL alone."""
    environment = {"RCLONE_CONFIG_ELSEWHERE_TYPE": "local"}
    repository = f"rclone:elsewhere:{ELSEWHERE}"
    with running_host(backup_offsite_repository=repository, backup_offsite_environment=environment) as host:
        host.script(f"install -d -o barman {ELSEWHERE}")
        host.script(f"{OPEN} init", user="barman")
        start_database(host, "-0d")
        host.sql("create table rows (id int primary key, filling bytea)")
        # Blocks that no compression makes small: 20 MB.
        filling = "(select string_agg(sha512((id * 1000 + part)::text::bytea), '') from generate_series(1, 32) part)"
        host.sql("alter table rows alter filling set storage external")
        host.sql(f"insert into rows select id, {filling} from generate_series(1, 10000) id")
        # Else PostgreSQL does it some time between two backups, and writes every block once more.
        host.sql("vacuum (freeze) rows")
        host.run(SERVER, "backup")
        host.sql("insert into rows values (20001, '')")
        yield host


def send_away(host, expect=0):
    """Started as by its unit: bytes of the snapshot, and those that were new there."""
    (command,) = commands(host, "groundwork-backup-offsite")
    said = host.run(*command, expect=expect)
    return said if expect else [int(count) for count in re.findall(r"(\d+) (?:bytes|were new)", said)]


def sent_backups(host):
    listing = host.script(f"{OPEN} ls latest", user="barman")
    return set(re.findall(r"/var/lib/barman/main/base/(\w+)/data$", listing, re.MULTILINE))


def complete_backups(host):
    listing = json.loads(host.run("barman", "--format", "json", "list-backups", "main"))["main"]
    return [one["backup_id"] for one in listing if one["status"] in ("DONE", "WAITING_FOR_WALS")]


def test_what_was_sent_is_sent_once(host, capsys):
    size, new = send_away(host)
    assert new > 20e6
    host.sql("insert into rows values (20002, '')")
    _size, again = send_away(host)
    host.run(SERVER, "backup")
    _size, other_backup = send_away(host)
    with capsys.disabled():
        print(f"\nof {size} bytes the first send adds {new / size:.1%}, the next {again / size:.1%}, ", end="")
        print(f"one with another base backup {other_backup / size:.1%}")
    assert again < 0.1 * new
    # Barman does not compress its base backups, so that what is the same in the next one is found.
    assert other_backup < 0.3 * new
    assert sent_backups(host) == {complete_backups(host)[0]}
    seen = host.metrics("backup_offsite")
    assert seen[LAST_RUN] == 1 and SUCCEEDED in seen


def test_a_base_backup_that_is_being_taken_is_not_sent(host):
    (command,) = commands(host, "groundwork-backup-postgres")[:1]
    before = complete_backups(host)
    docker("exec", "--detach", "--user", "barman", host.container, "barman", "backup", "--bwlimit", "2000", "main")
    folders = "ls /var/lib/barman/main/base"
    wait_until(lambda: len(host.script(folders).split()) > len(before), "it has begun")
    send_away(host)
    assert len(host.script(folders).split()) > len(before) and complete_backups(host) == before
    assert sent_backups(host) == {before[0]}
    host.script("pkill -x pg_basebackup")
    wait_until(lambda: not host.run("pgrep", "-x", "pg_basebackup", expect=None), "it has ended")
    # Takes away what is left of the other one.
    host.run(*command)


@pytest.mark.parametrize(
    ("fault", "remedy", "said"),
    [
        (f"echo another-password >{STORED}", f"printf %s {PASSWORD} >{STORED}", "wrong password or no key found"),
        (f"mv {ELSEWHERE} /srv/gone", f"mv /srv/gone {ELSEWHERE}", "config"),
    ],
    ids=["another password", "not to be reached"],
)
def test_what_cannot_be_sent_is_told(host, fault, remedy, said):
    before = host.metrics("backup_offsite")
    host.script(fault)
    told = send_away(host, expect=1)
    assert "repository elsewhere: restic snapshots: " in told and said in told
    assert "look at backup_offsite_repository" in told
    seen = host.metrics("backup_offsite")
    assert seen[LAST_RUN] == 0 and seen[SUCCEEDED] == before[SUCCEEDED]
    host.script(remedy)
    send_away(host)
    assert host.metrics("backup_offsite")[LAST_RUN] == 1


def test_nothing_is_sent_behind_the_history_of_another_database(host):
    identity = "/var/lib/barman/main/identity.json"
    snapshots = f"{OPEN} snapshots --json"
    before = host.script(snapshots, user="barman")
    # As where both hosts were made anew without a restore.
    host.script(f"""sed -i.kept 's/"systemid": *"/&1/' {identity}""")
    try:
        told = send_away(host, expect=1)
    finally:
        host.script(f"mv {identity}.kept {identity}")
    system = host.sql("select system_identifier from pg_control_system()")
    assert f"has the history of database {system}" in told and f"the one that runs is 1{system}" in told
    assert host.script(snapshots, user="barman") == before
    send_away(host)


def lose_both_hosts(host):
    # The shell is the one that starts the receiver again.
    host.script("for name in sh barman pg_receivewal psql postgres; do pkill -KILL -x $name || true; done")
    wait_until(lambda: not host.run("pgrep", "-x", "postgres|barman", expect=None), "nothing runs")
    host.script("find /var/lib/postgresql/data -mindepth 1 -delete; rm -rf /var/lib/barman/main /var/lib/barman/kept")


def test_all_that_was_sent_comes_back_when_both_hosts_are_lost(host):
    assert "has backups or WAL" in host.run(SERVER, "fetch", expect=1)
    host.sql("insert into rows values (20003, '')")
    send_away(host)
    sent = host.sql("select count(*), sum(id) from rows")
    newest = complete_backups(host)[0]
    host.sql("insert into rows values (20004, '')")
    lose_both_hosts(host)

    # Barman was here before; what it makes for backups to come is in nobody's way.
    host.run("barman", "cron", user="barman")
    assert host.run(SERVER, "fetch", "--check").startswith("snapshot ")
    assert not host.run("find", "/var/lib/barman", "-name", "backup_manifest")
    assert "none of the database by this name" in host.run(SERVER, "fetch", "--snapshot", "abcdef", expect=1)
    said = host.run(SERVER, "fetch")
    # Repeated by somebody who does not know how far it came.
    assert host.run(SERVER, "fetch").split()[1] == said.split()[1]
    assert complete_backups(host) == [newest]
    assert not host.run("find", "/var/lib/barman", "!", "-user", "barman")

    host.run(SERVER, "prepare")
    host.script(f"{SERVER} send | tar -x -C /var/lib/postgresql/data --numeric-owner")
    start_server(host)
    assert host.sql("select count(*), sum(id) from rows") == sent
    # What was on its way to Barman is filed as ever, and the list of the WAL is made of what came.
    host.run("barman", "rebuild-xlogdb", "main", user="barman")
    host.run("barman", "archive-wal", "main", user="barman")
    host.run("barman", "check-backup", "main", newest, user="barman")
    assert complete_backups(host) == [newest]
