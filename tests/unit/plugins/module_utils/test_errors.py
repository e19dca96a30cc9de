# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults, GroundworkError

FIRST, SECOND = Fault("a", "broken", "mend it"), Fault("b", "lost", "find it")


def test_an_error_names_object_cause_and_remedy():
    assert str(GroundworkError("policy x", "no such column", "add it")) == "policy x: no such column; add it"


def test_one_fault_is_one_line():
    with pytest.raises(GroundworkError) as raised:
        Faults.raise_all([FIRST, FIRST])
    assert str(raised.value) == "a: broken; mend it"


def test_several_faults_are_numbered():
    with pytest.raises(Faults) as raised:
        Faults.raise_all([FIRST, SECOND])
    assert str(raised.value) == "2 faults:\n  1. a: broken; mend it\n  2. b: lost; find it"
    assert raised.value.faults == (FIRST, SECOND)


def test_no_fault_raises_nothing():
    Faults.raise_all([])
