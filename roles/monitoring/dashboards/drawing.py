# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dashboard consists of, and how Grafana's SDK makes JSON of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Literal, Union

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import logs, loki, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models

TAG = "groundwork"
Drawn = Union[logs.Panel, stat.Panel, statetimeline.Panel, timeseries.Panel]
Kind = Literal["prometheus", "loki"]


@dataclass(frozen=True)
class Panel:
    """One picture. ``queries`` has an expression of PromQL, or LogQL, for each legend.

    ``number`` shows the present value in place of lines; it is red from ``red_from`` upwards, or below ``red_below``.
    ``states`` shows a bar for each legend instead, which is red while the value is 0. ``text`` shows lines of logs.
    ``unit`` is one of Grafana's, see its documentation of standard options.
    """

    title: str
    unit: str
    description: str
    queries: Mapping[str, str]
    number: bool = False
    states: bool = False
    text: bool = False
    red_from: float | None = None
    red_below: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class Row:
    """Panels that belong together."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Variable:
    """A choice on top of the dashboard: values of a label, several or all of them."""

    name: str
    label: str
    query: str


@dataclass(frozen=True)
class Dashboard:
    """``name`` is that of the file and, behind the tag, the uid: links to it stay good."""

    name: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]
    since: str = "now-6h"
    # Text fields, by name: what they are called, and the value at first.
    fields: tuple[tuple[str, str, str], ...] = ()
    source: Kind = "prometheus"

    @property
    def uid(self) -> str:
        return f"{TAG}-{self.name}"


HOST = Variable("host", "Host", 'label_values(up{job="node"}, host)')


def source_of(kind: Kind) -> common.DataSourceRef:
    """The one that is chosen on top of the dashboard, so that they can be imported into another Grafana, too."""
    return common.DataSourceRef(type_val=kind, uid="${datasource}")


def render(dashboard: Dashboard) -> str:
    """Grafana's JSON, the same text for the same dashboard."""
    text = JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False).encode(build(dashboard).build())
    # Role monitoring sends the files through Jinja, to which two braces are its own.
    return text.replace("{{", "\\u007b\\u007b") + "\n"


def build(dashboard: Dashboard) -> builders.Dashboard:
    made = (
        builders.Dashboard(dashboard.title)
        .uid(dashboard.uid)
        .description(dashboard.description)
        .tags([TAG])
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .time(dashboard.since, "now")
        .refresh("1m")
        .timezone("browser")
        .link(link_to_the_others())
        .with_variable(builders.DatasourceVariable("datasource").label("Source").type(dashboard.source))
    )
    for variable in dashboard.variables:
        made.with_variable(draw_variable(variable, dashboard.source))
    for name, label, value in dashboard.fields:
        made.with_variable(builders.TextBoxVariable(name).label(label).default_value(value))
    # Each has a number of its own, which addresses of single panels have in them.
    numbers = count(1)
    for row in dashboard.rows:
        made.with_row(builders.Row(row.title).id(next(numbers)))
        for panel in row.panels:
            made.with_panel(draw_panel(panel, dashboard.source).id(next(numbers)))
    return made


def link_to_the_others() -> builders.DashboardLink:
    return (
        builders.DashboardLink("Dashboards")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
        # On top, and not in a menu.
        .placement("")
    )


def draw_variable(variable: Variable, source: Kind) -> builders.QueryVariable:
    return (
        builders.QueryVariable(variable.name)
        .label(variable.label)
        .query(variable.query)
        .datasource(source_of(source))
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .current(models.VariableOption(selected=True, text="All", value="$__all"))
    )


def draw_panel(panel: Panel, source: Kind) -> Drawn:
    drawn: Drawn
    if panel.number:
        drawn = draw_number(panel)
    elif panel.states:
        drawn = draw_states()
    elif panel.text:
        drawn = draw_text()
    else:
        drawn = draw_lines()
    drawn.title(panel.title).description(panel.description).unit(panel.unit).datasource(source_of(source))
    if panel.most is not None:
        drawn.max(panel.most)
    for index, (legend, expression) in enumerate(panel.queries.items()):
        letter = chr(ord("A") + index)
        if source == "loki":
            line = loki.Dataquery().expr(expression).legend_format(legend).ref_id(letter)
            drawn.with_target(line.query_type("instant" if panel.number else "range"))
        else:
            query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(letter)
            drawn.with_target(query.instant() if panel.number else query.range())
    return drawn


def draw_lines() -> timeseries.Panel:
    legend = common_builders.VizLegendOptions().show_legend(True).display_mode(common.LegendDisplayMode.LIST)
    return (
        timeseries.Panel()
        .height(8)
        .span(8)
        .min(0)
        .fill_opacity(5)
        .show_points(common.VisibilityMode.NEVER)
        .legend(legend.placement(common.LegendPlacement.BOTTOM))
        .tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    )


def draw_states() -> statetimeline.Panel:
    colours = [models.Threshold(color="red"), models.Threshold(value=1, color="green")]
    return (
        statetimeline.Panel()
        .height(12)
        .span(12)
        .show_value(common.VisibilityMode.NEVER)
        .merge_values(True)
        .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .thresholds(builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(colours))
        .legend(common_builders.VizLegendOptions().show_legend(False))
    )


def draw_text() -> logs.Panel:
    return (
        logs.Panel()
        .height(20)
        .span(24)
        .show_time(True)
        .wrap_log_message(True)
        .enable_log_details(True)
        .sort_order(common.LogsSortOrder.DESCENDING)
    )


def draw_number(panel: Panel) -> stat.Panel:
    return (
        stat.Panel()
        .height(5)
        .span(6)
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.VALUE)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps(panel)))
    )


def steps(panel: Panel) -> list[models.Threshold]:
    """Colours by value; the first is for all that is below the second."""
    if panel.red_below is not None:
        return [models.Threshold(color="red"), models.Threshold(value=panel.red_below, color="green")]
    if panel.red_from is not None:
        return [models.Threshold(color="green"), models.Threshold(value=panel.red_from, color="red")]
    return [models.Threshold(color="text")]
