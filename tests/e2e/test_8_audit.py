"""The security checklist, answered for the platform as it is and as it must not be."""

from __future__ import annotations

import json
import re

import pytest

PSQL = "docker exec supabase-db-1 psql -X -q -U supabase_admin -d postgres -c"


@pytest.fixture
def audit(play, tmp_path):
    """Run the playbook; returns what it said and the answers it wrote down, by point."""

    def run(*arguments: str, expect: int = 0):
        report = tmp_path / "report.json"
        result = play("playbooks/audit.yml", "-e", f"audit_report={report}", *arguments, expect=expect)
        return result.output, {one["point"]: one for one in json.loads(report.read_text())["answers"]}

    return run


def test_the_platform_is_audited(audit, node1):
    said, answers = audit()
    assert [point for point, one in answers.items() if one["status"] != "met"] == [], said
    assert "10  met      There is a plan for an incident" in said and "10 of 10 are met" in said
    assert "beyond this host listen only 22, 80, 443" in answers["tls"]["evidence"]
    assert re.match(r"request \d+ in a row was refused with 429", answers["rate_limits"]["evidence"])
    assert "front ends hold none of" in answers["secret_keys"]["evidence"]


def test_what_is_not_met_fails_a_pipeline_and_is_written_down(audit, node1):
    try:
        node1.check_output(f"{PSQL} 'alter table public.todos disable row level security'")
        said, answers = audit("-e", "audit_fail_on=not_met", expect=2)
    finally:
        node1.check_output(f"{PSQL} 'alter table public.todos enable row level security'")
    assert answers["row_level_security"]["status"] == "not_met"
    assert "public.todos has none" in said
