# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWX as code: modules take what awx/site.yml gives them, and playbooks use what surveys ask."""

from __future__ import annotations

import ast
import importlib.util
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import ansible
import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader
from ansible.template import Templar

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "awx"
MODULES = Path(ansible.__file__).parents[1] / "ansible_collections" / "awx" / "awx" / "plugins" / "modules"
INVENTORIES = ROOT / "inventories"
# Playbooks that no template starts, and why.
WITHOUT_TEMPLATE = {
    "lab.yml": "makes containers on the machine where it runs",
    "preflight.yml": "the first part of those that deploy",
    "restore_backup_host.yml": "restore.yml chooses it",
    "restore_data.yml": "restore.yml chooses it",
    "restore_host.yml": "restore.yml chooses it",
}
# What a playbook offers and no survey asks, and why.
NOT_ASKED = {
    ("audit.yml", "audit_report"): "a file on the controller, which is gone with the job",
    ("verify.yml", "verify_junit"): "the same",
    ("restore.yml", "host"): "a template of its own",
    ("restore.yml", "backup_host"): "the same",
}


def load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


survey = load("survey", FOLDER / "filter_plugins" / "survey.py")
awx_templates = load("awx_templates", ROOT / "tests" / "e2e" / "awx_templates.py")
LAUNCHES = {launch.name: launch for launch in awx_templates.launches()}
TEMPLATES = {entry["name"]: entry for entry in awx_templates.read("job_templates")["awx_job_templates"]}
QUESTIONS = {
    (name, entry["variable"]): (entry, question)
    for name, template in TEMPLATES.items()
    for entry, question in zip(
        template.get("survey", []), survey.survey(template.get("survey", [])).get("spec", []), strict=True
    )
}


@pytest.fixture(scope="module")
def asked() -> dict[str, list[dict[str, Any]]]:
    """What the playbook asks of each module, as Ansible would render it."""
    filter_loader.add_directory(str(FOLDER / "filter_plugins"))
    loader = DataLoader()
    (play,) = loader.load_from_file(str(FOLDER / "site.yml"), trusted_as_template=True)
    variables: dict[str, Any] = {}
    for name in play["vars_files"]:
        variables.update(loader.load_from_file(str(FOLDER / name), trusted_as_template=True))
    found: dict[str, list[dict[str, Any]]] = {}
    for task in play["tasks"]:
        (module,) = [key for key in task if key.startswith("awx.awx.")]
        for item in Templar(loader, variables=variables).template(task.get("loop", [None])):
            rendered = Templar(loader, variables={**variables, "item": item}).template(task[module])
            found.setdefault(module.removeprefix("awx.awx."), []).append(json.loads(json.dumps(rendered)))
    return found


def names(asked: dict[str, list[dict[str, Any]]], module: str) -> list[str]:
    return [one["name"] for one in asked[module]]


def argument_spec(options: dict[str, Any]) -> dict[str, Any]:
    kept = ("type", "elements", "choices", "required", "default", "aliases")
    return {
        name: {
            **{key: option[key] for key in kept if key in option},
            **({"options": argument_spec(option["suboptions"])} if "suboptions" in option else {}),
        }
        for name, option in options.items()
    }


def documentation(module: str) -> dict[str, Any]:
    tree = ast.parse((MODULES / f"{module}.py").read_text(encoding="utf-8"))
    assigned = {node.targets[0].id: node.value for node in tree.body if isinstance(node, ast.Assign)}
    return dict(yaml.safe_load(ast.literal_eval(assigned["DOCUMENTATION"])))


@pytest.mark.skipif(not MODULES.is_dir(), reason="awx.awx is not installed here")
def test_modules_take_what_they_are_given(asked: dict[str, list[dict[str, Any]]]) -> None:
    for module, calls in asked.items():
        validator = ArgumentSpecValidator(argument_spec(documentation(module)["options"]))
        for parameters in calls:
            assert validator.validate(parameters).error_messages == [], f"{module} {parameters}"


def test_every_playbook_of_an_operator_has_a_template() -> None:
    playbooks = {path.name for path in (ROOT / "playbooks").glob("*.yml")}
    started = {Path(template["playbook"]).name for template in TEMPLATES.values()}
    assert all((ROOT / template["playbook"]).is_file() for template in TEMPLATES.values())
    assert started | set(WITHOUT_TEMPLATE) == playbooks and not started & set(WITHOUT_TEMPLATE)


def test_what_a_playbook_offers_is_asked() -> None:
    """The head of a playbook names each variable that it takes."""
    asked: dict[str, set[str]] = {}
    for template in TEMPLATES.values():
        variables = {entry["variable"] for entry in template.get("survey", [])}
        asked.setdefault(Path(template["playbook"]).name, set()).update(variables)
    offered = {
        (name, variable)
        for name in asked
        for line in (ROOT / "playbooks" / name).read_text(encoding="utf-8").splitlines()
        if line.startswith("#")
        for variable in re.findall(r"-e (\w+)=", line)
    }
    assert {(name, variable) for name, variable in offered if variable not in asked[name]} == set(NOT_ASKED)


