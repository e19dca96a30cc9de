"""Both hosts are lost: the platform comes back from the repository elsewhere, with the password out of the escrow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, playbook_environment, thorough
from test_7_backups import PSQL, live, metrics

FOLDER = "/srv/elsewhere"
PORT = 8000


@pytest.fixture
def elsewhere(play, client):
    """Arguments of playbooks that name a repository on the client, which is neither of the two hosts."""
    client.check_output(
        f"apt-get -qq update && apt-get -qq install --yes rclone > /dev/null && install -d {FOLDER} && "
        f"(setsid rclone serve restic --addr :{PORT} {FOLDER} > /dev/null 2>&1 & echo $! > {FOLDER}.pid)"
    )
    address = [address for address in client.check_output("hostname -i").split() if "." in address][0]
    yield ("-e", json.dumps({"backup_offsite_repository": f"rest:http://{address}:{PORT}/"}))
    client.check_output(f"kill $(cat {FOLDER}.pid) && rm -r {FOLDER} {FOLDER}.pid")
    play("site.yml", "--tags", "backup")


@thorough
def test_both_hosts_come_back_from_elsewhere(elsewhere, play, node1, node2, client, secret, tmp_path):
    play("site.yml", "--tags", "backup", *elsewhere)
    repository = json.loads(elsewhere[1])["backup_offsite_repository"]
    node1.check_output(f"restic -r {repository} init --password-file /etc/groundwork-backup/repository-password")
    play("playbooks/backup.yml")
    live(node1, "create table groundwork_backup.sent (id int)")
    live(node1, "insert into groundwork_backup.sent values (1)")
    node2.check_output("systemctl start groundwork-backup-offsite")
    assert metrics(node2)['groundwork_backup_last_run_success{what="offsite"}'] == 1
    escrow = tmp_path / "escrow.json"
    password = node2.check_output("cat /etc/groundwork/secrets/backup_repository_password")
    escrow.write_text(json.dumps({"backup_repository_password": password}))
    key = secret("secret_key")

    lab = [Path(sys.executable).with_name("ansible-playbook"), "playbooks/lab.yml", "-e", "lab_rebuild=node1,node2"]
    subprocess.run(lab, cwd=ROOT, env=playbook_environment(), check=True, capture_output=True)
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
