"""A host that begins to forward IPv6 keeps the default route that a router advertised, in a network of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TASKS = Path(__file__).parents[2] / "roles" / "docker" / "tasks" / "ipv6.yml"
# A VLAN's name has a dot, which names of kernel settings have between their parts.
SCRIPT = """
mount -t tmpfs tmpfs /etc/sysctl.d
for name in told.9 static; do
  ip link add $name type veth peer name p-$name
  ip link set $name up
done
ip -6 route add default via fe80::1 dev told.9 proto ra
ip -6 route add default via fe80::2 dev static metric 2000
for run in 1 2; do "$0" -i localhost, -e ansible_python_interpreter=/usr/bin/python3 "$1"; done
cat /proc/sys/net/ipv6/conf/told.9/accept_ra /proc/sys/net/ipv6/conf/static/accept_ra /etc/sysctl.d/*
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="needs root, for a network of its own")
def test_advertisements_are_read_on(tmp_path):
    play = tmp_path / "play.yml"
    play.write_text(
        "- hosts: localhost\n  connection: local\n  gather_facts: false\n"
        f"  tasks:\n    - ansible.builtin.include_tasks: {TASKS}\n"
    )
    ansible = str(Path(sys.executable).with_name("ansible-playbook"))
    command = ["unshare", "--net", "--mount", "sh", "-ec", SCRIPT, ansible, str(play)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[3] for line in done.stdout.splitlines() if "unreachable=0" in line] == [
        "changed=1",
        "changed=0",
    ]
    assert done.stdout.splitlines()[-3:] == ["2", "1", "net/ipv6/conf/told.9/accept_ra=2"]
