# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pebble, the ACME authority for tests of Let's Encrypt's makers, in a container beside the edge."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from certificate_pairs import make_pair
from compose_plugin import build_image
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from edge_server import wait_until
from postgres_server import docker, ensure_image

IMAGE = "groundwork-test/pebble:current"
DOCKERFILE = """\
FROM groundwork-lab/base:current
RUN apt-get update && apt-get install -y --no-install-recommends pebble && rm -rf /var/lib/apt/lists/*
"""
# An account that pebble wants to see, by the name of its key.
KEY_ID = "groundwork"
MAC_KEY = urlsafe_b64encode(b"0123456789abcdef0123456789abcdef").decode().rstrip("=")


@dataclass(frozen=True)
class Authority:
    container: str
    network: str
    port: int
    management_port: int
    # PEM text of what pebble's own address is signed by.
    root: str

    def fetch(self, path: str, port: int | None = None, body: bytes | None = None) -> tuple[Any, bytes]:
        context = ssl.create_default_context(cadata=self.root)
        context.check_hostname = False
        headers = {"Content-Type": "application/jose+json"} if body else {}
        request = urllib.request.Request(f"https://127.0.0.1:{port or self.port}{path}", body, headers)  # noqa: S310
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:  # noqa: S310
            return answer.headers, answer.read()

    def issuing_root(self) -> str:
        return self.fetch("/roots/0", self.management_port)[1].decode()

    def status(self, serial: int) -> str:
        answer = self.fetch(f"/cert-status-by-serial/{serial:x}", self.management_port)[1]
        return str(json.loads(answer)["Status"])

    def revoke(self, certificate: str, key: str) -> None:
        """As the holder of a certificate's key may (RFC 8555, section 7.6).

        pebble refuses one good nonce in twenty, so that clients learn to ask again (section 6.5).
        """
        while True:
            try:
                return self._revoke(certificate, key)
            except urllib.error.HTTPError as error:
                refusal = error.read().decode()
                if "urn:ietf:params:acme:error:badNonce" not in refusal:
                    raise AssertionError(refusal) from error

    def _revoke(self, certificate: str, key: str) -> None:
        secret = serialization.load_pem_private_key(key.encode(), None)
        assert isinstance(secret, ec.EllipticCurvePrivateKey)
        point = secret.public_key().public_numbers()
        url = f"https://127.0.0.1:{self.port}/revoke-cert"
        jwk = {"kty": "EC", "crv": "P-256", "x": encoded(number(point.x)), "y": encoded(number(point.y))}
        head = {"alg": "ES256", "jwk": jwk, "url": url, "nonce": self.fetch("/nonce-plz")[0]["Replay-Nonce"]}
        der = x509.load_pem_x509_certificate(certificate.encode()).public_bytes(serialization.Encoding.DER)
        protected, payload = (
            encoded(json.dumps(part).encode()) for part in (head, {"certificate": encoded(der), "reason": 1})
        )
        r, s = decode_dss_signature(secret.sign(f"{protected}.{payload}".encode(), ec.ECDSA(hashes.SHA256())))
        jws = {"protected": protected, "payload": payload, "signature": encoded(number(r) + number(s))}
        self.fetch("/revoke-cert", body=json.dumps(jws).encode())

    def out_of_reach(self) -> None:
        docker("network", "disconnect", self.network, self.container)

    def within_reach(self) -> None:
        docker("network", "connect", "--alias", "pebble", self.network, self.container)


def encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")


def number(value: int) -> bytes:
    return value.to_bytes(32, "big")


@contextmanager
def running_authority(folder: Path, network: str, seconds: int) -> Iterator[Authority]:
    """pebble, whose certificates are valid for so many seconds."""
    ensure_image("base")
    build_image(IMAGE, DOCKERFILE)
    folder.chmod(0o755)
    own = make_pair("pebble")
    settings = {
        "listenAddress": "0.0.0.0:14000",
        "managementListenAddress": "0.0.0.0:15000",
        "certificate": "/pebble/own.pem",
        "privateKey": "/pebble/own.key",
        "httpPort": 80,
        "tlsPort": 443,
        "externalAccountBindingRequired": True,
        "externalAccountMACKeys": {KEY_ID: MAC_KEY},
        "certificateValidityPeriod": seconds,
        "retryAfter": {"authz": 1, "order": 1},
    }
    for name, text in (("own.pem", own.certificate), ("own.key", own.key)):
        (folder / name).write_text(text, encoding="ascii")
    (folder / "settings.json").write_text(json.dumps({"pebble": settings}), encoding="ascii")
    options = ["--detach", "--label", "groundwork.integration", "--env", "PEBBLE_VA_NOSLEEP=1"]
    options += ["--publish", "127.0.0.1::14000", "--publish", "127.0.0.1::15000", "--volume", f"{folder}:/pebble:ro"]
    container = docker("run", *options, IMAGE, "pebble", "-config", "/pebble/settings.json").strip()
    try:
        ports = [
            int(docker("port", container, str(port)).splitlines()[0].rpartition(":")[2]) for port in (14000, 15000)
        ]
        authority = Authority(container, network, *ports, own.certificate)
        authority.within_reach()
        wait_until(authority.issuing_root, "pebble is up")
        yield authority
    finally:
        docker("rm", "--force", container)
