# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Barman keeps, read from its catalogue and its folders."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .choice import Archive, BaseBackup, is_needed
from .wal import HISTORY, SEGMENT, parse_history, parse_lsn, timeline_number

# When the timelines that a restore has left ended: seconds since 1970 by number. It goes wherever the history goes.
ENDS = "main/timelines.json"


def parse_backups(listing: Mapping[str, Any], shown: Mapping[str, Mapping[str, Any]]) -> tuple[BaseBackup, ...]:
    """Finished backups, oldest first, from ``list-backups`` and ``show-backup`` with ``--format json``."""
    backups = []
    for record in next(iter(listing.values()), []):
        if record.get("status") not in ("DONE", "WAITING_FOR_WALS"):
            continue
        base = shown[record["backup_id"]]["base_backup_information"]
        backups.append(
            BaseBackup(
                id=record["backup_id"],
                begun=_moment(base["begin_time_timestamp"]),
                ended=_moment(base["end_time_timestamp"]),
                first_segment=base["begin_wal"],
                end_lsn=parse_lsn(base["end_lsn"]),
                size=int(record.get("size_bytes") or 0),
            )
        )
    return tuple(sorted(backups, key=lambda one: one.ended))


def _moment(stamp: str) -> datetime:
    return datetime.fromtimestamp(float(stamp), tz=timezone.utc)


def wal_files(home: Path) -> dict[str, Path]:
    """Segments and histories by the name that PostgreSQL asks for, which for the unfinished one has no ``.partial``.

    A finished segment goes before an unfinished one, and what Barman has archived before what it has just received.
    """
    # Read in the order in which it moves on, so that none slips by.
    streaming, filed, kept = (sorted((home / folder).rglob("*")) for folder in ("main/streaming", "main/wals", "kept"))
    found: dict[str, Path] = {}
    for file in (*filed, *streaming, *kept):
        if SEGMENT.match(file.name) or HISTORY.match(file.name):
            found.setdefault(file.name, file)
    for file in (*streaming, *kept):
        if file.suffix == ".partial":
            found.setdefault(file.stem, file)
    return found


def left_out(home: Path, backup: BaseBackup) -> list[str]:
    """What restic leaves out of Barman's folders, so that ``backup`` and the WAL from its begin on are in a snapshot.

    It says which backup is taken and not which are left, so one that begins meanwhile is none of it. WAL that comes
    meanwhile is. Barman's list of the WAL is made anew from what comes back.
    """
    main, first = home / "main", backup.first_segment
    patterns = [f"{main}/base/*", f"!{main}/base/{backup.id}"]
    patterns += [f"{main}/meta/*", f"!{main}/meta/{backup.id}-backup.info"]
    patterns += [f"{main}/wals/*xlog.db*", f"{main}/wals/*/*.tmp"]
    for folder in sorted(path for path in (main / "wals").iterdir() if path.is_dir()):
        # Named by what the names of its 256 segments begin with.
        if not is_needed(f"{folder.name}000000FF", first):
            patterns.append(str(folder))
        else:
            names = sorted(file.name for file in folder.iterdir() if SEGMENT.match(file.name))
            patterns += [f"{folder}/{name}" for name in names if not is_needed(name, first)]
    return patterns


def other_database(home: Path, system: str) -> str:
    """Why nothing may be backed up or restored: what is kept here is the history of another database.

    ``system`` is the identifier of the one that runs (``pg_control_system()``), nothing where it is not known. Barman
    notes that of its first backup and refuses every other one; what is kept of both could not be told apart.
    """
    file = home / "main" / "identity.json"
    kept = str(json.loads(file.read_text(encoding="utf-8"))["systemid"]) if file.exists() else ""
    if not kept or not system or kept == system:
        return ""
    return (
        f"{home}/main: is the history of database {kept}, and the one that runs is {system}, made anew in its place; "
        "move the history away, which keeps it, and begin another one (docs/backups.md, A database made anew)"
    )


def read_archive(home: Path, backups: tuple[BaseBackup, ...], beat_file: Path) -> Archive:
    """``beat_file`` holds the last beat that the database acknowledged, as seconds since 1970. A host to which all came
    from elsewhere has none: there the WAL itself says until when it was received."""
    files = wal_files(home)
    segments = {name: _received(file) for name, file in files.items() if SEGMENT.match(name)}
    timelines = tuple(
        parse_history(name, content_of(home, file).decode())
        for name, file in sorted(files.items())
        if HISTORY.match(name)
    )
    seen = max(segments.values(), default=None)
    if beat_file.exists():
        seen = _moment(json.loads(beat_file.read_text(encoding="utf-8"))["acknowledged"])
    unfinished = frozenset(name for name, file in files.items() if file.suffix == ".partial")
    return Archive(backups, segments, seen, timelines, noted_ends(home), unfinished)


def noted_ends(home: Path) -> dict[int, datetime]:
    note = home / ENDS
    ends = json.loads(note.read_text(encoding="utf-8")) if note.exists() else {}
    return {int(number): _moment(end) for number, end in ends.items()}


def note_end(home: Path, beat_file: Path) -> None:
    """What the newest timeline received is all that it will ever have, unless the same one goes on and ends later."""
    if not beat_file.exists():
        return
    newest = max((timeline_number(name) for name in wal_files(home) if SEGMENT.match(name)), default=1)
    # The next beat was due a second later.
    end = json.loads(beat_file.read_text(encoding="utf-8"))["acknowledged"] + 1
    ends = {number: moment.timestamp() for number, moment in noted_ends(home).items()}
    new = home / f"{ENDS}.new"
    new.write_text(json.dumps({**ends, newest: end}), encoding="utf-8")
    new.replace(home / ENDS)


def content_of(home: Path, file: Path) -> bytes:
    """Of a segment or a history, which Barman may have compressed and may have moved on from where it was received."""
    if not file.exists():
        file = wal_files(home)[file.name.removesuffix(".partial")]
    content = file.read_bytes()
    return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


def _received(file: Path) -> datetime:
    """When the last of a segment was. Of one that Barman has filed since it was found nobody has to know."""
    try:
        return datetime.fromtimestamp(file.stat().st_mtime, timezone.utc)
    except FileNotFoundError:
        return datetime.min.replace(tzinfo=timezone.utc)
