# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every transition of the key ring and every refusal, and what no order of steps and deployments may break."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.key_ring.ring import (
    CHAINS,
    LEEWAY,
    PUBLISHABLE,
    SECRET,
    SIGNING,
    Key,
    Policy,
    Ring,
    confirm_delivery,
    find_ring_faults,
    is_under_way,
    keep_policy,
    next_step,
    revoke,
    shut_out,
    take_step,
)
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
POLICY = Policy(token_life=3600, overlap=86400, propagation=600)
LIFE = timedelta(seconds=3600)


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def key(kid, state, chain=SIGNING, delivered=0, **members):
    """A key that came into its state at NOW; every service knew ``delivered`` seconds later, or does not (None)."""
    known = None if delivered is None else at(delivered)
    kind = members.pop("kind", "ES256" if chain == SIGNING else "opaque")
    value = {"x": kid, "d": "private"} if chain == SIGNING else {"key": kid}
    life = 3600 if state in ("active", "retired") and chain == SIGNING else 0
    return Key(chain, kid, kind, state, NOW, NOW, known, life, {} if state == "revoked" else value)


def ring(*signing, publishable=(), secret=()):
    """A ring of the given keys; a chain without any has one that is active."""
    keys = [*(signing or [key("a", "active")])]
    keys += publishable or [key("p", "active", PUBLISHABLE)]
    keys += secret or [key("s", "active", SECRET)]
    return Ring(7, tuple(keys), "stand-in")


def maker(now=NOW):
    def make(chain):
        return replace(key(f"new_{chain}", "standby", chain, None), created=now, since=now)

    return make


def step(before, name, seconds=0, chain=SIGNING, consent=False):
    return take_step(before, chain, name, POLICY, at(seconds), maker(at(seconds)), consent)


def states(of, chain=SIGNING):
    return {entry.kid: entry.state for entry in of.keys if entry.chain == chain}


LEGACY = key("jwt_secret", "active", kind="HS256")
LEGACY_RETIRED = key("jwt_secret", "retired", kind="HS256")


@pytest.mark.parametrize(
    ("name", "seconds", "before", "after"),
    [
        ("publish", 0, [key("a", "active")], {"a": "active", "new_signing": "standby"}),
        ("publish", 0, [LEGACY], {"jwt_secret": "active", "new_signing": "standby"}),
        # The legacy secret stays as long as clients need it, and hinders nothing once no user's token needs it.
        (
            "publish",
            3660,
            [LEGACY_RETIRED, key("a", "active")],
            {"jwt_secret": "retired", "a": "active", "new_signing": "standby"},
        ),
        ("switch", 600, [key("a", "active"), key("b", "standby")], {"a": "retired", "b": "active"}),
        ("switch", 600, [LEGACY, key("b", "standby")], {"jwt_secret": "retired", "b": "active"}),
        ("drop", 3660, [key("a", "retired"), key("b", "active")], {"a": "revoked", "b": "active"}),
        # What is due goes, what is not stays, and so does the legacy secret without consent.
        (
            "drop",
            3660,
            [LEGACY_RETIRED, key("a", "retired"), key("b", "retired", delivered=1), key("c", "active")],
            {"jwt_secret": "retired", "a": "revoked", "b": "retired", "c": "active"},
        ),
    ],
)
def test_a_step_is_taken(name, seconds, before, after):
    old = ring(*before)
    new = step(old, name, seconds)
    assert states(new) == after
    assert new.serial == old.serial + 1
    assert not find_ring_faults(new, at(seconds))
    changed = [entry for entry in new.keys if entry not in old.keys]
    assert {entry.since for entry in changed} == {at(seconds)} and {entry.delivered for entry in changed} == {None}
    # Other chains are as they were.
    assert [entry for entry in new.keys if entry.chain != SIGNING] == [e for e in old.keys if e.chain != SIGNING]


