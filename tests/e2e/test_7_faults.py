"""What goes wrong with backups ends in a clear message, in a figure that an alert looks at, and without a loss."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

from conftest import documented, kill_play, thorough
from test_7_backups import BEATS, PSQL, TOOLS, VOLUME, live, metrics, moment

UNIT = "groundwork-backup-postgres.service"
RECEIVER = "groundwork-wal-receiver.service"
RUN = 'groundwork_backup_last_run_success{what="postgres"}'
KINDS = ("postgres", "redis", "volumes", "config")
BARMAN = "/var/lib/barman"
STREAMING = f"{BARMAN}/main/streaming"


def wait_until(true, what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.3)


def base_backups(node2) -> dict[str, str]:
    (listing,) = json.loads(node2.check_output("barman --format json list-backups main")).values()
    return {one["backup_id"]: one["status"] for one in listing}


def received(node2) -> bool:
    seen = metrics(node2)
    return seen["groundwork_backup_wal_receiver_up"] == 1 and seen["groundwork_backup_wal_lag_seconds"] < 12


def beats(node1) -> bool:
    return time.time() - float(live(node1, BEATS)) < 2


def verified(node2) -> dict[str, float]:
    seen = metrics(node2)
    return {what: seen[f'groundwork_backup_verify_success{{what="{what}"}}'] for what in KINDS}


def test_a_killed_receiver_comes_back_by_itself_and_nothing_is_missing(node2):
    def killed() -> bool:
        node2.run(f"systemctl kill --signal KILL {RECEIVER}")
        return metrics(node2)["groundwork_backup_wal_receiver_up"] == 0

    wait_until(killed, "the figure says that nothing is received")
    away = datetime.now(timezone.utc)
    time.sleep(2)
    wait_until(lambda: received(node2), "the receiver is back and has caught up")
    report = json.loads(node2.check_output(f"{TOOLS}/server drill --time {moment(away)}"))
    assert -0.001 <= report["rpo_seconds"] <= 2.5, report


def start_backup(node2) -> None:
    """Returns when pg_basebackup has begun, and is held: the lab's database is copied in less than a login takes."""
    node2.check_output(f"systemctl start --no-block {UNIT}")
    held = "pkill -STOP -f '[p]g_basebackup .*--pgdata'"
    node2.check_output(f'timeout 60 sh -c "until {held}; do sleep 0.02; done"')


def ended(node2) -> str:
    wait_until(lambda: node2.run(f"systemctl is-active {UNIT}").stdout.strip() != "activating", "the backup has ended")
    return str(node2.run(f"systemctl is-active {UNIT}").stdout).strip()


def test_a_base_backup_that_is_killed_says_so_and_is_never_taken_for_whole(node2):
    whole = base_backups(node2)
    assert set(whole.values()) <= {"DONE", "WAITING_FOR_WALS"}

    # The copying program alone, as when memory runs out: the job goes on to say so.
    start_backup(node2)
    node2.check_output("pkill -KILL -x pg_basebackup")
    assert ended(node2) == "failed"
    assert metrics(node2)[RUN] == 0
    assert "pg_basebackup" in node2.check_output(f"journalctl --unit {UNIT} --lines 40 --output cat")

    # All of it, which cannot say anything: the unit has failed, and the host's figures count those.
    start_backup(node2)
    node2.check_output(f"systemctl kill --signal KILL {UNIT}")
    assert ended(node2) == "failed"

    halves = base_backups(node2).keys() - whole.keys()
    assert halves
    offered = json.loads(node2.check_output(f"{TOOLS}/server prepare --check"))
    assert offered["backup"] == max(whole)
    for half in halves:
        assert "does not exist" in node2.run(f"{TOOLS}/server prepare --check --backup {half}").stderr

    # Meanwhile another one is refused and changes nothing; the next one is whole, and the halves are gone.
    start_backup(node2)
    second = node2.run(f"{TOOLS}/server backup")
    assert second.rc == 1 and "backup: is running already; wait for it to end" in second.stderr
    node2.check_output("pkill -CONT -x pg_basebackup")
    assert ended(node2) == "inactive"
    assert metrics(node2)[RUN] == 1
    now = base_backups(node2)
    assert len(now.keys() - whole.keys()) == 1 and not now.keys() & halves
    assert whole.keys() <= now.keys()


