"""scripts/load on the platform: every answer is right, and nothing of it stays. How fast they are is not asked here."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "reports" / "load.jsonl"
# Limits whose breaking says that the machine is slow.
OF_SPEED = ("p(95)", "dropped_iterations")


def test_a_load_is_answered_and_leaves_nothing(node1):
    before = REPORT.read_text(encoding="utf-8") if REPORT.exists() else ""
    command = ["scripts/load", "inventories/lab", "brief"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert REPORT.exists(), done.stdout
    lines = [json.loads(line) for line in REPORT.read_text(encoding="utf-8").removeprefix(before).splitlines()]
    assert [line["script"] for line in lines] == ["api", "database", "websocket"], done.stdout
    assert all(line["count"] > 0 for line in lines)
    broken = [limit for line in lines for limit in line["broken"]]
    assert not [limit for limit in broken if not any(word in limit for word in OF_SPEED)], done.stdout
    assert bool(done.returncode) == bool(broken), done.stdout
    users = "select count(*) from auth.users where email like '%@load.invalid'"
    sql = f'docker exec supabase-db-1 psql -U supabase_admin -d postgres -qAtc "{users}"'
    assert node1.check_output(sql) == "0"


def test_an_unknown_size_is_refused():
    command = ["scripts/load", "inventories/lab", "huge"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode
    assert "load size 'huge' is unknown; there are: brief, small, full" in done.stdout
