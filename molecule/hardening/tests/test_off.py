"""A component that is switched off leaves nothing behind."""

from __future__ import annotations


def test_no_file_is_ours_and_no_package_misses_its_own(server):
    # Folders stay: others keep their files in /etc/groundwork.
    assert server.check_output("find /etc /usr/share/pam-configs -name '*groundwork*' -not -type d") == ""
    assert server.check_output("find /var/lib/groundwork/host_files -type f") == ""
    # Configuration files that differ from their packages'. Besides, an image may lack documentation.
    assert [line for line in server.run("dpkg --verify").stdout.splitlines() if " c " in line] == []


def test_nothing_of_it_is_in_force(server):
    assert "faillock" not in server.check_output("cat /etc/pam.d/common-auth /etc/pam.d/common-account")
    assert "hidepid" not in server.check_output("findmnt --noheadings --output OPTIONS /proc")
    assert server.check_output("systemctl list-units --all --plain --no-legend 'groundwork-*'") == ""
    assert server.file("/etc/cron.d").mode == 0o755
    assert server.check_output("runuser -l admin -c 'sudo sh -c umask'") == "0022"


def test_the_server_is_well(server):
    assert server.check_output("systemctl is-system-running") == "running"