def texts_of(playbook: Path) -> str:
    """A playbook with what it imports, its files of variables, and the tasks of the roles that it names."""
    text = playbook.read_text(encoding="utf-8")
    for path in re.findall(r"(?:import_playbook|include_tasks): \"?(?:\{\{ ')?([\w/]+\.yml)", text):
        text += texts_of(playbook.parent / path)
    for path in re.findall(r"\bvars/\w+\.yml", text):
        text += (playbook.parent / path).read_text(encoding="utf-8")
    for name in re.findall(r"'(\w+\.yml)'", text):
        text += (playbook.parent / name).read_text(encoding="utf-8") if (playbook.parent / name).is_file() else ""
    for role in sorted(set(re.findall(r"groundwork\.supabase\.(\w+)$", text, re.MULTILINE))):
        text += "".join(path.read_text(encoding="utf-8") for path in (ROOT / "roles" / role / "tasks").glob("*.yml"))
    return text


@pytest.mark.parametrize(("template", "variable"), QUESTIONS)
def test_an_answer_is_used_and_its_default_is_the_playbooks(template: str, variable: str) -> None:
    entry, question = QUESTIONS[template, variable]
    text = texts_of(ROOT / TEMPLATES[template]["playbook"])
    assert re.search(rf"(?:\{{|\(|\[|, | )\b{variable}\b(?: \||\]| is | ==| ==)", text), "nobody reads it"
    if "of" not in entry:
        assert all(f"'{choice}'" in text for choice in question.get("choices", []))
    if question["required"] and question["default"] == "":
        return
    fallbacks = set(re.findall(rf"(?<![.\w]){variable} \| default\(([^()]*)\)", text)) - {"omit", "omit, true"}
    if not fallbacks:
        # Left out, it is what the option says, from which the question has its default.
        assert question["default"] == "" or survey.documented(entry["of"])["default"] == entry.get(
            "default", survey.documented(entry["of"])["default"]
        )
    else:
        spoken = {str(text.split(",")[0]).strip("'") for text in fallbacks}
        assert spoken == {str(question["default"])}
    if question["default"] == "":
        empty = re.findall(rf"(?<![.\w]){variable} \| default\((?:''|omit)(?:, true)?\)", text)
        assert empty and all(one.endswith(", true)") for one in empty), (
            "AWX passes nothing or an empty text for a blank"
        )


@pytest.mark.parametrize(("template", "variable"), QUESTIONS)
def test_a_question_is_one_of_awx(template: str, variable: str) -> None:
    entry, question = QUESTIONS[template, variable]
    assert re.fullmatch(r"[a-z_]+", variable)
    assert question["question_name"] and question["question_description"]
    value = LAUNCHES[template].variables[variable]
    if question["type"] == "multiplechoice":
        assert value in question["choices"] and all(isinstance(choice, str) for choice in question["choices"])
    elif question["type"] == "integer":
        assert isinstance(value, int) and question.get("min", value) <= value <= question.get("max", value)
    elif question["required"]:
        assert question["min"] <= len(value) <= question["max"]
    else:
        assert question["default"] == "" and value is None


