# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the migrations on the controller, let squawk see what is pending, and hand them to the module."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import GroundworkError
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations.lint import describe, find_squawk, lint

MODULE = "groundwork.supabase.migration"


class ActionModule(ActionBase):
    """Adds ``bundle``: names and texts of all files."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        args = dict(self._task.args)
        folder = Path(self._loader.path_dwim(str(args.get("path") or "")))
        if not folder.is_dir():
            raise AnsibleActionFail(f"folder {folder}: it does not exist on the controller; correct path")
        files = self._texts(folder)
        seeds = args.get("seeds") or []
        bundle = {
            "files": files,
            "down_files": self._texts(folder / "down"),
            "seeds": [self._seed(path, folder) for path in ([seeds] if isinstance(seeds, str) else seeds)],
        }
        # One text, so that all of it can be kept out of logs, and nothing on the way takes a part of it for a template.
        args["bundle"] = json.dumps(bundle)
        try:
            findings = self._lint(args, folder, files, task_vars or {})
        except GroundworkError as error:
            raise AnsibleActionFail(str(error)) from error
        result: dict[str, Any] = self._execute_module(module_name=MODULE, module_args=args, task_vars=task_vars or {})
        return {**result, "findings": [*findings, *result.get("findings", [])]}

    def _texts(self, folder: Path) -> dict[str, str]:
        return {file.name: self._text(file) for file in sorted(folder.glob("*.sql")) if file.is_file()}

    def _text(self, file: Path) -> str:
        try:
            # A byte order mark, which editors on Windows write, is no part of the text.
            return file.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise AnsibleActionFail(f"migration {file.name}: it is not UTF-8 ({error}); convert it") from error

    def _seed(self, path: str, migrations: Path) -> dict[str, str]:
        """The CLI names a seed by its path from the folder that holds ``supabase``, and hashes its bytes."""
        file = Path(self._loader.path_dwim(str(path)))
        if not file.is_file():
            raise AnsibleActionFail(f"seed {file}: it does not exist on the controller; correct seeds")
        name = os.path.relpath(file.resolve(), migrations.resolve().parent.parent)
        checksum = hashlib.sha256(file.read_bytes()).hexdigest()
        return {"file_name": Path(name).as_posix(), "text": self._text(file), "checksum": checksum}

    def _lint(
        self, args: dict[str, Any], folder: Path, files: dict[str, str], task_vars: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Findings in what is pending; raises AnsibleActionFail where they are to stop the run."""
        if args.get("lint") not in ("warn", "fail") or args.get("state") == "status":
            return []
        program = find_squawk()
        status = self._execute_module(module_name=MODULE, module_args={**args, "state": "status"}, task_vars=task_vars)
        if status.get("failed"):
            raise AnsibleActionFail(str(status.get("msg")))
        findings = [finding for name in status["pending"] for finding in lint(program, folder, name, files[name])]
        if findings and args["lint"] == "fail":
            remedy = 'correct them, put "-- squawk-ignore RULE" above a statement, or set lint to warn'
            risks = "\n".join(map(describe, findings))
            raise AnsibleActionFail(f"squawk found {len(findings)} risks; {remedy}:\n{risks}")
        for finding in findings:
            Display().warning(describe(finding))
        return findings
