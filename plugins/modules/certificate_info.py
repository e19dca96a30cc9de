#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.certificate_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_info
short_description: Judge certificates that lie on a host
version_added: 0.1.0
description:
  - Reads certificates with their keys, and fails with everything that is wrong with them; files that are missing, a key
    that does not fit, a certificate that is not valid now, and names that it is not for.
  - Warns of certificates that end within O(warn_days).
requirements:
  - openssl on the host.
extends_documentation_fragment:
  - groundwork.supabase.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  certificates:
    description: Certificates to judge.
    type: list
    elements: dict
    required: true
    suboptions:
      certificate:
        description: PEM file with the certificate and its chain.
        type: path
        required: true
      key:
        description: PEM file with its key, which has no passphrase.
        type: path
        required: true
      names:
        description: Names that the certificate has to be for.
        type: list
        elements: str
        default: []
  warn_days:
    description: Days before its end from which on a certificate is warned of.
    type: int
    default: 14
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: Judge the certificate of the API
  groundwork.supabase.certificate_info:
    certificates:
      - certificate: /etc/groundwork/tls/certificate.pem
        key: /etc/groundwork/tls/certificate.key
        names: [api.example.com]
"""

RETURN = r"""
certificates:
  description: One entry for each certificate.
  returned: success
  type: list
  elements: dict
  contains:
    certificate:
      description: Its file.
      type: str
      sample: /etc/groundwork/tls/certificate.pem
    names:
      description: Names that it is for.
      type: list
      elements: str
    days_left:
      description: Days until its end.
      type: int
      sample: 61
fingerprint:
  description: Stands for the contents of all files; another one means that any of them changed.
  returned: success
  type: str
  sample: 5c1e77d04be1
"""

import hashlib
import ssl
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.certificates import (
    QUESTION,
    Certificate,
    find_certificate_faults,
    read_certificate,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError


def find_file_faults(pair: dict[str, Any]) -> list[Fault]:
    """What makes a pair unreadable, or its key another one's."""
    faults = []
    for path in (pair["certificate"], pair["key"]):
        try:
            Path(path).read_bytes()
        except OSError as error:
            faults.append(Fault(path, f"it cannot be read ({error.strerror})", "put it there, for root to read"))
    if not faults:
        try:
            # A passphrase would be asked for on the terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(pair["certificate"], pair["key"], lambda: "")
        except (ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", "") or "they are not PEM, or the key has a passphrase"
            cause = f"with {pair['key']} it makes no pair: {reason.lower().replace('_', ' ')}"
            faults.append(Fault(pair["certificate"], cause, "put a certificate and its own key there"))
    return faults


def read(module: AnsibleModule, path: str) -> Certificate:
    code, answer, error = module.run_command([module.get_bin_path("openssl", required=True), *QUESTION, path])
    try:
        if code:
            raise ValueError(error.strip())
        return read_certificate(answer)
    except ValueError as reason:
        raise GroundworkError(path, f"openssl cannot read it: {reason}", "put a PEM certificate there") from reason


def judge(module: AnsibleModule) -> dict[str, Any]:
    pairs, now = module.params["certificates"], time.time()
    faults, report, seal = [], [], hashlib.sha256()
    for pair in pairs:
        path = pair["certificate"]
        wrong = find_file_faults(pair)
        if not wrong:
            certificate = read(module, path)
            wrong = find_certificate_faults(path, certificate, pair["names"], now)
            days = certificate.days_left(now)
            report.append({"certificate": path, "names": sorted(certificate.names), "days_left": days})
            if 0 <= days < module.params["warn_days"]:
                module.warn(f"{path} ends in {days} days")
            for name in (path, pair["key"]):
                seal.update(hashlib.sha256(Path(name).read_bytes()).digest())
        faults.extend(wrong)
    Faults.raise_all(faults)
    return {"certificates": report, "fingerprint": seal.hexdigest()[:12]}


def main() -> None:
    pair = {
        "certificate": {"type": "path", "required": True},
        "key": {"type": "path", "required": True, "no_log": False},
        "names": {"type": "list", "elements": "str", "default": []},
    }
    module = AnsibleModule(
        argument_spec={
            "certificates": {"type": "list", "elements": "dict", "required": True, "options": pair},
            "warn_days": {"type": "int", "default": 14},
        },
        supports_check_mode=True,
    )
    try:
        result = judge(module)
    except GroundworkError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
