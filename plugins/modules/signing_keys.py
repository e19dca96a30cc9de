#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module groundwork.supabase.signing_keys."""

from __future__ import annotations

DOCUMENTATION = r"""
module: signing_keys
short_description: Rotate the keys that sign tokens, and the API keys, with nobody logged out
version_added: 0.2.0
description:
  - Keeps a ring of keys in the store of M(groundwork.supabase.secret) on the host. It has three chains, the keys that
    sign tokens (ES256, and the legacy HS256 secret), the publishable and the secret API keys.
  - In each chain a key goes from V(standby), which services accept and nothing uses yet, to V(active), V(retired),
    which is still accepted, and V(revoked). Exactly one key of a chain is active.
  - The first run takes over C(jwt_secret), C(publishable_key) and C(secret_key) where the store has them.
    What is missing is made.
  - Services get secrets of the store that are computed from the ring. C(jwt_keys) is for Auth, C(jwt_jwks) for all who
    verify, C(jwt_hmac_secret) for those that demand an HS256 secret beside it, C(anon_token) and
    C(service_role_token) are what the gateway puts in the place of API keys, C(api_keys) maps every accepted API key
    to its database role, and C(publishable_key) and C(secret_key) are the active API keys. Templates name them as
    C(${secret:NAME}).
  - A rotation is O(step=publish), O(step=switch), O(step=drop), with a deployment of the services after each, which
    O(delivered) confirms. A step is refused while it would refuse a token or a key that is still good, and a step
    that was taken already changes nothing. So a rotation can be stopped anywhere and gone on with.
  - Keys under which data is encrypted (Vault root key, C(vault_enc_key), C(realtime_db_enc_key),
    C(pg_meta_crypto_key)) are refused.
requirements:
  - cryptography (Python package on the host; C(python3-cryptography) on Debian and Ubuntu)
extends_documentation_fragment:
  - groundwork.supabase.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: The diff has states and names of keys, never a key.
  idempotent:
    support: full
options:
  path:
    description: Folder that holds the secrets.
    type: path
    default: /etc/groundwork/secrets
  state:
    description:
      - V(present) makes the ring where there is none, and computes anew what services get of it.
      - A role's token is signed anew 30 days before it expires.
    type: str
    choices: [present]
    default: present
  chain:
    description: The chain that O(step) is about, V(signing), V(publishable) or V(secret).
    type: str
    default: signing
  step:
    description:
      - V(publish) makes a new key that services accept and nothing uses yet. While a rotation is under way it changes
        nothing.
      - V(switch) makes the new key the active one. The former is accepted on, without its private half.
      - V(drop) revokes retired keys whose time is over.
    type: str
    choices: [publish, switch, drop]
  delivered:
    description:
      - The RV(serial) with which all services have been deployed. Waiting starts when this is confirmed.
      - Refused where the ring has changed since.
    type: int
  revoke:
    description:
      - Name of a key to revoke at once, whatever its state, RV(keys[].kid). Another key takes an active one's place.
      - V(jwt_hmac_secret) is replaced, once the legacy secret is gone; again by each run that names it.
      - Services accept it until they are deployed.
    type: str
  consent:
    description:
      - Whether users and clients may be shut out. O(revoke) of a key that was used needs it, and so does O(step=drop)
        of the legacy secret, with which API keys die that clients were shipped with, and signed URLs of Storage.
    type: bool
    default: false
  max_token_life:
    description: Seconds that a user's token lives at most, as Auth is told (C(GOTRUE_JWT_EXP)).
    type: int
    default: 3600
  overlap:
    description: Seconds that a retired API key is accepted on.
    type: int
    default: 604800
  propagation:
    description:
      - Seconds that others may keep a copy of Auth's public keys. A new signing key waits for so long before it signs.
    type: int
    default: 600
  witnesses:
    description:
      - Paths on the host that exist only where secrets are in use, such as the folder of the database.
      - When one of them exists and the store is empty, the store was lost, and the module refuses to fill it anew.
    type: list
    elements: path
    default: []
seealso:
  - module: groundwork.supabase.secret
  - module: groundwork.supabase.release
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: Make or keep the ring
  groundwork.supabase.signing_keys:
    max_token_life: 3600
  register: ring

# The services are deployed here.

- name: Every service runs with the ring
  groundwork.supabase.signing_keys:
    delivered: "{{ ring.serial }}"

- name: Publish a new signing key
  groundwork.supabase.signing_keys:
    step: publish
  register: ring

# The services are deployed and the serial is confirmed after each step; RV(next) says how long to wait before the next.

- name: Sign with it
  groundwork.supabase.signing_keys:
    step: switch

- name: Drop the former key
  groundwork.supabase.signing_keys:
    step: drop

- name: Publish a new secret API key, the former of which will be accepted for a day
  groundwork.supabase.signing_keys:
    chain: secret
    step: publish
    overlap: 86400

- name: A key was stolen
  groundwork.supabase.signing_keys:
    revoke: cn-IWNMClehiVp51i0VpOENW1upEerA8sEam5hn-s
    consent: true
"""

