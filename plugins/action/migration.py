# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the migrations on the controller and hand them to the module as one argument."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Adds ``files``: the name and text of every ``*.sql`` in the folder."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        args = dict(self._task.args)
        folder = Path(self._loader.path_dwim(str(args.get("path") or "")))
        if not folder.is_dir():
            raise AnsibleActionFail(f"folder {folder}: it does not exist on the controller; correct path")
        args["files"] = {file.name: self._text(file) for file in sorted(folder.glob("*.sql")) if file.is_file()}
        name = "groundwork.supabase.migration"
        result: dict[str, Any] = self._execute_module(module_name=name, module_args=args, task_vars=task_vars or {})
        return result

    def _text(self, file: Path) -> str:
        try:
            # A byte order mark, which editors on Windows write, is no part of the text.
            return file.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise AnsibleActionFail(f"migration {file.name}: it is not UTF-8 ({error}); convert it") from error
