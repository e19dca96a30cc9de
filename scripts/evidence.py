"""Write docs/EVIDENCE.md: for each measurement the command, when and on what it ran, and the figures that it printed.

usage: scripts/evidence.py [NAME ...]     only these; the other sections stay as they are
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

# What scripts/step and pytest say around the figures.
AROUND = re.compile(r"==> |    .+: done in |\.+$")
ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "EVIDENCE.md"
TITLE = """# Evidence

What this collection claims, measured. `make evidence` makes all of this page, `scripts/evidence.py NAME` one section of
it; nobody types a figure into it. The lab is the platform on one machine, with whatever makes the load on the same
processors.
"""
# By name: what the section is about, and the command that prints its figures.
SECTIONS = {
    "cases": ("Test cases on real parts, those of THOROUGH=1 included", "python3 scripts/cases.py"),
    "alerts": ("Alerts: fired by a real cause, delivered to a receiver, and over", "make alerts"),
    "dr": (
        "Restores: any second, over the live database, a lost host",
        # Of what make dr runs, the part that prints figures.
        "env THOROUGH=1 scripts/pytest tests/e2e/test_7_backups.py --capture=no",
    ),
    "monitoring": ("What watching costs", "scripts/bench monitoring"),
    "backup": ("Backups and restores of two gigabytes, beside tar and cp", "scripts/bench backup"),
    "site": ("Deployment: bare servers to a platform, and a run that changes nothing", "scripts/bench site"),
    "release": (
        "Releases of an application under load: requests lost, and seconds until a bad one is gone",
        "scripts/bench release",
    ),
    "database": ("Grants and row level security, beside psql and community.postgresql", "scripts/bench database"),
    "migrations": ("Migrations, beside the Supabase CLI", "scripts/bench migrations"),
    "gateway": ("What the gateway adds to a request", "scripts/bench gateway"),
    "edge": ("The edge under slow and many clients", "scripts/bench edge"),
}


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{len(os.sched_getaffinity(0))} processors, {memory:.0f} GB of memory"


def measure(name: str) -> str:
    """The section of one measurement."""
    title, command = SECTIONS[name]
    print(f"==> {command}", flush=True)
    began = datetime.now(timezone.utc)
    process = subprocess.Popen(command.split(), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line.rstrip())
    if process.wait():
        sys.exit(f"{command} failed, so its section stays as it was")
    # A test prints its figures as tables among other things; a bench prints nothing else.
    rows = [line for line in lines if line.startswith("|")]
    # A row that a line of dashes follows begins another table.
    tables = re.sub(r"\n(?=.*\n\|---)", "\n\n", "\n".join(rows))
    text = "\n".join(line for line in lines if not AROUND.match(line)).strip()
    figures = tables or f"```text\n{text}\n```"
    return f"## {title}\n\n`{command}`, {began:%Y-%m-%d}, {machine()}\n\n{figures}\n"


def main() -> None:
    names = sys.argv[1:] or list(SECTIONS)
    if unknown := set(names) - SECTIONS.keys():
        sys.exit(f"{', '.join(sorted(unknown))}: no such measurement; there are: {', '.join(SECTIONS)}")
    page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    kept = {part.split("\n", 1)[0]: f"## {part.rstrip()}\n" for part in re.split(r"^## ", page, flags=re.MULTILINE)[1:]}
    for name in names:
        kept[SECTIONS[name][0]] = measure(name)
        parts = [kept[title] for title, _command in SECTIONS.values() if title in kept]
        PAGE.write_text("\n".join([TITLE, *parts]), encoding="utf-8")


if __name__ == "__main__":
    main()