RETURN = r"""
ansible_facts:
  description: C(supabase_keys_serial), RV(serial) for whoever confirms the deployment later in the play.
  returned: success
  type: dict
  sample: {supabase_keys_serial: 4}
serial:
  description: Number of the ring's present form, to be confirmed with O(delivered) after a deployment.
  returned: success
  type: int
  sample: 4
keys:
  description: The keys, oldest first. Revoked ones are listed without what they were.
  returned: success
  type: list
  elements: dict
  contains:
    chain:
      description: Chain of the key.
      type: str
      sample: signing
    kid:
      description:
        - Name of the key. For ES256 it is the key's thumbprint (RFC 7638) and stands in tokens; the legacy secret is
          called C(jwt_secret).
      type: str
      sample: cn-IWNMClehiVp51i0VpOENW1upEerA8sEam5hn-s
    kind:
      description: V(ES256), V(HS256) or, for API keys, V(opaque).
      type: str
      sample: ES256
    state:
      description: V(standby), V(active), V(retired) or V(revoked).
      type: str
      sample: active
    created:
      description: When the key was made or taken over, in UTC.
      type: str
      sample: "2026-11-21T10:15:00+00:00"
    since:
      description: When it came into its state.
      type: str
      sample: "2026-11-21T10:40:00+00:00"
    delivered:
      description: When every service knew of that, or V(null).
      type: str
      sample: "2026-11-21T10:42:00+00:00"
next:
  description: What the ring needs next, at most one entry for each chain. It is empty when no rotation is under way.
  returned: success
  type: list
  elements: dict
  contains:
    chain:
      description: Chain of keys.
      type: str
      sample: signing
    step:
      description: V(deliver), which is a deployment and its confirmation, V(switch) or V(drop).
      type: str
      sample: switch
    not_before:
      description: When the step is allowed, in UTC.
      type: str
      sample: "2026-11-21T10:52:00+00:00"
    wait:
      description: Seconds until then.
      type: int
      sample: 540
    consent:
      description: Whether the step needs O(consent), since it shuts clients out.
      type: bool
      sample: false
logged_out:
  description: Who is refused because of this run, in words.
  returned: success
  type: list
  elements: str
  sample: []
secrets:
  description: Names of secrets of the store that this run wrote, or would write. Their services need a deployment.
  returned: success
  type: list
  elements: str
  sample: [anon_token, jwt_jwks, jwt_keys, key_ring, service_role_token]
"""

