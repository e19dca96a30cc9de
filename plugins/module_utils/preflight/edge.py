# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the variables of role caddy, found without Caddy and without a host."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.edge_redirects import (
    Named,
    find_redirect_loops,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.front_ends import texts
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.gateway import (
    ORIGIN,
    TOKEN,
    address_fault,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.inventory import DOMAIN, MAKE_SECRET
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.role_variables import (
    Options,
    find_misspelt,
    read_variable,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.spelling import suggest
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.placeholders import PLACEHOLDER, secret_names

KINDS = ("upstream", "root", "redirect", "respond")
GATEWAY = "api-gw:8000"
# Go's time.ParseDuration, and days, which Caddy knows besides.
DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h|d))+")
SIZE = re.compile(r"\d+(?:\.\d+)? ?(?:[kKMGT]i?)?B?", re.IGNORECASE)
UPSTREAM = re.compile(r"[A-Za-z0-9_.-]+:\d{1,5}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
ATTRIBUTE = re.compile(r"Secure|HttpOnly|Partitioned|SameSite=(?:Lax|Strict|None)", re.IGNORECASE)
# bcrypt and argon2id, as "caddy hash-password" writes them.
HASH = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}|\$argon2id\$.+")
DURATIONS = (
    "caddy_retry",
    "caddy_grace",
    "caddy_stream_grace",
    "caddy_header_timeout",
    "caddy_body_timeout",
    "retry",
    "body_timeout",
)
SIZES = ("caddy_max_body", "caddy_max_header", "max_body")
HOW_LONG = "write 30s, 10m or 1h30m"
HOW_MUCH = "write 60MB or 64KB"


def find_edge_faults(
    variables: Mapping[str, Any],
    options: Options,
    platform: Collection[str],
    now: datetime,
    known_secrets: Collection[str] | None = None,
) -> Iterator[Fault]:
    """All faults.

    variables: those that the inventory sets, ``caddy_*``, ``supabase_sites`` and ``supabase_edge_log``. options: of the
    role, as its argument specification has them. platform: domains of the API and the dashboard. known_secrets: names
    that the host's store will have, None where that is not known.
    """
    yield from find_misspelt("caddy", {n: v for n, v in variables.items() if n.startswith("caddy_")}, options)
    values = {name: option.get("default") for name, option in options.items()}
    sites: list[Named] = []
    for name, value in variables.items():
        option = options.get("caddy_sites" if name == "supabase_sites" else name)
        if option is None:
            continue
        read, faults = read_variable(name, value, option)
        yield from faults
        if name in ("caddy_sites", "supabase_sites") and isinstance(read, list):
            if name == "caddy_sites" or "caddy_sites" not in variables:
                sites.extend((f"{name}[{i}], {site['domain']}", site) for i, site in enumerate(read) if site)
        elif read is not None:
            values[name] = read
    yield from _find_format_faults("", values)
    yield from _find_acme_faults(values)
    yield from _find_ban_faults(variables, values)
    yield from _find_security_text_faults(str(values.get("caddy_security_txt") or ""), now)
    taken = [] if "caddy_sites" in variables else [("the API or the dashboard", {"domain": name}) for name in platform]
    yield from _find_doubled_names([*taken, *sites])
    yield from find_redirect_loops(sites)
    for where, site in sites:
        yield from _find_site_faults(where, site, values)
    if known_secrets is not None:
        yield from _find_unknown_secrets(variables, known_secrets)


def _find_doubled_names(sites: Sequence[Named]) -> Iterator[Fault]:
    owners: dict[str, str] = {}
    for where, site in sites:
        for name in (site["domain"], *(site.get("aliases") or [])):
            if name in owners:
                yield Fault(where, f"{name} is served by {owners[name]} already", "leave it out of one of them")
            owners.setdefault(name, where)


