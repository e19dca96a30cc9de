# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redirects of the edge that lead a browser round in a circle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault

Named = tuple[str, Mapping[str, Any]]
REMEDY = "let one of them lead elsewhere"


def find_redirect_loops(sites: Sequence[Named]) -> Iterator[Fault]:
    """sites: each with how it is called to the reader."""
    targets: dict[str, str] = {}
    for _where, site in sites:
        if site.get("redirect"):
            for name in (site["domain"], *(site.get("aliases") or [])):
                targets[name] = host_of(site["redirect"])
    for where, site in sites:
        way = [site["domain"]]
        while way[-1] in targets and targets[way[-1]] not in way:
            way.append(targets[way[-1]])
        # Each circle is told where it closes, so a site that merely leads into one is left out.
        if targets.get(way[-1]) == way[0] and way[0] == min(way):
            yield Fault(where, f"its redirect is a loop: {' → '.join([*way, way[0]])}", REMEDY)
        yield from _find_path_loops(where, site)


def host_of(address: str) -> str:
    """Host of an address whose path may have placeholders."""
    return urlsplit(address.partition("{")[0]).hostname or ""


def _find_path_loops(where: str, site: Mapping[str, Any]) -> Iterator[Fault]:
    redirects = [entry for entry in site.get("redirects") or [] if entry]
    names = {"", site["domain"], *(site.get("aliases") or [])}
    for position in range(len(redirects)):
        way = [position]
        while True:
            target = redirects[way[-1]]["to"].partition("{")[0]
            path = urlsplit(target).path or "/"
            following = _first_match(redirects, path) if host_of(target) in names else None
            if following is None or following in way:
                break
            way.append(following)
        if following == position and position == min(way):
            steps = [redirects[step]["from"] for step in way]
            yield Fault(f"{where}: redirects", f"they are a loop: {' → '.join([*steps, steps[0]])}", REMEDY)


def _first_match(redirects: Sequence[Mapping[str, Any]], path: str) -> int | None:
    return next((at for at, redirect in enumerate(redirects) if fnmatchcase(path, redirect["from"])), None)