@contextmanager
def damaged(node2, path: str):
    """Some bytes in the middle of a file are others for a while."""
    node2.check_output(f"cp -a {path} /root/whole")
    try:
        size = int(node2.check_output(f"stat -c %s {path}"))
        node2.check_output(f"printf damaged | dd of={path} bs=1 seek={size // 2} conv=notrunc status=none")
        yield
    finally:
        node2.check_output(f"cp -a /root/whole {path} && rm /root/whole")


def test_a_damaged_base_backup_is_found_and_named(node2):
    newest = max(base_backups(node2))
    data = f"{BARMAN}/main/base/{newest}/data"
    file = node2.check_output(f"cd {data} && find base -type f -size +64k | sort | head -n 1").strip()
    with damaged(node2, f"{data}/{file}"):
        said = node2.run(f"{TOOLS}/server verify")
        assert said.rc == 1 and f"backup {newest}: is damaged" in said.stderr and file in said.stderr
        # What is wrong with one kind hides nothing about the others.
        assert verified(node2) == {"postgres": 0, "redis": 1, "volumes": 1, "config": 1}


def test_a_damaged_snapshot_and_a_lost_segment_are_found_and_named(node2):
    pack = node2.check_output(f"find {BARMAN}/restic/data -type f -size +8k | sort | head -n 1").strip()
    archived = node2.check_output(f"find {BARMAN}/main/wals -type f -regex '.*/[0-9A-F]*' | sort").split()
    segment = archived[-1].rpartition("/")[2]
    shown = json.loads(node2.check_output(f"barman --format json show-backup main {max(base_backups(node2))}"))["main"]
    assert shown["base_backup_information"]["begin_wal"] <= segment
    node2.check_output(f"mv {archived[-1]} /root/{segment}")
    try:
        with damaged(node2, pack):
            said = node2.run(f"{TOOLS}/server verify")
        assert said.rc == 1 and pack.rpartition("/")[2][:8] in said.stderr and segment in said.stderr
        assert not any(verified(node2).values())
        later = moment(datetime.now(timezone.utc) - timedelta(seconds=5))
        refused = node2.run(f"{TOOLS}/server prepare --check --time {later}")
        assert refused.rc == 1 and f"the first is {segment}" in refused.stderr
    finally:
        node2.check_output(f"mv /root/{segment} {archived[-1]}")
    # Put back, all is well.
    node2.check_output("systemctl start groundwork-backup-verify")
    assert all(verified(node2).values())


def test_a_snapshot_that_fails_says_why_without_a_traceback(node1):
    password, run = "/etc/groundwork-backup/repository-password", 'groundwork_backup_last_run_success{what="redis"}'
    node1.check_output(f"mv {password} {password}.away")
    try:
        said = node1.run(f"{TOOLS}/source redis")
        assert said.rc == 1 and "restic backup, the backup host: " in said.stderr, said.stderr
        assert password in said.stderr and "Traceback" not in said.stderr
        assert metrics(node1)[run] == 0
    finally:
        node1.check_output(f"mv {password}.away {password}")
    node1.check_output(f"{TOOLS}/source redis")
    assert metrics(node1)[run] == 1


def write_segments(node1, number: int) -> None:
    """So many segments of WAL, 16 MB each on the disk of who receives them."""
    segment = "select pg_logical_emit_message(false, 'test', 'a segment'), pg_switch_wal()"
    live(node1, f"{segment} from generate_series(1, {number})")


