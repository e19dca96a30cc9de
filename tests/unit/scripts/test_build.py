# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scripts/build with programs in Docker's and Python's place: what is judged before it is pushed, and as what it is."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
COMMIT = "8f3c" * 10
PROGRAMS = {
    "git": f"echo {COMMIT}",
    ".venv/bin/ansible-galaxy": "",
    ".venv/bin/python": 'case $1 in scripts/*) echo "$*" >>calls; exit "$JUDGEMENT" ;; *) echo 1.0.0 ;; esac',
    "docker": 'echo "docker $*" >>calls\n[ "$1" != manifest ] || { echo "$MANIFEST" >&2; [ -z "$MANIFEST" ]; }',
}


@pytest.fixture
def build(tmp_path: Path):
    """Run it on one application. The registry has the version where it says nothing against that."""
    for name, text in PROGRAMS.items():
        program = tmp_path / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    for path in ("scripts/build", "examples/shop/Dockerfile"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "scripts" / "build", tmp_path / "scripts" / "build")
    (tmp_path / "examples/shop/Dockerfile").touch()

    def run(*arguments: str, judgement: int = 0, manifest: str = "manifest unknown"):
        environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "REGISTRY": "registry.test/Acme"}
        environment.update(JUDGEMENT=str(judgement), MANIFEST=manifest)
        done = subprocess.run([str(tmp_path / "scripts" / "build"), *arguments], env=environment, check=False)
        images = tmp_path / "dist" / "images.txt"
        return done.returncode, (tmp_path / "calls").read_text().splitlines(), images.exists() and images.read_text()

    return run


IMAGE = "registry.test/acme/shop"
JUDGED = f"scripts/image_policy.py {IMAGE}:{COMMIT} examples/shop/Dockerfile"


def test_an_image_is_judged_before_it_is_pushed_under_commit_and_version(build):
    code, calls, images = build("--push")
    assert code == 0 and images == f"{IMAGE}:{COMMIT}\n"
    assert calls[0].startswith("docker build ") and calls[0].endswith(f"--tag {IMAGE}:{COMMIT} examples/shop")
    assert calls[1:] == [
        JUDGED,
        f"docker push {IMAGE}:{COMMIT}",
        f"docker manifest inspect {IMAGE}:1.0.0",
        f"docker tag {IMAGE}:{COMMIT} {IMAGE}:1.0.0",
        f"docker push {IMAGE}:1.0.0",
    ]


def test_what_is_refused_is_neither_pushed_nor_released(build):
    code, calls, images = build("--push", judgement=1)
    assert code == 1 and calls[-1] == JUDGED and not images


def test_without_a_push_it_is_judged_as_well(build):
    code, calls, images = build()
    assert code == 0 and calls[-1] == JUDGED and images


@pytest.mark.parametrize(("manifest", "code"), [("", 0), ("unauthorized", 1)])
def test_a_version_that_may_be_there_keeps_its_content(build, manifest, code):
    ended, calls, _images = build("--push", manifest=manifest)
    assert ended == code and calls[-1] == f"docker manifest inspect {IMAGE}:1.0.0"
