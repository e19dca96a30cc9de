#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.advisor."""

from __future__ import annotations

DOCUMENTATION = r"""
module: advisor
short_description: Find what makes a database insecure or slow
version_added: 0.1.0
description:
  - Reads the catalog and reports findings with severity, object and remedy. It changes nothing.
  - It finds what C(supabase db advisors) finds, under the same names, and what that misses. C(docs/advisor.md) in the
    collection lists every finding.
  - Looks at all schemas but those of PostgreSQL, Supabase and extensions, and at everything in O(schemas).
extends_documentation_fragment:
  - groundwork.supabase.attributes
  - groundwork.supabase.login
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  schemas:
    description:
      - Schemas that the API serves, C(db-schemas) of PostgREST. What its roles reach there is looked at most closely.
      - A schema that does not exist is an error, so that a wrong name does not pass for a clean result.
    type: list
    elements: str
    required: true
  accepted:
    description:
      - Findings to live with. They are reported with their reason and never fail the task.
      - One that matches nothing any more is reported as C(stale_acceptance).
    type: list
    elements: dict
    default: []
    suboptions:
      finding:
        description: Name of the finding.
        type: str
        required: true
      object:
        description: Object as the finding names it; C(*) and C(?) stand for any text and any character.
        type: str
        required: true
      reason:
        description: Why it is fine here.
        type: str
        required: true
  fail_on:
    description: Fail on findings of this severity or a worse one that are not accepted.
    type: str
    choices: [none, info, warning, error]
    default: none
seealso:
  - module: groundwork.supabase.catalog_info
  - name: Performance and Security Advisors
    description: Supabase's own findings.
    link: https://supabase.com/docs/guides/database/database-linter
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: Let no fault of the schema into production
  groundwork.supabase.advisor:
    login_password_file: /etc/groundwork/secrets/postgres_password
    schemas: [public, billing]
    fail_on: error
    accepted:
      - finding: security_definer_view
        object: public.plan_prices
        reason: Prices are public; the view leaves the margins out
      - finding: rls_enabled_no_policy
        object: billing.*
        reason: Only functions write there
"""

RETURN = r"""
findings:
  description: What was found, the worst first.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the finding.
      type: str
    severity:
      description: One of C(error), C(warning), C(info).
      type: str
    category:
      description: One of C(security), C(performance), C(acceptance).
      type: str
    object:
      description: What it was found on.
      type: str
    detail:
      description: What is wrong with it.
      type: str
    remedy:
      description: What sets it right, as SQL where that is possible.
      type: str
    accepted:
      description: The reason for accepting it, null where it is not accepted.
      type: str
  sample:
    - name: rls_disabled_in_public
      severity: error
      category: security
      object: public.invoices
      detail: row level security is off, and anon, authenticated may reach every row
      remedy: alter table "public"."invoices" enable row level security;
      accepted: null
counts:
  description: Findings of each severity that are not accepted.
  returned: always
  type: dict
  sample: {error: 1, warning: 0, info: 4}
"""

from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.advisor.advise import (
    advise,
    failing,
    read_acceptances,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.advisor.model import SEVERITIES, Finding
from ansible_collections.groundwork.supabase.plugins.module_utils.catalog.reader import read_catalog
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.postgres import LOGIN_ARGUMENTS, Unreachable

ACCEPTED = {
    "finding": {"type": "str", "required": True},
    "object": {"type": "str", "required": True},
    "reason": {"type": "str", "required": True},
}


def find(module: AnsibleModule) -> list[Finding]:
    schemas = module.params["schemas"]
    if not schemas:
        raise GroundworkError("schemas", "none is named", "name the schemas that the API serves, its db-schemas")
    accepted = read_acceptances(module.params["accepted"])
    # The API serves queues by functions in a schema beside theirs.
    named = [*schemas, "pgmq"] if "pgmq_public" in schemas else schemas
    try:
        catalog = read_catalog(module.params, named)
    except Unreachable as error:
        # A dry run comes before the database exists as well: then there is nothing to find.
        if not module.check_mode:
            raise
        module.warn(f"{error}; taken as a database that is not there yet")
        return []
    return advise(catalog, schemas, accepted)


def report(findings: list[Finding]) -> dict[str, Any]:
    open_ = [one.severity for one in findings if one.accepted is None]
    counts = {severity: open_.count(severity) for severity in reversed(SEVERITIES)}
    return {"changed": False, "findings": [asdict(one) for one in findings], "counts": counts}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "schemas": {"type": "list", "elements": "str", "required": True},
            "accepted": {"type": "list", "elements": "dict", "default": [], "options": ACCEPTED},
            "fail_on": {"type": "str", "choices": ["none", *SEVERITIES], "default": "none"},
            **LOGIN_ARGUMENTS,
        },
        supports_check_mode=True,
    )
    try:
        findings = find(module)
    except GroundworkError as error:
        module.fail_json(msg=str(error))
    failed = failing(findings, module.params["fail_on"])
    if failed:
        lines = "\n".join(f"  {one}" for one in failed)
        count = f"{len(failed)} finding{'s' if len(failed) > 1 else ''}"
        module.fail_json(msg=f"{count} that nobody accepted:\n{lines}", **report(findings))
    module.exit_json(**report(findings))


if __name__ == "__main__":
    main()
