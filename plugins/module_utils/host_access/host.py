# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read who runs the play, as the host sees it, and the SSH server that let them in."""

from __future__ import annotations

import grp
import os
import pwd
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ansible_collections.groundwork.supabase.plugins.module_utils.host_access.model import Operator, SshServer

Run = Callable[[Sequence[str]], "tuple[int, str]"]
"""Runs a command; returns its exit code and its output, which is empty where there is no such program."""

DROP_INS = re.compile(r"^\s*Include\s+.*/etc/ssh/sshd_config\.d/\*\.conf", re.IGNORECASE)


def read_operator() -> Operator:
    """Goes up from this process to the one that sshd started, since becoming root forgets who asked for it.

    Where there is none, because the connection is not SSH, it is the user of this process.
    """
    user, connection = os.getuid(), ""
    for pid in ancestors(os.getpid()):
        variables = read_bytes(f"/proc/{pid}/environ").split(b"\0")
        found = [entry for entry in variables if entry.startswith(b"SSH_CONNECTION=")]
        if found:
            connection = found[0].decode().partition("=")[2]
            user = int(status_of(pid).get("Uid", str(user)).split()[0])
    account = pwd.getpwuid(user)
    groups = [grp.getgrgid(number).gr_name for number in os.getgrouplist(account.pw_name, account.pw_gid)]
    words = connection.split()
    if len(words) != 4:
        return Operator(account.pw_name, tuple(groups))
    # A link-local address names its interface as well.
    return Operator(account.pw_name, tuple(groups), words[0].partition("%")[0], int(words[3]))


def ancestors(pid: int) -> Iterator[int]:
    """This process, its parent, and so on; all but the first process of the host."""
    while pid > 1:
        yield pid
        pid = int(status_of(pid).get("PPid", "0"))


def status_of(pid: int) -> dict[str, str]:
    lines = read_bytes(f"/proc/{pid}/status").decode(errors="replace").splitlines()
    return {name: value.strip() for name, _colon, value in (line.partition(":") for line in lines)}


def read_bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def read_ssh_server(run: Run) -> SshServer:
    """Nothing but empty fields where it is not installed."""
    _code, settings = run(["/usr/sbin/sshd", "-T"])
    _code, key_exchanges = run(["ssh", "-Q", "kex"])
    _code, rsa = run(["ssh-keygen", "-l", "-f", "/etc/ssh/ssh_host_rsa_key.pub"])
    # Ubuntu lets systemd listen; the answer is in words, and anything but "active" means no.
    _code, socket = run(["systemctl", "is-active", "ssh.socket"])
    main = read_bytes("/etc/ssh/sshd_config").decode(errors="replace").splitlines()
    keys = sorted(path.name for path in Path("/etc/ssh").glob("ssh_host_*_key"))
    return SshServer(
        ports=tuple(int(port) for port in re.findall(r"^port (\d+)$", settings, re.MULTILINE)),
        key_exchanges=tuple(key_exchanges.split()),
        host_keys=tuple(key.split("_")[2] for key in keys),
        rsa_bits=int((rsa.split() or ["0"])[0]),
        socket=socket.strip() == "active",
        drop_ins=not main or includes_drop_ins(main),
    )


def includes_drop_ins(lines: Sequence[str]) -> bool:
    """Whether the folder is read before any setting: sshd keeps the first value that it finds."""
    settings = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return bool(settings) and DROP_INS.match(settings[0]) is not None