def test_surveys_say_what_the_options_say() -> None:
    of_option = survey.documented("stack#role:rotate:stack_rotation.chain")
    _entry, question = QUESTIONS["Rotate keys", "rotate_chain"]
    assert question["choices"] == of_option["choices"]
    _entry, question = QUESTIONS["Audit", "audit_fail_on"]
    assert question["question_description"] == "When to fail, with unknown also where a point could not be looked at."
    _entry, question = QUESTIONS["Verify", "verify_metrics"]
    assert (question["choices"], question["default"]) == (["true", "false"], "false")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"of": "release#module:releases"}, "there is no releases; there are acknowledged"),
        ({"of": "stack#role:rotate:stack_rotation.word"}, "there is no word; there are chain"),
        ({"of": "release.release"}, "is neither MODULE#module:OPTION nor"),
        ({"of": "release#module:services"}, "survey question x: needs a description and a type of str"),
        ({"type": "str"}, "survey question x: needs a description"),
    ],
)
def test_what_leaves_something_open_is_refused(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        survey.survey([{"variable": "x", "question": "X", **entry}])


def test_names_are_those_of_something(asked: dict[str, list[dict[str, Any]]]) -> None:
    credentials = names(asked, "credential")
    types = {"Machine", "Source Control", "Container Registry", *names(asked, "credential_type")}
    assert len(set(credentials)) == len(credentials)
    assert {one["credential_type"] for one in asked["credential"]} <= types
    templates = names(asked, "job_template")
    assert len(set(templates)) == len(templates)
    for template in asked["job_template"]:
        assert set(template["credentials"]) <= set(credentials)
        assert template["name"].endswith(template["inventory"]) and template["inventory"] in names(asked, "inventory")
        # No credential of one environment in another's job.
        assert all(name.endswith(template["inventory"]) for name in template["credentials"])
    assert {one["unified_job_template"] for one in asked["schedule"]} <= set(templates)
    if INVENTORIES.is_dir():
        assert all((ROOT / one["source_path"]).is_file() for one in asked["inventory_source"])


def test_a_schedule_answers_only_what_its_template_asks(asked: dict[str, list[dict[str, Any]]]) -> None:
    of_template = {one["name"]: one["survey_spec"].get("spec", []) for one in asked["job_template"]}
    for schedule in asked["schedule"]:
        questions = {question["variable"]: question for question in of_template[schedule["unified_job_template"]]}
        assert set(schedule["extra_data"]) <= set(questions)
        assert all(value in questions[name]["choices"] for name, value in schedule["extra_data"].items())
        assert all(q["default"] != "" for q in questions.values() if q["required"]), schedule["name"]


def test_schedules_have_rules_that_awx_takes(asked: dict[str, list[dict[str, Any]]]) -> None:
    """AWX wants one start in UTC, one rule, an interval, and no day with a number before it."""
    day = r"(;BYDAY=(MO|TU|WE|TH|FR|SA|SU)|;BYMONTHDAY=\d+)?"
    rule = rf"DTSTART:\d{{8}}T\d{{6}}Z RRULE:FREQ=(DAILY|WEEKLY|MONTHLY);INTERVAL=\d+{day}"
    for schedule in asked["schedule"]:
        assert re.fullmatch(rule, schedule["rrule"]), schedule["rrule"]
    purposes = {one["unified_job_template"].rsplit(" ", 1)[0] for one in asked["schedule"]}
    assert purposes == {"Verify", "Drift", "Audit", "Drill", "Rotate keys", "Rotate secrets"}


def test_production_comes_after_an_approval_and_is_taken_back(asked: dict[str, list[dict[str, Any]]]) -> None:
    calls = asked["workflow_job_template_node"]
    made, ordered = calls[: len(calls) // 2], calls[len(calls) // 2 :]
    steps = {one["identifier"]: one for one in made}
    after = {one["identifier"]: one for one in ordered}
    assert len(steps) == len(made) and set(after) == set(steps)
    startable = {*names(asked, "job_template"), *names(asked, "project")}
    assert all(one["unified_job_template"] in startable for one in made if "approval_node" not in one)
    next_steps = [*itertools.chain(*(one["success_nodes"] + one["failure_nodes"] for one in ordered))]
    first = set(steps) - set(next_steps)
    assert len(first) == 1 and set(next_steps) <= set(steps)
    path = [*first]
    while after[path[-1]]["success_nodes"]:
        (one,) = after[path[-1]]["success_nodes"]
        path.append(one)
    assert [steps[name].get("unified_job_template", "approval") for name in path] == [
        "Groundwork Supabase", "Deploy staging", "Verify staging", "approval", "Deploy prod", "Verify prod",
    ]  # fmt: skip
    (taken_back,) = after[path[-1]]["failure_nodes"]
    assert steps[taken_back]["unified_job_template"] == "Roll back prod"
    assert [name for name, one in after.items() if one["failure_nodes"]] == [path[-1]]


def test_no_secret_stands_in_it() -> None:
    """Credentials are shells: what is given for one is no secret, and secret fields are never given."""
    objects = awx_templates.read("objects")
    secret = {"password", "ssh_key_data", "token", "secrets", "vault_password", "become_password"}
    given = [*objects["awx_shared_credentials"], *objects["awx_environment_credentials"]]
    assert not secret & {name for one in given for name in one.get("inputs", {})}
    for kind in objects["awx_credential_types"]:
        assert all(field["secret"] for field in kind["inputs"]["fields"])


def test_the_execution_environment_is_one(tmp_path: Path) -> None:
    pytest.importorskip("ansible_builder")
    definition = ROOT / "execution-environment.yml"
    command = [Path(sys.executable).with_name("ansible-builder"), "create", "-f", definition, "-c", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    wanted = yaml.safe_load(definition.read_text(encoding="utf-8"))["dependencies"]
    pinned = [*wanted["python"], wanted["ansible_core"]["package_pip"], wanted["ansible_runner"]["package_pip"]]
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", one) for one in pinned)
    for kind, name in (("python", "requirements"), ("system", "bindep")):
        lines = (ROOT / "meta" / f"ee-{name}.txt").read_text(encoding="utf-8").splitlines()
        of_collection = {
            re.split(r"[ >=]", line)[0] for line in lines if not line.startswith("#") and "dpkg" not in line
        }
        assert of_collection <= {re.split("[ =]", one)[0] for one in wanted[kind]}
    collections = {one["name"]: one["version"] for one in wanted["galaxy"]["collections"]}
    assert all(re.fullmatch(r"[\d.]+", version) for version in collections.values())
    needed = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["dependencies"]
    assert set(collections) >= set(needed)
    for name, version in collections.items():
        installed = MODULES.parents[3] / name.replace(".", "/") / "MANIFEST.json"
        if installed.is_file():
            manifest = json.loads(installed.read_text(encoding="utf-8"))["collection_info"]
            assert manifest["version"] == version, f"{name}: the tests run with {manifest['version']}"
