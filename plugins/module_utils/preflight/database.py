# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the variables of role database by themselves, found without a database.

Each is read as the module reads it that the role hands it to: by its argument specification, then by its own reader.
Whether a table, column or role exists is not asked; migrations may make it first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.audit.plan import read_tables as read_audited_tables
from ansible_collections.groundwork.supabase.plugins.module_utils.cron.arguments import read_jobs
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.partitions.model import (
    read_tables as read_partitioned_tables,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.inventory import MAKE_SECRET
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.policies import read_policies
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.role_variables import (
    Options,
    find_misspelt,
    read_variable,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.spelling import suggest
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.arguments import read_schemas_argument
from ansible_collections.groundwork.supabase.plugins.module_utils.schema.login_role_plan import read_login_roles
from ansible_collections.groundwork.supabase.plugins.module_utils.sql_metrics.model import read_metrics
from ansible_collections.groundwork.supabase.plugins.module_utils.vault.arguments import read_secrets

# Where readers say that something stands: tables[3].policies[1].
PLACE = re.compile(r"\b[a-z_]+\[\d+\](?:\.[a-z_]+\[\d+\])*")
STEP = re.compile(r"([a-z_]+)\[(\d+)\]")
# Arguments whose elements may name a secret of the host's store.
WITH_SECRETS = {"login_roles": "role", "secrets": "secret"}


@dataclass(frozen=True)
class Call:
    """How the role calls a module: arguments and the variables they come from, and what reads them there."""

    module: str
    variables: Mapping[str, str]
    readers: tuple[Callable[[Mapping[str, Any]], object], ...]


CALLS = (
    Call(
        "schema",
        {"schemas": "database_schemas", "exact": "database_exact", "login_roles": "database_login_roles"},
        (
            lambda given: read_schemas_argument(given["schemas"], given["exact"]),
            lambda given: read_login_roles(given["login_roles"]),
        ),
    ),
    Call(
        "audit",
        {"tables": "database_audited_tables", "undeclared": "database_undeclared_audits"},
        (lambda given: read_audited_tables(given["tables"]),),
    ),
    Call("partitions", {"tables": "database_partitions"}, (lambda given: read_partitioned_tables(given["tables"]),)),
    Call(
        "rls",
        {"tables": "database_tables", "undeclared": "database_undeclared_policies"},
        (lambda given: read_policies(given["tables"]),),
    ),
    # As in a dry run, before the host's store has a value.
    Call("vault", {"secrets": "database_vault_secrets"}, (lambda given: read_secrets(given["secrets"], {}, dry=True),)),
    Call(
        "cron",
        {
            "jobs": "database_cron_jobs",
            "functions_url": "database_functions_url",
            "undeclared": "database_undeclared_jobs",
        },
        (lambda given: read_jobs(given["jobs"], given["functions_url"] or None, database=""),),
    ),
)
# Of role exporters, which computes them in the same database.
METRICS = Call("sql_metrics", {"metrics": "monitoring_sql_metrics"}, (lambda given: read_metrics(given["metrics"]),))


def find_database_faults(
    variables: Mapping[str, Any],
    arguments: Mapping[str, Options],
    options: Options,
    known_secrets: Iterable[str] | None,
) -> Iterator[Fault]:
    """All faults, in the order in which the role uses the variables.

    variables: those that the inventory sets, by name. arguments: of each module in CALLS and METRICS. options: of the
    role, as its argument specification has them. known_secrets: names that the host's store will have, None where that
    is not known.
    """
    yield from find_misspelt("database", variables, options)
    for call in (*CALLS, METRICS):
        values, faults = _read_variables(call, variables, arguments[call.module])
        yield from faults
        yield from _reader_faults(call, values)
        if known_secrets is not None:
            yield from _unknown_secrets(call, values, frozenset(known_secrets))
    read = {variable for call in CALLS for variable in call.variables.values()}
    for name, value in variables.items():
        if name in options and name not in read:
            yield from read_variable(name, value, options[name])[1]


def _read_variables(call: Call, variables: Mapping[str, Any], specs: Options) -> tuple[dict[str, Any], list[Fault]]:
    """Values by argument; of a variable that is not given or cannot be read its argument's default."""
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for argument, variable in call.variables.items():
        spec = specs[argument]
        value = None
        if variable in variables:
            value, wrong = read_variable(variable, variables[variable], spec)
            faults.extend(wrong)
        values[argument] = spec.get("default", [] if spec["type"] == "list" else None) if value is None else value
    return values, faults


def _reader_faults(call: Call, values: Mapping[str, Any]) -> Iterator[Fault]:
    readable = _without_nothing(values)
    for reader in call.readers:
        try:
            reader(readable)
        except Faults as error:
            yield from (_as_variables(fault, call, values) for fault in error.faults)


def _without_nothing(value: Any) -> Any:
    """The value without the elements that cannot be read."""
    if isinstance(value, Mapping):
        return {key: _without_nothing(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_nothing(inner) for inner in value if inner is not None]
    return value


def _as_variables(fault: Fault, call: Call, values: Mapping[str, Any]) -> Fault:
    """The fault with places in variables instead of arguments; the reader did not count what it never saw."""

    def replace(match: re.Match[str]) -> str:
        steps: list[str] = []
        inner: Any = values
        for name, position in STEP.findall(match[0]):
            elements = inner.get(name) if isinstance(inner, Mapping) else None
            found = enumerate(elements) if isinstance(elements, list) else ()
            there = [(place, element) for place, element in found if element is not None]
            if int(position) >= len(there):
                return match[0]
            place, inner = there[int(position)]
            steps.append(f"{name if steps else call.variables[name]}[{place}]")
        return ".".join(steps)

    return Fault(PLACE.sub(replace, fault.object), PLACE.sub(replace, fault.cause), fault.remedy)


def _unknown_secrets(call: Call, values: Mapping[str, Any], known: frozenset[str]) -> Iterator[Fault]:
    for argument, kind in WITH_SECRETS.items():
        for position, element in enumerate(values.get(argument, ())):
            names = [element.get("secret"), element.get("login_secret")] if element else []
            for name in names:
                if name and name not in known:
                    object = f"{kind} {element['name']} ({call.variables[argument]}[{position}])"
                    cause = f"nobody makes or gives secret {name}"
                    yield Fault(object, cause, suggest(name, known, MAKE_SECRET))
