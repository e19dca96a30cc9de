#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.secret."""

from __future__ import annotations

DOCUMENTATION = r"""
module: secret
short_description: Make secrets once and keep them on the host
version_added: 0.1.0
description:
  - Keeps a store of secrets on the host, one file each, which only root can read. One call takes the whole list.
  - A secret that nobody gives is made once with the operating system's randomness and never changed again. A secret
    with O(secrets[].value) is taken over, and taken over again when that value changes.
  - Tokens, htpasswd lines and login names that take turns are computed from other secrets, and again when those, their
    claims, their lifetime or their user name changed. A token is renewed 30 days before it expires. One with further
    claims, which was given once, keeps its own lifetime.
  - Values that the key ring accepts and clients have are not replaced, see M(groundwork.supabase.signing_keys). Where
    the inventory gives other ones, or O(rotate) names them, the module refuses. A legacy C(anon_key) or
    C(service_role_key) is kept until it has expired, and RV(expiring) names it 30 days before.
  - An index beside the files says which secrets there have to be. When one of them is lost or damaged, the module
    refuses and makes no new one, since a database or encrypted data may depend on the lost one.
  - Everything that is wrong with the store, the list and the given values is reported at once, before anything is
    written.
  - Files are replaced atomically, with mode 0600 in a folder with mode 0700. A mode that is too open is narrowed. A
    file that others own or can write to is refused, since they may have put their own value there.
extends_documentation_fragment:
  - groundwork.supabase.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: The diff has names and reasons, never values.
  idempotent:
    support: full
options:
  path:
    description: Folder that holds the secrets. It is made where it does not exist.
    type: path
    default: /etc/groundwork/secrets
  secrets:
    description: The secrets to be there. Others in the store stay as they are.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the secret and of its file, lower case letters, digits and underscores.
        type: str
        required: true
      kind:
        description:
          - V(password) has letters and digits only, so that it is safe in URLs, shells, SQL and env files.
          - V(hex) and V(base64) (RFC 4648, section 4) are random bytes, written so.
          - V(jwt) is a JSON Web Token over O(secrets[].claims), signed by O(secrets[].signing_secret) with HS256.
          - V(htpasswd) is a line for Envoy's basic authentication, the SHA-1 of O(secrets[].of) under
            O(secrets[].username).
          - V(turn) is the name that goes with the password O(secrets[].of), and another one when that changes, so that
            both work while services move; O(secrets[].username) with C(_a) or C(_b) behind it. Module
            M(groundwork.supabase.schema) makes these roles.
          - V(opaque) is a value that somebody else made. It has to be given.
        type: str
        choices: [password, hex, base64, jwt, htpasswd, turn, opaque]
        default: password
      length:
        description:
          - Characters of a V(password), by default 40; bytes of V(hex) and V(base64), by default 32. The prefix does
            not count.
        type: int
      exact:
        description:
          - The consumer demands exactly this length, so a given value must have it as well.
          - Without it a given value needs 16 characters or more, 8 if O(secrets[].kind=opaque), 32 if it signs tokens
            (RFC 7518, section 3.2).
        type: bool
        default: false
      immutable:
        description: Data is encrypted under it. A given value that differs from the one in the store is refused.
        type: bool
        default: false
      prefix:
        description: Text before a value that is made, for example C(sb_publishable_).
        type: str
        default: ""
      value:
        description:
          - The value, from the inventory. Blanks, line breaks, quotation marks, backslashes and dollar signs are
            refused, and so are values that are easy to guess, equal to another, or examples that Supabase published.
          - A given token has to bear the signature of O(secrets[].signing_secret) and the claims of
            O(secrets[].claims).
        type: str
      signing_secret:
        description: Name of the secret that signs the token. It is in this list or in the store.
        type: str
      claims:
        description: Claims of the token, without C(iat) and C(exp).
        type: dict
        default: {}
      lifetime:
        description: Days that the token is valid, more than 30.
        type: int
        default: 1825
      of:
        description: Name of the password for V(htpasswd) and V(turn). It is in this list or in the store.
        type: str
      username:
        description: User name of the htpasswd line, or what both login names begin with.
        type: str
      max_age:
        description:
          - Days after which the secret is to be rotated. It stays as it is, but RV(overdue) names it and the module
            warns.
        type: int
  rotate:
    description:
      - Names of secrets in the list that get a new value, and with them what is computed from those. It takes effect
        where services are deployed next.
      - Refused for what is O(secrets[].immutable), given or computed.
      - A password with a login name that takes turns is kept where its last value is not O(delivered) yet, and
        RV(under_way) names it. Deploy everything first.
      - Every run makes new values, so give names once. RV(overdue) has those that are due.
    type: list
    elements: str
    default: []
  delivered:
    description:
      - Names of V(turn) secrets in the store. Everything that uses them has been deployed as they are now, so the next
        new password gets the other login name.
    type: list
    elements: str
    default: []
  witnesses:
    description:
      - Paths on the host that exist only where secrets are in use, such as the folder of the database.
      - When one of them exists and the store is empty, the store was lost, and the module refuses to fill it anew.
    type: list
    elements: path
    default: []
  return_values:
    description:
      - Names of secrets whose values are returned in RV(encoded). Use C(no_log=true) on the task and on whatever uses
        the result.
      - In check mode a secret that is not there yet is left out.
    type: list
    elements: str
    default: []
seealso:
  - module: groundwork.supabase.release
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: Make the secrets of the stack
  groundwork.supabase.secret:
    secrets:
      - {name: postgres_password}
      - {name: jwt_secret, length: 64}
      - name: anon_key
        kind: jwt
        signing_secret: jwt_secret
        claims: {iss: supabase, role: anon}
      - {name: realtime_db_enc_key, length: 16, exact: true, immutable: true}
      - {name: publishable_key, length: 31, prefix: sb_publishable_}
      - {name: dashboard_password}
      - {name: dashboard_htpasswd, kind: htpasswd, of: dashboard_password, username: supabase}
      - {name: smtp_password, kind: opaque, value: "{{ vault_smtp_password }}"}
    witnesses:
      - /var/lib/docker/volumes/supabase_db-data

- name: A new password for Redis
  groundwork.supabase.secret:
    secrets:
      - {name: redis_password, max_age: 90}
    rotate: [redis_password]

- name: A new password for a service, and the login name whose turn it is
  groundwork.supabase.secret:
    secrets:
      - {name: billing_password}
      - {name: billing_login, kind: turn, of: billing_password, username: billing}
    rotate: [billing_password]

- name: When the service runs with them
  groundwork.supabase.secret:
    secrets: []
    delivered: [billing_login]

- name: Read the anonymous key
  groundwork.supabase.secret:
    secrets: []
    return_values: [anon_key]
  register: key
  no_log: true

- name: Ask the API
  ansible.builtin.uri:
    url: "https://api.example.com/auth/v1/health"
    headers:
      apikey: "{{ key.encoded.anon_key | b64decode }}"
  no_log: true
"""

