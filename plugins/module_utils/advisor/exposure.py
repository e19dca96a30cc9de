# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules about what the API's roles reach without a policy standing between."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.groundwork.supabase.plugins.module_utils.advisor.model import (
    Observation,
    Review,
    Rule,
    sql_name,
    sql_roles,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.catalog.model import TABLE_KINDS, Relation
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName, quote_identifier

REALTIME = "supabase_realtime"
USERS = QualifiedName("auth", "users")
# Whole names of columns, "-" read as "_", that commonly hold what nobody but their owner should see.
SENSITIVE = re.compile(
    r"(passw(or)?d|pwd|passphrase|otp|jwt|ssn|cv[vcn]|iban|bic|imei|two_factor|2fa_(secret|code)|treatment|certificate"
    r"|(session_)?secret|((access|refresh|oauth|session|bearer)_)?token"
    r"|(secret|private|auth|session|api|pgp|gpg|ssh|license|activation)_key|apikey"
    r"|(auth|recovery|backup|verification|swift)_code|(session|passport|national|tax|patient)_id|device_uuid"
    r"|social_security(_number)?|(license|passport|card|account|routing|insurance)_number|drivers?_license"
    r"|credit_card|bank_account|(health|medical)_(record|insurance)|mac_address|macaddr"
    r"|biometrics?|fingerprint|facial_recognition|diagnosis)"
)


def rls_disabled(review: Review) -> Iterator[Observation]:
    for table, roles in review.reachable(*TABLE_KINDS):
        if not table.rls_enabled and not any(parent.rls_enabled for parent in review.ancestors(table)):
            detail = f"row level security is off, and {', '.join(roles)} may reach every row"
            yield Observation(str(table.qualified), detail, enable_rls(table))


def partition_without_rls(review: Review) -> Iterator[Observation]:
    for table, roles in review.reachable(*TABLE_KINDS):
        parent = next((one for one in review.ancestors(table) if one.rls_enabled), None)
        if parent and not table.rls_enabled:
            detail = f"{', '.join(roles)} may ask this partition itself, past the policies of {parent.qualified}"
            yield Observation(str(table.qualified), detail, f"revoke all on {sql_name(table)} from {sql_roles(roles)};")


def sensitive_columns(review: Review) -> Iterator[Observation]:
    for table, _roles in review.reachable(*TABLE_KINDS):
        found = [one.name for one in table.columns if SENSITIVE.fullmatch(one.name.lower().replace("-", "_"))]
        if found and not table.rls_enabled:
            detail = f"row level security is off, and columns look sensitive: {', '.join(found)}"
            yield Observation(str(table.qualified), detail, enable_rls(table))


def definer_view(review: Review) -> Iterator[Observation]:
    for view, roles in review.reachable("view"):
        if not view.security_invoker:
            detail = (
                f"it shows {', '.join(roles)} what its owner {view.owner} may see, whatever the tables' policies say"
            )
            yield Observation(
                str(view.qualified), detail, f"alter view {sql_name(view)} set (security_invoker = true);"
            )


def materialized_view(review: Review) -> Iterator[Observation]:
    yield from without_policies(review, "materialized view")


def foreign_table(review: Review) -> Iterator[Observation]:
    yield from without_policies(review, "foreign table")


def without_policies(review: Review, kind: str) -> Iterator[Observation]:
    for relation, roles in review.reachable(kind):
        detail = f"a {kind} has no policies, and {', '.join(roles)} may read it"
        remedy = f"revoke all on {sql_name(relation)} from {sql_roles(revoked_from(review, relation))};"
        yield Observation(str(relation.qualified), detail, remedy)


def auth_users(review: Review) -> Iterator[Observation]:
    for view, roles in review.reachable("view", "materialized view"):
        if reads_users(review, view):
            detail = f"it may show rows of auth.users to {', '.join(roles)}"
            remedy = f"revoke all on {sql_name(view)} from {sql_roles(revoked_from(review, view))};"
            yield Observation(str(view.qualified), detail, remedy)


