# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules about policies that do not do what they look like, and about roles and functions that stand above policies."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.groundwork.supabase.plugins.module_utils.advisor.exposure import enable_rls
from ansible_collections.groundwork.supabase.plugins.module_utils.advisor.expressions import calls
from ansible_collections.groundwork.supabase.plugins.module_utils.advisor.model import (
    Observation,
    Review,
    Rule,
    policy_label,
    sql_name,
    sql_roles,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.catalog.model import (
    PLATFORM_ROLE,
    PUBLIC,
    Function,
    Relation,
    TablePolicy,
    is_platform_schema,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.object_names import QualifiedName, quote_identifier

# Signed-in users write these themselves. Source: Supabase documentation, "User Management", user metadata.
USER_WRITTEN = ("user_metadata", "raw_user_meta_data")
ALWAYS = frozenset({"true", "(true)", "(1 = 1)", "1 = 1"})
# pg_upgrade refuses columns of these. Source: PostgreSQL manual, pg_upgrade, "Usage".
NOT_UPGRADED = frozenset({
    "regcollation", "regconfig", "regdictionary", "regnamespace", "regoper", "regoperator", "regproc", "regprocedure",
})  # fmt: skip


def policies_off(review: Review) -> Iterator[Observation]:
    for table in review.catalog.tables:
        if table.policies and not table.rls_enabled:
            names = ", ".join(policy.name for policy in table.policies)
            yield Observation(
                str(table.qualified),
                f"row level security is off, so its policies do nothing: {names}",
                enable_rls(table),
            )


def no_policy(review: Review) -> Iterator[Observation]:
    for table in review.catalog.tables:
        roles = review.holders(table.grants)
        if table.rls_enabled and not table.policies and roles:
            detail = f"it has no policy, so {', '.join(roles)} find no row in it although they may ask"
            yield Observation(str(table.qualified), detail, "write a policy, or revoke what they are granted")


def restrictive_only(review: Review) -> Iterator[Observation]:
    for table in review.catalog.tables:
        if table.rls_enabled and table.policies and not any(policy.permissive for policy in table.policies):
            detail = "all its policies are restrictive; they only take away, so nobody reaches any row"
            yield Observation(str(table.qualified), detail, "write a permissive policy beside them")


def not_forced(review: Review) -> Iterator[Observation]:
    for table in review.catalog.tables:
        owner = review.roles.get(table.owner)
        if table.rls_enabled and not table.rls_forced and not (owner and owner.above_policies):
            detail = (
                f"its owner {table.owner}, and every definer's function or view of that role, passes its policies by"
            )
            yield Observation(str(table.qualified), detail, f"alter table {sql_name(table)} force row level security;")


def always_true(review: Review) -> Iterator[Observation]:
    for table, policy in review.policies():
        roles = [role for role in policy.roles if role == PUBLIC or role in review.api_roles]
        if table.rls_enabled and policy.permissive and policy.command != "select" and roles and lets_all_write(policy):
            detail = f"{', '.join(roles)} may {policy.command} any row: the expression is always true"
            yield Observation(policy_label(policy, table), detail, "compare a column with who asks, or drop the policy")


def lets_all_write(policy: TablePolicy) -> bool:
    """USING decides on rows that are there, CHECK on rows as they are written; without CHECK it is USING for both."""
    using = policy.using is None or policy.using in ALWAYS
    check = policy.check in ALWAYS or (policy.check is None and using)
    return check if policy.command == "insert" else using or check


def user_metadata(review: Review) -> Iterator[Observation]:
    for table, policy in review.policies():
        texts = list(policy.expressions)
        columns = [column.name for column in table.columns]
        for called in [one for text in policy.expressions for one in calls(text, columns)]:
            name = QualifiedName(called.schema or "", called.name)
            texts += [function.source for function in review.functions.get(name, [])]
        if any(word in text for text in texts for word in USER_WRITTEN):
            detail = "it trusts user_metadata, which users write themselves"
            yield Observation(policy_label(policy, table), detail, "read the claim from app_metadata instead")


def definer_without_path(review: Review) -> Iterator[Observation]:
    for function in review.catalog.functions:
        if function.security_definer and function.search_path is None:
            detail = f"it runs as {function.owner}, and what its names mean is up to the caller's search_path"
            yield Observation(function.signature, detail, empty_path(function))


def definer_with_path(review: Review) -> Iterator[Observation]:
    """Without pg_temp at the end a temporary table is found first (PostgreSQL manual, "CREATE FUNCTION")."""
    for function in review.catalog.functions:
        path = function.search_path
        if function.security_definer and path is not None:
            schemas = [part.strip().strip('"') for part in path.split(",")]
            if schemas != [""] and schemas[-1] != "pg_temp":
                detail = f"it runs as {function.owner} with {path}, and a caller's temporary table comes before that"
                yield Observation(function.signature, detail, empty_path(function))


def empty_path(function: Function) -> str:
    return (
        f"-- once its body qualifies every name\nalter {kind_word(function)} {sql_name(function)} set search_path = '';"
    )


def mutable_search_path(review: Review) -> Iterator[Observation]:
    for function in review.catalog.functions:
        if (
            not function.security_definer
            and function.search_path is None
            and function.kind in ("function", "procedure")
        ):
            detail = "what its names mean is up to the caller's search_path"
            yield Observation(function.signature, detail, empty_path(function))


def kind_word(function: Function) -> str:
    return "procedure" if function.kind == "procedure" else "function"


def definer_for_anon(review: Review) -> Iterator[Observation]:
    yield from callable_definers(review, signed_in=False)


def definer_for_signed_in(review: Review) -> Iterator[Observation]:
    yield from callable_definers(review, signed_in=True)


def callable_definers(review: Review, signed_in: bool) -> Iterator[Observation]:
    """Definer functions by who may call them through the API. Trigger functions cannot be called."""
    for function in review.catalog.functions:
        if function.schema not in review.exposed or not function.security_definer or function.returns == "trigger":
            continue
        roles = review.holders(function.grants, ("execute",))
        if roles and ("anon" not in roles) == signed_in:
            detail = f"{', '.join(roles)} may call it, and it does what its owner {function.owner} may do"
            granted = [role for role in (PUBLIC, *roles) if any(role == grant.role for grant in function.grants)]
            remedy = f"revoke execute on {kind_word(function)} {sql_name(function)} from {sql_roles(granted or roles)};"
            yield Observation(function.signature, detail, remedy)


def bypassing_roles(review: Review) -> Iterator[Observation]:
    for role in review.catalog.roles:
        if role.above_policies and not PLATFORM_ROLE.fullmatch(role.name) and role.name not in review.api_roles:
            what = "is a superuser" if role.superuser else "has BYPASSRLS"
            remedy = f"alter role {quote_identifier(role.name)} nosuperuser nobypassrls;"
            yield Observation(f"role {role.name}", f"it {what}, so no policy holds for it", remedy)


def api_roles_above(review: Review) -> Iterator[Observation]:
    for name in review.api_roles:
        role = review.roles[name]
        if role.above_policies:
            remedy = f"alter role {quote_identifier(name)} nosuperuser nobypassrls;"
            yield Observation(
                f"role {name}", "requests to the API come as this role, and no policy holds for it", remedy
            )
        for other in role.member_of:
            if other in review.roles and review.roles[other].above_policies:
                detail = f"requests to the API come as this role, and it may become {other}, for whom no policy holds"
                remedy = f"revoke {quote_identifier(other)} from {quote_identifier(name)};"
                yield Observation(f"role {name}", detail, remedy)


def api_role_owns(review: Review) -> Iterator[Observation]:
    for relation in review.catalog.relations:
        roles = [name for name in review.api_roles if relation.owner in (name, *review.roles[name].member_of)]
        if roles:
            detail = f"{', '.join(roles)} owns it, so it may switch off its policies"
            yield Observation(str(relation.qualified), detail, owner_remedy(relation))


def owner_remedy(relation: Relation) -> str:
    kind = "table" if relation.is_table else relation.kind
    return f'alter {kind} {sql_name(relation)} owner to "postgres";'


def create_in_schema(review: Review) -> Iterator[Observation]:
    for schema in review.catalog.schemas:
        roles = review.holders(schema.grants, ("create",))
        if roles:
            granted = [
                grant.role for grant in schema.grants if grant.role in (PUBLIC, *roles) and "create" in grant.privileges
            ]
            detail = f"{', '.join(roles)} may make objects in it, which others may then take for their own"
            remedy = f"revoke create on schema {quote_identifier(schema.name)} from {sql_roles(granted or roles)};"
            yield Observation(f"schema {schema.name}", detail, remedy)


def users_unique_key(review: Review) -> Iterator[Observation]:
    for table in review.catalog.tables:
        for key in table.keys:
            if key.kind == "foreign" and key.references_schema == "auth" and not key.references_primary:
                target = f"auth.{key.references_table} ({', '.join(key.references_columns)})"
                detail = f"it refers to {target}, a key that Auth's migrations may change"
                remedy = f"alter table {sql_name(table)} drop constraint {quote_identifier(key.name)};"
                yield Observation(f"foreign key {key.name} on {table.qualified}", detail, remedy)


def extension_in_api(review: Review) -> Iterator[Observation]:
    for extension in review.catalog.extensions:
        served = extension.schema == "public" or extension.schema in review.exposed
        if served and not (is_platform_schema(extension.schema) or extension.name == "plpgsql"):
            remedy = f'alter extension {quote_identifier(extension.name)} set schema "extensions";'
            yield Observation(
                f"extension {extension.name}", f"its functions are in schema {extension.schema}, with the API's", remedy
            )


def extension_outdated(review: Review) -> Iterator[Observation]:
    for extension in review.catalog.extensions:
        if extension.default_version and extension.version != extension.default_version:
            detail = f"version {extension.version} is in use, {extension.default_version} is installed on the server"
            remedy = f"alter extension {quote_identifier(extension.name)} update;"
            yield Observation(f"extension {extension.name}", detail, remedy)


def reg_types(review: Review) -> Iterator[Observation]:
    for relation in review.catalog.relations:
        for column in relation.columns:
            if column.type.replace("[]", "") in NOT_UPGRADED:
                detail = f"column {column.name} is {column.type}; pg_upgrade refuses a database with such a column"
                remedy = f"alter table {sql_name(relation)} alter column {quote_identifier(column.name)} type text;"
                yield Observation(f"{relation.qualified}.{column.name}", detail, remedy)


RULES = (
    Rule("policy_exists_rls_disabled", "error", "security", policies_off),
    Rule("rls_enabled_no_policy", "info", "security", no_policy),
    Rule("restrictive_policies_only", "warning", "security", restrictive_only),
    Rule("rls_not_forced", "warning", "security", not_forced),
    Rule("rls_policy_always_true", "warning", "security", always_true),
    Rule("rls_references_user_metadata", "error", "security", user_metadata),
    Rule("definer_search_path_mutable", "error", "security", definer_without_path),
    Rule("definer_search_path_not_empty", "warning", "security", definer_with_path),
    Rule("function_search_path_mutable", "info", "security", mutable_search_path),
    Rule("anon_security_definer_function_executable", "warning", "security", definer_for_anon),
    Rule("authenticated_security_definer_function_executable", "info", "security", definer_for_signed_in),
    Rule("role_bypasses_rls", "warning", "security", bypassing_roles),
    Rule("api_role_bypasses_rls", "error", "security", api_roles_above),
    Rule("api_role_owns_relation", "error", "security", api_role_owns),
    Rule("api_role_creates_in_schema", "warning", "security", create_in_schema),
    Rule("fkey_to_auth_unique", "error", "security", users_unique_key),
    Rule("extension_in_public", "warning", "security", extension_in_api),
    Rule("extension_versions_outdated", "warning", "security", extension_outdated),
    Rule("unsupported_reg_types", "warning", "security", reg_types),
)
