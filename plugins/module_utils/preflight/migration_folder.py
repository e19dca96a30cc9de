# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of migrations and seeds on the controller, as far as they can be judged without a history."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations.files import read_migrations


def find_folder_faults(variable: str, folder: Path) -> Iterator[Fault]:
    """Files that cannot be migrations, two of one version, text that is not UTF-8, and no folder at all."""
    if not folder.is_dir():
        yield Fault(
            variable, f"there is no folder {folder} on the controller", "correct it, or leave it empty for none"
        )
        return
    for place, prefix in ((folder, ""), (folder / "down", "down/")):
        files = sorted(file for file in place.glob("*.sql") if file.is_file())
        for file in files:
            yield from find_file_faults(f"migration {prefix}{file.name}", file)
        try:
            read_migrations({file.name: "" for file in files})
        except Faults as error:
            for fault in error.faults:
                yield Fault(fault.object.replace(" ", f" {prefix}", 1), fault.cause, fault.remedy)


def find_file_faults(object: str, file: Path) -> Iterator[Fault]:
    """A file that is not there, cannot be read or is not UTF-8."""
    try:
        file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        yield Fault(object, f"it is not UTF-8 ({error})", "convert it")
    except OSError as error:
        yield Fault(object, f"{file} cannot be read: {error.strerror}", "correct it")
