# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that has loaded a program's code and forks for each run, since most of what a run costs is its start.

``python warm_process.py ansible`` runs the command ``ansible``. It has a second one, ``modules``, which runs the
payloads that Ansible builds. To each of them it is what an interpreter of its own would be, with Ansible's own code and
psycopg's loaded and nothing of the collection. A run has the environment, folder and files of who asked for it.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

MAX_SECONDS = 90
# What "ansible localhost -m MODULE" loads, and modules that talk to a server. More could hide an import that one lacks.
ANSIBLE = ["ansible.cli.adhoc", "ansible.plugins.strategy.linear"]
MODULES = ["ansible.module_utils.basic", "psycopg"]
PLUGINS = ["callback", "inventory", "vars", "cache", "strategy", "connection", "shell", "become"]


@dataclass(frozen=True)
class Running:
    """A run that was asked for."""

    _answer: int

    def wait(self) -> int:
        """Its exit code, when it has ended; 1 where it ended without one."""
        with os.fdopen(self._answer) as answer:
            return int(answer.read() or 1)


class WarmProcess:
    """The process, from the side of who asks."""

    def __init__(self, program: str) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, __file__, program]
        with theirs:
            self._process = subprocess.Popen(command, stdin=theirs.fileno())

    def start(self, what: Any, output: int, errors: int) -> Running:
        """Start a run; it writes to two open files, given by their numbers."""
        inherited = {"environment": dict(os.environ), "directory": os.getcwd(), "executable": sys.executable}
        answer, theirs = os.pipe()
        try:
            with tempfile.TemporaryFile() as request:
                request.write(json.dumps({**inherited, "what": what}).encode())
                request.seek(0)
                socket.send_fds(self._channel, [b"run"], [request.fileno(), output, errors, theirs])
        finally:
            os.close(theirs)
        return Running(answer)

    def end(self) -> None:
        """It ends when nobody can ask any more."""
        self._channel.close()
        self._process.wait()


def serve(channel: socket.socket, work: Callable[[Any], None]) -> None:
    """Fork for each request until nobody can ask any more."""
    children: list[int] = []
    while True:
        message, files, _flags, _address = socket.recv_fds(channel, 16, 4)
        if not message:
            break
        child = os.fork()
        if not child:
            run_and_answer(files, work)
        for file in files:
            os.close(file)
        children = [child, *(other for other in children if not os.waitpid(other, os.WNOHANG)[0])]
    for child in children:
        os.waitpid(child, 0)


def run_and_answer(files: list[int], work: Callable[[Any], None]) -> NoReturn:
    """Run in a fork of this fork, since a run may end in any way, and say how it ended."""
    request, output, errors, answer = files
    child = os.fork()
    if not child:
        os.close(answer)
        run(request, output, errors, work)
    _child, status = os.waitpid(child, 0)
    os.write(answer, str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def run(request: int, output: int, errors: int, work: Callable[[Any], None]) -> NoReturn:
    """Turn this process into what was asked for."""
    code: Any = 1
    try:
        signal.alarm(MAX_SECONDS)
        with os.fdopen(request) as file:
            asked = json.load(file)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(errors, 2)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.chdir(asked["directory"])
        sys.executable = asked["executable"]
        work(asked["what"])
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code if isinstance(code, int) else int(bool(code)))


def run_payload(source: str) -> None:
    """A module leaves its temporary folder to the end of its interpreter."""
    sys.argv = [""]
    try:
        exec(compile(source, "<stdin>", "exec"), {"__name__": "__main__"})
    finally:
        atexit._run_exitfuncs()


def run_ansible(command: list[str]) -> None:
    """What is to be done at the end, cleaning up the payloads that all runs share, is left to the first process."""
    from ansible.cli.adhoc import AdHocCLI

    AdHocCLI.cli_executor(command)


def load_ansible() -> WarmProcess:
    """Load what Ansible finds by name, not by import. Modules that this interpreter runs go to the process returned.

    Another interpreter gets its payload from Ansible itself.
    """
    from ansible.plugins import loader
    from ansible.plugins.connection.local import Connection

    loader.init_plugin_loader()
    warnings.filterwarnings("ignore", "AnsibleCollectionFinder has already been configured")
    for kind in PLUGINS:
        list(getattr(loader, f"{kind}_loader").all(class_only=True))
    modules, interpreter, execute = WarmProcess("modules"), sys.executable, Connection.exec_command

    def execute_warmly(self: Any, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> Any:
        if in_data is None or f"{interpreter} " not in cmd:
            return execute(self, cmd, in_data=in_data, sudoable=sudoable)
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            code = modules.start(in_data.decode(), output.fileno(), errors.fileno()).wait()
            output.seek(0)
            errors.seek(0)
            return code, output.read(), errors.read()

    Connection.exec_command = execute_warmly
    return modules


def main(program: str) -> None:
    channel = socket.socket(fileno=os.dup(0))
    if program == "ansible":
        load(ANSIBLE)
        modules = load_ansible()
        serve(channel, run_ansible)
        modules.end()
    else:
        load(MODULES)
        serve(channel, run_payload)


def load(names: list[str]) -> None:
    for name in names:
        importlib.import_module(name)


if __name__ == "__main__":
    main(sys.argv[1])