@pytest.mark.parametrize(
    ("name", "seconds", "before", "reason"),
    [
        ("switch", 0, [key("a", "active")], "no new key is published; take step publish first"),
        ("switch", 900, [key("a", "active"), key("b", "standby", delivered=None)], "nobody has confirmed"),
        ("switch", 599, [key("a", "active"), key("b", "standby")], "wait until 2026-11-21T00:10:00+00:00"),
        ("drop", 9999, [key("a", "retired", delivered=None), key("b", "active")], "nobody has confirmed"),
        ("drop", 3659, [key("a", "retired"), key("b", "active")], "wait until 2026-11-21T01:01:00+00:00"),
        ("drop", 99999, [LEGACY_RETIRED, key("b", "active")], "legacy anon_key or service_role_key, for good"),
    ],
)
def test_a_step_is_refused(name, seconds, before, reason):
    with pytest.raises(Faults, match=reason.replace("+", r"\+")):
        step(ring(*before), name, seconds)


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("publish", [key("a", "active"), key("b", "standby", delivered=None)]),
        ("publish", [key("a", "active"), key("b", "standby")]),
        ("publish", [key("a", "retired"), key("b", "active")]),
        ("publish", [LEGACY_RETIRED, key("b", "active")]),
        ("switch", [key("a", "retired"), key("b", "active")]),
        ("drop", [key("a", "active")]),
        ("drop", [key("a", "revoked"), key("b", "active")]),
    ],
)
def test_a_step_that_was_taken_changes_nothing(name, before):
    assert step(ring(*before), name) == ring(*before)


def test_the_legacy_secret_is_dropped_with_consent_but_not_early():
    before = ring(LEGACY_RETIRED, key("a", "active"))
    with pytest.raises(Faults, match="wait until"):
        step(before, "drop", 3659, consent=True)
    after = step(before, "drop", 3660, consent=True)
    assert states(after) == {"jwt_secret": "revoked", "a": "active"} and after.legacy is None


def test_api_keys_need_no_propagation_and_wait_for_the_overlap():
    before = ring(secret=[key("s", "active", SECRET), key("t", "standby", SECRET, 5)])
    with pytest.raises(Faults):
        step(before, "switch", 4, SECRET)
    switched = step(before, "switch", 5, SECRET)
    assert states(switched, SECRET) == {"s": "retired", "t": "active"}
    delivered = confirm_delivery(switched, 8, at(10))
    with pytest.raises(Faults, match="wait until"):
        step(delivered, "drop", 10 + 86399, SECRET)
    assert states(step(delivered, "drop", 10 + 86400, SECRET), SECRET) == {"s": "revoked", "t": "active"}


def test_the_longest_life_that_a_key_signed_for_counts():
    longer = keep_policy(ring(), replace(POLICY, token_life=9000))
    signer = keep_policy(longer, POLICY).active(SIGNING)
    assert signer.token_life == 9000
    before = ring(replace(signer, state="retired"), key("b", "active"))
    with pytest.raises(Faults, match="wait until"):
        step(before, "drop", 9059)
    assert states(step(before, "drop", 9060))["a"] == "revoked"


def test_a_retired_key_loses_its_private_half_and_a_revoked_one_everything():
    retired = step(ring(key("a", "active"), key("b", "standby")), "switch", 600)
    assert retired.of(SIGNING, "retired")[0].value == {"x": "a"}
    assert retired.active(SIGNING).value == {"x": "b", "d": "private"}
    dropped = step(confirm_delivery(retired, 8, at(600)), "drop", 9999)
    assert dropped.of(SIGNING, "revoked")[0].value == {}


@pytest.mark.parametrize(
    ("kid", "before", "after", "lost"),
    [
        ("a", [key("a", "active")], {"a": "revoked", "new_signing": "active"}, 1),
        # What services know already is taken rather than a new one.
        ("a", [key("a", "active"), key("b", "standby")], {"a": "revoked", "b": "active"}, 1),
        ("b", [key("a", "active"), key("b", "standby")], {"a": "active", "b": "revoked"}, 0),
        ("a", [key("a", "retired"), key("b", "active")], {"a": "revoked", "b": "active"}, 1),
        ("jwt_secret", [LEGACY], {"jwt_secret": "revoked", "new_signing": "active"}, 4),
        ("jwt_secret", [LEGACY_RETIRED, key("a", "active")], {"jwt_secret": "revoked", "a": "active"}, 4),
    ],
)
def test_a_key_is_revoked_at_once(kid, before, after, lost):
    old = ring(*before)
    (target,) = [entry for entry in old.keys if entry.kid == kid]
    assert len(shut_out(target, POLICY, at(1))) == lost
    if lost:
        with pytest.raises(Faults, match="without it are refused"):
            revoke(old, kid, POLICY, at(1), maker(at(1)), consent=False)
    new = revoke(old, kid, POLICY, at(1), maker(at(1)), consent=True)
    assert states(new) == after and new.serial == old.serial + 1
    assert not find_ring_faults(new, at(1))
    (gone,) = [entry for entry in new.keys if entry.kid == kid]
    assert gone.value == {} and gone.delivered is None
    assert next_step(new, SIGNING, POLICY, at(1)).step == "deliver"
    assert revoke(new, kid, POLICY, at(2), maker(), consent=False) == new


