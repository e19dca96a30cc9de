"""What the backups promise: any second comes back, a lost host comes back, and what cannot work is refused first."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from conftest import ROOT, THOROUGH, playbook_environment

TOOLS = "/usr/local/lib/groundwork/groundwork_backup"
METRICS = "/var/lib/groundwork/metrics"
PSQL = "docker exec {} psql -X -A -t -h 127.0.0.1 -U supabase_admin -d postgres -c"
BEATS = "select extract(epoch from max(at)) from groundwork_backup.heartbeat"
VOLUME = "/var/lib/docker/volumes/supabase_db-data"
# Hosts that are lost, and seconds of the window that are restored at the end.
LOST = 10 if THOROUGH else 1
TARGETS = 20 if THOROUGH else 1


def live(node1, query: str) -> str:
    return str(node1.check_output(f'{PSQL.format("supabase-db-1")} "{query}"')).strip()


def metrics(host) -> dict[str, float]:
    lines = host.check_output(f"cat {METRICS}/backup_*.prom").splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def timeline(node2) -> int:
    """The one that the newest base backup is of."""
    return int(re.search(r"Timeline +: (\d+)", node2.check_output("barman show-backup main latest"))[1])


def moment(at: datetime) -> str:
    return at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(scope="module")
def backed_up(play, node1, node2):
    """The end of a base backup of the day, with some seconds behind it."""
    print(
        "\n| restored | seconds of committed work between it and the target | seconds until it answers |\n|---|---|---|"
    )
    play("playbooks/backup.yml", "-e", "label=e2e")
    ended = datetime.now(timezone.utc)
    time.sleep(6)
    return ended


@pytest.fixture
def served(client, secret):
    """What the API answers to the key of before."""
    key = secret("secret_key")
    return lambda: (
        client.run(
            "curl -s -m 5 -o /dev/null -w '%{http_code}' --cacert /etc/ssl/lab-ca.crt "
            f"-H 'apikey: {key}' https://api.lab.test/rest/v1/todos"
        ).stdout
    )


def first_answer(served, until: float) -> float:
    """When the API answers for the first time. A playbook has much to do after that."""
    while served() != "200":
        assert time.monotonic() < until, "it never answered"
        time.sleep(1)
    return time.monotonic()


def test_everything_was_backed_up_and_the_wal_is_received(backed_up, node1, node2):
    seen = {**metrics(node1), **metrics(node2)}
    for what in ("postgres", "redis", "volumes", "config"):
        assert seen[f'groundwork_backup_last_run_success{{what="{what}"}}'] == 1
        assert time.time() - seen[f'groundwork_backup_last_success_timestamp_seconds{{what="{what}"}}'] < 600
        assert seen[f'groundwork_backup_size_bytes{{what="{what}"}}'] > 0
    assert seen["groundwork_backup_wal_receiver_up"] == 1
    assert seen["groundwork_backup_wal_lag_seconds"] < 30
    assert node1.check_output(f"stat -c %a {METRICS}/backup_redis.prom") == "644"
    timers = node2.check_output("systemctl list-timers --all --no-legend")
    assert all(f"groundwork-backup-{job}.timer" in timers for job in ("postgres", "verify", "drill"))


def test_what_is_kept_is_proven_whole(backed_up, node2):
    node2.check_output("systemctl start groundwork-backup-verify")
    seen = metrics(node2)
    for what in ("postgres", "redis", "volumes", "config"):
        assert seen[f'groundwork_backup_verify_success{{what="{what}"}}'] == 1


def test_neither_host_can_do_more_than_its_part_on_the_other(backed_up, node1, node2):
    key = (
        "-i /etc/groundwork-backup/id_ed25519 -o UserKnownHostsFile=/etc/groundwork-backup/known_hosts -o BatchMode=yes"
    )
    # The snapshots stay, whatever the source asks for.
    environment = "RESTIC_PASSWORD_FILE=/etc/groundwork-backup/repository-password"
    address = json.loads(node1.check_output("cat /etc/groundwork-backup/settings.json"))["server"]["address"]
    program = f"-o rclone.program='ssh -T -q {key} barman@{address} rclone' -r rclone:any"
    assert node1.run(f"{environment} restic {program} snapshots").rc == 0
    before = node2.check_output("ls /var/lib/barman/restic/snapshots")
    node1.run(f"{environment} restic {program} forget --keep-last 1 --group-by host")
    assert node2.check_output("ls /var/lib/barman/restic/snapshots") == before
    assert node1.run(f"ssh -T {key} barman@{address} cat .pgpass").rc != 0
    refused = node1.run(f"ssh -T {key} barman@{address} send")
    assert refused.rc != 0 and "no restore is prepared" in refused.stderr
    # What a run that was cut short has left on offer ends.
    node2.check_output(f"{TOOLS}/server prepare && touch --date '25 hours ago' /var/lib/barman/ticket.json")
    refused = node1.run(f"ssh -T {key} barman@{address} send")
    assert refused.rc != 0 and not refused.stdout and "is older than a day" in refused.stderr
    node2.check_output(f"{TOOLS}/server forget")
    back = (
        f"runuser -u barman -- ssh -T -o BatchMode=yes -o ConnectTimeout=5 groundwork-backup@{node1_address(node2)} id"
    )
    assert "uid=" not in node2.run(f"timeout 5 {back}").stdout


def node1_address(node2) -> str:
    return str(json.loads(node2.check_output("cat /etc/groundwork-backup/settings.json"))["source"]["address"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("target_time=2020-01-01T00:00:00Z", "choose a later target"),
        ("over=node2", "over is node1"),
        # PostgreSQL finds it out when it has read all WAL.
        ("target_name=never", "recovery ended before configured recovery target was reached"),
    ],
)
def test_what_cannot_work_is_refused_and_nothing_was_stopped(backed_up, play, node1, arguments, told):
    started = node1.check_output("docker inspect -f '{{.State.StartedAt}}' supabase-db-1")
    options = ["-e", arguments] if arguments.startswith("over") else ["-e", arguments, "-e", "over=node1"]
    said = play("playbooks/restore.yml", *options, expect=2)
    assert told in " ".join(said.output.split())
    assert node1.check_output("docker inspect -f '{{.State.StartedAt}}' supabase-db-1") == started


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("--time 2099-01-01T00:00:00Z", "leave target_time out"),
        ("--time 2026-01-01T00:00:00", "has no time zone"),
        ("--time 2026-01-01T00:00:00Z --name noon", "give one"),
        ("--lsn FF/0", "the end of what was received"),
        ("--backup none", "does not exist"),
    ],
)
def test_the_backup_host_refuses_what_it_cannot_give(backed_up, node2, target, told):
    refused = node2.run(f"{TOOLS}/server prepare {target} --check")
    assert refused.rc != 0 and told in refused.stderr


def test_a_host_that_lives_is_not_taken_for_a_lost_one(backed_up, play):
    assert "is not an empty new server" in " ".join(
        play("playbooks/restore.yml", "-e", "host=lost", expect=2).output.split()
    )


def test_a_second_comes_back_beside_the_live_database(backed_up, play, node1):
    """A beat a second: the one after the target is absent, the one before is there."""
    target = backed_up + timedelta(seconds=3)
    play("playbooks/restore.yml", "-e", f"target_time={moment(target)}")
    try:
        restored = float(node1.check_output(f'{PSQL.format("groundwork-restored")} "{BEATS}"'))
        wanted = target.replace(microsecond=0).timestamp()
        assert wanted - 2.5 < restored <= wanted
        assert float(live(node1, BEATS)) > wanted + 1
        refused = node1.run(f"{TOOLS}/source tables groundwork_backup.nothing,nowhere")
        assert refused.rc != 0
        assert "groundwork_backup.nothing, nowhere (a schema with tables): not in the database" in refused.stderr
    finally:
        node1.check_output("docker rm -f groundwork-restored; rm -r /var/lib/groundwork-restored")


def test_tables_come_back_beside_their_successors(backed_up, play, node1):
    lines = 'shop.\\"Order lines\\"'
    live(node1, "create schema shop")
    try:
        live(node1, f"create table {lines} (id int generated always as identity primary key, what text)")
        live(node1, "create table shop.visits (at date not null) partition by range (at)")
        year = "values from ('2026-01-01') to (maxvalue)"
        live(node1, f"create table shop.visits_2026 partition of shop.visits for {year}")
        live(node1, f"insert into {lines} (what) select g::text from generate_series(1, 50) g")
        live(node1, "insert into shop.visits values ('2026-05-01')")
        time.sleep(3)
        target = datetime.now(timezone.utc)
        time.sleep(3)
        live(node1, f"delete from {lines}")
        wish = {"tables": "shop.Order lines, shop.visits", "target_time": moment(target)}
        said = play("playbooks/restore.yml", "-e", json.dumps(wish)).output
        assert "restored_shop.Order lines: 50" in said and "restored_shop.visits: 1" in said
        rows = f"select count(*), min(at) from restored_shop.visits_2026, restored_{lines}"
        assert live(node1, rows) == "50|2026-05-01"
        assert live(node1, f"select count(*) from {lines}") == "0"
        assert live(node1, "select has_schema_privilege('anon', 'restored_shop', 'usage')") == "f"
        assert live(node1, "select has_schema_privilege('postgres', 'restored_shop', 'create')") == "t"
        assert not node1.file("/var/lib/groundwork-restored/postgres").exists
        assert "groundwork-restored" not in node1.check_output("docker ps --all --format '{{.Names}}'")
        again = play("playbooks/restore.yml", "-e", json.dumps(wish), expect=2).output
        assert "drop schema restored_shop cascade" in again
    finally:
        live(node1, "drop schema if exists shop, restored_shop cascade")


def test_a_moment_comes_back_over_the_live_database(backed_up, play, node1, node2, served):
    before = timeline(node2)
    rows = "select string_agg(id::text, ',' order by id) from groundwork_backup.rows"
    live(node1, "create table groundwork_backup.rows (id int)")
    live(node1, "insert into groundwork_backup.rows values (1)")
    # At that moment a role has another password than the one that services log in with today.
    live(node1, "alter role authenticator password 'of-another-time'")
    time.sleep(3)
    target = datetime.now(timezone.utc)
    time.sleep(3)
    node1.check_output("docker exec supabase-db-1 bash /etc/groundwork/passwords.sh")
    live(node1, "insert into groundwork_backup.rows values (2)")
    time.sleep(2)
    replaced_second = datetime.now(timezone.utc)
    time.sleep(2)
    play("playbooks/restore.yml", "-e", f"target_time={moment(target)}", "-e", "over=node1")
    assert live(node1, rows) == "1"
    assert served() == "200"
    play("playbooks/restore.yml", "-e", f"target_time={moment(replaced_second)}")
    try:
        assert node1.check_output(f'{PSQL.format("groundwork-restored")} "{rows}"').strip() == "1,2"
    finally:
        node1.check_output("docker rm -f groundwork-restored; rm -r /var/lib/groundwork-restored")
    live(node1, "drop table groundwork_backup.rows")
    # The new timeline is received, has a backup of its own, and what was replaced lies beside it.
    assert metrics(node2)['groundwork_backup_last_run_success{what="postgres"}'] == 1
    assert timeline(node2) == before + 1
    replaced = node1.check_output(f"ls -d {VOLUME}/replaced-*")
    assert node1.file(f"{replaced}/PG_VERSION").exists
    # The WAL that it was restored with would be in every backup from now on.
    assert not node1.file(f"{VOLUME}/_data/groundwork_wal").exists
    node1.check_output(f"rm -r {replaced}")


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ("config", "etc/groundwork/secrets/secret_key"),
        ("redis", "var/lib/docker/volumes/supabase_redis-data/_data/appendonlydir"),
        ("volumes", "var/lib/docker/volumes/edge_caddy-data/_data"),
    ],
)
def test_files_come_back_into_a_folder(backed_up, play, node1, what, found):
    play("playbooks/restore.yml", "-e", f"what={what}")
    try:
        assert node1.file(f"/var/lib/groundwork-restored/{what}/{found}").exists
        assert node1.file("/var/lib/groundwork-restored").mode == 0o700
    finally:
        node1.check_output("rm -r /var/lib/groundwork-restored")


def test_a_drill_is_measured_and_leaves_nothing_behind(backed_up, play, node2):
    play("playbooks/drill.yml")
    seen = metrics(node2)
    assert seen["groundwork_drill_last_run_success"] == 1
    assert 0 < seen["groundwork_drill_rto_seconds"] < 300
    assert seen["groundwork_drill_rpo_seconds"] <= 2.5
    assert "groundwork-drill" not in node2.check_output("docker ps --all --format '{{.Names}}'")
    assert node2.check_output("ls /var/lib/barman/staging") == ""
    newest = node2.check_output("ls /var/lib/groundwork-backup/drills | tail -n 1")
    assert json.loads(node2.check_output(f"cat /var/lib/groundwork-backup/drills/{newest}"))["tables"] > 50


STANDBY = "select string_agg(sync_state, '') from pg_stat_replication where application_name = 'barman_receive_wal'"
ROWS = 200_000


class Writer:
    """Commits one row after the other on the database's host; what was answered is known outside of it."""

    def __init__(self, folder: Path) -> None:
        (folder / "rows.sql").write_text("insert into groundwork_backup.written default values returning id;\n" * ROWS)
        self._answered = folder / "answered"
        command = ["docker", "exec", "-i", "groundwork-lab-node1", *PSQL.format("-i supabase-db-1").split()[:-1], "-q"]
        with (folder / "rows.sql").open() as rows, self._answered.open("w") as answered:
            self._process = subprocess.Popen(command, stdin=rows, stdout=answered, stderr=subprocess.DEVNULL)

    def last(self) -> int:
        """The last row that was answered, when the host is gone."""
        self._process.wait(timeout=60)
        # The last line may be torn.
        return int(self._answered.read_text().split("\n")[-2])


