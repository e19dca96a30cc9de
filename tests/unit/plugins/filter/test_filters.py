# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a template gives the filters, and what it may get wrong."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.groundwork.supabase.plugins.filter import (
    er_diagram,
    image_faults,
    policy_matrix,
    widened_networks,
)

EMPTY = {"tables": [], "roles": [], "changed": False}
draw = er_diagram.FilterModule().filters()["er_diagram"]
write = policy_matrix.FilterModule().filters()["policy_matrix"]
judge = image_faults.FilterModule().filters()["image_faults"]
widen = widened_networks.FilterModule().filters()["widened_networks"]


def test_an_empty_database():
    assert draw(EMPTY) == "erDiagram\n"
    assert write(EMPTY, ["anon"]).count("\n") == 2


@pytest.mark.parametrize("apply", [draw, write])
@pytest.mark.parametrize("value", ["text", None, [], {"msg": "failed"}])
def test_what_is_not_a_catalog(apply, value):
    with pytest.raises(AnsibleFilterError, match="not what catalog_info returns"):
        apply(value)


def test_wrong_arguments():
    with pytest.raises(AnsibleFilterError, match="one of all, keys, none"):
        draw(EMPTY, "some")
    with pytest.raises(AnsibleFilterError, match="list of names"):
        write(EMPTY, "anon")


def test_images_are_judged_by_the_variables_that_name_them():
    images = {"shop_image": "shop:1.4.2", "web_image": "web:latest", "api_image": None}
    assert [line.split(";")[0] for line in judge(images)] == [
        "web_image: web:latest is another image every time",
        "api_image: it has no reference",
    ]
    assert judge(images, True)[0].startswith("shop_image: shop:1.4.2 has no digest")
    with pytest.raises(AnsibleFilterError, match="no mapping"):
        judge(["shop:1"])


def test_a_network_of_ipv6_is_no_smaller_than_one_client_has():
    given = ["198.51.100.7", "198.51.100.9/24", "2001:db8:1:2::5", "2001:db8:1:2:3::/80", "2001:db8::/32"]
    assert widen(given) == ["198.51.100.7/32", "198.51.100.0/24", "2001:db8:1:2::/64", "2001:db8::/32"]
    with pytest.raises(AnsibleFilterError, match="'office' is no address or network"):
        widen(["office"])
