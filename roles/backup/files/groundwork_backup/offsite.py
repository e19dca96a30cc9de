# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database in a repository elsewhere, and its way back when both hosts are lost.

A snapshot is the newest base backup with all WAL from its begin on. Nothing of that goes away while it is read, so no
lock of Barman's has to be held for as long as sending takes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recovery.barman import ENDS, left_out
from recovery.choice import BaseBackup
from recovery.snapshots import IDENTIFIER, OF_DATABASE, other_history, taken_at

Restic = Callable[..., str]


def send_away(home: Path, backup: BaseBackup, restic: Restic) -> dict[str, Any]:
    """Restic's summary. Raises SystemExit."""
    system = str(json.loads((home / "main" / "identity.json").read_text(encoding="utf-8"))["systemid"])
    if refusal := other_history(json.loads(restic("snapshots", "--json", *OF_DATABASE, "--latest", "1")), system):
        raise SystemExit(refusal)
    received = home / "offsite"
    copy_received(home / "main" / "streaming", received)
    main = home / "main"
    paths = [main / "base", main / "meta", main / "wals", main / "identity.json", home / ENDS, home / "kept", received]
    excluded = [word for pattern in left_out(home, backup) for word in ("--exclude", pattern)]
    tags = (*OF_DATABASE, "--tag", IDENTIFIER + system)
    said = restic("backup", "--json", *tags, *excluded, *(str(path) for path in paths if path.exists()))
    shutil.rmtree(received)
    return dict(json.loads(said.splitlines()[-1]))


def copy_received(streaming: Path, target: Path) -> None:
    """WAL that Barman has not filed yet: it may be filed while restic reads, and be where restic is not looking.

    It lies as it is restored: whole segments for Barman to file, others beside the unfinished ones of former timelines.
    """
    shutil.rmtree(target, ignore_errors=True)
    for place in ("streaming", "kept"):
        (target / place).mkdir(parents=True)
    while False in [copy(file, target) for file in streaming.iterdir()]:
        pass
    give(target, *target.rglob("*"))


def copy(file: Path, target: Path) -> bool:
    """False where it is there by another name now. Whole segments do not change, and are copied once."""
    whole = file.suffix != ".partial"
    place = target / ("streaming" if whole else "kept") / file.name
    try:
        if not (whole and place.exists()):
            # With its time, which says until when it was received.
            shutil.copy2(file, place)
    except FileNotFoundError:
        # A whole one has been filed, where restic will look; the other has been finished.
        return whole
    return True


def give(*paths: Path) -> None:
    """To Barman, as which restic runs here."""
    for path in paths:
        shutil.chown(path, "barman", "barman")


def fetch(home: Path, wanted: str, restic: Restic, check: bool) -> str:
    """What came, or with ``check`` would come. Cut short, the same call goes on. Raises SystemExit."""
    snapshot = find_snapshot(wanted, restic)
    said = f"snapshot {snapshot['short_id']} of {taken_at(snapshot['time']):%Y-%m-%d %H:%M:%S} UTC"
    main, arriving = home / "main", home / f"arriving-{snapshot['short_id']}"
    note = main / "fetched"
    if note.exists() and note.read_text(encoding="utf-8") == snapshot["id"]:
        return f"{said}: is here"
    if any(any(main.glob(pattern)) for pattern in ("base/*", "wals/*/*", "streaming/*")):
        raise SystemExit(
            f"{main}: has backups or WAL, and nothing is written over them; move them away, which keeps them "
            "(docs/backups.md, A database made anew)"
        )
    size = int(json.loads(restic("stats", "--json", "--mode", "restore-size", snapshot["id"]))["total_size"])
    begun = [file for folder in home.glob("arriving-*") for file in folder.rglob("*")]
    room = shutil.disk_usage(home).free + sum(file.lstat().st_blocks * 512 for file in begun)
    if room < size:
        raise SystemExit(
            f"{home}: has room for {room / 1024**3:.1f} GiB, and {said} needs {size / 1024**3:.1f} GiB; make room there"
        )
    if not check:
        for other in set(home.glob("arriving-*")) - {arriving}:
            shutil.rmtree(other)
        arriving.mkdir(exist_ok=True)
        give(arriving)
        restic("restore", snapshot["id"], "--target", str(arriving))
        put_in_place(home, arriving, snapshot["id"])
    return f"{said}: {size} bytes"


def find_snapshot(wanted: str, restic: Restic) -> dict[str, Any]:
    found = json.loads(restic("snapshots", "--json", *OF_DATABASE, wanted))
    # The options do not choose among those that are named.
    if not found or "postgres" not in found[0].get("tags", []):
        raise SystemExit(f"snapshot {wanted}: the repository elsewhere has none of the database by this name")
    return dict(found[0])


def put_in_place(home: Path, arriving: Path, snapshot: str) -> None:
    """Barman's folder last, in one piece: while it is not there, the fetch goes on."""
    arrived = arriving / home.relative_to("/")
    moves = {
        arrived / "offsite" / "streaming": arrived / "main" / "streaming",
        arrived / "offsite" / "kept": home / "kept",
        arrived / "kept": home / "kept",
    }
    for source, target in moves.items():
        if not source.exists():
            continue
        target.mkdir(exist_ok=True)
        give(target)
        for file in source.iterdir():
            file.replace(target / file.name)
    note = arrived / "main" / "fetched"
    note.write_text(snapshot, encoding="utf-8")
    give(note)
    # Folders that Barman made for the backups to come.
    shutil.rmtree(home / "main", ignore_errors=True)
    (arrived / "main").replace(home / "main")
    shutil.rmtree(arriving)
