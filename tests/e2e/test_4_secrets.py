"""No secret in a log, a diff, a process list, an image or the checkout: canaries are planted and searched for."""

from __future__ import annotations

import json
import subprocess

import pytest
from conftest import ROOT

CANARY = "canaryQ7fLw3ZrT9xKp2Vb8NdM5sYh"


@pytest.fixture(scope="module")
def canaries(secret) -> dict[str, str]:
    names = ("postgres_password", "auth_admin_password", "authenticator_password", "jwt_secret", "service_role_key")
    ring = ("secret_key", "service_role_token", "jwt_jwks", "jwt_keys", "key_ring")
    return {name: secret(name) for name in names + ring}


@pytest.fixture(scope="module")
def verbose_run(play):
    """The most talkative run there is, with a secret given by the inventory and a change to show."""
    given = {"stack_given_secrets": {"smtp_password": CANARY}}
    change = {"stack_overrides": {"auth": {"environment": {"GOTRUE_SMTP_PASS": "${secret:smtp_password}"}}}}
    result = play("site.yml", "--check", "--diff", "-vvv", "-e", json.dumps({**given, **change}))
    return result.output


def found(text: str, canaries: dict[str, str]) -> list[str]:
    return [name for name, value in canaries.items() if value in text]


def test_not_in_the_output_of_a_verbose_run_with_diff(verbose_run, canaries):
    assert found(verbose_run, {**canaries, "given": CANARY}) == []


def test_not_in_a_process_list(node1, canaries):
    assert found(node1.check_output("cat /proc/[0-9]*/cmdline | tr '\\0' ' '"), canaries) == []


def test_not_in_the_environment_of_services_that_read_files(node1, canaries):
    names = [f"supabase-{service}-1" for service in ("db", "pgbouncer", "redis", "envoy")]
    for name in names:
        pid = node1.check_output(f"docker inspect {name} --format '{{{{.State.Pid}}}}'")
        assert found(node1.check_output(f"tr '\\0' ' ' < /proc/{pid}/environ"), canaries) == []
    assert found(node1.check_output(f"docker inspect {' '.join(names)}"), canaries) == []


ASK = """
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1], timeout=5)
try:
    connection.request("GET", sys.argv[2])
    answer = connection.getresponse()
    print(answer.status, answer.read().decode())
except ConnectionRefusedError:
    print("refused")
"""


def test_the_gateway_shows_its_neighbours_nothing_but_statistics(node1, canaries):
    def ask(address, path):
        return node1.check_output(f"python3 - {address} '{path}' <<'END'\n{ASK}\nEND")

    addresses = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
    for address in node1.check_output(f"docker inspect supabase-envoy-1 --format '{addresses}'").split():
        assert ask(f"{address}:9901", "/config_dump") == "refused"
        assert "envoy_cluster" in ask(f"{address}:9902", "/stats/prometheus")
        for path in ("/config_dump", "/stats/prometheus/../../config_dump", "/certs", "/quitquitquit", "/logging", "/"):
            answer = ask(f"{address}:9902", path)
            assert answer.startswith("404 ") and found(answer, canaries) == []


def test_not_in_a_log(node1, client, canaries):
    # A key in a place that is often logged.
    key = canaries["secret_key"]
    url = f"https://api.lab.test/rest/v1/todos?select=id&apikey={key}"
    status = "curl -s -o /dev/null -w '%{http_code}' --cacert /etc/ssl/lab-ca.crt"
    assert client.check_output(f"{status} -H 'Referer: {url}' '{url}'") == "200"
    logs = node1.check_output("journalctl --no-pager -q")
    for container in node1.check_output("docker ps --all --format '{{.Names}}'").split():
        logs += node1.run(f"docker logs {container}").stdout + node1.run(f"docker logs {container}").stderr
    assert found(logs, canaries) == []


def test_not_in_an_image_layer_or_its_history(node1, canaries):
    names = node1.check_output("docker images --quiet --no-trunc").split()
    history = node1.check_output(f"docker inspect {' '.join(set(names))}")
    history += "".join(node1.check_output(f"docker history --no-trunc {name}") for name in set(names))
    assert found(history, canaries) == []
    # Not from here: sudo writes the commands that it runs into the journal.
    files = " ".join(f"/etc/groundwork/secrets/{name}" for name in canaries)
    node1.check_output(f"umask 077; for file in {files}; do cat $file; echo; done > /root/canaries")
    search = "grep -rlaF -f /root/canaries /var/lib/docker/overlay2/*/diff --exclude-dir=proc 2>/dev/null"
    # A search that cannot find proves nothing: the first one has something to find.
    node1.check_output("docker cp -q /root/canaries supabase-db-1:/var/control")
    assert "/var/control" in node1.run(search).stdout
    node1.check_output("docker exec --user 0 supabase-db-1 rm /var/control")
    layers = node1.run(search).stdout
    node1.check_output("rm /root/canaries")
    assert layers == ""


def test_not_in_what_people_may_read_of_a_release(node1, canaries):
    text = node1.check_output("find /opt/groundwork/*/releases -type f -exec cat {} +")
    assert found(text, canaries) == []


def test_the_store_is_for_root_alone(node1):
    folders = "/etc/groundwork/secrets /etc/groundwork/secrets/* /opt/groundwork/*/store"
    modes = node1.check_output(f"stat -c '%U %a' {folders}")
    assert set(modes.splitlines()) <= {"root 700", "root 600"}


def test_not_in_the_checkout(canaries):
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = [name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]
    state = [str(path.relative_to(ROOT)) for path in (ROOT / ".lab").rglob("*") if path.is_file()]
    for name in names + state:
        assert found((ROOT / name).read_text(encoding="utf-8", errors="ignore"), canaries) == [], name
