"""What a hardened server does and refuses, on Debian 13 and Debian 12."""

from __future__ import annotations

import time

PASSWORD = "Correct7horse+battery"


def shadow(server, account):
    return server.check_output(f"getent shadow {account}").split(":")


def test_the_server_is_well(server):
    assert server.check_output("systemctl is-system-running") == "running"


def test_a_password_that_is_empty_or_a_services_opens_nothing(server):
    assert shadow(server, "careless")[1].startswith("!")
    assert shadow(server, "service")[1].startswith("!")


def test_an_account_with_keys_only_never_ages_and_one_with_a_password_does(server):
    assert shadow(server, "keysonly")[4] in ("", "-1")
    assert shadow(server, "person")[4] == "90"
    server.check_output("useradd newcomer")
    assert shadow(server, "newcomer")[4] == "365"
    server.check_output("userdel newcomer")


def test_an_account_that_nobody_uses_is_closed_for_keys_too(server):
    assert shadow(server, "former")[7] == "1"


def test_people_get_the_strict_umask_and_sudo_the_usual_one(server):
    assert server.check_output("runuser -l admin -c umask") in ("0027", "0007")
    assert server.check_output("runuser -l admin -c 'sudo sh -c umask'") == "0022"
    assert server.check_output("su - root -c umask") == "0022"


def become(server, who, target, password):
    return server.run(f"echo {password} | runuser -u {who} -- su {target} -c true").rc == 0


def test_su_is_for_its_group(server):
    assert become(server, "person", "person", PASSWORD)
    assert not become(server, "keysonly", "person", PASSWORD)


def test_wrong_passwords_lock_an_account_until_it_is_let_in_again(server):
    try:
        for _try in range(5):
            assert not become(server, "admin", "person", "wrong")
        assert not become(server, "admin", "person", PASSWORD)
    finally:
        server.check_output("faillock --user person --reset")
    assert become(server, "admin", "person", PASSWORD)


def test_a_weak_password_is_refused(server):
    refused = server.run(f"printf '{PASSWORD}\\nsummer1\\nsummer1\\n' | runuser -u person -- passwd")
    assert refused.rc != 0 and "BAD PASSWORD" in refused.stderr


def test_what_sudo_does_is_recorded(server):
    server.check_output("runuser -l admin -c 'sudo true groundwork-was-here'")
    assert "groundwork-was-here" in server.file("/var/log/sudo.log").content_string


def test_users_see_their_own_processes_only_and_logind_sees_all(server):
    assert "sshd" not in server.check_output("runuser -u keysonly -- ps -A -o comm=")
    assert "sshd" in server.check_output("ps -A -o comm=")
    assert server.run("loginctl list-sessions").rc == 0


def test_nobody_dumps_core(server):
    assert server.check_output("runuser -l admin -c 'ulimit -Hc'") == "0"


def test_nothing_in_shared_memory_is_a_program(server):
    options = server.check_output("findmnt --noheadings --output OPTIONS /dev/shm").split(",")
    assert {"nodev", "nosuid", "noexec"} <= set(options)


def test_kernel_settings_are_written_but_not_those_that_containers_need(server):
    written = server.file("/etc/sysctl.d/90-groundwork-hardening.conf").content_string
    assert "kernel.kptr_restrict = 2\n" in written
    assert "forward" not in written and "overcommit" not in written


def test_the_kernel_is_the_machines_and_stays_as_it_is_at_the_next_start_too(server):
    assert server.check_output("sysctl -n kernel.kptr_restrict") != "2"
    guard = server.file("/etc/systemd/system/systemd-sysctl.service.d/groundwork-container.conf")
    assert "ConditionVirtualization=!container\n" in guard.content_string


def test_the_journal_outlives_the_boot(server):
    machine = server.check_output("cat /etc/machine-id")
    assert server.file(f"/var/log/journal/{machine}/system.journal").exists


def test_only_security_fixes_install_themselves(server):
    said = server.check_output("unattended-upgrade --dry-run --debug")
    allowed = next(line for line in said.splitlines() if line.startswith("Allowed origins are"))
    assert allowed.count("origin=") == 1 and "-security,label=Debian-Security" in allowed


def test_a_changed_file_is_noticed(server):
    deadline = time.monotonic() + 120
    while not server.file("/var/lib/groundwork/integrity/baseline.db").exists:
        assert time.monotonic() < deadline, "there is no baseline"
        time.sleep(2)
    planted = "/usr/local/bin/planted"
    server.check_output(f"touch {planted}")
    assert server.run("systemctl start groundwork-integrity.service").rc != 0
    assert planted in server.check_output("journalctl --unit groundwork-integrity.service --no-pager")
    server.check_output(f"rm {planted} && systemctl reset-failed groundwork-integrity.service")


def test_an_address_that_tries_passwords_is_shut_out(server, neighbour, address, neighbour_address):
    assert "edge" in server.check_output("fail2ban-client status")
    knock = f"ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o ConnectTimeout=3 nobody-here@{address} true"
    neighbour.run(f"for _try in 1 2 3 4 5 6; do {knock} || :; done")
    try:
        deadline = time.monotonic() + 20
        while neighbour_address not in server.check_output("fail2ban-client get sshd banip"):
            assert time.monotonic() < deadline, "nobody was shut out"
            time.sleep(1)
        assert neighbour.run(f"timeout 3 bash -c '</dev/tcp/{address}/22'").rc != 0
    finally:
        server.check_output(f"fail2ban-client set sshd unbanip {neighbour_address}")
    assert neighbour.run(f"timeout 3 bash -c '</dev/tcp/{address}/22'").rc == 0
