# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests and websockets: the gateway, the edge, Realtime, and what is promised of the API."""

from __future__ import annotations

from .drawing import HOST, Dashboard, Panel, Row
from .queries import increase, or_zero, quantile, rate, series, total

# Envoy's statistics of what it does for clients of the API; it has others of its own interface.
OF_API = 'envoy_http_conn_manager_prefix="api"'
FAILED = 'envoy_response_code_class="5"'
OF_AUTH = "Where service auth runs."
OF_SERVICE = "host, envoy_cluster_name"
DOCUMENTED = "Where service realtime runs. The name is that of Realtime's documentation; no test has run the service."


def api_seconds(share: float) -> str:
    return quantile(share, "host", "envoy_http_downstream_rq_time", OF_API) + " / 1000"


def api_failed(span: str) -> str:
    """Share of the requests that failed."""
    requests = total("host", increase(span, "envoy_http_downstream_rq_xx", OF_API))
    failures = total("host", increase(span, "envoy_http_downstream_rq_xx", OF_API, FAILED))
    return f"{failures} / ({requests} > 0)"


def signed(route: str) -> str:
    """Answers of Auth on one of its routes."""
    return total("host, code", rate("http_status_codes_total", 'job="auth"', f'http_route="{route}"'))


API = Dashboard(
    "api",
    "API gateway and edge",
    "Requests from the edge through the gateway to the services.",
    (HOST,),
    (
        Row(
            "Gateway",
            (
                Panel(
                    "Requests",
                    "reqps",
                    "By class of the answer: 2 good, 4 refused, 5 failed.",
                    {
                        "{{host}} {{envoy_response_code_class}}xx": total(
                            "host, envoy_response_code_class", rate("envoy_http_downstream_rq_xx", OF_API)
                        )
                    },
                ),
                Panel(
                    "Failed and refused",
                    "percentunit",
                    "Share of requests over five minutes.",
                    {
                        "{{host}} failed (5xx)": series("api:errors:ratio5m"),
                        "{{host}} refused (4xx)": series("api:refused:ratio5m"),
                    },
                ),
                Panel(
                    "Time to answer",
                    "s",
                    "Half, 95 and 99 of 100 requests take less.",
                    {
                        "{{host}} half": api_seconds(0.5),
                        "{{host}} 95 %": api_seconds(0.95),
                        "{{host}} 99 %": api_seconds(0.99),
                    },
                ),
                Panel(
                    "Over a limit",
                    "reqps",
                    "Requests turned away, by limit.",
                    {
                        "{{host}} {{envoy_local_http_ratelimit_prefix}}": rate(
                            "envoy_http_local_rate_limit_rate_limited"
                        )
                    },
                ),
            ),
        ),
        Row(
            "Services behind the gateway",
            (
                Panel(
                    "Requests by service",
                    "reqps",
                    "What the gateway passes on.",
                    {"{{host}} {{envoy_cluster_name}}": total(OF_SERVICE, rate("envoy_cluster_upstream_rq_total"))},
                ),
                Panel(
                    "Time to answer by service",
                    "s",
                    "95 of 100 requests take less.",
                    {
                        "{{host}} {{envoy_cluster_name}}": quantile(0.95, OF_SERVICE, "envoy_cluster_upstream_rq_time")
                        + " / 1000"
                    },
                ),
                Panel(
                    "Failed by service",
                    "percentunit",
                    "Share of the requests that were answered with 5xx.",
                    {
                        "{{host}} {{envoy_cluster_name}}": or_zero(
                            total(OF_SERVICE, rate("envoy_cluster_upstream_rq_xx", FAILED))
                            + f" / {total(OF_SERVICE, rate('envoy_cluster_upstream_rq_xx'))}",
                            total(OF_SERVICE, rate("envoy_cluster_upstream_rq_xx")),
                        )
                    },
                ),
                Panel(
                    "Connections that fail",
                    "ops",
                    "The service does not listen, or is full.",
                    {
                        "{{host}} {{envoy_cluster_name}}": total(
                            OF_SERVICE, rate("envoy_cluster_upstream_cx_connect_fail")
                        )
                    },
                ),
            ),
        ),
        Row(
            "Auth",
            (
                Panel(
                    "Sign-ins and renewed sessions",
                    "reqps",
                    f"By status: 200 good, 400 a wrong password or an ended session, 429 over a limit. {OF_AUTH}",
                    {"{{host}} {{code}}": signed("/token")},
                ),
                Panel(
                    "Sign-ups",
                    "reqps",
                    f"By status. {OF_AUTH}",
                    {"{{host}} {{code}}": signed("/signup")},
                ),
                Panel(
                    "Mail that failed",
                    "short",
                    f"Messages of the last hour that the mail server did not take, by kind. {OF_AUTH}",
                    {"{{host}} {{type}}": total("host, type", increase("1h", "global_auth_email_send_errors_total"))},
                ),
            ),
        ),
        Row(
            "Edge",
            (
                Panel(
                    "Requests by site",
                    "reqps",
                    "What Caddy takes, the API among it.",
                    {
                        "{{host}} {{exported_host}}": total(
                            "host, exported_host", rate("caddy_http_requests_total", 'handler="subroute"')
                        )
                    },
                ),
                Panel(
                    "Failed (5xx)",
                    "percentunit",
                    "Share of requests over five minutes, all sites together.",
                    {
                        "{{host}}": or_zero(
                            series("edge:errors:ratio5m"),
                            total("host", rate("caddy_http_requests_total", 'handler="subroute"')),
                        )
                    },
                ),
                Panel(
                    "Upstreams healthy",
                    "bool_yes_no",
                    "Whether Caddy finds the gateway and the applications well.",
                    {"{{host}} {{upstream}}": series("caddy_reverse_proxy_upstreams_healthy")},
                    number=True,
                    red_below=1,
                ),
            ),
        ),
        Row(
            "From outside",
            (
                Panel(
                    "Reachable",
                    "bool_yes_no",
                    "Asked from the host that monitors, as a user would ask.",
                    {"{{probe}}": series("probe_success")},
                    number=True,
                    red_below=1,
                ),
                Panel(
                    "Certificate",
                    "s",
                    "Time until it expires.",
                    {"{{probe}}": series("probe_ssl_earliest_cert_expiry") + " - time()"},
                    number=True,
                    red_below=14 * 86400,
                ),
                Panel(
                    "Time to answer a probe",
                    "s",
                    "With name, connection and TLS.",
                    {"{{probe}}": series("probe_duration_seconds")},
                ),
            ),
        ),
    ),
)

