# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of a role against its argument specification, before the role runs."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.argument_specs import (
    read_arguments,
    read_elements,
)

Options = Mapping[str, Mapping[str, Any]]
# A variable that is this close to one of the role's was meant to be it. 1 is equal (difflib).
CLOSE = 0.85


def find_misspelt(role: str, variables: Mapping[str, Any], options: Options) -> Iterator[Fault]:
    """What is misspelt is never read, and whatever it was to secure stays open. Others may be the inventory's own."""
    missing = [option for option in options if option not in variables]
    for name in variables:
        if name not in options and (close := difflib.get_close_matches(name, missing, n=1, cutoff=CLOSE)):
            yield Fault(f"variable {name}", f"role {role} has no such option", f"did you mean {close[0]}?")


def find_variable_faults(role: str, variables: Mapping[str, Any], options: Options) -> Iterator[Fault]:
    """What the role's own argument specification would refuse, which it is held against only when its turn comes."""
    yield from find_misspelt(role, variables, options)
    for name, value in variables.items():
        if name in options:
            yield from read_variable(name, value, options[name])[1]


def read_variable(name: str, value: Any, spec: Mapping[str, Any]) -> tuple[Any, list[Fault]]:
    """The value as the role gets it, None where it cannot be read, and what is wrong with it."""
    if isinstance(value, list) and spec.get("options"):
        return read_elements(spec, value, name)
    values, faults = read_arguments({name: spec}, {name: value}, "", {})
    # A mapping in it is called .NAME so far.
    faults = [Fault(fault.object.lstrip(".") or name, fault.cause, fault.remedy) for fault in faults]
    return values and values[name], faults
