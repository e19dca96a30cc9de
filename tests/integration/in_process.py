# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of the collection in this process, for tests that call them more often than ``ansible`` could be started."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from postgres_server import ROOT


def importing() -> Iterator[Callable[[str], Any]]:
    """For a fixture: a function that imports a part, ``load("modules.rls")``.

    None stays, since Ansible has its own way to load them.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "collections"))
        yield lambda name: importlib.import_module(f"ansible_collections.groundwork.supabase.plugins.{name}")
    for name in [name for name in sys.modules if name.partition(".")[0] == "ansible_collections"]:
        del sys.modules[name]
