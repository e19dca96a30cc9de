# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply all rules to a catalog, and what an inventory accepts to what they find."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.advisor import exposure, performance, security
from ansible_collections.groundwork.supabase.plugins.module_utils.advisor.model import (
    SEVERITIES,
    Finding,
    Review,
    Rule,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.catalog.model import Catalog
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults

RULES: tuple[Rule, ...] = (*exposure.RULES, *security.RULES, *performance.RULES)
STALE = "stale_acceptance"


@dataclass(frozen=True)
class Acceptance:
    """A finding that somebody has decided to live with. object: a name, or a pattern with * and ?."""

    finding: str
    object: str
    reason: str

    def covers(self, finding: Finding) -> bool:
        if finding.name != self.finding:
            return False
        return finding.object == self.object or fnmatchcase(finding.object, self.object)


def read_acceptances(entries: Sequence[Mapping[str, Any]]) -> list[Acceptance]:
    """What the arguments accept; raises Faults for a finding that there is not, and for a missing reason."""
    names = sorted(rule.name for rule in RULES)
    faults = []
    for number, entry in enumerate(entries):
        if entry["finding"] not in names:
            cause = f"there is no finding {entry['finding']}"
            faults.append(Fault(f"accepted[{number}]", cause, f"findings are {', '.join(names)}"))
        if not entry["reason"].strip():
            faults.append(
                Fault(f"accepted[{number}]", "it has no reason", "say why this is fine, for whoever asks later")
            )
    Faults.raise_all(faults)
    return [Acceptance(entry["finding"], entry["object"], entry["reason"]) for entry in entries]


def advise(catalog: Catalog, exposed: Iterable[str], accepted: Sequence[Acceptance] = ()) -> list[Finding]:
    """All findings, the worst first; those that are accepted carry the reason."""
    review = Review(catalog, frozenset(exposed))
    found = [
        Finding(rule.name, rule.severity, rule.category, seen.object, seen.detail, seen.remedy)
        for rule in RULES
        for seen in rule.check(review)
    ]
    findings = [_accept(finding, accepted) for finding in found] + _stale(found, accepted)
    return sorted(findings, key=lambda one: (-SEVERITIES.index(one.severity), one.category, one.name, one.object))


def _accept(finding: Finding, accepted: Sequence[Acceptance]) -> Finding:
    reason = next((one.reason for one in accepted if one.covers(finding)), None)
    return replace(finding, accepted=reason)


def _stale(found: Sequence[Finding], accepted: Sequence[Acceptance]) -> list[Finding]:
    """An acceptance that covers nothing would cover a fault that comes later, unseen."""
    detail = "nothing of this kind is found any more"
    remedy = "take it out of what is accepted"
    return [
        Finding(STALE, "warning", "acceptance", f"{one.finding} on {one.object}", detail, remedy)
        for one in accepted
        if not any(one.covers(finding) for finding in found)
    ]


def failing(findings: Iterable[Finding], fail_on: str) -> list[Finding]:
    """Findings that nobody accepted and that are as bad as fail_on at least; with V(none) there are none."""
    if fail_on == "none":
        return []
    threshold = SEVERITIES.index(fail_on)
    return [one for one in findings if one.accepted is None and SEVERITIES.index(one.severity) >= threshold]
