# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether there is a plan for an incident that somebody could follow."""

from __future__ import annotations

import re
from datetime import date

from ansible_collections.groundwork.supabase.plugins.module_utils.checklist.model import Answer, judge

REVIEWED = re.compile(r"^\W*reviewed\W+(\d{4}-\d{2}-\d{2})", re.IGNORECASE | re.MULTILINE)
# An address or a number that reaches a person.
CONTACT = re.compile(r"[^\s@]+@[^\s@]+\.[a-z]{2,}|\+\d[\d ()/-]{6,}", re.IGNORECASE)
GOOD_FOR_DAYS = 365
REMEDY = (
    "write down who does what, whom to call, and a line 'Reviewed: YYYY-MM-DD'; name the file in audit_incident_plan"
)


def incident_plan(text: str, today: date) -> Answer:
    """text: the plan, empty where there is none."""
    if not text.strip():
        return judge("incident_plan", "", ["none is named"], REMEDY)
    wrong = [] if CONTACT.search(text) else ["it names no contact, neither an address nor a telephone number"]
    dates = REVIEWED.findall(text)
    try:
        newest = max(date.fromisoformat(one) for one in dates) if dates else None
    except ValueError:
        newest = None
    if newest is None:
        wrong.append("it does not say when it was reviewed")
    elif (today - newest).days > GOOD_FOR_DAYS:
        wrong.append(f"it was reviewed on {newest} for the last time, more than a year ago")
    elif newest > today:
        wrong.append(f"it says that it was reviewed on {newest}, which is still to come")
    return judge("incident_plan", f"{len(text.split())} words with contacts, reviewed on {newest}", wrong, REMEDY)
