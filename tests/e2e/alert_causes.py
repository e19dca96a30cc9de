"""What makes alerts fire in the lab: the real cause of each, how it ends, and what the alert has to name."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

METRICS = "/var/lib/groundwork/metrics"
IMAGE = "$(docker inspect -f '{{.Image}}' supabase-db-1)"
REDIS_CLI = 'REDISCLI_AUTH="$(cat /run/secrets/redis_password)" exec redis-cli "$@"'
REDIS = f"docker exec -i supabase-redis-1 sh -c '{REDIS_CLI}' sh"
REDIS_DATA = "/var/lib/docker/volumes/supabase_redis-data/_data"
PSQL = "docker exec -i supabase-db-1 psql -X -q -h 127.0.0.1 -U supabase_admin -d postgres"
PROMETHEUS = "/opt/groundwork/monitoring/live/prometheus/current/prometheus.yml"
INDEX = "$(ls -d /var/lib/barman/restic/index/* | head -n 1)"
CADDY = "docker exec -i edge-caddy-1 caddy reload --force --address unix//run/caddy/admin.sock --config"
# The gateway keeps callers of a service that is gone waiting, so some ask at a time.
ASKING = (
    "seq 9999 | xargs -P 10 -I @ sh -c 'sleep 2; exec curl -s -o /dev/null -m 90 --cacert /etc/ssl/lab-ca.crt "
    '-H "apikey: PUBLISHABLE_KEY" "https://api.lab.test/rest/v1/todos?limit=1&@"\''
)
NONSENSE = '{"admin": {"listen": "unix//run/caddy/admin.sock"}, "apps": {"nonsense": {}}}'
CURL = "curl -s -o /dev/null --cacert /etc/ssl/lab-ca.crt"
# Sessions that take what PostgreSQL gives, up to 87 of 100, also when others go. Its own processes are none.
CONNECTIONS = """
import pathlib, psycopg, time
password = pathlib.Path("/etc/groundwork/secrets/supabase_admin_password").read_text().strip()
def connect():
    return psycopg.connect(f"host=127.0.0.1 dbname=postgres user=supabase_admin password={password}", autocommit=True)