def _find_site_faults(where: str, site: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[Fault]:
    kinds = [kind for kind in KINDS if site.get(kind)]
    if len(kinds) != 1:
        cause = f"it has {' and '.join(kinds)}" if kinds else f"it has none of {', '.join(KINDS)}"
        yield Fault(where, cause, "give it one of them")
    provable = values.get("caddy_tls") != "acme" or values.get("caddy_acme_dns") or site.get("certificate")
    for name in (site["domain"], *(site.get("aliases") or [])):
        if not DOMAIN.fullmatch(name):
            yield Fault(where, f"{name!r} is not a domain", "write it in lower case without https:// and path")
        elif name.startswith("*.") and not provable:
            cause = f"only DNS-01 proves {name}, and caddy_acme_dns is not set"
            yield Fault(where, cause, "list the names, or set caddy_acme_dns or the site's certificate")
    upstreams = site.get("upstream") or []
    for upstream in [upstreams] if isinstance(upstreams, str) else upstreams:
        if not UPSTREAM.fullmatch(str(upstream)):
            yield Fault(where, f"upstream {upstream!r} is not HOST:PORT", "write app:8080")
    if site.get("shift") and (not isinstance(upstreams, str) or not upstreams):
        yield Fault(where, "shift is for a single upstream", "name the one service, or leave shift out")
    if site.get("certificate") and not NAME.fullmatch(site["certificate"]):
        yield Fault(where, f"certificate {site['certificate']!r} is no name", "write NAME for NAME.pem and NAME.key")
    yield from _find_format_faults(f"{where}: ", site)
    yield from _find_user_faults(where, site)
    yield from _find_origin_faults(where, site, upstreams)


def _find_user_faults(where: str, site: Mapping[str, Any]) -> Iterator[Fault]:
    """Of the hashes nothing is shown: what is none may be the password."""
    for user, value in (site.get("basic_auth") or {}).items():
        remedy = "write what caddy hash-password makes of the password"
        if not value:
            yield Fault(where, f"user {user} of basic_auth has no hash", remedy)
        elif not PLACEHOLDER.fullmatch(str(value)) and not HASH.fullmatch(str(value)):
            yield Fault(where, f"what user {user} of basic_auth has is no hash of bcrypt or argon2id", remedy)
    gate = site.get("forward_auth") or {}
    if gate and not UPSTREAM.fullmatch(str(gate.get("upstream"))):
        yield Fault(where, f"forward_auth.upstream {gate.get('upstream')!r} is not HOST:PORT", "write auth:9091")
    if gate and site.get("basic_auth"):
        yield Fault(where, "it has both basic_auth and forward_auth", "keep one of them")


def _find_origin_faults(where: str, site: Mapping[str, Any], upstreams: Any) -> Iterator[Fault]:
    cors = site.get("cors") or {}
    if cors and GATEWAY in upstreams:
        yield Fault(
            where, "the gateway answers for origins itself, and cors would do so again", "set stack_cors_origins"
        )
    for origin in cors.get("origins") or []:
        if "*" in origin or not ORIGIN.fullmatch(origin):
            cause = f"{origin} is no origin, which has a scheme, a host, perhaps a port, and no path or asterisk"
            yield Fault(f"{where}: cors.origins", cause, "write https://app.acme.test")


def _find_format_faults(where: str, values: Mapping[str, Any]) -> Iterator[Fault]:
    """Of a site or, with the role's prefix, of all."""
    for names, pattern, what, remedy in ((DURATIONS, DURATION, "time", HOW_LONG), (SIZES, SIZE, "size", HOW_MUCH)):
        for name in names:
            if values.get(name) is not None and not pattern.fullmatch(str(values[name])):
                yield Fault(f"{where}{name}", f"{values[name]!r} is no {what}", remedy)
    for name in ("allow", "deny", "caddy_trusted_proxies"):
        for text in values.get(name) or []:
            # Caddy's word for the networks that are not routed on the internet.
            cause = "" if text == "private_ranges" else address_fault(str(text))
            if cause:
                yield Fault(f"{where}{name}", f"{text} {cause}", "write 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32")
    for name in ("methods", "caddy_methods", "headers", "caddy_headers"):
        for word in values.get(name) or []:
            if not TOKEN.fullmatch(str(word)):
                what = "method" if "methods" in name else "header"
                yield Fault(f"{where}{name}", f"{word!r} is no name of a {what}", "correct it")
    for name in ("headers", "caddy_headers"):
        for header, value in (values.get(name) or {}).items():
            if re.search(r"[\r\n]", str(value)):
                yield Fault(f"{where}{name}", f"the value of {header} has a line break", "write it on one line")
    for name in ("cookie_attributes", "caddy_cookie_attributes"):
        attributes = [str(attribute) for attribute in values.get(name) or []]
        for attribute in attributes:
            if not ATTRIBUTE.fullmatch(attribute):
                cause = f"{attribute} is no attribute that every cookie could have"
                yield Fault(f"{where}{name}", cause, "choose from Secure, HttpOnly, SameSite=Lax, SameSite=Strict")
        if "samesite=none" in map(str.lower, attributes) and "secure" not in map(str.lower, attributes):
            yield Fault(f"{where}{name}", "browsers drop cookies with SameSite=None and without Secure", "add Secure")


def _find_acme_faults(values: Mapping[str, Any]) -> Iterator[Fault]:
    if not values.get("caddy_acme_challenges") and not values.get("caddy_acme_dns"):
        yield Fault("caddy_acme_challenges", "none is left to prove a name by", "name one, or set caddy_acme_dns")
    eab = {key for key, value in (values.get("caddy_acme_eab") or {}).items() if value}
    if len(eab) == 1:
        yield Fault("caddy_acme_eab", f"it has {min(eab)} alone", "give both key_id and mac_key, or none")
    if eab and not values.get("caddy_acme_directory"):
        yield Fault("caddy_acme_eab", "it is an account, and nothing says where", "set caddy_acme_directory")
    directory = str(values.get("caddy_acme_directory") or "")
    if directory and not re.fullmatch(r"https://[^\s/]+/\S*", directory):
        yield Fault("caddy_acme_directory", f"{directory!r} is no address of a directory", "write https://HOST/PATH")
    if values.get("caddy_acme_ca_root") and "BEGIN CERTIFICATE" not in values["caddy_acme_ca_root"]:
        yield Fault("caddy_acme_ca_root", "it is no PEM text", "give the certificate itself and not its file's name")


def _find_ban_faults(variables: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[Fault]:
    """Packets of a proxy's clients come from the proxy, and a client may name any address as its own."""
    name = "caddy_client_log" if "caddy_client_log" in variables else "supabase_edge_log"
    if variables.get(name) and values.get("caddy_trusted_proxies"):
        cause = "behind caddy_trusted_proxies a ban would stop nobody, or the proxy itself"
        yield Fault(name, cause, "leave it out, and have the proxy ban")


def _find_security_text_faults(text: str, now: datetime) -> Iterator[Fault]:
    """RFC 9116, section 2.5: who to write to, and until when that holds."""
    if not text:
        return
    if not re.search(r"^Contact: *\S", text, re.MULTILINE):
        yield Fault("caddy_security_txt", "it has no Contact", "add Contact: mailto:security@acme.test")
    match = re.search(r"^Expires: *(\S+)", text, re.MULTILINE)
    try:
        end = datetime.fromisoformat(match[1].replace("Z", "+00:00")) if match else None
    except ValueError:
        end = None
    if end is None:
        yield Fault("caddy_security_txt", "it has no Expires with a time", "add Expires: 2027-06-01T00:00:00Z")
    elif (end if end.tzinfo else end.replace(tzinfo=timezone.utc)) < now:
        yield Fault("caddy_security_txt", "it has expired", "set Expires to a time within a year")


def _find_unknown_secrets(variables: Mapping[str, Any], known: Collection[str]) -> Iterator[Fault]:
    for name, value in variables.items():
        for secret in sorted({each for _path, text in texts(value) for each in secret_names(text)} - set(known)):
            yield Fault(name, f"nobody makes or gives secret {secret}", suggest(secret, known, MAKE_SECRET))