REALTIME = Dashboard(
    "realtime",
    "Websockets and Realtime",
    "Open websockets as the gateway, Realtime and applications count them.",
    (HOST,),
    (
        Row(
            "Gateway and applications",
            (
                Panel(
                    "Websockets through the gateway",
                    "short",
                    "Open now.",
                    {"{{host}}": series("envoy_http_downstream_cx_upgrades_active", OF_API)},
                ),
                Panel(
                    "Websockets of applications",
                    "short",
                    "Open now, as the application says.",
                    {"{{host}} {{job}}": total("host, job", series("websocket_connections"))},
                ),
                Panel(
                    "Messages of applications",
                    "ops",
                    "Sent to websockets.",
                    {"{{host}} {{job}}": total("host, job", rate("websocket_messages_sent_total"))},
                ),
            ),
        ),
        Row(
            "Realtime",
            (
                Panel(
                    "Websockets of Realtime",
                    "short",
                    f"Open now. {DOCUMENTED}",
                    {"{{host}}": total("host", series("realtime_connections_global_connected"))},
                ),
                Panel(
                    "Events",
                    "ops",
                    f"Messages, presence, and changes of rows. {DOCUMENTED}",
                    {
                        "{{host}} messages": total("host", rate("realtime_channel_global_events")),
                        "{{host}} presence": total("host", rate("realtime_channel_global_presence_events")),
                        "{{host}} changes": total("host", rate("realtime_channel_global_db_events")),
                    },
                ),
                Panel(
                    "Joins and errors",
                    "ops",
                    f"Of channels. {DOCUMENTED}",
                    {
                        "{{host}} joins": total("host", rate("realtime_channel_global_joins")),
                        "{{host}} errors": total("host", rate("realtime_channel_global_error")),
                    },
                ),
            ),
        ),
    ),
)

OBJECTIVE = Dashboard(
    "objective",
    "API objective (SLO)",
    "How much of what is promised has been kept, and how fast the rest is used up.",
    (HOST,),
    (
        Row(
            "Kept",
            (
                Panel(
                    "Requests that succeeded",
                    "percentunit",
                    "In the chosen time; what was answered with 5xx did not.",
                    {"{{host}}": f"1 - {api_failed('$__range')}"},
                    number=True,
                ),
                Panel(
                    "Allowance left",
                    "percentunit",
                    "Of the requests that may fail in thirty days. Set the objective on top to that of the inventory.",
                    {"{{host}}": f"1 - {api_failed('30d')} / (1 - $objective / 100)"},
                    number=True,
                    red_below=0.2,
                ),
                Panel(
                    "Reachable from outside",
                    "percentunit",
                    "Share of the probes in the chosen time.",
                    {"{{probe}}": f"avg_over_time({series('probe_success')}[$__range])"},
                    number=True,
                ),
            ),
        ),
        Row(
            "Used up",
            (
                Panel(
                    "Speed",
                    "short",
                    "At 1 the allowance lasts thirty days. Alerts: 14.4 over an hour, 6 over six hours.",
                    {
                        f"{{{{host}}}} {span}": series(f"api:burn:{span}") + " / (1 - $objective / 100)"
                        for span in ("5m", "30m", "1h", "6h")
                    },
                ),
                Panel(
                    "Time to answer",
                    "s",
                    "95 of 100 requests take less.",
                    {"{{host}}": series("api:seconds:p95_5m")},
                ),
                Panel(
                    "Checks of playbooks/verify.yml",
                    "bool_yes_no",
                    "Its last run, which writes this where it is asked to.",
                    {"{{host}} {{check}}": series("groundwork_probe_success")},
                    number=True,
                    red_below=1,
                ),
            ),
        ),
    ),
    since="now-30d",
    fields=(("objective", "Objective (%)", "99.9"),),
)
