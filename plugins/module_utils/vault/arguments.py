# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what the arguments of module vault ask for; everything that is wrong with them is reported at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.vault.model import DeclaredSecret, label


def read_secrets(secrets: Sequence[Mapping[str, Any]], stored: Mapping[str, str], dry: bool) -> list[DeclaredSecret]:
    """The secrets of argument ``secrets``, with values from the host's store. Raises Faults.

    stored: values by name. dry: a value that the store does not have yet is no fault.
    """
    faults: list[Fault] = []
    declared: dict[str, DeclaredSecret] = {}
    for position, arguments in enumerate(secrets):
        origin = f"secrets[{position}]"
        object = f"{label(arguments['name'])} ({origin})"
        present = arguments["state"] == "present"
        value = stored.get(arguments["secret"]) if arguments["secret"] else arguments["value"]
        faults.extend(_find_faults(object, arguments, value, dry))
        other = declared.get(arguments["name"])
        if other:
            faults.append(Fault(object, f"{other.origin} names it too", "name it once"))
        declared[arguments["name"]] = DeclaredSecret(
            arguments["name"], origin, present, value if present else None, arguments["description"]
        )
    Faults.raise_all(faults)
    return list(declared.values())


def _find_faults(object: str, arguments: Mapping[str, Any], value: str | None, dry: bool) -> Iterator[Fault]:
    """What is wrong with one element. No text holds its value."""
    texts = {"name": arguments["name"], "description": arguments["description"], "value": value}
    for field, text in texts.items():
        if text and ("\0" in text or not _is_unicode(text)):
            yield Fault(object, f"its {field} has a zero byte or is not valid Unicode", f"give another {field}")
    if not arguments["name"]:
        yield Fault(object, "its name is empty", "give it a name")
    given = [option for option in ("value", "secret") if arguments[option] is not None]
    if arguments["state"] == "absent":
        if given:
            yield Fault(object, f"it is to be absent, and has a {given[0]}", f"leave {given[0]} out")
    elif not given:
        yield Fault(object, "it has no value", "give value, or secret")
    elif value is None and not dry:
        yield Fault(object, f"the host's store lacks {arguments['secret']}", "declare it with module secret")
    elif value == "":
        yield Fault(object, "its value is empty", "give another, or state absent")


def _is_unicode(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False
