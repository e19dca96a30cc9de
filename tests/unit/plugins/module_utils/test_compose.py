# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.release import compose
from ansible_collections.groundwork.supabase.plugins.module_utils.secrets.placeholders import (
    mask,
    secret_names,
    substitute,
)

SECRETS = {"jwt_secret": "s3cr3t-value-of-forty-characters", "password": "p@ss/word's"}
NETWORKS = {"services": {"name": "services"}, "data": {"name": "data", "internal": True}}


def unit(**services):
    return compose.build_unit("supabase", services, NETWORKS, {"db-data": {}})


def auth(**more):
    return {
        "image": "registry/auth:1",
        "networks": {"services": {"aliases": ["a"]}, "data": {}},
        "environment": {"PORT": 9999, "DEBUG": False, "SECRET": "${secret:jwt_secret}"},
        "files": {"/etc/auth.conf": {"content": "key = ${secret:jwt_secret}\n"}, "/etc/plain": {"content": "x"}},
        **more,
    }


def document(*args, secrets=None, **services):
    return compose.document(unit(**services), "/opt", SECRETS if secrets is None else secrets)


def test_an_environment_entry_with_a_secret_leaves_the_compose_file():
    entry = document(auth=auth())["services"]["auth"]
    assert entry["environment"] == {"PORT": "9999", "DEBUG": "false"}
    assert [path.startswith("/opt/store/auth-environment-") for path in entry["env_file"]] == [True]
    assert SECRETS["jwt_secret"] not in str(entry)


def test_files_are_mounted_read_only_by_content():
    mounts = {mount["target"]: mount for mount in document(auth=auth())["services"]["auth"]["volumes"]}
    assert set(mounts) == {"/etc/auth.conf", "/etc/plain"}
    assert all(mount["read_only"] and mount["type"] == "bind" for mount in mounts.values())
    assert mounts["/etc/auth.conf"]["source"].endswith(".conf")


def test_only_the_service_whose_content_changed_changes():
    before = document(auth=auth(), rest=auth())["services"]
    files = {"/etc/auth.conf": {"content": "other"}, "/etc/plain": {"content": "x"}}
    after = document(auth=auth(files=files), rest=auth())["services"]
    assert before["rest"] == after["rest"]
    assert before["auth"] != after["auth"]


def test_a_rotated_secret_changes_the_document_without_showing():
    before, after = (
        document(auth=auth()),
        document(auth=auth(), secrets={**SECRETS, "jwt_secret": "another-long-value"}),
    )
    assert compose.digest(before) != compose.digest(after)
    assert "another-long-value" not in str(after)


def test_every_service_is_labelled_with_what_it_was_made_from():
    before = document(auth=auth(labels=["team=a"]))["services"]["auth"]["labels"]
    after = document(auth=auth(labels={"team": "a"}, init=True))["services"]["auth"]["labels"]
    assert before["team"] == after["team"] == "a"
    assert before[compose.FINGERPRINT] != after[compose.FINGERPRINT]


def test_owner_and_mode_count():
    plain = {"/etc/plain": {"content": "x"}}
    owned = {"/etc/plain": {"content": "x", "uid": 999}}
    assert compose.digest(document(a=auth(files=plain))) != compose.digest(document(a=auth(files=owned)))


def test_a_file_with_a_secret_is_for_its_owner_alone():
    modes = {file.path: file.mode for file in unit(auth=auth()).files}
    assert modes == {"/environment.env": 0o400, "/etc/auth.conf": 0o400, "/etc/plain": 0o444}


def test_the_order_of_services_does_not_matter():
    assert compose.digest(document(a=auth(), b=auth())) == compose.digest(document(b=auth(), a=auth()))


