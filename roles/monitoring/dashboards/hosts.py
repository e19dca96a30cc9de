# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts and their containers."""

from __future__ import annotations

from .drawing import HOST, Dashboard, Panel, Row, Variable
from .queries import increase, lowest, rate, series, total

SERVICE = Variable("service", "Service", "label_values(groundwork_container_running, service)")

SERVICES = 'service=~"$service"'
RUNNING = series("groundwork_container_running", SERVICES)
# A container without a health check has no figure for it.
WELL = f"{RUNNING} * {series('groundwork_container_healthy', SERVICES)} or {RUNNING}"
PROCESSORS = 'count by (host) (node_cpu_seconds_total{mode="idle"})'

SYSTEM = Dashboard(
    "system",
    "System",
    "Hosts and their containers.",
    (HOST, SERVICE),
    (
        Row(
            "Now",
            (
                Panel(
                    "Alerts",
                    "short",
                    "Alerts that fire, on all hosts.",
                    {"firing": 'count(ALERTS{alertstate="firing",severity!="none"}) or vector(0)'},
                    number=True,
                    red_from=1,
                ),
                Panel(
                    "Containers in trouble",
                    "short",
                    "They do not run, or their health check fails.",
                    {
                        "not running": f"count({RUNNING} == 0) or vector(0)",
                        "not healthy": f"count({series('groundwork_container_healthy', SERVICES)} == 0) or vector(0)",
                    },
                    number=True,
                    red_from=1,
                ),
                Panel(
                    "Failed units",
                    "short",
                    "Units of systemd that have failed.",
                    {"{{host}}": series("groundwork_host_failed_units")},
                    number=True,
                    red_from=1,
                ),
                Panel(
                    "Reboot required",
                    "bool_yes_no",
                    "An update takes effect only then.",
                    {"{{host}}": series("groundwork_host_reboot_required")},
                    number=True,
                    red_from=1,
                ),
            ),
        ),
        Row(
            "Services",
            (
                Panel(
                    "Containers run",
                    "bool_yes_no",
                    "Every service, and red while its container does not run or its health check fails.",
                    {"{{host}} {{unit}}/{{service}}": WELL},
                    states=True,
                ),
                Panel(
                    "Figures arrive",
                    "bool_yes_no",
                    "Everything that is asked for figures, and red while it gives none.",
                    {"{{host}} {{job}}": lowest("host, job", series("up"))},
                    states=True,
                ),
            ),
        ),
        Row(
            "Hosts",
            (
                Panel(
                    "Processors",
                    "percentunit",
                    "Share of the time of all processors that is used.",
                    {"{{host}}": series("host:cpu_busy:ratio5m")},
                    most=1,
                ),
                Panel(
                    "Memory available",
                    "percentunit",
                    "What programs can have without swapping.",
                    {"{{host}}": series("host:memory_available:ratio")},
                    most=1,
                ),
                Panel(
                    "Stalled",
                    "percentunit",
                    "Share of the time in which something waited for a processor, for memory or for a disk.",
                    {
                        "{{host}} processor": rate("node_pressure_cpu_waiting_seconds_total"),
                        "{{host}} memory": rate("node_pressure_memory_waiting_seconds_total"),
                        "{{host}} disk": rate("node_pressure_io_waiting_seconds_total"),
                    },
                ),
                Panel(
                    "Disk available",
                    "percentunit",
                    "By mount point. Full disks stop databases.",
                    {"{{host}} {{mountpoint}}": series("host:disk_available:ratio")},
                    most=1,
                ),
                Panel(
                    "Disk traffic",
                    "Bps",
                    "All disks of a host.",
                    {
                        "{{host}} read": total("host", rate("node_disk_read_bytes_total")),
                        "{{host}} written": total("host", rate("node_disk_written_bytes_total")),
                    },
                ),
                Panel(
                    "Load for each processor",
                    "short",
                    "Over five minutes. Above 1 something waits.",
                    {"{{host}}": f"{series('node_load5')} / on (host) group_left () {PROCESSORS}"},
                ),
            ),
        ),
        Row(
            "Containers",
            (
                Panel(
                    "Processors by service",
                    "short",
                    "1 is a whole processor.",
                    {"{{host}} {{unit}}/{{service}}": series("service:cpu:rate5m", SERVICES)},
                ),
                Panel(
                    "Memory by service",
                    "percentunit",
                    "Share of the service's limit. At the limit the kernel ends it.",
                    {"{{host}} {{unit}}/{{service}}": series("service:memory_used:ratio", SERVICES)},
                    most=1,
                ),
                Panel(
                    "Restarts",
                    "short",
                    "Over 15 minutes, and those for want of memory.",
                    {
                        "{{host}} {{unit}}/{{service}}": increase(
                            "15m", "groundwork_container_restarts_total", SERVICES
                        )
                        + " > 0",
                        "{{host}} {{unit}}/{{service}} out of memory": increase(
                            "15m", "groundwork_container_oom_kills_total", SERVICES
                        )
                        + " > 0",
                    },
                ),
            ),
        ),
    ),
)