RETURN = r"""
secrets:
  description: The secrets of the list, by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the secret.
      type: str
      sample: anon_key
    kind:
      description: Kind of the secret.
      type: str
      sample: jwt
    created:
      description: When its value was written, in UTC.
      type: str
      sample: "2026-11-21T10:15:00+00:00"
    age_days:
      description: Whole days since then.
      type: int
      sample: 12
    state:
      description:
        - What this run did, or would do. V(made) with randomness, V(rotated) because O(rotate) names it, V(given) by
          the inventory, V(derived) from another secret, or V(kept) as it was.
      type: str
      sample: kept
overdue:
  description: Secrets of the list that are older than their O(secrets[].max_age).
  returned: success
  type: list
  elements: str
  sample: [redis_password]
expiring:
  description: Legacy API keys that clients have, and that expire within 30 days. They are not renewed before.
  returned: success
  type: list
  elements: str
  sample: [anon_key]
under_way:
  description: Secrets of O(rotate) that were kept, since their last value is not O(delivered) yet.
  returned: success
  type: list
  elements: str
  sample: [billing_password]
encoded:
  description:
    - Values of the secrets named in O(return_values), in Base64 as M(ansible.builtin.slurp) does it. Ansible would
      mask a value that the inventory gave.
  returned: when O(return_values) names any
  type: dict
"""

