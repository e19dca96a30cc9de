# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values against an argument specification of Ansible's, every fault with the place where it stands.

Ansible's validator judges each level by itself: of a list it says that an element is wrong, and not which.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.validation import check_type_dict
from ansible.module_utils.errors import (
    ArgumentValueError,
    MutuallyExclusiveError,
    RequiredError,
    RequiredOneOfError,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.spelling import suggest

# Keys of a specification that speak of several options of an element.
RULES = ("mutually_exclusive", "required_together", "required_one_of", "required_if", "required_by")
# Of the classes of Ansible's errors.
REMEDIES = {
    ArgumentValueError: "correct it",
    MutuallyExclusiveError: "keep one of them",
    RequiredError: "give it",
    RequiredOneOfError: "give one of them",
}
# The classes of Python in Ansible's text tell nobody anything; a value does not belong there.
WRONG_TYPE = re.compile(r" is of type .* and we were unable to convert to (\w+).*", re.DOTALL)


def read_arguments(
    options: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any], where: str, rules: Mapping[str, Any]
) -> tuple[dict[str, Any] | None, list[Fault]]:
    """The values with types and defaults as a module gets them, and everything that is wrong with them.

    where: what to call the mapping that they stand in. rules: those in RULES. What cannot be read is None: the whole
    mapping, or an element of a list in it.
    """
    faults = [
        Fault(where, f"unknown key {name}", suggest(str(name), options))
        for name in sorted(map(str, given))
        if name not in options
    ]
    known = {name: value for name, value in given.items() if name in options}
    validator = ArgumentSpecValidator(
        {name: _of_this_level(option) for name, option in options.items()}, **{rule: rules.get(rule) for rule in RULES}
    )
    result = validator.validate(known)
    faults.extend(_fault(where, error) for error in result.errors.errors)
    readable = not result.errors.errors
    values = dict(result.validated_parameters)
    for name, option in options.items():
        if not option.get("options"):
            continue
        if isinstance(values.get(name), Mapping):
            values[name], wrong = read_arguments(option["options"], values[name], f"{where}.{name}", option)
            faults.extend(wrong)
            readable = readable and values[name] is not None
        elif isinstance(values.get(name), list):
            values[name], wrong = read_elements(option, values[name], f"{where}.{name}")
            faults.extend(wrong)
    return values if readable else None, faults


def read_elements(
    option: Mapping[str, Any], elements: Sequence[Any], where: str
) -> tuple[list[dict[str, Any] | None], list[Fault]]:
    """The same of a list of mappings."""
    values: list[dict[str, Any] | None] = []
    faults: list[Fault] = []
    for position, element in enumerate(elements):
        place = f"{where}[{position}]"
        try:
            mapping = check_type_dict(element)
        except TypeError:
            faults.append(Fault(place, "it is not a mapping", "write KEY: VALUE"))
            values.append(None)
            continue
        value, wrong = read_arguments(option["options"], mapping, place, option)
        title = next((f"{place}, {mapping[key]}" for key in ("name", "role") if mapping.get(key)), place)
        faults.extend(Fault(title if one.object == place else one.object, one.cause, one.remedy) for one in wrong)
        values.append(value)
    return values, faults


def _of_this_level(option: Mapping[str, Any]) -> dict[str, Any]:
    """An option whose suboptions are looked at one by one."""
    if not option.get("options"):
        return dict(option)
    return {key: value for key, value in option.items() if key not in ("options", "elements", *RULES)}


def _fault(where: str, error: Exception) -> Fault:
    return Fault(where, WRONG_TYPE.sub(r" is not of type \1", str(error)), REMEDIES.get(type(error), "correct it"))
