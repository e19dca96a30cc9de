# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left of many days of backups: real restic and real Barman, started as the role's units start them."""

from __future__ import annotations

import json
import os
import shlex
from datetime import datetime, timedelta, timezone

import pytest
from backup_host import (
    CLOCK,
    PASSWORD,
    REPOSITORY,
    SERVER,
    commands,
    make_repository,
    running_host,
    start_database,
)

# Days before now on which a base backup is taken.
BASE_BACKUPS = (20, 16, 0)
# Nights of 400 days on which a snapshot was taken. Each costs a moment, so of those long ago it is every eighth one.
NIGHTS = range(400) if os.environ.get("RETENTION_NIGHTS") == "all" else [*range(40), *range(40, 400, 8)]
OPEN = f"RESTIC_PASSWORD={PASSWORD} restic --no-cache -r {REPOSITORY}"
# The way of the source's key, through the role's gate.
BY_THE_GATE = (
    f"RESTIC_PASSWORD={PASSWORD} SSH_ORIGINAL_COMMAND='rclone serve restic --stdio' restic --no-cache -r rclone:any "
    "-o rclone.program='/usr/local/lib/groundwork/groundwork_backup/gate'"
)


@pytest.fixture(scope="module")
def keeper():
    with running_host() as host:
        make_repository(host)
        host.script("mkdir /data && echo 1 >/data/file && chown -R barman: /data")
        yield host


def snapshots(host):
    """Time by id."""
    listing = json.loads(host.script(f"{OPEN} snapshots --json", user="barman"))
    return {one["id"]: datetime.fromisoformat(one["time"]) for one in listing}


def add_snapshots(host, what, times, label="", way=OPEN):
    tags = f"--tag {what}" + (f" --tag label={label}" if label else "")
    backup = shlex.quote(f"{way} backup -q --host source {tags} --time '@' /data")
    lines = "\n".join(time.strftime("%Y-%m-%d %H:%M:%S") for time in times)
    host.script(
        f"printf '%s\n' {shlex.quote(lines)} | tr '\n' '\\0' | xargs -0 -P 4 -I @ sh -c {backup}", user="barman"
    )


def let_them_have_arrived_then(host):
    """Their files get the time that the snapshots say."""
    lines = [f"touch -d @{time.timestamp()} {REPOSITORY}/snapshots/{one}" for one, time in snapshots(host).items()]
    host.script("\n".join(lines))


def promised(times):
    """All of the 14 days up to the newest, and the last of each of 7 days, 4 weeks and 6 months."""
    newest = sorted(times, reverse=True)
    kept = {time for time in times if time > newest[0] - timedelta(days=14)}
    periods = {7: "%Y-%m-%d", 4: "%G-%V", 6: "%Y-%m"}
    for count, period in periods.items():
        last = {}
        for time in newest:
            last.setdefault(time.strftime(period), time)
        kept |= set(list(last.values())[:count])
    return kept


def test_exactly_what_is_promised_is_left(keeper):
    last = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(hours=1)
    nightly = [last - timedelta(days=day) for day in NIGHTS]
    often = [last - timedelta(days=day, hours=hour) for day in range(20) for hour in (1, 9)]
    labelled = [last - timedelta(days=day, hours=5) for day in (0, 3, 18, 100)]
    add_snapshots(keeper, "config", nightly)
    add_snapshots(keeper, "redis", often)
    # A label is a name; what has one is kept no longer.
    for number, time in enumerate(labelled):
        add_snapshots(keeper, "redis", [time], label=str(number))
    let_them_have_arrived_then(keeper)
    assert len(snapshots(keeper)) == len(nightly) + len(often) + len(labelled)

    keeper.run(SERVER, "retain")

    left = sorted(snapshots(keeper).values())
    assert left == sorted([*promised(nightly), *promised([*often, *labelled])])
    assert keeper.metrics("backup_retention")['groundwork_backup_last_run_success{what="retention"}'] == 1
    # What is left can be read, and a second run finds nothing to do.
    keeper.script(f"{OPEN} check --read-data", user="barman")
    keeper.run(SERVER, "retain")
    assert sorted(snapshots(keeper).values()) == left


