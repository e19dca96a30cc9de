# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command ``ansible localhost -m MODULE -a ARGUMENTS``, as a user types it."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import tempfile
import traceback
from dataclasses import dataclass
from typing import Any, NoReturn

RESULT = re.compile(r"^localhost \| [A-Z]+!? => ", re.MULTILINE)
MAX_SECONDS = 90


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
    """A running command.

    Most of what ``ansible`` costs is its start. So each run is a fork of this process, which has its code loaded
    already, with a command line, an environment and output of its own.
    """

    def __init__(self, command: list[str]) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = os.fork()
        if not self._process:
            run_ansible(command, self._output.fileno())

    def wait(self) -> Outcome:
        """Wait for the end."""
        _process, status = os.waitpid(self._process, 0)
        self._output.seek(0)
        output = self._output.read().decode()
        self._output.close()
        found = RESULT.search(output)
        assert found, output
        result, _end = json.JSONDecoder().raw_decode(output, found.end())
        return Outcome(os.waitstatus_to_exitcode(status), result, output)


def run_ansible(command: list[str], output: int) -> NoReturn:
    """Turn a fork of this process into the command."""
    code: Any = 1
    try:
        signal.alarm(MAX_SECONDS)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
        from ansible.cli.adhoc import AdHocCLI

        AdHocCLI.cli_executor(command)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code or 0)


def command_line(module: str, arguments: dict[str, Any], *options: str) -> list[str]:
    """Local connection, and this interpreter for the module, so that psycopg is there."""
    local = ["-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}"]
    name = f"groundwork.supabase.{module}"
    return ["ansible", "localhost", *local, "-m", name, "-a", json.dumps(arguments), *options]