def reads_users(review: Review, view: Relation) -> bool:
    """Through other views too. With the caller's rights it matters only where auth.users has no row level security."""
    for source in view.reads:
        name = QualifiedName(source.schema, source.name)
        if name == USERS and not (view.security_invoker and source.rls_enabled):
            return True
        inner = review.relations.get(name)
        if inner and reads_users(review, inner):
            return True
    return False


def realtime(review: Review) -> Iterator[Observation]:
    for publication in review.catalog.publications:
        for name in publication.tables if publication.name == REALTIME else ():
            table = review.relations.get(name)
            if table and not table.rls_enabled:
                detail = "Realtime sends every change of it to whoever may read it: row level security is off"
                yield Observation(str(name), detail, enable_rls(table))


def truncate(review: Review) -> Iterator[Observation]:
    for table in review.catalog.tables:
        roles = review.holders(table.grants, ("truncate",))
        if roles:
            detail = f"{', '.join(roles)} may TRUNCATE it, which no policy holds back"
            remedy = f"revoke truncate on {sql_name(table)} from {sql_roles(revoked_from(review, table, 'truncate'))};"
            yield Observation(str(table.qualified), detail, remedy)


def default_privileges(review: Review) -> Iterator[Observation]:
    for default in review.catalog.default_privileges:
        owner = review.roles.get(default.owner)
        if default.kind != "tables" or (owner and owner.superuser) or default.schema not in (None, *review.exposed):
            continue
        roles = review.holders(default.grants)
        if roles:
            where = f" in schema {default.schema}" if default.schema else ""
            place = f" in schema {quote_identifier(default.schema)}" if default.schema else ""
            detail = (
                f"a table that {default.owner} makes later is open to {', '.join(roles)} until its policies are there"
            )
            remedy = f"alter default privileges for role {quote_identifier(default.owner)}{place}"
            holders = {grant.role for grant in default.grants}
            named = [role for role in ("public", *review.api_roles) if role in holders]
            remedy += f" revoke all on tables from {sql_roles(named or roles)};"
            yield Observation(f"default privileges of {default.owner}{where}", detail, remedy)


def queues(review: Review) -> Iterator[Observation]:
    if "pgmq_public" not in review.exposed:
        return
    for table in review.catalog.tables:
        roles = review.holders(table.grants)
        if table.schema == "pgmq" and table.name.startswith("q_") and roles and not table.rls_enabled:
            detail = (
                f"the API serves queues, row level security of this one is off, and {', '.join(roles)} may reach it"
            )
            yield Observation(str(table.qualified), detail, enable_rls(table))


def enable_rls(table: Relation) -> str:
    return f"alter table {sql_name(table)} enable row level security;"


def revoked_from(review: Review, relation: Relation, *privileges: str) -> list[str]:
    """Roles that have to lose a grant so that the API's roles no longer have it, those they inherit from included."""
    reached = {"public", *review.api_roles}
    for name in review.api_roles:
        reached.update(review.roles[name].inherits)
    wanted = set(privileges)
    found = {
        grant.role
        for grant in relation.grants
        if grant.role in reached and (not wanted or wanted & set(grant.privileges))
    }
    return sorted(found)


RULES = (
    Rule("rls_disabled_in_public", "error", "security", rls_disabled),
    Rule("partition_without_rls", "error", "security", partition_without_rls),
    Rule("sensitive_columns_exposed", "error", "security", sensitive_columns),
    Rule("security_definer_view", "error", "security", definer_view),
    Rule("auth_users_exposed", "error", "security", auth_users),
    Rule("materialized_view_in_api", "warning", "security", materialized_view),
    Rule("foreign_table_in_api", "warning", "security", foreign_table),
    Rule("realtime_without_rls", "error", "security", realtime),
    Rule("insecure_queue_exposed_in_api", "error", "security", queues),
    Rule("truncate_granted", "warning", "security", truncate),
    Rule("default_privileges_open", "info", "security", default_privileges),
)
