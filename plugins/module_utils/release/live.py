# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Live configuration: files that a running service takes over without being restarted.

Pure: nothing here reads or writes. All live files of a service have one version, a hash over everything that the
container can see of them. The container has the folder of versions, in which the link ``current`` names the one in
force, so a change of live files is no change of the service's own entry.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.release.config_file import ConfigFile, config_file
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.placeholders import substitute

# Key of the Compose document that tells each service's live configuration; Compose leaves keys with "x-" alone.
DOCUMENT_KEY = "x-live"
# Stands for the version in a live file, so that a service can say which one it took over.
VERSION = "${live_version}"
LINK = "current"
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
KEYS = {"path", "files", "accepted", "timeout", "ahead"}
DEFAULT_TIMEOUT = 15


@dataclass(frozen=True)
class SeenFile:
    """What a container can see of a live file, secrets put in; the version stands in it as VERSION."""

    name: str
    content: bytes
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True)
class LiveFiles:
    """The live configuration that is asked for one service; texts still have placeholders.

    path: folder in the container. accepted: command that ends with 0 when the service has taken over the version in
    the environment variable LIVE_VERSION; none where nobody asks. timeout: seconds that it gets for that. ahead: taken
    over before any other container of the release starts, because those need what it changes.
    """

    service: str
    path: str
    files: tuple[ConfigFile, ...]
    accepted: tuple[str, ...]
    timeout: int
    ahead: bool

    def version(self, secrets: Mapping[str, str]) -> str:
        return version_of(
            SeenFile(file_name(file), substitute(file.text, secrets).encode(), file.mode, file.uid, file.gid)
            for file in self.files
        )

    def texts(self, secrets: Mapping[str, str]) -> list[tuple[ConfigFile, str]]:
        """Each file with its text as the container reads it."""
        version = self.version(secrets)
        # The version first: what a secret contains is nobody's to replace.
        return [(file, substitute(file.text.replace(VERSION, version), secrets)) for file in self.files]

    def declared(self, secrets: Mapping[str, str]) -> dict[str, Any]:
        """The service's value below DOCUMENT_KEY."""
        return {
            "path": self.path,
            "version": self.version(secrets),
            "accepted": list(self.accepted),
            "timeout": self.timeout,
            "ahead": self.ahead,
        }


@dataclass(frozen=True)
class Declared:
    """The live configuration of one service in a release, as its document tells it."""

    service: str
    path: str
    version: str
    accepted: tuple[str, ...]
    timeout: int
    ahead: bool

    @property
    def command(self) -> list[str]:
        """The command as the container gets it: in a Compose document a dollar is doubled."""
        return [word.replace("$$", "$") for word in self.accepted]


def declared_in(document: Mapping[str, Any]) -> tuple[Declared, ...]:
    """Live configuration of a document's services, none where the document is older than live configuration."""
    found = (document.get(DOCUMENT_KEY) or {}).items()
    return tuple(
        Declared(
            service,
            entry["path"],
            entry["version"],
            tuple(entry["accepted"]),
            entry["timeout"],
            entry.get("ahead", False),
        )
        for service, entry in found
    )


def file_name(file: ConfigFile) -> str:
    return PurePosixPath(file.path).name


def version_of(files: Iterable[SeenFile]) -> str:
    """Twelve hex digits over names, owners, modes and contents.

    A folder's version can be told from the folder alone, so damage shows wherever the secrets are not at hand.
    """
    seal = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.name):
        seal.update(f"{file.name}\n{file.mode:o} {file.uid} {file.gid} {len(file.content)}\n".encode() + file.content)
    return seal.hexdigest()[:12]


def live_files(service: str, spec: Mapping[str, Any]) -> LiveFiles:
    """A service's live configuration from its key ``live``. Raises all faults of its shape together."""
    Faults.raise_all(_find_faults(f"service {service}: live", spec))
    path = str(spec["path"]).rstrip("/")
    files = tuple(config_file(service, f"{path}/{LINK}/{name}", entry) for name, entry in sorted(spec["files"].items()))
    accepted = tuple(str(word) for word in spec.get("accepted") or [])
    return LiveFiles(
        service, path, files, accepted, int(spec.get("timeout") or DEFAULT_TIMEOUT), bool(spec.get("ahead", False))
    )


def _find_faults(where: str, spec: Any) -> list[Fault]:
    if not isinstance(spec, Mapping):
        return [Fault(where, "it is not a mapping", "give it path and files")]
    faults = [
        Fault(where, f"there is no key {key}", f"choose from {', '.join(sorted(KEYS))}") for key in set(spec) - KEYS
    ]
    path = spec.get("path")
    if not isinstance(path, str) or not path.startswith("/") or not path.strip("/"):
        faults.append(Fault(where, f"path {path} is no folder in the container", "give its absolute path"))
    files = spec.get("files")
    if not isinstance(files, Mapping) or not files:
        faults.append(Fault(where, "it has no files", "give them as name to content, or leave live out"))
    else:
        faults.extend(
            Fault(where, f"file {name} is no plain name", "use letters, digits, dots and dashes, and no folder")
            for name in files
            if not FILE_NAME.fullmatch(str(name))
        )
    accepted, timeout = spec.get("accepted") or [], spec.get("timeout") or DEFAULT_TIMEOUT
    if not isinstance(accepted, (list, tuple)):
        faults.append(Fault(where, "accepted is not a list", "give the command word by word"))
    if not str(timeout).isdigit() or int(timeout) < 1:
        faults.append(Fault(where, f"timeout {timeout} is no number of seconds", "give a whole number above 0"))
    if not isinstance(spec.get("ahead", False), bool):
        faults.append(Fault(where, f"ahead is {spec['ahead']}", "say true or false"))
    return faults
