"""What AWX starts when a job template of awx/ is launched: the playbook, and the variables that go with it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "awx" / "filter_plugins"))
survey = importlib.import_module("survey").survey


class Loader(yaml.SafeLoader):
    """Also reads text that Ansible must not take for a template."""


Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


@dataclass(frozen=True)
class Launch:
    """A job template with the answers of a person who gives only what has to be given.

    ``variables`` are the answers, ``job_variables`` what the template itself has for every job.
    """

    name: str
    playbook: str
    check: bool
    variables: dict[str, Any]
    job_variables: dict[str, Any]


def read(name: str) -> dict[str, Any]:
    return dict(yaml.load((ROOT / "awx" / "vars" / f"{name}.yml").read_text(encoding="utf-8"), Loader))


def launches() -> Iterator[Launch]:
    of_every_job = read("objects")["awx_job_variables"]
    for template in read("job_templates")["awx_job_templates"]:
        examples = {entry["variable"]: entry.get("example") for entry in template.get("survey", [])}
        asked = survey(template.get("survey", [])).get("spec", [])
        yield Launch(
            template["name"],
            template["playbook"],
            template.get("job_type") == "check",
            {question["variable"]: answer(question, examples) for question in asked},
            {**of_every_job, **template.get("extra_vars", {})},
        )


def answer(question: dict[str, Any], examples: dict[str, Any]) -> Any:
    """The default, else the example where an answer is required; for a blank one AWX 24 passes none."""
    if question["default"] != "":
        return question["default"]
    return examples[question["variable"]] if question["required"] else None
