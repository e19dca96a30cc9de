# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dashboards of Grafana: what they show is in the other modules, how it is drawn in ``drawing``."""

from __future__ import annotations

from . import applications, database, hosts, lines, traffic

DASHBOARDS = (
    hosts.SYSTEM,
    database.DATABASE,
    database.BACKUPS,
    traffic.API,
    traffic.REALTIME,
    traffic.OBJECTIVE,
    applications.NODE,
    applications.BUSINESS,
    lines.LOGS,
)