import base64
import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.key_ring.documents import (
    API_KEYS,
    LEGACY_API_KEYS,
    RING,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.key_ring.record import read_ring
from ansible_collections.groundwork.supabase.plugins.module_utils.key_ring.ring import LEGACY
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.plan import (
    KINDS,
    Secret,
    Step,
    StoredSecret,
    describe,
    find_delivery_faults,
    find_expiring,
    new_values,
    plan,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.store import SecretStore

SECRET_ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": list(KINDS), "default": "password"},
    "length": {"type": "int"},
    "exact": {"type": "bool", "default": False},
    "immutable": {"type": "bool", "default": False},
    "prefix": {"type": "str", "default": ""},
    "value": {"type": "str", "no_log": True},
    "signing_secret": {"type": "str", "no_log": False},
    "claims": {"type": "dict", "default": {}},
    "lifetime": {"type": "int", "default": 1825},
    "of": {"type": "str"},
    "username": {"type": "str"},
    "max_age": {"type": "int"},
}


def encode(names: list[str], values: dict[str, str], write: bool) -> dict[str, str]:
    missing = [name for name in names if name not in values] if write else []
    Faults.raise_all(
        Fault(f"secret {name}", "it is neither in the list nor in the store", "declare it") for name in missing
    )
    return {name: base64.b64encode(values[name].encode()).decode() for name in names if name in values}


def find_held(stored: Mapping[str, StoredSecret]) -> tuple[str, ...]:
    """Names of what clients were given and the key ring accepts, of the kinds that the legacy secret signs."""
    accepted = RING in stored and read_ring(stored[RING].value).legacy
    return tuple(LEGACY_API_KEYS.values()) if accepted else ()


def find_shut_out_clients(
    steps: Sequence[Step], stored: Mapping[str, StoredSecret], held: Sequence[str]
) -> list[Fault]:
    """Values that the key ring accepts, and that would be replaced without it: clients would be shut out at once."""
    if RING not in stored:
        return []
    kept = dict.fromkeys(API_KEYS.values(), "take its value out of the inventory; playbooks/rotate.yml gives a new one")
    if held:
        remedy = (
            f"put the former value back, or leave it out; playbooks/rotate.yml -e rotate_revoke={LEGACY} gives it up"
        )
        kept.update(dict.fromkeys((LEGACY, *held), remedy))
    return [
        Fault(f"secret {step.secret.name}", "the key ring has another value, which clients use", kept[step.secret.name])
        for step in steps
        if step.secret.name in kept and step.secret.name in stored and step.state in ("given", "rotated")
        if not stored[step.secret.name].unfinished
    ]


def run(params: dict[str, Any], write: bool, dry: bool) -> dict[str, Any]:
    """dry: what an earlier task would have made may be missing."""
    now = datetime.now(timezone.utc).replace(microsecond=0)
    store = SecretStore(params["path"])
    contents = store.read(params["witnesses"])
    declared = [Secret(**entry) for entry in params["secrets"]]
    held = find_held(contents.secrets)
    steps = plan(declared, contents.secrets, now, contents.faults, params["rotate"], held)
    Faults.raise_all(find_shut_out_clients(steps, contents.secrets, held))
    Faults.raise_all([] if dry else find_delivery_faults(params["delivered"], contents.secrets))
    renewed = {step.secret.name for step in steps if step.state != "kept"}
    delivered = [
        name
        for name, secret in contents.secrets.items()
        if name in params["delivered"] and name not in renewed and secret.is_under_way
    ]
    notes = [*contents.repairs, *(f"{name}: delivered" for name in delivered)]
    result = describe(steps, contents.secrets, notes, now)
    result["expiring"] = find_expiring(steps, contents.secrets, held, now)
    values = {name: secret.value for name, secret in contents.secrets.items()}
    if result["changed"] and write:
        written = new_values(steps, contents.secrets, now, os.urandom)
        store.write(contents, steps, written, now, delivered)
        values.update(written)
    if params["return_values"]:
        result["encoded"] = encode(params["return_values"], values, write or not result["changed"])
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/groundwork/secrets"},
            "secrets": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "no_log": False,
                "options": SECRET_ARGUMENTS,
            },
            "rotate": {"type": "list", "elements": "str", "default": []},
            "delivered": {"type": "list", "elements": "str", "default": []},
            "witnesses": {"type": "list", "elements": "path", "default": []},
            "return_values": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module.params, write=False, dry=module.check_mode)
        if result["changed"] and not module.check_mode:
            # Read again under the lock: another run may have been first.
            with SecretStore(module.params["path"]).lock():
                result = run(module.params, write=True, dry=False)
    except GroundworkError as error:
        module.fail_json(msg=str(error))
    if result["overdue"]:
        module.warn(f"older than their max_age: {', '.join(result['overdue'])}; rotate them")
    if result["expiring"]:
        names = ", ".join(result["expiring"])
        module.warn(f"expire within 30 days, and clients have them: {names}; give those publishable_key and secret_key")
    if result["under_way"]:
        module.warn(f"kept, since services are still on their way to the last value: {', '.join(result['under_way'])}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
