# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From service entries (Compose syntax and our own keys) to one Compose document and the files it names.

Pure: nothing here reads or writes. A configuration file is stored under a name that contains the hash of its content,
so Compose recreates a service exactly when that service's own configuration changed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault
from ansible_collections.groundwork.supabase.plugins.module_utils.release.config_file import ConfigFile, config_file
from ansible_collections.groundwork.supabase.plugins.module_utils.release.live import (
    DOCUMENT_KEY,
    LINK,
    Declared,
    LiveFiles,
    declared_in,
    live_files,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.release.traffic import (
    Traffic,
    traffic_of,
    trial_of,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.placeholders import (
    PLACEHOLDER,
    secret_names,
    unknown_filters,
)

# Label of a container that tells which settings it was made with. Compose's own (com.docker.compose.config-hash) does
# not compare: Compose 2.26 computes it with an env file's path in "config --hash" and without it in "up".
FINGERPRINT = "groundwork.fingerprint"
# What Compose itself would interpolate: a dollar that is not doubled (Compose file reference, "Interpolation").
INTERPOLATION = re.compile(r"(?<!\$)(?:\$\$)*\$(?!\$)")
# One line of an env file in single quotes, which Compose takes literally, for each entry.
QUOTABLE = re.compile(r"(?:[^=\n]+='(?:[^'\n]*[^'\n\\])?'\n)*")
# Stands for the file with those environment entries that mention a secret; no container sees it under this name.
ENVIRONMENT = "/environment.env"
NOT_FOR_TRIAL = ("container_name", "depends_on", "ports")


@dataclass(frozen=True)
class Unit:
    """Everything one release of a unit consists of, before any secret is put in.

    traffic: how its services are deployed, which is no part of what is deployed.
    """

    name: str
    services: Mapping[str, Mapping[str, Any]]
    networks: Mapping[str, Any]
    volumes: Mapping[str, Any]
    files: tuple[ConfigFile, ...]
    live: tuple[LiveFiles, ...] = ()
    traffic: Mapping[str, Traffic] = field(default_factory=dict)

    def files_of(self, service: str) -> tuple[ConfigFile, ...]:
        return tuple(file for file in self.files if file.service == service)

    @property
    def texts(self) -> tuple[ConfigFile, ...]:
        """Every file, live ones too."""
        return (*self.files, *(file for each in self.live for file in each.files))


def build_unit(name: str, services: Mapping[str, Any], networks: Mapping[str, Any], volumes: Mapping[str, Any]) -> Unit:
    """Split service entries into plain Compose entries and configuration files."""
    plain, files, lively, traffic = {}, [], [], {}
    for service, entry in sorted(services.items()):
        entry = {key: value for key, value in entry.items() if value is not None}
        for path, spec in sorted((entry.pop("files", None) or {}).items()):
            files.append(config_file(service, path, spec))
        if "live" in entry:
            lively.append(live_files(service, entry.pop("live")))
        if "traffic" in entry:
            traffic[service] = traffic_of(service, entry.pop("traffic"))
        environment = {key: _scalar(value) for key, value in (entry.pop("environment", None) or {}).items()}
        secret = {key: value for key, value in environment.items() if secret_names(value)}
        if secret:
            files.append(ConfigFile(service, ENVIRONMENT, _env_text(secret), 0o400, 0, 0))
        entry["environment"] = {key: value for key, value in environment.items() if key not in secret}
        plain[service] = entry
    return Unit(name, plain, networks, volumes, tuple(files), tuple(lively), traffic)


def _scalar(value: Any) -> str:
    """How Compose reads a scalar of the environment mapping."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _env_text(values: Mapping[str, str]) -> str:
    # Compose takes single-quoted values of an env file literally; find_unit_faults() refuses what cannot be quoted so.
    return "".join(f"{key}='{value}'\n" for key, value in sorted(values.items()))


def document(unit: Unit, folder: str, secrets: Mapping[str, str]) -> dict[str, Any]:
    """The Compose document of a release.

    folder: absolute path of the unit's folder, which holds the stored files and the live ones.
    secrets: values by name; only their effect on file names and versions shows in the result.
    """
    live_paths = {each.service: each.path for each in unit.live}
    services = {}
    for service, entry in unit.services.items():
        entry = dict(entry)
        mounts = list(entry.pop("volumes", None) or [])
        for file in unit.files_of(service):
            source = f"{folder}/store/{file.stored_as(secrets)}"
            if file.path == ENVIRONMENT:
                own = entry.get("env_file") or []
                entry["env_file"] = [*([own] if isinstance(own, (str, dict)) else own), source]
            else:
                mounts.append(_mount(source, file.path))
        if service in live_paths:
            mounts.append(_mount(f"{folder}/live/{service}", live_paths[service]))
        if mounts:
            entry["volumes"] = mounts
        entry = {key: value for key, value in entry.items() if value not in ({}, [])}
        labels = entry.get("labels") or {}
        own = labels if isinstance(labels, Mapping) else dict(label.partition("=")[::2] for label in labels)
        services[service] = {**entry, "labels": {**own, FINGERPRINT: digest(entry)}}
    result: dict[str, Any] = {"name": unit.name, "services": services}
    for key, value in (("networks", unit.networks), ("volumes", unit.volumes)):
        if value:
            result[key] = {name: dict(spec or {}) for name, spec in value.items()}
    if unit.live:
        result[DOCUMENT_KEY] = {each.service: each.declared(secrets) for each in unit.live}
    return result


def _mount(source: str, target: str) -> dict[str, Any]:
    return {
        "type": "bind",
        "source": source,
        "target": target,
        "read_only": True,
        "bind": {"create_host_path": False},
    }


def digest(doc: Mapping[str, Any]) -> str:
    """Eight hex digits that stand for a document; file contents count through their names."""
    return hashlib.sha256(json.dumps(doc, sort_keys=True).encode()).hexdigest()[:8]


def with_images(doc: Mapping[str, Any], images: Mapping[str, str]) -> dict[str, Any]:
    """The document with each service's image replaced by the one given for it (by digest)."""
    return {**doc, "services": {name: {**entry, "image": images[name]} for name, entry in doc["services"].items()}}


def trial(doc: Mapping[str, Any], services: set[str], networks: set[str]) -> dict[str, Any]:
    """A document that starts the given services beside the running ones.

    No ports, no aliases, another name: nothing reaches them but their own health check. Services that own a volume
    cannot run twice and are left out, and so are those on a network that only the release itself will make.

    networks: names, as in the document, of the networks that are there.
    """
    chosen = {}
    lively = {each.service: each for each in declared_in(doc)}
    for name in sorted(services):
        entry = doc["services"][name]
        if not runs_twice(entry) or not networks.issuperset(entry.get("networks") or {}):
            continue
        copy = {key: value for key, value in entry.items() if key not in NOT_FOR_TRIAL}
        copy["networks"] = {network: {} for network in entry.get("networks") or {}}
        copy["restart"] = "no"
        if name in lively:
            copy["volumes"] = [_of_version(mount, lively[name]) for mount in entry["volumes"]]
        chosen[trial_of(name)] = copy
    trial_doc = {"name": f"{doc['name']}-trial", "services": chosen}
    for kind in ("networks", "volumes"):
        trial_doc[kind] = {
            key: {"name": (spec or {}).get("name") or f"{doc['name']}_{key}", "external": True}
            for key, spec in (doc.get(kind) or {}).items()
        }
    return trial_doc


def _of_version(mount: Any, declared: Declared) -> Any:
    """The mount of the live folder turned into one of the version itself, which the link does not name yet."""
    if not isinstance(mount, Mapping) or mount.get("target") != declared.path:
        return mount
    return {**mount, "source": f"{mount['source']}/{declared.version}", "target": f"{declared.path}/{LINK}"}


def runs_twice(entry: Mapping[str, Any]) -> bool:
    """Whether a second copy of the service may run for a moment: it owns no volume and not the host's network."""
    own = [mount for mount in entry.get("volumes") or [] if not (isinstance(mount, Mapping) and mount.get("read_only"))]
    return not own and entry.get("network_mode") is None


def find_unit_faults(unit: Unit) -> list[Fault]:
    """Everything about a unit's services that would fail or surprise later."""
    faults = []
    for service, entry in unit.services.items():
        where = f"{unit.name}: service {service}"
        if not entry.get("image"):
            faults.append(Fault(where, "it has no image", "set image to NAME:TAG@sha256:DIGEST"))
        networks = entry.get("networks") or {}
        faults.extend(
            Fault(where, f"network {network} is not declared", f"choose one of {', '.join(sorted(unit.networks))}")
            for network in networks
            if network not in unit.networks
        )
        faults.extend(_text_faults(where, entry, set()))
        if service in unit.traffic and not runs_twice(entry):
            cause = "traffic needs a second container for a while, and it owns a volume or the host's network"
            faults.append(Fault(where, cause, "leave traffic out"))
    for each in unit.live:
        faults.extend(_text_faults(f"{unit.name}: service {each.service}", each.accepted, set(), "live.accepted"))
    for file in unit.texts:
        where = f"{unit.name}: service {file.service}: {file.path}"
        for how in sorted(unknown_filters(file.text)):
            faults.append(Fault(where, f"unknown secret filter {how}", "use urlencode, json or sql"))
        if file.path == ENVIRONMENT and not QUOTABLE.fullmatch(file.text):
            cause = "an environment value beside a secret has a quote, a line break or a backslash at its end"
            faults.append(Fault(where, cause, "write it without"))
    return faults


def find_missing_secrets(unit: Unit, secrets: Mapping[str, str]) -> list[Fault]:
    """Secrets that a unit names and the store does not have: their names would be deployed as if they were values."""
    missing = {(file.service, name) for file in unit.texts for name in secret_names(file.text) - secrets.keys()}
    return [
        Fault(f"{unit.name}: service {service}", f"there is no secret {name}", "declare it, or correct the name")
        for service, name in sorted(missing)
    ]


def _text_faults(where: str, node: Any, seen: set[str], path: str = "") -> list[Fault]:
    if isinstance(node, Mapping):
        return [f for key, value in node.items() for f in _text_faults(where, value, seen, f"{path}.{key}".strip("."))]
    if isinstance(node, (list, tuple)):
        return [f for value in node for f in _text_faults(where, value, seen, path)]
    if not isinstance(node, str):
        return []
    if PLACEHOLDER.search(node):
        return [Fault(where, f"a secret stands in {path}", "secrets may stand in environment and in files only")]
    if INTERPOLATION.search(node):
        return [Fault(where, f"a single $ in {path} would be interpolated by Compose", "write $$ for a dollar")]
    return []