@contextmanager
def small_disk(node2):
    """The folder of the receiver on a disk of its own with room for two segments, until what is on it moves back."""
    node2.check_output(f"systemctl stop groundwork-barman.timer {RECEIVER}")
    node2.check_output(
        "mkdir -p /mnt/small && mount -t tmpfs -o size=40m tmpfs /mnt/small"
        f" && cp -a {STREAMING}/. /mnt/small && chown barman: /mnt/small && mount --bind /mnt/small {STREAMING}"
    )
    node2.check_output(f"systemctl start {RECEIVER}")
    try:
        yield
    finally:
        node2.check_output(f"systemctl stop {RECEIVER} && umount {STREAMING} && cp -a /mnt/small/. {STREAMING}")
        node2.check_output("umount /mnt/small && rmdir /mnt/small")
        node2.check_output(f"systemctl start {RECEIVER} groundwork-barman.timer")


@thorough
def test_a_full_disk_of_the_backup_host_stops_nobody_and_nothing_is_missing(node1, node2):
    with small_disk(node2):
        write_segments(node1, 4)
        wait_until(lambda: metrics(node2)["groundwork_backup_wal_receiver_up"] == 0, "nothing is received any more")
        assert "No space left on device" in node2.check_output(f"journalctl --unit {RECEIVER} --lines 20 --output cat")
        # The database keeps for it what it has not taken, and serves on.
        assert int(live(node1, "select pg_current_wal_lsn() - restart_lsn from pg_replication_slots")) > 0
        time.sleep(2)
        full = datetime.now(timezone.utc)
        time.sleep(2)
    wait_until(lambda: received(node2), "the receiver has caught up")
    report = json.loads(node2.check_output(f"{TOOLS}/server drill --time {moment(full)}"))
    assert -0.001 <= report["rpo_seconds"] <= 2.5, report


@contextmanager
def small_disk_for_wal(node1):
    """The database's WAL on a disk of its own with hardly any room, until what is on it moves back."""
    wal = f"{VOLUME}/_data/pg_wal"
    node1.check_output("docker stop supabase-db-1")
    node1.check_output(
        "mkdir -p /mnt/small"
        f" && mount -t tmpfs -o size=$(($(du -sk {wal} | cut -f 1) + 40960))k,mode=0700 tmpfs /mnt/small"
        f" && cp -a {wal}/. /mnt/small && chown --reference={wal} /mnt/small && mount --bind /mnt/small {wal}"
    )
    start_database(node1)
    try:
        yield
    finally:
        node1.check_output(f"docker stop supabase-db-1 && umount {wal} && find {wal} -mindepth 1 -delete")
        node1.check_output(f"cp -a /mnt/small/. {wal} && umount /mnt/small && rmdir /mnt/small")
        start_database(node1)


def start_database(node1) -> None:
    node1.check_output("docker start supabase-db-1")
    ready = "docker exec supabase-db-1 pg_isready --host localhost --username postgres"
    wait_until(lambda: node1.run(ready).rc == 0, "the database is ready")


@thorough
def test_a_full_disk_of_the_database_loses_nothing_that_was_answered(node1, node2):
    psql = PSQL.format("supabase-db-1")
    live(node1, "create table groundwork_backup.answered (id int)")
    try:
        with small_disk_for_wal(node1):
            for number in range(1, 500):
                if node1.run(f'{psql} "insert into groundwork_backup.answered values ({number})"').rc:
                    break
                node1.run(f"{psql} \"select pg_logical_emit_message(false, 'test', repeat('x', 9000000))\"")
            said = node1.check_output("docker logs --since 2m supabase-db-1 2>&1")
            assert "No space left on device" in said, said[-2000:]
        # The one that was not answered may be there, too.
        assert int(live(node1, "select count(*) from groundwork_backup.answered")) in (number - 1, number)
        wait_until(lambda: received(node2) and beats(node1), "the receiver has caught up", 120)
    finally:
        live(node1, "drop table groundwork_backup.answered")


