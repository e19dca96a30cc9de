"""A newcomer's path: the README's commands and those that `make demo` then prints, one by one, in a clean checkout.

Takes the lab of this machine and its images away, as the last of these commands does, so it stands apart from the
other tests: `make newcomer`.
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TO_SEE_IT = re.compile(r"See it on your own machine.*?```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
# What it prints may be followed by what it is for.
PRINTED = re.compile(r"^  ((?:curl|ssh|docker|\.venv/bin/\S+) .+?)(?: {3,}.*)?$", re.MULTILINE)
RECAP = re.compile(r"changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)")


def type_in(command: str, folder: Path) -> tuple[int, str]:
    """Run it in a terminal in which "exit" is typed then, for those that begin a session: exit code and output."""
    hidden = {"VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHONPATH"}
    path = os.pathsep.join(
        part for part in os.environ["PATH"].split(os.pathsep) if not Path(part).is_relative_to(Path(sys.prefix))
    )
    environment = {**{name: value for name, value in os.environ.items() if name not in hidden}, "PATH": path}
    ours, theirs = pty.openpty()
    os.write(ours, b"exit\n")
    try:
        outputs = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        done = subprocess.run(
            shlex.split(command), cwd=folder, env=environment, stdin=theirs, text=True, check=False, **outputs
        )
    finally:
        os.close(ours)
        os.close(theirs)
    return done.returncode, done.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    running = subprocess.run(["docker", "ps", "--quiet"], capture_output=True, text=True, check=False).stdout
    assert not running.strip(), "containers run on this machine, and this test takes its lab away: make demo-down"
    folder = tmp_path / "checkout"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    return folder


def test_what_is_written_works_as_it_is_written(checkout, capsys):
    found = TO_SEE_IT.search(README)
    assert found is not None
    demo, demo_down = (line.split("#")[0].strip() for line in re.findall(r"^\$ (.+)", found[1], re.MULTILINE))
    outputs, rows = {}, []

    def run(command: str) -> None:
        began = time.monotonic()
        code, outputs[command] = type_in(command, checkout)
        rows.append((command, time.monotonic() - began))
        assert code == 0, f"{command}: {code}\n{outputs[command][-4000:]}"

    run(demo)
    printed = PRINTED.findall(outputs[demo].partition("A Supabase platform runs in the lab")[2])
    assert len(printed) >= 7, outputs[demo][-3000:]
    for command in printed:
        run(command)
    run(demo_down)

    (request,) = (command for command in printed if command.startswith("curl"))
    assert outputs[request]
    (check,) = (command for command in printed if command.endswith("--check --diff"))
    assert {found.groups() for found in RECAP.finditer(outputs[check])} == {("0", "0", "0")}, outputs[check][-4000:]
    left = subprocess.run(["docker", "ps", "--all", "--quiet"], capture_output=True, text=True, check=False).stdout
    assert not left.strip() and not Path("/sys/class/net/groundwork-lab").exists()
    with capsys.disabled():
        print("\n| what a newcomer types | seconds |\n|---|---|")
        for command, seconds in rows:
            print(f"| `{command}` | {seconds:.0f} |")