def test_a_trial_has_no_ports_no_aliases_no_dependencies():
    entry = auth(ports=["80:80"], depends_on={"db": {"condition": "service_healthy"}}, restart="unless-stopped")
    doc = compose.trial(document(auth=entry), {"auth"}, set(NETWORKS))
    copy = doc["services"]["auth-trial"]
    assert "ports" not in copy and "depends_on" not in copy
    assert copy["networks"] == {"services": {}, "data": {}}
    assert copy["restart"] == "no" and copy["env_file"]
    assert doc["networks"]["data"] == {"name": "data", "external": True}
    assert doc["name"] == "supabase-trial"


def test_a_service_with_a_volume_is_not_tried():
    doc = document(db=auth(volumes=["db-data:/var/lib/postgresql/data"]), auth=auth())
    assert list(compose.trial(doc, {"db", "auth"}, set(NETWORKS))["services"]) == ["auth-trial"]


def test_a_service_on_a_network_that_is_yet_to_be_made_is_not_tried():
    assert compose.trial(document(auth=auth()), {"auth"}, {"services"})["services"] == {}


def test_an_env_file_of_ones_own_stays():
    entry = document(auth=auth(env_file="/etc/own.env"))["services"]["auth"]
    assert entry["env_file"][0] == "/etc/own.env" and len(entry["env_file"]) == 2


@pytest.mark.parametrize("spec", [{"mode": 256}, {"mode": 444}, {"mode": "rw"}, {"uid": "postgres"}])
def test_a_mode_without_quotes_and_a_name_for_a_number_are_refused(spec):
    with pytest.raises(GroundworkError, match=r"service auth: /x"):
        unit(auth=auth(files={"/x": {"content": "x", **spec}}))


@pytest.mark.parametrize("value", ["it's ${secret:password}", "${secret:password}\\", "a\n${secret:password}"])
def test_what_an_env_file_cannot_hold_is_a_fault(value):
    faults = compose.find_unit_faults(unit(auth=auth(environment={"A": value, "B": "${secret:password}"})))
    assert "has a quote, a line break or a backslash" in str(faults[0])


def test_a_secret_that_nobody_made_is_a_fault():
    faults = compose.find_missing_secrets(unit(auth=auth()), {})
    assert [str(fault) for fault in faults] == [
        "supabase: service auth: there is no secret jwt_secret; declare it, or correct the name"
    ]


def test_faults_are_reported_together():
    faulty = unit(
        a={"networks": ["nowhere"], "command": ["--key", "${secret:jwt_secret}"]},
        b={"image": "b:1", "healthcheck": {"test": ["CMD-SHELL", "echo $HOME"]}},
        c={"image": "c:1", "files": {"/x": {"content": "${secret:jwt_secret|rot13}"}}},
    )
    text = "\n".join(str(fault) for fault in compose.find_unit_faults(faulty))
    for part in ("no image", "network nowhere", "a secret stands in command", "single $ in healthcheck.test", "rot13"):
        assert part in text


def test_doubled_dollars_are_no_fault():
    assert compose.find_unit_faults(unit(a={"image": "a:1", "command": ["sh", "-c", "echo $$HOME $$$$"]})) == []


def test_with_images_pins_each_service():
    doc = compose.with_images(document(auth=auth()), {"auth": "registry/auth@sha256:1"})
    assert doc["services"]["auth"]["image"] == "registry/auth@sha256:1"


def test_placeholders():
    text = "postgres://u:${secret:password|urlencode}@db ${secret:unknown} '${secret:password|sql}'"
    assert substitute(text, SECRETS) == "postgres://u:p%40ss%2Fword%27s@db ${secret:unknown} 'p@ss/word''s'"
    assert secret_names(text) == {"password", "unknown"}


def test_mask_hides_the_longest_first_and_leaves_short_words():
    assert mask("abcdefgh-tail abc", ["abcdefgh", "abcdefgh-tail", "abc"]) == "******** abc"
    assert mask("postgres://u:ab%2Bcd%2Fef@db", ["ab+cd/ef"]) == "postgres://u:********@db"
