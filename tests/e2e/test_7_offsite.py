"""The backup host or both are lost: all comes back from elsewhere, with the password out of the escrow."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from conftest import ROOT, playbook_environment, thorough
from test_7_backups import PSQL, TOOLS, live, metrics, moment
from test_7_faults import received, wait_until, write_segments

FOLDER = "/srv/elsewhere"
PORT = 8000


@pytest.fixture
def elsewhere(play, client, node2):
    """Arguments of playbooks that name a repository on the client, which is neither of the two hosts."""
    client.check_output(
        f"apt-get -qq update && apt-get -qq install --yes rclone > /dev/null && install -d {FOLDER} && "
        f"(setsid rclone serve restic --addr :{PORT} {FOLDER} > /dev/null 2>&1 & echo $! > {FOLDER}.pid)"
    )
    address = [address for address in client.check_output("hostname -i").split() if "." in address][0]
    yield ("-e", json.dumps({"backup_offsite_repository": f"rest:http://{address}:{PORT}/"}))
    client.check_output(f"kill $(cat {FOLDER}.pid) && rm -r {FOLDER} {FOLDER}.pid")
    play("site.yml", "--tags", "backup")
    assert not [name for name in metrics(node2) if "offsite" in name]
    assert "offsite" not in node2.check_output("systemctl list-timers --all")


@pytest.fixture
def sent(elsewhere, play, node1):
    """Snapshots go elsewhere, and a base backup is there to be sent."""
    play("site.yml", "--tags", "backup", *elsewhere)
    repository = json.loads(elsewhere[1])["backup_offsite_repository"]
    node1.check_output(f"restic -r {repository} init --password-file /etc/groundwork-backup/repository-password")
    play("playbooks/backup.yml")


def lose(*hosts: str) -> None:
    lab = [Path(sys.executable).with_name("ansible-playbook"), "playbooks/lab.yml"]
    lab += ["-e", f"lab_rebuild={','.join(hosts)}"]
    subprocess.run(lab, cwd=ROOT, env=playbook_environment(), check=True, capture_output=True)


@thorough
def test_a_backup_host_that_was_lost_receives_on_behind_what_came_back(sent, elsewhere, play, node1, node2):
    # Sent while a whole segment has not been filed, and the database goes on until it has none of what follows on that.
    node2.check_output("systemctl stop groundwork-barman.timer")
    write_segments(node1, 1)
    before = datetime.now(timezone.utc)
    wait_until(lambda: received(node2), "it is received")
    node2.check_output("systemctl start groundwork-backup-offsite")
    write_segments(node1, 3)
    wait_until(lambda: received(node2), "it is received, too")
    live(node1, "checkpoint")
    lose("node2")
    play("playbooks/restore.yml", "-e", "backup_host=lost", *elsewhere)
    play("site.yml", "--tags", "all", *elsewhere)
    wait_until(lambda: received(node2), "WAL is received again")
    play("playbooks/backup.yml")
    time.sleep(3)
    # Before the gap, and behind it.
    for second in (before, datetime.now(timezone.utc) - timedelta(seconds=2)):
        report = json.loads(node2.check_output(f"{TOOLS}/server drill --time {moment(second)}"))
        assert -0.001 <= report["rpo_seconds"] <= 2.5, report


@thorough
def test_both_hosts_come_back_from_elsewhere(sent, elsewhere, play, node1, node2, client, secret, tmp_path):
    live(node1, "create table groundwork_backup.sent (id int)")
    live(node1, "insert into groundwork_backup.sent values (1)")
    node2.check_output("systemctl start groundwork-backup-offsite")
    assert metrics(node2)['groundwork_backup_last_run_success{what="offsite"}'] == 1
    escrow = tmp_path / "escrow.json"
    password = node2.check_output("cat /etc/groundwork/secrets/backup_repository_password")
    escrow.write_text(json.dumps({"backup_repository_password": password}))
    key = secret("secret_key")

    lose("node1", "node2")
    refused = play("playbooks/restore.yml", "-e", "backup_host=lost", *elsewhere, expect=2).output
    assert "has to be the one from the escrow" in " ".join(refused.split())
    play("playbooks/restore.yml", "-e", "backup_host=lost", *elsewhere, "-e", f"@{escrow}")
    said = play("playbooks/restore.yml", "-e", "host=lost", *elsewhere).output
    assert "when it was last sent elsewhere" in " ".join(said.split())

    assert secret("secret_key") == key
    curl = "curl -s -o /dev/null -w '%{http_code}' --cacert /etc/ssl/lab-ca.crt"
    assert client.check_output(f"{curl} -H 'apikey: {key}' https://api.lab.test/rest/v1/todos") == "200"
    assert node1.check_output(f'{PSQL.format("supabase-db-1")} "select id from groundwork_backup.sent"').strip() == "1"
    live(node1, "drop table groundwork_backup.sent")
    # What begins now goes on where the former hosts were.
    assert metrics(node2)['groundwork_backup_last_run_success{what="postgres"}'] == 1
    node2.check_output("systemctl start groundwork-backup-offsite")
    assert metrics(node2)['groundwork_backup_last_run_success{what="offsite"}'] == 1
