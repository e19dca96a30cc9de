"""Count the test cases that run on real parts, by area: what pytest calls a test, so without Molecule's.

usage: scripts/cases.py
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("integration", "e2e")
# By the words that a file's name has after "test_" and its place in the order; the first area that fits.
AREAS = {
    "backup": ("backup", "offsite", "faults", "logical_move"),
    "monitoring": ("monitoring", "probe", "journal", "sql_metrics"),
    "compose and releases": (
        "release",
        "upgrade",
        "interrupted",
        "awx",
        "docker",
        "warm_process",
        "hosted",
        "preflight",
    ),
    "security: hosts, edge, gateway": (
        *("edge", "gateway", "kong", "webhooks", "functions_gate", "certificate", "network", "ssh", "checklist"),
        *("8_audit", "auth", "client"),
    ),
    "security: keys and secrets": ("secret", "signing_keys", "vault", "rotation"),
    "security: who reads which row": ("rls", "isolation", "explain_access", "audit"),
    "database": (
        "schema",
        "migration",
        "catalog",
        "cron",
        "partitions",
        "advisor",
        "ten_services",
        "supabase_cli",
        "5_",
    ),
}


def area_of(file: str) -> str:
    name = Path(file).stem.removeprefix("test_")
    return next(area for area, words in AREAS.items() if any(word in name for word in words))


def main() -> None:
    command = ["scripts/pytest", *(f"tests/{kind}" for kind in KINDS), "--collect-only", "-qq"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    found: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(KINDS, 0))
    for kind, file, number in re.findall(r"^tests/(\w+)/(\w+\.py): (\d+)$", done.stdout, re.MULTILINE):
        found[area_of(file)][kind] += int(number)
    rows = [(area, *(found[area][kind] for kind in KINDS)) for area in AREAS]
    rows.append(("together", *(sum(row[column] for row in rows) for column in (1, 2))))
    print("| area | modules and services by themselves | the platform in the lab |\n|---|---|---|")
    for area, *numbers in rows:
        print(f"| {area} | {' | '.join(f'{number:,}' for number in numbers)} |")


if __name__ == "__main__":
    main()
