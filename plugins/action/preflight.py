# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check a whole inventory on the controller. The host is not touched, and check mode changes nothing about it."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.vars import merge_hash
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, numbered
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.database import find_database_faults
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.edge import find_edge_faults
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.hooks import find_hook_faults
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.hosted import (
    direct_hosts,
    find_login_faults,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.inventory import Inventory, find_faults
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.migration_folder import (
    find_file_faults,
    find_folder_faults,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.role_variables import (
    Options,
    find_variable_faults,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.shared_variables import (
    PLATFORM,
    SHARED,
    find_disagreements,
    find_place_faults,
)
from ansible_collections.groundwork.supabase.plugins.modules import (
    audit,
    cron,
    partitions,
    rls,
    schema,
    sql_metrics,
    vault,
)

ARGUMENTS: dict[str, Any] = {
    "services": {"type": "list", "elements": "str", "required": True},
    "catalog": {"type": "dict", "required": True},
    "overrides": {"type": "dict", "default": {}},
    "apps": {"type": "dict", "default": {}},
    "app_keys": {
        "type": "list",
        "elements": "str",
        "default": ["domain", "port", "public", "metrics", "traffic"],
        "no_log": False,
    },
    "images": {"type": "dict", "default": {}},
    "other_images": {"type": "dict", "default": {}},
    "require_digests": {"type": "bool", "default": False},
    "hosts": {"type": "dict", "default": {}},
    "domains": {"type": "dict", "default": {}},
    "email": {"type": "str", "default": ""},
    "tls": {"type": "str", "choices": ["internal", "acme", "files"], "default": "internal"},
    "environment": {"type": "str", "choices": ["lab", "dev", "staging", "prod"], "required": True},
    "edge": {"type": "list", "elements": "str", "default": ["caddy"]},
    "reserved_ports": {"type": "dict", "default": {}},
    "secrets": {"type": "dict", "default": {}, "no_log": False},
    "opaque_secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "known_secrets": {"type": "list", "elements": "str", "no_log": False},
    "database": {"type": "dict", "default": {}},
    "gateway": {"type": "dict", "default": {}},
    "edge_variables": {"type": "dict", "default": {}},
    "firewall": {"type": "dict", "default": {}},
    "project": {"type": "str", "default": ""},
}
# What role database hands its variables to, and role exporters the metrics that it computes in the database.
DATABASE_ARGUMENTS = {
    "audit": audit.ARGUMENTS,
    "cron": cron.ARGUMENTS,
    "partitions": partitions.ARGUMENTS,
    "rls": rls.ARGUMENTS,
    "schema": schema.ARGUMENTS,
    "sql_metrics": sql_metrics.ARGUMENTS,
    "vault": vault.ARGUMENTS,
}
ROLES = Path(__file__).parents[2] / "roles"
# Roles whose variables are held against their argument specification alone: those of this host, and those of every one.
PLATFORM_ROLES = ("stack", "app")
HOST_ROLES = ("hardening", "docker", "backup", "exporters", "monitoring")


class ActionModule(ActionBase):
    """Reports every fault at once."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        try:
            _validation, args = self.validate_argument_spec(argument_spec=ARGUMENTS)
        except AnsibleError:
            # The same in the names that the inventory has for them.
            args = {"services": (), "catalog": {}, "hosts": {}, **self._task.args}
            if faults := self._role_faults(args, task_vars or {}):
                return {**result, **_refusal(faults)}
            raise
        for name, change in args["overrides"].items():
            if name in args["catalog"]:
                args["catalog"][name] = merge_hash(args["catalog"][name], change)
            elif name in args["services"]:
                args["catalog"][name] = change
        for key in ("catalog", "apps"):
            args[key] = {name: self._with_sources(entry) for name, entry in args[key].items()}
        args = {key: tuple(value) if isinstance(value, list) else value for key, value in args.items()}
        if not all(str(port).isdigit() for port in args["reserved_ports"]):
            raise AnsibleActionFail("reserved_ports: a key is not a port; write PORT: who listens there")
        database, edge = args.pop("database"), args.pop("edge_variables")
        hosts = direct_hosts(args["apps"]) if args["project"] else set()
        ipv6_only = tuple(host for host in hosts if _has_only_ipv6(host))
        inventory = Inventory(now=datetime.now(timezone.utc), ipv6_only=ipv6_only, **args)
        faults = [
            *find_faults(inventory),
            *find_login_faults(database, inventory.project, inventory.secrets),
            *self._database_faults(database, inventory),
            *self._edge_faults(edge, inventory),
            *self._role_faults(args, task_vars or {}),
            *self._hook_faults((task_vars or {}).get("inventory_dir")),
        ]
        result["changed"] = False
        # Recorded with every release of this run: a rollback without a name goes by the first.
        result["ansible_facts"] = {
            "supabase_deployment": datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ"),
            "supabase_commit": self._commit(),
        }
        return {**result, **_refusal(faults)}

    def _database_faults(self, variables: Mapping[str, Any], inventory: Inventory) -> Iterator[Fault]:
        """What is wrong with the variables of role database, and with the files on the controller that they name."""
        if not variables:
            return
        options, secrets = self._options_of("database"), _secret_names(inventory)
        yield from find_database_faults(variables, DATABASE_ARGUMENTS, options, secrets)
        folder = variables.get("database_migrations")
        if folder and isinstance(folder, str):
            yield from find_folder_faults("database_migrations", Path(self._loader.path_dwim(folder)))
        authority = variables.get("database_ca_cert")
        if authority:
            yield from find_file_faults("database_ca_cert", Path(self._loader.path_dwim(str(authority))))
        seeds = variables.get("database_seeds")
        for position, seed in enumerate(seeds if isinstance(seeds, list) else []):
            yield from find_file_faults(f"database_seeds[{position}]", Path(self._loader.path_dwim(str(seed))))

    def _edge_faults(self, variables: Mapping[str, Any], inventory: Inventory) -> Iterator[Fault]:
        """What is wrong with the variables of role caddy."""
        if variables:
            platform = {str(domain) for domain in inventory.domains.values()}
            secrets = _secret_names(inventory)
            yield from find_edge_faults(variables, self._options_of("caddy"), platform, inventory.now, secrets)

    def _hook_faults(self, inventory_dir: str | None) -> Iterator[Fault]:
        """What is wrong with the operator's own tasks beside the inventory, where it lies in a folder."""

        def load(path: str) -> Any:
            try:
                return self._loader.load_from_file(path)
            except AnsibleError as error:
                raise ValueError(str(error).splitlines()[0]) from error

        if inventory_dir:
            yield from find_hook_faults(Path(inventory_dir) / "hooks", load)

    def _role_faults(self, args: Mapping[str, Any], task_vars: Mapping[str, Any]) -> list[Fault]:
        """What is wrong with the variables of the other roles, which notice it when others have changed a host."""
        here = task_vars.get("inventory_hostname")
        if not here:
            return []
        variables = task_vars["hostvars"][here]
        shared = dict(_values(variables, [name for name in SHARED if name in variables]))
        faults = list(find_place_faults(shared))
        if "db" in args["services"]:
            defaults: dict[str, Any] = {}
            for role, names in PLATFORM.items():
                options = self._options_of(role)
                defaults.update({name: options[name]["default"] for name in names})
            faults.extend(find_disagreements(shared, args["services"], defaults))
        # Entries of the catalog are variables, too.
        entries = {f"stack_{name}" for name in args["catalog"]}
        for host in dict.fromkeys([here, *args["hosts"]]):
            variables = task_vars["hostvars"][host]
            for role in (*PLATFORM_ROLES, *HOST_ROLES) if host == here else HOST_ROLES:
                own = [name for name in variables if name.startswith(f"{role}_") and name not in entries]
                faults.extend(find_variable_faults(role, dict(_values(variables, own)), self._options_of(role)))
        return list(dict.fromkeys(faults))

    def _options_of(self, role: str) -> Options:
        specification = self._loader.load_from_file(str(ROLES / role / "meta" / "argument_specs.yml"))
        options: Options = specification["argument_specs"]["main"]["options"]
        return options

    def _commit(self) -> str:
        """Git commit of the checkout that the run comes from, marked where it has changes; "" outside a checkout."""
        command = [
            "git",
            "-C",
            self._loader.get_basedir(),
            "describe",
            "--always",
            "--dirty",
            "--abbrev=40",
            "--exclude=*",
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError:
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    def _with_sources(self, entry: Any) -> Any:
        """The entry with the unrendered text of templates that can be found, so that their secrets are seen."""
        if not isinstance(entry, Mapping):
            return entry
        entry = {**entry, "live": self._with_sources(entry["live"])} if "live" in entry else entry
        files = entry.get("files")
        if not isinstance(files, Mapping):
            return entry
        return {**entry, "files": {path: self._with_source(spec) for path, spec in files.items()}}

    def _with_source(self, spec: Any) -> Any:
        if not isinstance(spec, Mapping) or "template" not in spec:
            return spec
        try:
            return {
                **spec,
                "content": Path(self._find_needle("templates", spec["template"])).read_text(encoding="utf-8"),
            }
        except (AnsibleError, OSError):
            # A role's template is looked for again, and missed by name, when the role renders it.
            return spec


def _refusal(faults: Sequence[Fault]) -> dict[str, Any]:
    """What the task returns of them: its failure, where there are any."""
    texts = [str(fault) for fault in faults]
    said = f"a fault: {texts[0]}" if len(texts) == 1 else numbered(faults)
    return {
        "faults": texts,
        **({"failed": True, "msg": f"The inventory has {said}\nNothing was changed."} if texts else {}),
    }


def _values(variables: Mapping[str, Any], names: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Variables with their templates filled in, but for those whose templates need more than the inventory."""
    for name in names:
        try:
            value = variables[name]
        except AnsibleError:
            continue
        # Before ansible-core 2.19 they are left as they stand.
        if "{{" not in str(value):
            yield name, value


def _secret_names(inventory: Inventory) -> set[str] | None:
    """Secrets that the host's store will have, None where that is not known."""
    return None if inventory.known_secrets is None else {*inventory.known_secrets, *inventory.secrets}


def _has_only_ipv6(host: str) -> bool:
    """False for a name that the controller cannot resolve: nothing is known of it then."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return {family for family, *_rest in found} == {socket.AF_INET6}
