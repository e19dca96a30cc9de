# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Login names that take turns: whatever happens in between, the login that services have keeps its password."""

from __future__ import annotations

import os
import tempfile
from datetime import datetime, timezone
from pathlib import Path

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets import store as stores
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.plan import Secret, new_values, plan
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.store import SecretStore
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.turns import Turn, login_name
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.values import seal
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
LOGIN = Secret("login", "turn", of="password", username="billing")
GIVEN = ["kR7vZq2LmX9pTw4BsN8c", "Jt4fVq8ZkP2sXw6BnR9c", "Yh5sJ0pFu9EoAi3ZxKt6"]


class Host:
    """A store, and what a database would have of it."""

    def __init__(self, folder):
        self.store = SecretStore(str(folder))
        self.roles = {}
        self.services = None

    def keep(self, rotate=(), value=None):
        """The module's run. Returns what was done about the password and the login."""
        contents = self.store.read()
        secrets = [LOGIN, Secret("password", "password", value=value)]
        steps = plan(secrets, contents.secrets, NOW, contents.faults, rotate)
        self.store.write(contents, steps, new_values(steps, contents.secrets, NOW, os.urandom), NOW)
        return {step.secret.name: step.state for step in steps}

    def pair(self):
        found = self.store.read().secrets
        return found["login"].value, found["password"].value

    def change_roles(self):
        login, password = self.pair()
        self.roles[login] = password

    def deliver(self):
        self.change_roles()
        self.services = self.pair()
        self.store.write(self.store.read(), [], {}, NOW, ["login"])


@pytest.fixture
def host(tmp_path):
    made = Host(tmp_path / "secrets")
    with made.store.lock():
        pass
    return made


def test_each_delivered_password_has_the_other_login(host):
    host.keep()
    logins = [host.pair()[0]]
    for _change in range(3):
        host.deliver()
        assert host.keep() == {"password": "kept", "login": "kept"}
        assert host.keep(rotate=["password"]) == {"password": "rotated", "login": "derived"}
        logins.append(host.pair()[0])
    assert logins == ["billing_a", "billing_b", "billing_a", "billing_b"]


def test_a_password_on_its_way_is_not_rotated_again(host):
    host.keep()
    assert host.keep(rotate=["password"])["password"] == "kept"
    host.deliver()
    host.keep(rotate=["password"])
    before = host.pair()
    assert host.keep(rotate=["password"]) == {"password": "kept", "login": "kept"}
    assert host.pair() == before


def test_a_given_password_that_changes_on_its_way_leaves_the_services_theirs(host):
    host.keep(value=GIVEN[0])
    host.deliver()
    pairs = []
    for value in (GIVEN[1], GIVEN[2], GIVEN[0]):
        host.keep(value=value)
        pairs.append(host.pair())
    assert pairs == [("billing_b", GIVEN[1]), ("billing_b", GIVEN[2]), ("billing_a", GIVEN[0])]


def test_a_login_of_another_name_begins_anew():
    delivered = Turn("old_b", seal("x"))
    assert login_name("billing", "x", "old_b", delivered) == "billing_a"
    assert login_name("billing", "x", "billing_b", delivered) == login_name("billing", "x", "billing_b") == "billing_b"


@pytest.mark.parametrize(
    "login",
    [
        Secret("login", "turn", username="billing"),
        Secret("login", "turn", of="password"),
        Secret("login", "turn", of="password", username="a b"),
        Secret("login", "turn", of="password", username="x" * 62),
        Secret("login", "turn", of="gone", username="billing"),
        Secret("login", "turn", of="password", username="billing", value="billing_a"),
    ],
)
def test_a_turn_that_cannot_be_taken_is_refused(login):
    with pytest.raises(Faults) as raised:
        plan([login, Secret("password", "password")], {}, NOW)
    assert len(raised.value.faults) == 1


class Killed(BaseException):
    pass


def killed_after(count):
    """In place of os.replace: the process ends before one of the next replacements."""
    left = [count]

    def replace(source, target, real=os.rename):
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        real(source, target)

    return replace


EVENTS = st.one_of(
    st.tuples(st.just("rotate"), st.integers(0, 5)),
    st.tuples(st.sampled_from(["give 0", "give 1", "keep"]), st.integers(0, 5)),
    st.tuples(st.sampled_from(["change roles", "deliver"]), st.just(5)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(EVENTS, max_size=12))
def test_what_services_log_in_with_is_never_changed(events):
    """Whatever is rotated, given, killed and left undone, in any order, until everything was deployed again."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        host = Host(Path(folder))
        host.keep()
        host.deliver()
        for event, killed in events:
            patch.setattr(stores.os, "replace", killed_after(killed))
            try:
                if event == "rotate":
                    host.keep(rotate=["password"])
                elif event.startswith("give"):
                    host.keep(value=GIVEN[int(event[-1])])
                elif event == "keep":
                    host.keep()
                else:
                    # A play that was killed begins with this again.
                    host.keep()
                    host.change_roles() if event == "change roles" else host.deliver()
            except Killed:
                pass
            login, password = host.services
            assert host.roles[login] == password
            assert host.store.read().faults == ()