def commits_wait_for_the_backup_host_until_they_are_let_go(node1, node2):
    node2.check_output("systemctl stop groundwork-wal-receiver")
    insert = ["docker", "exec", "groundwork-lab-node1", *PSQL.format("supabase-db-1").split()]
    waiting = subprocess.Popen([*insert, "insert into groundwork_backup.written default values"])
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(timeout=5)
    live(node1, "alter system reset synchronous_standby_names")
    live(node1, "select pg_reload_conf()")
    assert waiting.wait(timeout=10) == 0
    node2.check_output("systemctl start groundwork-wal-receiver")


# The odd ones are as a platform is by default: at most a second of answered work is lost.
@pytest.mark.parametrize("number", range(LOST))
def test_a_lost_host_comes_back_in_one_command(number, backed_up, play, node1, node2, served, tmp_path):
    synchronous = json.dumps({"backup_synchronous": number % 2 == 0})
    play("site.yml", "--tags", "backup", "-e", synchronous)
    assert live(node1, STANDBY) == ("async", "sync")[number % 2 == 0]
    store = "cd /etc/groundwork/secrets && sha256sum * | sort -k 2"
    vault = "select md5(string_agg(decrypted_secret, '' order by name)) from vault.decrypted_secrets"
    before = {"secrets": node1.check_output(store), "vault": live(node1, vault)}
    live(node1, "create table if not exists groundwork_backup.kept_through_loss (id int primary key)")
    live(node1, "insert into groundwork_backup.kept_through_loss values (1) on conflict do nothing")
    live(node1, "create table if not exists groundwork_backup.written (id bigserial primary key)")
    writer = Writer(tmp_path)
    time.sleep(3)
    subprocess.run([Path(sys.executable).with_name("ansible-playbook"), "playbooks/lab.yml", "-e", "lab_rebuild=node1"],
                   cwd=ROOT, env=playbook_environment(), check=True, capture_output=True)  # fmt: skip
    acknowledged = json.loads(node2.check_output("cat /var/lib/groundwork-backup/beat.json"))["acknowledged"]
    refused = " ".join(play("site.yml", "--tags", "backup", expect=2).output.split())
    assert "node1: has no platform, and node2 has" in refused and "-e host=lost" in refused

    refused = play("playbooks/restore.yml", "-e", "host=lost", "-e", "target_time=2001-01-01T00:00:00Z", expect=2)
    assert "the end of the oldest backup" in refused.output and refused.changed == 0

    began = time.monotonic()
    with ThreadPoolExecutor(1) as beside:
        answers = beside.submit(first_answer, served, began + 1200)
        play("playbooks/restore.yml", "-e", "host=lost", "-e", synchronous)
    assert served() == "200"
    whole, back = time.monotonic() - began, answers.result() - began

    came_back = float(live(node1, f"{BEATS} where at <= to_timestamp({acknowledged})"))
    answered = writer.last()
    lost = max(answered - int(live(node1, "select coalesce(max(id), 0) from groundwork_backup.written")), 0)
    what = f"a lost host{', backup_synchronous' if number % 2 == 0 else ''}: {lost} of {answered} answered rows lost"
    print(f"\n| {what}; the command ended after {whole:.0f} s | {acknowledged - came_back:.3f} | {back:.0f} |")
    assert acknowledged - came_back <= 1
    if number % 2 == 0:
        assert answered > 100 and lost == 0
        commits_wait_for_the_backup_host_until_they_are_let_go(node1, node2)
    assert not node1.file(f"{VOLUME}/_data/groundwork_wal").exists
    assert live(node1, "select count(*) from groundwork_backup.kept_through_loss") == "1"
    assert node1.check_output(store) == before["secrets"]
    assert live(node1, vault) == before["vault"]
    # The backup that begins the new timeline was made by the same command.
    assert metrics(node2)['groundwork_backup_last_run_success{what="postgres"}'] == 1
    live(node1, "drop table groundwork_backup.kept_through_loss, groundwork_backup.written")


