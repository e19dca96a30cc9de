# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done so that Vault has the secrets that are asked for. Sends nothing itself, and knows no value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.plans import Change, Plan, Step, lines, sql
from ansible_collections.groundwork.supabase.plugins.module_utils.vault.model import (
    DeclaredSecret,
    LiveSecret,
    label,
)


def make_plan(
    declared: Sequence[DeclaredSecret], live: Sequence[LiveSecret], differing: AbstractSet[str]
) -> tuple[Plan, list[str]]:
    """Statements and changes, and the secrets that nobody declared.

    differing: names of those that Vault has with another value. Raises Faults where Vault has a name twice.
    """
    Faults.raise_all(_find_faults(declared, live))
    present = {secret.name: secret for secret in live}
    planned = [
        pair for wanted in declared for pair in _secret(wanted, present.get(wanted.name), wanted.name in differing)
    ]
    names = {wanted.name for wanted in declared}
    undeclared = [secret.name or secret.id for secret in live if secret.name not in names]
    return Plan(tuple(step for step, _change in planned), tuple(change for _step, change in planned)), undeclared


def _find_faults(declared: Sequence[DeclaredSecret], live: Sequence[LiveSecret]) -> Iterator[Fault]:
    for wanted in declared:
        ids = [secret.id for secret in live if secret.name == wanted.name]
        if len(ids) > 1:
            cause = f"Vault has {len(ids)} of that name: {', '.join(ids)}"
            yield Fault(f"{label(wanted.name)} ({wanted.origin})", cause, "delete all but one")


def _secret(wanted: DeclaredSecret, there: LiveSecret | None, differs: bool) -> Iterator[tuple[Step, Change]]:
    if not wanted.present:
        if there:
            yield _step(wanted, _delete(there)), Change(label(wanted.name), _text(there.name, there.description), "")
        return
    description = (there.description if there else "") if wanted.description is None else wanted.description
    if there is None:
        yield (
            _step(wanted, _create(wanted, description)),
            Change(label(wanted.name), "", _text(wanted.name, description, "(new)")),
        )
        return
    # A value that is not known yet is a new one.
    changes_value = differs or wanted.value is None
    if changes_value or description != there.description:
        before = _text(there.name, there.description, "(old)" if changes_value else None)
        after = _text(wanted.name, description, "(changed)" if changes_value else None)
        statement = _update(wanted, there, description, changes_value)
        yield _step(wanted, statement), Change(label(wanted.name), before, after)


def _step(wanted: DeclaredSecret, statement: sql.Composed) -> Step:
    return Step(f"{label(wanted.name)} in Vault", statement, wanted.origin)


def _text(name: str | None, description: str, value: str | None = None) -> str:
    fields = lines(description=description, value=value)
    return "\n".join(part for part in (label(name or ""), fields) if part)


def _value(wanted: DeclaredSecret) -> sql.Composed:
    """Where the value is found: see vault_catalog."""
    return sql.SQL("(select v.value from pg_temp.groundwork_vault v where v.name = {})").format(
        sql.Literal(wanted.name)
    )


def _create(wanted: DeclaredSecret, description: str) -> sql.Composed:
    # Vault's create_secret first writes what it is given as it stands, which the write-ahead log and its archive keep.
    # So it is given something else first.
    return sql.SQL("select vault.update_secret(vault.create_secret('-', {}, {}), new_secret := {})").format(
        sql.Literal(wanted.name), sql.Literal(description), _value(wanted)
    )


def _update(wanted: DeclaredSecret, there: LiveSecret, description: str, changes_value: bool) -> sql.Composed:
    arguments = [sql.SQL("{}").format(sql.Literal(there.id))]
    if changes_value:
        arguments.append(sql.SQL("new_secret := {}").format(_value(wanted)))
    if description != there.description:
        arguments.append(sql.SQL("new_description := {}").format(sql.Literal(description)))
    return sql.SQL("select vault.update_secret({})").format(sql.SQL(", ").join(arguments))


def _delete(there: LiveSecret) -> sql.Composed:
    return sql.SQL("delete from vault.secrets where id = {}").format(sql.Literal(there.id))
