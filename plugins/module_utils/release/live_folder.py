# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Live files on a host: ``<unit>/live/<service>/<version>/NAME`` and, beside the versions, the link ``current``."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from ansible_collections.groundwork.supabase.plugins.module_utils.release.live import (
    LINK,
    VERSION,
    Declared,
    LiveFiles,
    SeenFile,
    file_name,
    version_of,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.release.replacing import replace_file, replace_link


class LiveFolder:
    """The one place that reads and writes a unit's live files."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mount(self, service: str) -> str:
        """Folder that the service's container has."""
        return str(self.path / service)

    def current(self, service: str) -> str | None:
        """Version that the service's link names."""
        link = self.path / service / LINK
        return os.readlink(link) if link.is_symlink() else None

    def is_whole(self, service: str, version: str) -> bool:
        """Whether a version is there with exactly the files, owners and modes that it was made of."""
        try:
            entries = sorted((self.path / service / version).iterdir())
            return version_of(_seen(path, version) for path in entries) == version
        except OSError:
            return False

    def out_of_place(self, wanted: Iterable[Declared]) -> tuple[str, ...]:
        """Services whose link names another version, or whose files were damaged."""
        return tuple(
            sorted(
                live.service
                for live in wanted
                if self.current(live.service) != live.version or not self.is_whole(live.service, live.version)
            )
        )

    def write(self, live: LiveFiles, secrets: Mapping[str, str]) -> bool:
        """Make a service's version whole, secrets put in; whether there was anything to do.

        A new version is not in force before the link names it. A damaged one may be, so its files are replaced one by
        one and the folder stays.
        """
        version = live.version(secrets)
        if self.is_whole(live.service, version):
            return False
        folder = self.path / live.service / version
        folder.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)
        # What the container's user has to pass; on the host the unit's folder is closed to all but root.
        folder.parent.chmod(0o755)
        folder.chmod(0o755)
        for stray in {path.name for path in folder.iterdir()} - {file_name(file) for file in live.files}:
            _remove(folder / stray)
        for file, text in live.texts(secrets):
            if (folder / file_name(file)).is_dir():
                _remove(folder / file_name(file))
            replace_file(folder / file_name(file), text, file.mode, file.uid, file.gid)
        return True

    def point(self, service: str, version: str) -> None:
        """Put a version in force."""
        replace_link(self.path / service / LINK, version)

    def remove_unneeded(self, needed: set[tuple[str, str]]) -> None:
        """Remove the versions that no release names, but for those in force, and services that no release has."""
        services = {service for service, _version in needed}
        for folder in self.path.iterdir() if self.path.is_dir() else []:
            if folder.name not in services:
                shutil.rmtree(folder)
                continue
            kept = {LINK, self.current(folder.name)} | {name for service, name in needed if service == folder.name}
            for path in folder.iterdir():
                if path.name not in kept:
                    _remove(path)


def _seen(path: Path, version: str) -> SeenFile:
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{path} is no file")
    content = path.read_bytes().replace(version.encode(), VERSION.encode())
    return SeenFile(path.name, content, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
