# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboards of role monitoring: the committed files are what their source makes, and each says what it shows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROLE = Path(__file__).resolve().parents[2] / "roles" / "monitoring"
FOLDER = ROLE / "files" / "dashboards"
FILES = sorted(FOLDER.glob("*.json"))
# They count what all hosts together have.
OF_ALL_HOSTS = {"ALERTS"}


def load(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


# The SDK would rather have the newer model, which Grafana does not read from files.
@pytest.mark.filterwarnings("ignore:Prefer using dashboardv2")
def test_the_files_are_what_the_source_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROLE))
    import dashboards
    from dashboards.drawing import render

    made = {f"{dashboard.name}.json": render(dashboard) for dashboard in dashboards.DASHBOARDS}
    assert len(made) == len(dashboards.DASHBOARDS)
    assert {path.name: path.read_text(encoding="utf-8") for path in FILES} == made, "run scripts/dashboards"


def test_links_stay_good() -> None:
    assert {load(path)["uid"] for path in FILES} == {f"groundwork-{path.stem}" for path in FILES}
    for path in FILES:
        (link,) = load(path)["links"]
        assert link["type"] == "dashboards" and set(link["tags"]) <= set(load(path)["tags"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_panel_says_what_it_shows(path: Path) -> None:
    dashboard = load(path)
    assert dashboard["description"]
    titles = [panel["title"] for panel in panels(dashboard)]
    assert len(set(titles)) == len(titles) >= 5
    for panel in panels(dashboard):
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["targets"], panel["title"]
        legends = [target["legendFormat"] for target in panel["targets"]]
        assert len(set(legends)) == len(legends), panel["title"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_choices_are_there_and_are_used(path: Path) -> None:
    dashboard = load(path)
    choices = {variable["name"] for variable in dashboard["templating"]["list"]}
    expressions = [target["expr"] for panel in panels(dashboard) for target in panel["targets"]]
    used = {name for text in expressions for name in re.findall(r"\$(\w+)", text) if not name.startswith("__")}
    assert choices == used | {"datasource"} >= {"host"}
    for text in expressions:
        for name, matchers in re.findall(r"([\w:]*)\{([^}]*)\}", text):
            chosen = name in OF_ALL_HOSTS or "on (host)" in text or 'host=~"$host"' in matchers
            assert chosen, f"{name} is shown whatever host is chosen"
    (source,) = (variable["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "datasource")
    assert source == ("loki" if path.stem == "logs" else "prometheus")
    for panel in panels(dashboard):
        assert panel["datasource"] == {"type": source, "uid": "${datasource}"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_is_left_to_jinja(path: Path) -> None:
    assert not re.search(r"\{\{|\{%|\{#", path.read_text(encoding="utf-8"))