@thorough
def test_after_a_slot_was_given_up_the_way_back_is_the_documented_one(node1, node2):
    wait_until(lambda: beats(node1), "there are beats")
    before = datetime.now(timezone.utc)
    time.sleep(3)
    keep = live(node1, "show max_slot_wal_keep_size")
    node2.check_output(f"systemctl stop {RECEIVER}")
    live(node1, "alter system set max_slot_wal_keep_size = '16MB'")
    try:
        live(node1, "select pg_reload_conf()")
        write_segments(node1, 4)
        live(node1, "checkpoint")
        assert live(node1, "select wal_status from pg_replication_slots") == "lost"
        # It is not to be had by starting again, and the figure says so.
        node2.check_output(f"systemctl start {RECEIVER}")
        time.sleep(5)
        assert metrics(node2)["groundwork_backup_wal_receiver_up"] == 0
    finally:
        live(node1, f"alter system set max_slot_wal_keep_size = '{keep}'")
        live(node1, "select pg_reload_conf()")
    for command in documented("backups.md", "When the backup host is away", "node2"):
        node2.check_output(command)
    wait_until(lambda: received(node2), "a new slot is there, and the WAL is received")
    report = json.loads(node2.check_output(f"{TOOLS}/server drill --time {moment(before)}"))
    assert -0.001 <= report["rpo_seconds"] <= 2.5, report
    time.sleep(3)
    now = moment(datetime.now(timezone.utc) - timedelta(seconds=2))
    report = json.loads(node2.check_output(f"{TOOLS}/server drill --time {now}"))
    assert -0.001 <= report["rpo_seconds"] <= 2.5, report


@thorough
def test_a_restore_beside_that_is_interrupted_is_repeated_by_the_same_command(play, node1):
    target = f"target_time={moment(datetime.now(timezone.utc) - timedelta(seconds=5))}"
    kill_play(
        "TASK [groundwork.supabase.backup : Restore | Fetch the database", 0.5, "playbooks/restore.yml", "-e", target
    )
    play("playbooks/restore.yml", "-e", target)
    try:
        wanted = datetime.fromisoformat(target.partition("=")[2].replace("Z", "+00:00")).timestamp()
        assert wanted - 2.5 < float(node1.check_output(f'{PSQL.format("groundwork-restored")} "{BEATS}"')) <= wanted
    finally:
        node1.check_output("docker rm -f groundwork-restored; rm -r /var/lib/groundwork-restored")


@thorough
def test_a_restore_over_a_dead_database_that_is_interrupted_is_brought_to_its_end(play, node1, node2, client, secret):
    live(node1, "create table groundwork_backup.rows (id int)")
    live(node1, "insert into groundwork_backup.rows values (1)")
    time.sleep(3)
    target = f"target_time={moment(datetime.now(timezone.utc))}"
    time.sleep(3)
    live(node1, "insert into groundwork_backup.rows values (2)")
    wait_until(lambda: received(node2), "the last row is received")
    node1.check_output("docker kill supabase-db-1")
    restore = ("playbooks/restore.yml", "-e", target, "-e", "over=node1")
    # The worst moment: the live database has gone from its place, and nothing is there yet.
    kill_play("Restore | Put the restored database into its place", 0, *restore)
    other = play("playbooks/restore.yml", "-e", "target_time=2026-01-01T00:00:00Z", "-e", "over=node1", expect=2)
    assert "was cut short" in " ".join(other.output.split())
    play(*restore)
    assert live(node1, "select string_agg(id::text, ',') from groundwork_backup.rows") == "1"
    live(node1, "drop table groundwork_backup.rows")
    key = secret("secret_key")
    assert (
        client.check_output(
            "curl -s -o /dev/null -w '%{http_code}' --cacert /etc/ssl/lab-ca.crt "
            f"-H 'apikey: {key}' https://api.lab.test/rest/v1/todos"
        )
        == "200"
    )
    assert metrics(node2)[RUN] == 1
    wait_until(lambda: received(node2), "the new timeline is received")
    # What was replaced lies beside it, once.
    assert not node1.file(f"{VOLUME}/_data/groundwork_wal").exists
    (replaced,) = node1.check_output(f"ls -d {VOLUME}/replaced-*").split()
    assert node1.file(f"{replaced}/PG_VERSION").exists
    assert not node1.file(f"{VOLUME}/restored").exists and not node1.file(f"{VOLUME}/restored.json").exists
    node1.check_output(f"rm -r {replaced}")