import os
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.key_ring.documents import (
    RING,
    Document,
    derive,
    find_store_faults,
    new_hmac_secret,
    new_key,
    new_ring,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.key_ring.es256 import MissingLibrary
from ansible_collections.groundwork.supabase.plugins.module_utils.key_ring.record import read_ring, write_ring
from ansible_collections.groundwork.supabase.plugins.module_utils.key_ring.report import describe
from ansible_collections.groundwork.supabase.plugins.module_utils.key_ring.ring import (
    HMAC,
    SIGNING,
    TRANSITIONS,
    Key,
    Policy,
    Ring,
    confirm_delivery,
    find_ring_faults,
    keep_policy,
    replace_hmac_secret,
    revoke,
    take_step,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.plan import Secret, Step
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.store import Contents, SecretStore


def load(contents: Contents, now: datetime) -> Ring | None:
    """The ring of the store, None where there is none yet."""
    Faults.raise_all(contents.faults)
    if RING in contents.secrets:
        ring = read_ring(contents.secrets[RING].value)
        finished = {name: there.value for name, there in contents.secrets.items() if not there.unfinished}
        Faults.raise_all([*find_ring_faults(ring, now), *find_store_faults(ring, finished)])
        return ring
    if "jwt_keys" in contents.secrets and not contents.secrets["jwt_keys"].unfinished:
        cause = "it is gone, but what was computed from it is there"
        raise Faults([Fault(f"secret {RING}", cause, "restore the store from the backup")])
    return None


def policy_of(params: dict[str, Any]) -> Policy:
    """The waiting times that were asked for."""
    names = {"token_life": "max_token_life", "overlap": "overlap", "propagation": "propagation"}
    least = {"token_life": 1, "overlap": 0, "propagation": 0}
    Faults.raise_all(
        Fault(option, f"{params[option]} seconds are too few", f"give {least[name]} or more")
        for name, option in names.items()
        if params[option] < least[name]
    )
    return Policy(**{name: params[option] for name, option in names.items()})


def advance(ring: Ring, params: dict[str, Any], now: datetime) -> Ring:
    """The ring after what was asked for."""
    policy = policy_of(params)

    def make(chain: str) -> Key:
        return new_key(chain, now, os.urandom)

    before = ring = keep_policy(ring, policy)
    if params["delivered"] is not None:
        ring = confirm_delivery(ring, params["delivered"], now)
    if params["revoke"] == HMAC:
        ring = replace_hmac_secret(ring, new_hmac_secret(os.urandom), params["consent"])
    elif params["revoke"] is not None:
        ring = revoke(ring, params["revoke"], policy, now, make, params["consent"])
    if params["step"]:
        ring = take_step(ring, params["chain"], params["step"], policy, now, make, params["consent"])
    if before.legacy and not ring.legacy:
        # The one made with the ring has been in every backup since, and whoever took the legacy secret may have it too.
        ring = replace(ring, hmac_secret=new_hmac_secret(os.urandom))
    return keep_policy(ring, policy)


def run(params: dict[str, Any], write: bool) -> dict[str, Any]:
    now = datetime.now(timezone.utc).replace(microsecond=0)
    store = SecretStore(params["path"])
    contents = store.read(params["witnesses"])
    values = {name: there.value for name, there in contents.secrets.items()}
    before = load(contents, now)
    after = advance(before or new_ring(values, now, os.urandom), params, now)
    # The ring goes first: what is computed from it can be computed again by the next run.
    documents = {RING: Document("key_ring", write_ring(after)), **derive(after, values, now)}
    written = {
        name: document
        for name, document in documents.items()
        if values.get(name) != document.value or contents.secrets[name].unfinished
    }
    if write and (written or contents.repairs):
        steps = [Step(Secret(name, document.kind), "derived") for name, document in written.items()]
        store.write(contents, steps, {name: document.value for name, document in written.items()}, now)
    return {
        "changed": bool(written or contents.repairs),
        "secrets": sorted(written),
        **describe(before, after, policy_of(params), now, contents.repairs),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/groundwork/secrets"},
            "state": {"type": "str", "choices": ["present"], "default": "present"},
            "chain": {"type": "str", "default": SIGNING},
            "step": {"type": "str", "choices": list(TRANSITIONS)},
            "delivered": {"type": "int"},
            "revoke": {"type": "str"},
            "consent": {"type": "bool", "default": False},
            "max_token_life": {"type": "int", "default": 3600, "no_log": False},
            "overlap": {"type": "int", "default": 604800},
            "propagation": {"type": "int", "default": 600},
            "witnesses": {"type": "list", "elements": "path", "default": []},
        },
        mutually_exclusive=[("step", "delivered", "revoke")],
        supports_check_mode=True,
    )
    try:
        result = run(module.params, write=False)
        if result["changed"] and not module.check_mode:
            # Read again under the lock: another run may have been first.
            with SecretStore(module.params["path"]).lock():
                result = run(module.params, write=True)
    except MissingLibrary as error:
        # A dry run comes before the library is installed as well: then everything is still to come.
        if not module.check_mode:
            module.fail_json(msg=str(error))
        module.warn(f"{error}; taken as a ring that is not there yet")
        result = {"changed": True, "serial": 1, "keys": [], "next": [], "logged_out": [], "secrets": []}
    except GroundworkError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result, ansible_facts={"supabase_keys_serial": result["serial"]})


if __name__ == "__main__":
    main()
