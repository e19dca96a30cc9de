# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command ``ansible localhost -m MODULE -a ARGUMENTS``, as a user types it."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from dataclasses import dataclass
from typing import Any

from warm_process import WarmProcess

RESULT = re.compile(r"^localhost \| [A-Z]+!? => ", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """How a run ended: exit code, the module's result and everything that stood on the screen."""

    code: int
    result: dict[str, Any]
    output: str

    @property
    def changed(self) -> bool:
        assert self.code == 0, self.output
        return bool(self.result["changed"])

    @property
    def error(self) -> str:
        """Message of a run that had to fail, and to say why instead of breaking down."""
        assert self.code == 2, self.output
        assert "Traceback" not in self.output, self.output
        return str(self.result["msg"])


class AdHocRun:
    """A running command."""

    def __init__(self, ansible: WarmProcess, command: list[str]) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        self._running = ansible.start(command, self._output.fileno(), self._output.fileno())

    def wait(self) -> Outcome:
        """Wait for the end."""
        code = self._running.wait()
        self._output.seek(0)
        output = self._output.read().decode()
        self._output.close()
        found = RESULT.search(output)
        assert found, output
        result, _end = json.JSONDecoder().raw_decode(output, found.end())
        return Outcome(code, result, output)


def command_line(module: str, arguments: dict[str, Any], *options: str) -> list[str]:
    """Local connection, and this interpreter for the module, so that psycopg is there."""
    local = ["-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}"]
    name = f"groundwork.supabase.{module}"
    return ["ansible", "localhost", *local, "-m", name, "-a", json.dumps(arguments), *options]