held = [connect()]
while True:
    taken, most = held[0].execute(
        "select count(datname), current_setting('max_connections') from pg_stat_activity"
    ).fetchone()
    held += [connect() for _ in range(int(most) * 87 // 100 - taken)]
    time.sleep(5)
"""
ROLLED_BACK = "begin; select 1 from pg_class limit 1; rollback;"
PAYER = "00000000-0000-4000-8000-00000000e2e0"
# A provider that says, every two seconds, that a payment of this tenant has failed.
FAILED_PAYMENTS = """
import hashlib, hmac, ssl, time, urllib.request, uuid
context = ssl.create_default_context(cafile="/etc/ssl/lab-ca.crt")
while True:
    name, at = uuid.uuid4(), int(time.time())
    data = f'"reference":"{name}","amount":1,"currency":"NGN","metadata":{{"tenant_id":"PAYER"}}'
    event = f'{{"id":"{name}","event":"charge.failed","data":{{{data}}}}}'
    signature = hmac.new(b"WEBHOOK_SECRET", f"{at}.{event}".encode(), hashlib.sha512).hexdigest()
    headers = {"x-webhook-timestamp": str(at), "x-webhook-signature": signature, "content-type": "application/json"}
    call = urllib.request.Request("https://app.lab.test/webhooks/payments", event.encode(), headers)
    try:
        urllib.request.urlopen(call, context=context).close()
    except OSError:
        pass
    time.sleep(2)
""".replace("PAYER", PAYER)


@dataclass(frozen=True, eq=False)
class Cause:
    """Commands on one host, and by name the alerts that follow, each with the labels that say what it is about."""

    begin: str
    end: str
    alerts: dict[str, dict[str, str]]
    on: str = "node1"
    # Part of what every run of the tests does.
    short: bool = False


def running(name: str, command: str) -> tuple[str, str]:
    """A command that goes on, as a unit of its own, and its end."""
    begin = f"systemd-run --quiet --collect --unit=e2e-{name} sh -c {shlex.quote(command)}"
    return begin, f"systemctl stop e2e-{name}"


def sending(name: str, command: str) -> tuple[str, str]:
    """Requests from the client, all the time. The names of secrets in capitals stand for their values."""
    return f"setsid {command} >/dev/null 2>&1 & echo $! > /tmp/{name}.pid", f"kill -- -$(cat /tmp/{name}.pid)"


def container(name: str, options: str, command: str) -> tuple[str, str]:
    begin = f"docker run -d --name e2e-{name} {options} --entrypoint sh {IMAGE} -c {shlex.quote(command)}"
    return begin, f"docker rm -f e2e-{name}"


def disk(name: str, then: str) -> tuple[str, str]:
    """A disk of 48 MB, in a file, and what is done in its folder. It can hold 48 files. In a container, other than on a
    server, a unit that is up does not see it come or go."""
    begin = f"""
        cd /root && truncate --size 48M {name}.disk && mkfs.ext4 -q -m 0 -N 64 {name}.disk
        number=$(losetup --find | tr -cd 0-9)
        test -b /dev/loop$number || mknod /dev/loop$number b 7 $number
        losetup /dev/loop$number {name}.disk && mkdir -p /mnt/{name} && mount /dev/loop$number /mnt/{name}
        cd /mnt/{name} && {then}
        systemctl restart groundwork-host-metrics
    """
    end = f"umount /mnt/{name} && systemctl restart groundwork-host-metrics && losetup --detach"
    end += (
        f" $(losetup --noheadings --output NAME --associated /root/{name}.disk) && rm -r /mnt/{name} /root/{name}.disk"
    )
    return f"set -e; {begin}", end


# What is in one round happens at the same time and does not disturb the rest of it.
ROUNDS: tuple[tuple[Cause, ...], ...] = (
    (
        Cause(
            "docker stop monitoring-loki-1",
            "docker start monitoring-loki-1",
            {"LogsNotDelivered": {"host": "node1"}},
            on="node2",
        ),
        Cause(
            "docker kill supabase-meta-1",
            "docker start supabase-meta-1",
            {"ContainerDown": {"service": "meta"}, "TargetDown": {"job": "meta"}},
            short=True,
        ),
        Cause(
            "cd /etc/groundwork-backup && mv repository-password away && ! systemctl start groundwork-backup-redis",
            "cd /etc/groundwork-backup && mv away repository-password && systemctl start groundwork-backup-redis",
            {"BackupFailed": {"what": "redis"}},
            short=True,
        ),
        # Below it becomes one that cannot be written to any more.
        Cause(*disk("e2e-readonly", "true"), {}),
        Cause(*disk("e2e-full", "! cat /dev/zero > all"), {"DiskFull": {"mountpoint": "/mnt/e2e-full"}}),
        Cause(
            *disk("e2e-nearly", "touch $(seq 33) && head -c 39700K /dev/zero > 1"),
            {"DiskAlmostFull": {"mountpoint": "/mnt/e2e-nearly"}, "DiskInodesShort": {"mountpoint": "/mnt/e2e-nearly"}},
        ),
        Cause(
            *container("unhealthy", "--health-cmd false --health-interval 2s --health-retries 1", "sleep infinity"),
            {"ContainerUnhealthy": {"service": "e2e-unhealthy"}},
        ),
        Cause(
            *container("restarts", "--restart always", "sleep 1; exit 1"),
            {"ContainerRestarts": {"service": "e2e-restarts"}},
        ),
        Cause(
            *container("oom", "--memory 32m --memory-swap 32m", "sleep 45; tail /dev/zero"),
            {"ContainerOutOfMemory": {"service": "e2e-oom"}},
        ),
        Cause(
            *container(
                "large", "--memory 64m --memory-swap 64m", "(head -c 62000000 /dev/zero; sleep infinity) | tail"
            ),
            {"ContainerMemoryNearLimit": {"service": "e2e-large"}},
        ),
        Cause(
            f"{PSQL} -c 'create schema e2e' -c 'create table e2e.locked (id int)' && "
            + running("holds", f"(echo 'begin; lock e2e.locked;'; sleep 3600) | {PSQL}")[0]
            + " && sleep 3 && "
            + running("waits", f"{PSQL} -c 'table e2e.locked'")[0],
            f"systemctl stop e2e-holds; {PSQL} -c 'select pg_terminate_backend(pid) from pg_stat_activity "
            "where pid <> pg_backend_pid() and query like $$%e2e.locked%$$' -c 'drop schema e2e cascade' >/dev/null",
            {
                "PostgresqlLockWaits": {"datname": "postgres"},
                "PostgresqlIdleInTransaction": {"usename": "supabase_admin"},
            },
        ),
        Cause(
            "for pair in '1 2' '2 1'; do set -- $pair; "
            'echo "begin; select pg_advisory_xact_lock(7, $1), pg_sleep(2); select pg_advisory_xact_lock(7, $2);" '
            f"| {PSQL} >/dev/null 2>&1 & done; wait",
            "true",
            {"PostgresqlDeadlocks": {"datname": "postgres"}},
        ),
        Cause(
            # A session that reads no table keeps its figures to itself until it ends.
            *running("rolls-back", f"while sleep 0.05; do echo '{ROLLED_BACK}'; done | {PSQL} >/dev/null"),
            {"PostgresqlRollbacks": {"datname": "postgres"}},
        ),
        Cause(
            *running("connects", f"exec python3 -c {shlex.quote(CONNECTIONS)}"),
            {"PostgresqlConnectionsNearLimit": {}},
        ),
        Cause(
            f"used=$({REDIS} info memory | tr -d '\\r' | sed -n 's/^used_memory://p'); "
            f"{REDIS} config set maxmemory $((used * 102 / 100)) maxmemory-policy volatile-ttl; "
            f"seq 20000 | sed 's/.*/set e2e:& 0123456789 ex 60/' | {REDIS} >/dev/null",
            f"{REDIS} config set maxmemory 402653184 maxmemory-policy noeviction",
            {"RedisMemoryNearLimit": {}, "RedisEvicts": {}},
        ),
        Cause(
            # Who has set it to one is the only one who can set it back.
            f"(echo config set maxclients 1; sleep 4; echo config set maxclients 10000) | {REDIS} & "
            f"sleep 2; for i in 1 2 3; do {REDIS} ping; done; wait",
            "true",
            {"RedisRejectsConnections": {}},
        ),
        Cause(
            f"chmod a-w {REDIS_DATA}; {REDIS} bgsave",
            f"chmod u+w {REDIS_DATA}; {REDIS} bgsave",
            {"RedisNotSaved": {}},
        ),
        Cause(
            "! systemd-run --quiet --wait --unit=e2e-fails false",
            "systemctl reset-failed e2e-fails",
            {"HostUnitFailed": {"unit": "e2e-fails.service"}},
        ),
        Cause(
            f"echo 'no figures' > {METRICS}/e2e_broken.prom",
            f"rm {METRICS}/e2e_broken.prom",
            {"HostFiguresBroken": {}},
        ),
        Cause(
            f"seq 10500 | sed 's/.*/e2e_grows{{id=\"&\"}} 1/' > {METRICS}/e2e_many.prom",
            f"rm {METRICS}/e2e_many.prom",
            {"TargetTooLarge": {"job": "node"}},
        ),
        Cause(
            f'cp -p "{INDEX}" /root/e2e-index; printf x | dd of="{INDEX}" bs=1 seek=50 conv=notrunc status=none; '
            "! systemctl start groundwork-backup-verify",
            f'cp -p /root/e2e-index "{INDEX}" && rm /root/e2e-index && systemctl start groundwork-backup-verify',
            {"BackupNotVerified": {}},
            on="node2",
        ),
        Cause(
            "! /usr/local/lib/groundwork/groundwork_backup/server drill --time 2020-01-01T00:00:00Z",
            "/usr/local/lib/groundwork/groundwork_backup/server drill",
            {"DrillFailed": {}},
            on="node2",
        ),
        Cause(
            # With the same admin socket: another one, or none, would take that away from the configuration in force.
            f"! echo '{NONSENSE}' | {CADDY} -",
            f"{CADDY} /etc/caddy/live/current/Caddyfile --adapter caddyfile",
            {"EdgeConfigurationRefused": {}},
        ),
        Cause(
            f"cp {PROMETHEUS} /root/e2e.yml && echo 'nonsense: [' >> {PROMETHEUS} && "
            "docker kill -s HUP monitoring-prometheus-1",
            f"cat /root/e2e.yml > {PROMETHEUS} && docker kill -s HUP monitoring-prometheus-1",
            {"ConfigurationRefused": {}},
            on="node2",
        ),
        Cause(
            *sending("unsigned", f"{CURL} --rate 2/s -d none 'https://app.lab.test/webhooks/payments?[1-9999]'"),
            {"WebhooksRefused": {"job": "tenant-app"}},
            on="client",
        ),
        Cause(
            f"{PSQL} -c \"insert into public.tenants (id, name) values ('{PAYER}', 'e2e')\"",
            f"{PSQL} -c \"delete from public.payments where tenant_id = '{PAYER}'\" "
            f"-c \"delete from public.tenants where id = '{PAYER}'\"",
            {},
        ),
        Cause(
            *sending("pays", f"python3 -c {shlex.quote(FAILED_PAYMENTS)}"),
            {"PaymentsFail": {"job": "tenant-app"}},
            on="client",
        ),
        Cause(
            f"{PSQL} -c 'alter table private.payment_events rename to e2e_events'",
            f"{PSQL} -c 'alter table private.e2e_events rename to payment_events'",
            {"WebhooksFail": {"job": "tenant-app"}},
        ),
        Cause(
            *sending("refused", f"{CURL} --rate 3/s 'https://api.lab.test/rest/v1/todos?[1-9999]'"),
            {"ApiRefusesMany": {}},
            on="client",
        ),
        Cause(
            *sending(
                "many", f"{CURL} --rate 9/s -H 'apikey: PUBLISHABLE_KEY' 'https://api.lab.test/graphql/v1?[1-9999]'"
            ),
            {"ApiRateLimited": {}},
            on="client",
        ),
        Cause(
            "mount -o remount,ro /mnt/e2e-readonly && systemctl restart groundwork-host-metrics",
            "true",
            {"DiskReadOnly": {"mountpoint": "/mnt/e2e-readonly"}},
        ),
    ),
    (
        Cause(
            *sending("asking", f"sh -c {shlex.quote(ASKING)}"),
            {},
            on="client",
        ),
        Cause(
            *sending("looking", f"{CURL} --rate 2/s 'https://app.lab.test/healthz?[1-9999]'"),
            {},
            on="client",
        ),
        Cause(
            "docker kill supabase-rest-1",
            "docker start supabase-rest-1",
            {
                "ApiErrors": {},
                "ApiServiceErrors": {"envoy_cluster_name": "rest"},
                "ApiServiceUnreachable": {},
                "ApiObjectiveBurnsFast": {},
                "EdgeErrors": {},
            },
        ),
        Cause(
            "docker stop supabase-pgbouncer-1",
            "docker start supabase-pgbouncer-1",
            {"PgbouncerDown": {}, "DependencyDown": {"job": "tenant-app"}, "ApplicationErrors": {"job": "tenant-app"}},
        ),
        Cause("docker stop supabase-redis-1", "docker start supabase-redis-1", {"RedisDown": {}}),
        Cause(
            "systemctl stop groundwork-host-metrics",
            "systemctl start groundwork-host-metrics",
            {"HostFiguresStale": {}},
        ),
        # A drill, which is in the round before, wants the seconds that it does not receive.
        Cause(
            "systemctl stop groundwork-barman.timer groundwork-wal-receiver",
            "systemctl start groundwork-barman.timer groundwork-wal-receiver",
            {"BackupReceiverDown": {}, "BackupLags": {}},
            on="node2",
        ),
    ),
    (
        Cause(
            "mv /run/docker.sock /run/docker.sock.away",
            "mv /run/docker.sock.away /run/docker.sock",
            {"ContainerEngineDown": {}},
        ),
    ),
    (
        Cause("docker stop edge-caddy-1", "docker start edge-caddy-1", {"SiteDown": {}}),
        Cause("docker stop supabase-db-1", "docker start supabase-db-1", {"PostgresqlDown": {}}),
    ),
)

# It silences all other alerts of its host.
SILENCE = (Cause("docker stop exporters-agent-1", "docker start exporters-agent-1", {"HostSilent": {}}),)

# Alerts whose cause is not here, and why. Their rules have tests with given figures, as all have.
HOST = "it would be the whole machine's, and slow or stop the rest of the tests"
CLOCK = "the lab's servers have the clock of the machine"
LONG = "takes hours or days of something that stays away"
GROWTH = "needs gigabytes, or hours of load"
NOT_HERE = {
    "DiskFillsWithinADay": LONG,
    "HostCpuBusy": HOST,
    "HostLoadHigh": HOST,
    "HostMemoryShort": HOST,
    "HostMemoryStalls": HOST,
    "HostClockWrong": CLOCK,
    "HostClockUnsynchronised": CLOCK,
    "HostRestarted": CLOCK,
    "HostRebootRequired": LONG,
    "BackupMissed": LONG,
    "BackupSlow": LONG,
    "DrillStale": LONG,
    "DrillTooSlow": LONG,
    "ProbeStale": LONG,
    "CertificateExpires": LONG,
    "ApiObjectiveBurns": LONG,
    "PostgresqlLongTransaction": LONG,
    "BackupShrank": GROWTH,
    "BackupSlotRetains": GROWTH,
    "SeriesMany": GROWTH,
    "PostgresqlCacheMisses": GROWTH,
    "PostgresqlTemporaryFiles": GROWTH,
    "PostgresqlWalGrows": GROWTH,
    "PostgresqlWraparound": GROWTH,
    "PostgresqlRestarted": "is told nobody in the lab; the round that stops PostgreSQL has it",
    "Watchdog": "fires all the time, and has a test of its own",
    "AlertmanagerMissing": "nobody is left to deliver it; the silence of the dead man's switch has a test of its own",
    "AlertsNotDelivered": "is heard of when what was wrong with the delivery is over",
    "ApiSlow": "needs a service that is slow for ten minutes and does not fail",
    "AuthMailFails": "service auth cannot run in the lab",
    "WebsocketsDropped": "needs a crowd of websockets for some minutes",
    "ProbeFailed": "playbooks/verify.yml writes it when asked to, and has tests of its own",
    "PgbouncerClientsWait": "the application's own limits end what would hold connections",
    "PgbouncerWaitLong": "the application's own limits end what would hold connections",
    "SqlMetricFails": "takes more than an hour of a query that fails",
    "PostgresqlFiguresMissing": "needs an exporter that is half broken",
    "PushLags": "needs a network that loses every other packet",
    "PushRefused": "needs figures that Prometheus does not take",
    "LogsRefused": "needs lines that Loki does not take",
    "RulesFail": "needs a rule that is wrong for the figures; their tests are there to prevent it",
}
