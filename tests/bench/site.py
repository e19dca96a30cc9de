"""How long the site takes in the lab: bare servers to a verified platform, and a run that changes nothing.

The images are in the lab's registry already. Prints a table; asserts nothing but that the runs succeed and that the
last one changes nothing. Both runs are measured one after the other on the same servers, so their ratio carries over.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+).*skipped=(\d+)", re.MULTILINE)


def run(playbook: str, *arguments: str) -> tuple[float, dict[str, tuple[int, int]]]:
    """Seconds that a playbook took, and for each host the tasks that ran and those that changed something."""
    command = [str(ANSIBLE), str(ROOT / playbook), "-i", str(ROOT / "inventories" / "lab"), *arguments]
    start = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - start
    if done.returncode:
        sys.exit(f"{playbook} failed:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
    tasks = {match.group(1): (int(match.group(2)), int(match.group(3))) for match in RECAP.finditer(done.stdout)}
    return seconds, tasks


def main() -> None:
    for node in ("node1", "node2"):
        run("playbooks/lab.yml", "-e", f"lab_rebuild={node}")
    deploy, deploy_tasks = run("site.yml")
    verify, _verify_tasks = run("playbooks/verify.yml")
    again, again_tasks = run("site.yml")
    changed = sum(changed for _ok, changed in again_tasks.values())
    if changed:
        sys.exit(f"the second run changed {changed} tasks")
    rows = [
        ("bare servers to verified platform", f"{deploy + verify:.1f} s"),
        ("  of it site.yml", f"{deploy:.1f} s"),
        ("  of it verify.yml", f"{verify:.1f} s"),
        ("no-change run of site.yml, changed=0", f"{again:.1f} s"),
        ("ratio no-change to deploy", f"{again / deploy:.2f}"),
        *(
            (f"tasks on {host} (deploy, again)", f"{ok}, {again_tasks[host][0]}")
            for host, (ok, _changed) in deploy_tasks.items()
        ),
    ]
    width = max(len(name) for name, _value in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value:>8}")


if __name__ == "__main__":
    main()
