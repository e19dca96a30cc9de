# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to happen to files of a host so that they are as declared, or as they were before.

Three kinds of entries: a file as a whole (``content``), single lines of a file that somebody else owns (``settings``),
and only who may do what with it (neither).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ansible_collections.groundwork.supabase.plugins.module_utils.host_files.settings_text import (
    with_settings,
    without_settings,
)


@dataclass(frozen=True)
class Entry:
    """One file as it is declared. ``mode`` is a number such as 0o644; None leaves mode and owner as they are."""

    path: str
    content: str | None = None
    settings: Mapping[str, str] | None = None
    separator: str = " "
    mode: int | None = None
    uid: int = 0
    gid: int = 0
    validate: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """``content``, ``settings`` or ``mode``."""
        return "content" if self.content is not None else "mode" if self.settings is None else "settings"


@dataclass(frozen=True)
class Owned:
    """What an earlier call changed. Of a path with only a mode: the mode and owner before."""

    kind: str
    mode: int = 0
    uid: int = 0
    gid: int = 0


def forgotten(path: str, owned: Owned) -> Entry:
    """The entry of a path that is not listed any more: enough to take it away."""
    return Entry(
        path, content="" if owned.kind == "content" else None, settings={} if owned.kind == "settings" else None
    )


@dataclass(frozen=True)
class Found:
    """What lies at a path. ``text`` is None for a folder, and where only the mode matters."""

    mode: int
    uid: int
    gid: int
    text: str | None = None
    link: str | None = None


@dataclass(frozen=True)
class Step:
    """One path. ``after`` None removes it; ``keep`` puts aside what is there, ``restore`` takes it back."""

    entry: Entry
    before: Found | None
    after: Found | None
    keep: bool = False
    restore: bool = False
    taken_away: bool = False


def plan(
    entries: Sequence[Entry],
    owned: Mapping[str, Owned],
    found: Mapping[str, Found | None],
    kept: Mapping[str, Found | None],
    present: bool,
) -> list[Step]:
    """Steps for what differs from what was found.

    ``kept`` has the files that earlier calls put aside. A path that is owned and no longer listed is taken away.
    """
    listed = {entry.path for entry in entries}
    wanted = entries if present else ()
    unwanted = [entry for entry in entries if not present and entry.path in owned]
    unwanted += [forgotten(path, owned[path]) for path in sorted(owned) if path not in listed]
    steps = [_put(entry, found[entry.path], entry.path in owned) for entry in wanted]
    steps += [_take_away(entry, found[entry.path], kept.get(entry.path), owned[entry.path]) for entry in unwanted]
    return [step for step in steps if step is not None]


def _put(entry: Entry, before: Found | None, owned: bool) -> Step | None:
    if before is None and entry.kind == "mode":
        return None
    after = replace(before or Found(0o644, 0, 0, ""), link=None)
    if entry.content is not None:
        after = replace(after, text=entry.content)
    elif entry.settings is not None:
        after = replace(after, text=with_settings(after.text or "", entry.settings, entry.separator))
    if entry.mode is not None:
        after = replace(after, mode=entry.mode, uid=entry.uid, gid=entry.gid)
    if after == before:
        return None
    return Step(entry, before, after, keep=before is not None and not owned and entry.kind == "content")


def _take_away(entry: Entry, before: Found | None, kept: Found | None, owned: Owned) -> Step:
    """A step also where nothing is left to do: the path is not owned any more."""
    if entry.kind == "settings":
        after = before and replace(before, text=without_settings(before.text or ""))
    elif entry.kind == "mode":
        after = before and replace(before, mode=owned.mode, uid=owned.uid, gid=owned.gid)
    else:
        after = kept
    return Step(entry, before, after, restore=entry.kind == "content" and kept is not None, taken_away=True)
