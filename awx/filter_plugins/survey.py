# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Surveys of AWX, made from what roles and modules here say about their options, so that they cannot differ."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
# AWX's types of questions, by the types of Ansible's options; a list is typed by a person as text.
TYPES = {"str": "text", "path": "text", "int": "integer", "float": "float", "bool": "multiplechoice"}
# A question of AWX has no type for yes and no.
YES_AND_NO = ["true", "false"]
MARKUP = re.compile(r"\b[A-Z]\(([^()#]*)(?:#\w+)?\)")
TEXT_LENGTH = 1024


def survey(questions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The specification of a survey as AWX's API takes it; an empty one, where nothing is asked, takes a survey away.

    A question has ``variable`` and ``question``, and either names an option with ``of`` or has ``type`` and
    ``description`` itself. Raises ``ValueError`` where it leaves something open.
    """
    if not questions:
        return {}
    return {"name": "", "description": "", "spec": [_question(entry) for entry in questions]}


def _question(entry: Mapping[str, Any]) -> dict[str, Any]:
    option = {**(documented(entry["of"]) if "of" in entry else {}), **entry}
    if option.get("type") not in TYPES or "description" not in option:
        raise ValueError(f"survey question {entry['variable']}: needs a description and a type of {', '.join(TYPES)}")
    kind = "multiplechoice" if "choices" in option else TYPES[option["type"]]
    required = entry.get("required", "default" in option and option["default"] != "")
    asked = {
        "variable": entry["variable"],
        "question_name": entry["question"],
        "question_description": _words(option),
        "type": kind,
        "required": required,
        "default": _answer(option.get("default", "")),
    }
    if kind == "multiplechoice":
        asked["choices"] = [str(choice) for choice in option.get("choices", YES_AND_NO)]
    elif kind == "text":
        # AWX counts an empty answer as an answer.
        asked.update(min=int(required), max=TEXT_LENGTH)
    else:
        asked.update({limit: entry[limit] for limit in ("min", "max") if limit in entry})
    return asked


def _words(option: Mapping[str, Any]) -> str:
    text = option["description"]
    text = MARKUP.sub(r"\1", text if isinstance(text, str) else text[0])
    return f"{text} For example {option['example']}" if "example" in option else text


def _answer(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def documented(name: str) -> dict[str, Any]:
    """What is documented of an option, named as in the markup of Ansible's documentation.

    That is ``MODULE#module:OPTION`` or ``ROLE#role:ENTRY_POINT:OPTION``, with ``OPTION.SUBOPTION`` for what is inside.
    Raises ``ValueError`` if there is none.
    """
    match = re.fullmatch(r"(\w+)#(?:module:|role:(\w+):)([\w.]+)", name)
    if not match:
        raise ValueError(f"{name}: is neither MODULE#module:OPTION nor ROLE#role:ENTRY_POINT:OPTION")
    plugin, entry_point, path = match.groups()
    if entry_point:
        specification = ROOT / "roles" / plugin / "meta" / "argument_specs.yml"
        within = yaml.safe_load(specification.read_text(encoding="utf-8"))["argument_specs"].get(entry_point, {})
    else:
        within = _documentation(ROOT / "plugins" / "modules" / f"{plugin}.py")
    for step in path.split("."):
        options = within.get("options", within.get("suboptions", {}))
        if step not in options:
            raise ValueError(f"{name}: there is no {step}; there are {', '.join(sorted(options))}")
        within = options[step]
    return dict(within)


def _documentation(module: Path) -> dict[str, Any]:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "DOCUMENTATION":
            return dict(yaml.safe_load(ast.literal_eval(node.value)))
    raise ValueError(f"{module.name}: has no DOCUMENTATION")


class FilterModule:
    """Found by Ansible because this folder lies beside the playbook."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"survey": survey}
