"""Write docs/tour.md: what an operator types and what is printed then, recorded in the lab (after make demo).

usage: scripts/tour.py
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "tour.md"
LAB = "-i inventories/lab"
# Wide enough for a table, and narrow enough for a page.
COLUMNS = "100"
# A task of which one of these is in the output has something to say; of the others there are hundreds.
TOLD = re.compile(r"^(changed|--- |ok: \[\S+\] => *$)", re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """A command and what it is there to show. code: how it has to end."""

    title: str
    text: str
    command: str
    code: int = 0


STEPS = (
    Step(
        "An inventory that nobody has filled in",
        "All faults at once, each with its remedy, before a host is even asked.",
        "ansible-playbook playbooks/preflight.yml -i inventories/prod",
        code=2,
    ),
    Step(
        "What would a change do?",
        "Files as a difference, services by name. Nothing is changed.",
        f"ansible-playbook site.yml {LAB} --tags caddy -e caddy_max_body=20MB --check --diff",
    ),
    Step(
        "Make it so",
        "The edge takes its new settings over without a restart.",
        f"ansible-playbook site.yml {LAB} --tags caddy -e caddy_max_body=20MB",
    ),
    Step(
        "Once more",
        "A second run changes nothing.",
        f"ansible-playbook site.yml {LAB} --tags caddy -e caddy_max_body=20MB",
    ),
    Step(
        "Back",
        "Without being told where to.",
        f"ansible-playbook rollback.yml {LAB}",
    ),
    Step(
        "A release that does not work",
        "The new container starts beside the old one and does not become healthy. Its last words are in the message, "
        "and what served before serves on.",
        f"ansible-playbook site.yml {LAB} --tags stack -e stack_timeout=20 "
        """-e '{"stack_overrides": {"rest": {"environment": {"PGRST_DB_URI": "postgres://nobody@db:5432/nowhere"}}}}'""",
        code=2,
    ),
    Step(
        "Is it well?",
        "Hosts, services, and requests from outside through the edge.",
        f"ansible-playbook playbooks/verify.yml {LAB}",
    ),
    Step(
        "Is it safe?",
        "Ten questions, answered by looking.",
        f"ansible-playbook playbooks/audit.yml {LAB}",
    ),
    Step(
        "Would a restore work?",
        "A random second, restored beside the live database and measured. A timer does the same each week.",
        f"ansible-playbook playbooks/drill.yml {LAB}",
    ),
)


def record(step: Step) -> str:
    """The section of one step. Exits where the command did not end as it has to."""
    print(f"==> {step.command}", flush=True)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "ANSIBLE_NOCOLOR": "1",
        "COLUMNS": COLUMNS,
    }
    done = subprocess.run(
        shlex.split(step.command),
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != step.code:
        sys.exit(f"ended with {done.returncode}, not {step.code}:\n{done.stdout[-4000:]}")
    typed = step.command.replace(" -e '", " \\\n    -e '")
    return f"## {step.title}\n\n{step.text}\n\n```console\n$ {typed}\n{shorten(done.stdout)}\n```\n"


def shorten(output: str) -> str:
    """Without tasks that found everything as declared or that failed, and without plays of such tasks alone."""
    kept: list[str] = []
    for block in re.split(r"\n\n(?=PLAY|TASK|SUMMARY)", output.strip()):
        if block.startswith("TASK") and not TOLD.search(block):
            continue
        if kept and kept[-1].startswith("PLAY [") and block.startswith("PLAY"):
            kept.pop()
        kept.append(re.sub(r" \*{3,}", "", block))
    text = "\n\n".join(kept).replace(str(ROOT), ".")
    return re.sub(r"[ \t]+$", "", re.sub(r"\n{3,}", "\n\n", text), flags=re.MULTILINE)


def main() -> None:
    today = f"{datetime.now(timezone.utc):%Y-%m-%d}"
    introduction = f"""# A tour

What is typed and what is printed, recorded by `scripts/tour.py` in the lab on {today}; nobody edits it.
Tasks that found everything as declared are left out, and those that failed: the summary at the end has their message.
"""
    PAGE.write_text("\n".join([introduction, *map(record, STEPS)]), encoding="utf-8")


if __name__ == "__main__":
    main()
