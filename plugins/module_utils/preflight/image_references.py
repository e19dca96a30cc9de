# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""References of container images (distribution/reference, "Grammar")."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.examples import is_example

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
REFERENCE = re.compile(
    rf"(?P<name>(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*)(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}))?"
)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class ImageReference:
    """A name with a tag, a digest, or both."""

    name: str
    tag: str | None
    digest: str | None

    @property
    def registry(self) -> str:
        """Host that it is pulled from, "" where the name has none: that is what an engine takes for a host."""
        host, slash, _path = self.name.partition("/")
        return host.partition(":")[0] if slash and "." in host else ""


def read_reference(text: str) -> ImageReference:
    """Take a reference apart.

    Raises ValueError, with what is wrong, where it is none.
    """
    name, at, digest = text.partition("@")
    match = REFERENCE.fullmatch(name)
    if match is None:
        raise ValueError(f"{text!r} is not an image reference")
    if at and not DIGEST.fullmatch(digest):
        raise ValueError(f"digest {digest!r} is not sha256: and 64 hexadecimal digits")
    return ImageReference(match["name"], match["tag"], digest or None)


def find_image_faults(where: str, text: str, require_digest: bool) -> list[Fault]:
    """Why a reference does not say for good what runs, or names what nobody has."""
    if not text:
        return [Fault(where, "it has no reference", "set it to NAME:TAG@sha256:DIGEST")]
    try:
        reference = read_reference(text)
    except ValueError as error:
        return [Fault(where, str(error), "write NAME:TAG@sha256:DIGEST")]
    faults = []
    if is_example(reference.registry):
        faults.append(Fault(where, f"{text} is an example", "name it as the registry does that has the image"))
    if require_digest and not reference.digest:
        remedy = "append the @sha256:… that the registry shows for the tag"
        faults.append(Fault(where, f"{text} has no digest", remedy))
    elif not reference.digest and reference.tag in (None, "latest"):
        faults.append(Fault(where, f"{text} is another image every time", "name a version, or a digest"))
    return faults
