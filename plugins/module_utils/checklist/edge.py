# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What requests through the edge tell about the security checklist."""

from __future__ import annotations

import re
import socket
import ssl
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from ansible_collections.groundwork.supabase.plugins.module_utils.checklist.model import UNKNOWN, Answer, judge
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.front_ends import secrets_in
from ansible_collections.groundwork.supabase.plugins.module_utils.probe import http_request

# No origin of anybody: the domain is reserved (RFC 6761).
STRANGER = "https://stranger.invalid"
# Half a year, what Mozilla's guideline asks for at least.
HSTS_SECONDS = 15_768_000
MAX_AGE = re.compile(r"max-age=(\d+)")
# Scripts and style sheets that a page names.
REFERENCE = re.compile(r"""(?:src|href|from|import)\s*[=(]?\s*["']([^"'#?\s]+\.(?:m?js|css|json|html))["'?]""")
FILES_OF_A_SITE = 60
FILE_BYTES = 8 * 1024 * 1024
# State of a listening socket in /proc/net/tcp (Linux, include/net/tcp_states.h).
LISTEN = "0A"
LOOPBACK = re.compile(r"^(?:[0-9A-F]{6}7F|0{24}01000000|0000000000000000FFFF0000[0-9A-F]{6}7F)$")


@dataclass(frozen=True)
class Edge:
    """How to reach it. connect_to: as of module probe. timeout: seconds."""

    connect_to: str
    trust: ssl.SSLContext
    timeout: float

    def ask(self, url: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> http_request.Answer:
        return next(self.keep_asking(url, method, headers or {}))

    def keep_asking(self, url: str, method: str, headers: Mapping[str, str]) -> Iterator[http_request.Answer]:
        """The same again and again, over one connection."""
        request = http_request.Request(url, url, method, headers, "", (), "")
        with closing(http_request.Line(url, self.connect_to, self.trust, self.timeout, FILE_BYTES)) as line:
            while True:
                yield line.send(request)

    def speaks_old_tls(self, domain: str) -> bool:
        """Whether a handshake with TLS 1.1 or 1.0, both deprecated (RFC 8996), succeeds."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        # The library itself refuses these versions by default; the question is what the edge does.
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        try:
            with socket.create_connection((self.connect_to or domain, 443), self.timeout) as raw:
                context.wrap_socket(raw, server_hostname=domain).close()
        except OSError:
            return False
        return True


def tls(edge: Edge, domains: Sequence[str], ports: Sequence[int]) -> Answer:
    """ports: those that may be reached from other hosts."""
    wrong = [fault for domain in domains for fault in _tls_faults(edge, domain)]
    open_ports = listening()
    wrong += [f"port {port} listens beyond this host" for port in sorted(open_ports - set(ports))]
    seen = (
        f"{', '.join(domains)}: HTTP is redirected, certificates are trusted, TLS 1.1 is refused, HSTS is sent; "
        f"beyond this host listen only {', '.join(map(str, sorted(open_ports)))}"
    )
    return judge("tls", seen, wrong, "see role caddy, and bind what is not for others to 127.0.0.1")


def _tls_faults(edge: Edge, domain: str) -> Iterator[str]:
    plain = edge.ask(f"http://{domain}/")
    if plain.status not in (301, 308) or not plain.headers.get("location", "").startswith(f"https://{domain}"):
        yield f"http://{domain} answers {plain.status} and not with a redirect to HTTPS"
    secure = edge.ask(f"https://{domain}/")
    if secure.status == 0:
        yield f"https://{domain}: {secure.body}"
        return
    age = MAX_AGE.search(secure.headers.get("strict-transport-security", ""))
    if age is None or int(age.group(1)) < HSTS_SECONDS:
        yield f"https://{domain} sends no Strict-Transport-Security of half a year"
    if edge.speaks_old_tls(domain):
        yield f"https://{domain} still speaks TLS 1.1"


def listening(proc: Path = Path("/proc/net")) -> set[int]:
    """TCP ports on which this host listens beyond itself."""
    found = set()
    for name in ("tcp", "tcp6"):
        table = proc / name
        # A host without IPv6 has no table of it.
        for line in table.read_text(encoding="ascii").splitlines()[1:] if table.exists() else ():
            _number, local, _remote, state = line.split()[:4]
            address, port = local.split(":")
            if state == LISTEN and not LOOPBACK.match(address):
                found.add(int(port, 16))
    return found


def cors(edge: Edge, url: str, origins: Sequence[str]) -> Answer:
    """Whether a browser on another site may read answers. url: of the API."""
    wrong = ["every origin is declared as known"] if "*" in origins else []
    for origin in [STRANGER, *(one for one in origins if one != "*")]:
        asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        answer = edge.ask(f"{url}/rest/v1/", "OPTIONS", asked)
        allowed = answer.headers.get("access-control-allow-origin", "")
        if answer.status == 0:
            wrong.append(f"{url} does not answer: {answer.body}")
            break
        if origin == STRANGER and allowed in ("*", STRANGER):
            wrong.append("a site that nobody knows may read answers")
        if origin != STRANGER and allowed != origin:
            wrong.append(f"{origin} is declared, and refused")
    seen = f"{', '.join(origins) or 'no origin'} may read answers, {STRANGER} may not"
    return judge("cors", seen, wrong, "list the origins of your own front ends in stack_cors_origins")


def rate_limits(edge: Edge, url: str, requests: int, headers: Mapping[str, str]) -> Answer:
    """Send what is allowed and more, until it is refused. requests: how many one address may send in a minute."""
    # What is allowed grows back while they are sent.
    most = 2 * requests + 1
    for number, answer in enumerate(islice(edge.keep_asking(url, "GET", headers), most), start=1):
        if answer.status == 429:
            return judge("rate_limits", f"request {number} in a row was refused with 429 at {url}", [], "")
        if answer.status == 0:
            return Answer("rate_limits", UNKNOWN, f"{url} does not answer: {answer.body}", "run playbooks/verify.yml")
    wrong = [f"{most} requests in a row were let through at {url}"]
    return judge("rate_limits", "", wrong, "set stack_gateway_rate_limits")


def secret_keys(edge: Edge, sites: Sequence[str], values: Mapping[str, str], store_faults: Sequence[str]) -> Answer:
    """Look into what front ends deliver. values: names of secrets by their values. store_faults: in words."""
    wrong = [*store_faults]
    files = 0
    for site in sites:
        before = files
        for url, body in delivered(edge, site):
            files += 1
            wrong += [f"{url} holds {what}" for what in dict.fromkeys(secrets_in(body, values))]
        if files == before:
            wrong.append(f"nothing is delivered by {site}, so nobody knows what it holds")
    seen = f"only root may read the store; {files} files of {len(sites)} front ends hold none of {len(values)} secrets"
    remedy = "take the secret out of the front end, then rotate it: whoever saw it has it"
    return judge("secret_keys", seen, wrong, remedy)


def delivered(edge: Edge, site: str) -> Iterator[tuple[str, str]]:
    """A front end's start page and what it names on the same host, and what that names."""
    host = urlsplit(site).netloc
    waiting, known = [site], {site}
    while waiting and len(known) <= FILES_OF_A_SITE:
        url = waiting.pop(0)
        answer = edge.ask(url)
        # A start page is often one to another language.
        references = [answer.headers.get("location", "")] if 300 <= answer.status < 400 else []
        if answer.status == 200:
            yield url, answer.body
            references = REFERENCE.findall(answer.body)
        for reference in references:
            linked = urljoin(url, reference)
            if urlsplit(linked).netloc == host and linked not in known:
                known.add(linked)
                waiting.append(linked)