def test_a_retired_key_whose_time_is_over_is_revoked_without_consent():
    new = revoke(ring(key("a", "retired"), key("b", "active")), "a", POLICY, at(3660), maker(), consent=False)
    assert states(new) == {"a": "revoked", "b": "active"}


def test_an_unknown_key_is_refused_with_the_names_of_those_there_are():
    with pytest.raises(Faults, match="choose one of a, p, s"):
        revoke(ring(), "z", POLICY, NOW, maker(), consent=True)


@pytest.mark.parametrize("name", ["vault_enc_key", "REALTIME_DB_ENC_KEY", "pg_meta_crypto_key", "pgsodium_root_key"])
def test_encryption_keys_are_refused(name):
    with pytest.raises(Faults, match="encrypted under it"):
        revoke(ring(), name, POLICY, NOW, maker(), consent=True)
    for what in ("publish", "switch", "drop"):
        with pytest.raises(Faults, match="encrypted under it"):
            step(ring(), what, chain=name)


def test_an_unknown_chain_is_refused():
    with pytest.raises(Faults, match="choose one of signing, publishable, secret"):
        step(ring(), "publish", chain="database")


def test_a_delivery_of_another_serial_is_refused():
    before = step(ring(), "publish")
    with pytest.raises(Faults, match="serial 7 was deployed, but the ring is at 8"):
        confirm_delivery(before, 7, NOW)
    once = confirm_delivery(before, 8, at(5))
    assert once.of(SIGNING, "standby")[0].delivered == at(5)
    # Said again later, it does not start the wait anew.
    assert confirm_delivery(once, 8, at(500)) == once


@pytest.mark.parametrize(
    ("signing", "seconds", "expected"),
    [
        ([key("a", "active")], 0, None),
        ([key("a", "active", delivered=None)], 5, ("deliver", 5, False)),
        ([key("a", "active"), key("b", "standby", delivered=None)], 5, ("deliver", 5, False)),
        ([key("a", "active"), key("b", "standby")], 5, ("switch", 600, False)),
        ([key("a", "retired"), key("b", "active")], 5, ("drop", 3660, False)),
        ([key("a", "revoked", delivered=None), key("b", "active")], 5, ("deliver", 5, False)),
        ([key("a", "revoked"), key("b", "active")], 5, None),
        ([LEGACY_RETIRED, key("b", "active")], 5, ("drop", 3660, True)),
        ([LEGACY_RETIRED, key("a", "retired", delivered=9), key("b", "active")], 5, ("drop", 3669, False)),
    ],
)
def test_the_next_step(signing, seconds, expected):
    found = next_step(ring(*signing), SIGNING, POLICY, at(seconds))
    wanted = expected and (expected[0], at(expected[1]), expected[2])
    assert (found and (found.step, found.not_before, found.consent)) == wanted


@pytest.mark.parametrize(
    ("broken", "cause"),
    [
        (ring(key("a", "retired")), "0 are active"),
        (ring(key("a", "active"), key("b", "active")), "2 are active"),
        (ring(key("a", "active"), key("a", "retired")), "more than once"),
        (ring(replace(key("a", "active"), since=at(3600))), "the host's clock says"),
    ],
)
def test_what_no_ring_may_be(broken, cause):
    assert [fault for fault in find_ring_faults(broken, NOW) if cause in fault.cause]


