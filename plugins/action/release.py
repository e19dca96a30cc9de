# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render a release's templates on the controller, all in one task, and tell the module the texts and who runs it."""

from __future__ import annotations

import platform
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader
from ansible.release import __version__
from ansible_collections.groundwork.supabase.plugins.plugin_utils.person import person

# Before ansible-core 2.19 a rendered text that looks like JSON came back as data; since then this option does nothing.
LOOKUP_OPTIONS = {"convert_data": False} if tuple(map(int, __version__.split(".")[:2])) < (2, 19) else {}


class ActionModule(ActionBase):
    """Replaces ``template`` by ``content`` in every service's ``files`` and live files."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        args = {"by": f"{person(variables)}@{platform.node()}", **self._task.args}
        template = lookup_loader.get("ansible.builtin.template", loader=self._loader, templar=self._templar)
        services = {}
        for service, entry in (args.get("services") or {}).items():
            if not isinstance(entry, dict):
                raise AnsibleActionFail(f"service {service}: it is not a mapping; write it as in a Compose file")
            where = f"service {service}"
            files = self._contents(template, variables, f"{where}: files", entry.get("files"))
            services[service] = {**entry, "files": files}
            if isinstance(entry.get("live"), dict):
                files = self._contents(template, variables, f"{where}: live.files", entry["live"].get("files"))
                services[service]["live"] = {**entry["live"], "files": files}
        if services:
            args["services"] = services
        result: dict[str, Any] = self._execute_module(
            module_name="groundwork.supabase.release", module_args=args, task_vars=variables
        )
        return result

    def _contents(self, template: Any, variables: dict[str, Any], where: str, files: Any) -> dict[str, Any]:
        return {
            path: self._content(template, variables, f"{where}: {path}", spec) for path, spec in (files or {}).items()
        }

    def _content(self, template: Any, variables: dict[str, Any], where: str, spec: Any) -> dict[str, Any]:
        if not isinstance(spec, dict) or ("template" in spec) == ("content" in spec):
            raise AnsibleActionFail(f"{where}: it needs either template or content; give exactly one of them")
        if "content" in spec:
            return spec
        try:
            text = template.run([spec["template"]], variables=variables, **LOOKUP_OPTIONS)[0]
        except AnsibleError as error:
            raise AnsibleActionFail(f"{where}: template {spec['template']} cannot be rendered: {error}") from error
        return {**{key: value for key, value in spec.items() if key != "template"}, "content": str(text)}