@pytest.mark.parametrize(
    ("shift", "told"), [(timedelta(days=30), "snapshot"), (timedelta(days=-40), "snapshot")], ids=["later", "earlier"]
)
def test_a_source_cannot_push_snapshots_out_by_making_up_times(keeper, shift, told):
    before = snapshots(keeper)
    add_snapshots(keeper, "redis", [datetime.now(timezone.utc) + shift], way=BY_THE_GATE)
    (added,) = snapshots(keeper).keys() - before.keys()
    said = keeper.run(SERVER, "retain", expect=1)
    assert f"snapshot {added[:8]}: says it is of" in said and "nothing is thinned out" in said
    assert snapshots(keeper).keys() == before.keys() | {added}
    seen = keeper.metrics("backup_retention")
    assert seen['groundwork_backup_last_run_success{what="retention"}'] == 0
    # The remedy, and all is well again.
    keeper.script(f"{OPEN} forget {added}", user="barman")
    keeper.run(SERVER, "retain")
    assert snapshots(keeper) == before


def test_a_source_cannot_delete_one(keeper):
    before = snapshots(keeper)
    refused = keeper.run("bash", "-c", f"{BY_THE_GATE} forget {next(iter(before))}", user="barman", expect=None)
    assert "403" in refused or "Forbidden" in refused or "unable to remove" in refused, refused
    assert snapshots(keeper) == before


def test_a_snapshot_that_was_killed_keeps_nobody_out(keeper):
    before = snapshots(keeper)
    keeper.script(
        f"sleep 60 | {OPEN} backup -q --stdin --tag redis & "
        f"until ls {REPOSITORY}/locks | grep -q .; do sleep 0.1; done; pkill -KILL -x restic; pkill -n -x sleep",
        user="barman",
    )
    (lock,) = keeper.run("ls", f"{REPOSITORY}/locks").split()
    # It may be in use, whatever the clock of its host says; restic waits for minutes, this test does not.
    keeper.run("timeout", "5", SERVER, "retain", expect=None)
    assert lock in keeper.run("ls", f"{REPOSITORY}/locks").split()
    keeper.run("touch", "--date", "31 minutes ago", f"{REPOSITORY}/locks/{lock}")
    keeper.run(SERVER, "retain")
    assert snapshots(keeper) == before and not keeper.run("ls", f"{REPOSITORY}/locks").strip()


@pytest.fixture(scope="module")
def aged():
    """Base backups of some days, with a beat and the WAL between them; the clock stands at the last."""
    with running_host() as host:
        start_database(host, f"-{BASE_BACKUPS[0]}d")
        for day in BASE_BACKUPS:
            host.write({CLOCK: (f"-{day}d", 0o644)})
            host.run(SERVER, "backup", "--label", f"day{day}", clock=True)
            for command in commands(host, "groundwork-barman"):
                host.run(*command, user="barman", clock=True)
        beat = host.sql("select max(beat), extract(epoch from max(at)) from groundwork_backup.heartbeat").split("|")
        text = json.dumps({"beat": int(beat[0]), "acknowledged": float(beat[1])})
        host.write({"/var/lib/groundwork-backup/beat.json": (text, 0o644)})
        yield host


def decided(host, seconds_ago, expect=0):
    """What a restore of that second takes, or why there is none."""
    moment = datetime.now(timezone.utc) - timedelta(seconds=seconds_ago)
    return host.run(SERVER, "prepare", "--check", "--time", moment.isoformat(), expect=expect)


def test_every_second_of_the_window_stays_restorable_and_what_is_older_goes(aged):
    listing = json.loads(aged.run("barman", "--format", "json", "list-backups", "main"))["main"]
    ids = {one["backup_name"]: one["backup_id"] for one in listing}
    # That of the 16th day before is where the 14th begins.
    assert ids.keys() == {"day16", "day0"}
    day = 86400
    for seconds in (14 * day, day):
        assert json.loads(decided(aged, seconds))["backup"] == ids["day16"]
    assert "choose a later target" in decided(aged, 17 * day, expect=1)
    # The WAL from the oldest backup on is there, none of what lies before it.
    oldest = json.loads(aged.run("barman", "--format", "json", "show-backup", "main", ids["day16"]))["main"]
    segments = sorted(aged.script("cd /var/lib/barman/main/wals && find . -type f -name '0*' -printf '%f\\n'").split())
    assert segments[0] == oldest["base_backup_information"]["begin_wal"]