class Walk(RuleBasedStateMachine):
    """Steps, deployments, waiting and issuing in any order, by somebody who knows nothing of rotations.

    Services have the ring that they were last deployed with, each its own. ``auth`` signs, the others verify. A token
    is lost when a verifier refuses it before it expires.
    """

    VERIFIERS = ("auth", "rest", "realtime")

    @initialize(legacy=st.booleans(), may_revoke=st.sampled_from([False, False, True]))
    def begin(self, legacy, may_revoke):
        self.may_revoke = may_revoke
        self.now = NOW
        self.made = 0
        self.emergency = False
        self.revoked = set()
        first = LEGACY if legacy else key("first", "active")
        self.ring = keep_policy(ring(replace(first, delivered=None)), POLICY)
        self.services = dict.fromkeys(self.VERIFIERS, self.ring)
        self.tokens = set()

    def make(self, chain):
        self.made += 1
        return replace(key(f"{chain}_{self.made}", "standby", chain, None), created=self.now, since=self.now)

    def attempt(self, change):
        try:
            self.ring = keep_policy(change(), POLICY)
        except Faults:
            return

    @rule(chain=st.sampled_from([SIGNING, SIGNING, SECRET]), name=st.sampled_from(["publish", "switch", "drop"]))
    def take(self, chain, name):
        self.attempt(lambda: take_step(self.ring, chain, name, POLICY, self.now, self.make))

    @rule(eager=st.booleans())
    def go_on(self, eager):
        """What a playbook would do; an eager one does not wait."""
        advice = next_step(self.ring, SIGNING, POLICY, self.now)
        if advice is not None and advice.step == "deliver":
            return self.deploy_all(confirmed=True)
        name = advice.step if advice else "publish"
        if advice and not eager:
            self.pass_time(max(timedelta(), advice.not_before - self.now))
        self.attempt(lambda: take_step(self.ring, SIGNING, name, POLICY, self.now, self.make))

    @rule(service=st.sampled_from(VERIFIERS))
    def deploy_one(self, service):
        # In an emergency those that verify are deployed before the one that signs.
        if service == "auth" and self.emergency and any(self.services[v] != self.ring for v in self.VERIFIERS[1:]):
            return
        self.services[service] = self.ring

    @rule(confirmed=st.booleans())
    def deploy_all(self, confirmed):
        self.services = dict.fromkeys(self.VERIFIERS, self.ring)
        if confirmed:
            self.confirm()

    @rule()
    def confirm_late(self):
        """Confirm what the services were deployed with, which may not be the ring any more."""
        if len({held.serial for held in self.services.values()}) == 1:
            self.confirm()

    def confirm(self):
        deployed = self.services["auth"]
        self.attempt(lambda: confirm_delivery(self.ring, deployed.serial, self.now))
        if deployed.serial == self.ring.serial:
            self.emergency = False

    @rule(seconds=st.sampled_from([1, 599, 601, 3000, 3599, 3661]))
    def wait(self, seconds):
        self.pass_time(timedelta(seconds=seconds))

    def pass_time(self, duration):
        # Auth issues tokens all the time; the last one of every stretch outlives the others.
        self.now += duration
        self.tokens.add((self.services["auth"].active(SIGNING).kid, self.now + LIFE))
        self.tokens = {token for token in self.tokens if token[1] > self.now}

    @precondition(lambda self: self.may_revoke)
    @rule(index=st.integers(min_value=0, max_value=20))
    def revoke_one(self, index):
        kids = [entry.kid for entry in self.ring.of(SIGNING, "standby", "active", "retired")]
        kid = kids[index % len(kids)]
        self.attempt(lambda: revoke(self.ring, kid, POLICY, self.now, self.make, consent=True))
        self.revoked.add(kid)
        self.emergency = True

    @invariant()
    def exactly_one_key_is_active(self):
        for chain in CHAINS:
            assert len(self.ring.of(chain, "active")) == 1
        assert not find_ring_faults(self.ring, self.now)

    @invariant()
    def no_good_token_is_refused(self):
        for service, held in self.services.items():
            accepted = {entry.kid for entry in held.of(SIGNING, "standby", "active", "retired")}
            for kid, expires in self.tokens:
                assert kid in accepted or kid in self.revoked or expires <= self.now, (service, kid)

    @invariant()
    def an_active_api_key_is_accepted_everywhere_it_was_given_out(self):
        for chain in (PUBLISHABLE, SECRET):
            # Studio and functions are given it with one deployment, the gateway has another.
            given_out = {held.active(chain).kid for held in self.services.values()}
            for held in self.services.values():
                assert given_out <= {entry.kid for entry in held.of(chain, "standby", "active", "retired")}

    @invariant()
    def private_halves_are_with_those_that_may_sign(self):
        for entry in self.ring.of(SIGNING, "retired", "revoked"):
            assert "d" not in entry.value

    @invariant()
    def the_walk_goes_on(self):
        """Whatever happened, following the advice ends the rotation."""
        walk, now = self.ring, self.now
        for _step in range(12):
            advice = next_step(walk, SIGNING, POLICY, now)
            if advice is None:
                break
            now = max(now, advice.not_before)
            if advice.step == "deliver":
                walk = confirm_delivery(walk, walk.serial, now)
            else:
                walk = take_step(walk, SIGNING, advice.step, POLICY, now, self.make, advice.consent)
        assert next_step(walk, SIGNING, POLICY, now) is None
        assert not is_under_way(walk, SIGNING, POLICY, now)


Walk.TestCase.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)
TestWalk = Walk.TestCase


def test_the_leeway_outlasts_the_skew_that_services_allow():
    assert timedelta(seconds=30) < LEEWAY < LIFE