@pytest.fixture(scope="module")
def targets(backed_up, node1, node2):
    """Seconds in which beats were written, since the oldest backup; after a lost host they are on several timelines."""
    (listing,) = json.loads(node2.check_output("barman --format json list-backups main")).values()
    begin = min(int(one["end_time_timestamp"]) for one in listing if one["status"] in ("DONE", "WAITING_FOR_WALS"))
    end = json.loads(node2.check_output("cat /var/lib/groundwork-backup/beat.json"))["acknowledged"]
    beats = live(node1, "select extract(epoch from at) from groundwork_backup.heartbeat").split()
    seconds = sorted(int(float(beat)) + 1 for beat in beats if begin + 2 < float(beat) < end - 2)
    return sorted(random.sample(seconds, TARGETS))


@pytest.mark.parametrize("number", range(TARGETS))
def test_a_second_of_any_timeline_comes_back(node2, targets, number):
    target = datetime.fromtimestamp(targets[number], timezone.utc)
    report = json.loads(node2.check_output(f"{TOOLS}/server drill --time {target:%Y-%m-%dT%H:%M:%SZ}"))
    print(f"\n| a second of the window | {report['rpo_seconds']:.1f} | {report['rto_seconds']:.0f} |")
    assert -0.001 <= report["rpo_seconds"] <= 2.5, report
