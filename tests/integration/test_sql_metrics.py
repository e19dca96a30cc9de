# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""monitoring_sql_metrics: from the inventory through PostgreSQL and the exporter into Prometheus."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from gateway_server import render_entry, render_variable
from monitoring_config import SETTINGS
from postgres_server import ROOT, docker, ensure_image

NEWEST_ONLY = True
EXPORTERS = ROOT / "roles" / "exporters"
READER = "groundwork_metrics"
PASSWORD = "reader-password"
TABLES = """
create schema shop;
create table shop.orders (id int generated always as identity, status text, plan text, cents bigint);
alter table shop.orders enable row level security, force row level security;
insert into shop.orders (status, plan, cents) values
  ('paid', 'pro', 100), ('paid', 'pro', 250), ('open', 'free', 40), ('open', null, 2);
"""
METRICS = [
    {
        "name": "shop_cents",
        "help": 'Cents by "status" and plan.',
        "labels": ["status", "plan"],
        "query": "select status, plan, sum(cents) as value from shop.orders group by status, plan",
    },
    {
        "name": "shop_orders_total",
        "help": "Orders.",
        "type": "counter",
        "query": "select count(*) as value from shop.orders",
    },
    # Rows of the same labels, a value that is not known, and more series than are allowed.
    {
        "name": "shop_shares",
        "help": "Shares.",
        "labels": ["plan"],
        "limit": 2,
        "query": "select plan, n as value from (values ('a', 1), ('a', 2), ('b', null), ('c', 9), ('d', 1)) v(plan, n)",
    },
    {"name": "shop_nothing", "help": "Nothing.", "query": "select 1 as value where false"},
    {"name": "shop_slow", "help": "Slow.", "query": "select 1 as value from pg_sleep(60)"},
]
ASKED = {**SETTINGS, "inventory_hostname": "node1", "exporters_services": ["db"], "exporters_sql_metrics": METRICS}


@pytest.fixture
def shop(run, database, store):
    """The tables, and the role as role exporters makes it."""
    database.query(TABLES)
    roles = render_variable(EXPORTERS, "__exporters_login_roles", ASKED)
    secrets = store({"sql_metrics_password": PASSWORD, "monitor_password": "monitor-password"})
    assert run("schema", {**database.login, **secrets, "login_roles": roles}).changed
    return database


def arguments(database: Any, metrics: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {**database.login, "metrics": METRICS if metrics is None else metrics, "reader": READER}


def test_functions_come_about_once_and_follow_the_declaration(run, shop):
    planned = run("sql_metrics", arguments(shop), "--check", "--diff")
    assert planned.changed and not shop.query("select from pg_namespace where nspname = 'groundwork_metrics'")
    assert "metric shop_cents" in planned.output
    applied = run("sql_metrics", arguments(shop))
    assert applied.changed and applied.result["queries"] == planned.result["queries"]
    assert not run("sql_metrics", arguments(shop)).changed
    # What somebody changed by hand is put right, for one function and not for others.
    shop.query("grant execute on function groundwork_metrics.shop_cents() to authenticated")
    assert len(run("sql_metrics", arguments(shop)).result["queries"]) == 5
    assert run("sql_metrics", arguments(shop, METRICS[:1])).result["queries"] == [
        f'drop function "groundwork_metrics"."{metric["name"]}"()'
        for metric in sorted(METRICS[1:], key=lambda metric: str(metric["name"]))
    ]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select count(*) as value from shop.returns", 'relation "shop.returns" does not exist'),
        ("select count(*) from shop.orders", "metric.value does not exist"),
        ("select current_date as value", "cannot cast type date to double precision"),
        ("with gone as (delete from shop.orders returning id) select 1 as value from gone", "data-modifying"),
    ],
)
def test_postgresql_checks_the_query_when_it_is_declared(run, shop, query, said):
    outcome = run("sql_metrics", arguments(shop, [{"name": "shop_wrong", "help": "Wrong.", "query": query}]))
    assert said in outcome.error and "metric shop_wrong (metrics[0])" in outcome.error


def test_the_reader_may_do_nothing_else(run, shop):
    run("sql_metrics", arguments(shop))
    with shop.connect(READER, password=PASSWORD) as connection:
        # Row level security would hide every row from it, and from the tables' owner.
        rows = connection.execute("select * from groundwork_metrics.shop_cents()").fetchall()
        assert rows == [("paid", "pro", 350.0), ("open", "free", 40.0), ("open", "", 2.0)]
        assert connection.execute("select * from groundwork_metrics.shop_shares()").fetchall() == [
            ("c", 9.0),
            ("a", 3.0),
        ]
        for statement, error in {
            "select * from shop.orders": psycopg.errors.InsufficientPrivilege,
            "create function groundwork_metrics.mine() returns int language sql as 'select 1'": psycopg.Error,
            "create temp table mine (id int)": psycopg.errors.ReadOnlySqlTransaction,
            "select * from groundwork_metrics.shop_slow()": psycopg.errors.QueryCanceled,
        }.items():
            with pytest.raises(error):
                connection.execute(statement)
    with shop.connect() as connection:
        connection.execute("set role authenticated")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select * from groundwork_metrics.shop_cents()")


@contextmanager
def running(folder: Path, files: Mapping[str, str], options: list[str], command: list[str]) -> Iterator[str]:
    """Address of a program of the monitoring image, on this machine's own network. files: text by path."""
    volumes = []
    for number, (path, text) in enumerate(files.items()):
        file = folder / f"{Path(command[0]).name}-{number}"
        file.write_text(text, encoding="utf-8")
        file.chmod(0o644)
        volumes += ["--volume", f"{file}:{path}:ro"]
    container = docker(
        "run", "--detach", "--label", "groundwork.integration", "--network", "host", *volumes, *options,
        "--entrypoint", command[0], "groundwork-lab/monitoring:current", *command[1:],
        "--web.listen-address=127.0.0.1:0",
    ).strip()  # fmt: skip
    try:
        yield wait_for(lambda: re.search(r"127\.0\.0\.1:[1-9]\d+", listening(container)), lambda: listening(container))[
            0
        ]
    finally:
        docker("rm", "--force", "--volumes", container)


def listening(container: str) -> str:
    log = docker("logs", container, errors=subprocess.STDOUT)
    return "\n".join(line for line in log.splitlines() if "Listening on" in line) or log


def wait_for(find: Callable[[], Any], what: Callable[[], object], seconds: float = 40) -> Any:
    end = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < end, what()
        time.sleep(0.2)
    return found


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


@pytest.fixture
def exporter(run, shop, tmp_path):
    """Address of the exporter, with the role's command and files."""
    ensure_image("monitoring")
    run("sql_metrics", arguments(shop))
    texts, entry = render_entry(EXPORTERS, "__exporters_entries", ASKED, "sql-exporter")
    assert isinstance(entry["files"]["/etc/exporter/queries.yml"]["content"], str)
    texts["/run/secrets/password"] = texts["/run/secrets/password"].replace("${secret:sql_metrics_password}", PASSWORD)
    environment = {
        **entry["environment"],
        "DATA_SOURCE_URI": f"127.0.0.1:{shop.server.port}/{shop.name}?sslmode=disable",
    }
    options = ["--user", entry["user"], "--read-only", "--cap-drop", "ALL"]
    options += [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
    with running(tmp_path, texts, options, [*entry["entrypoint"], *entry["command"]]) as address:
        yield address


def test_the_exporter_serves_what_the_inventory_declares_and_says_what_fails(exporter):
    text = fetch(f"http://{exporter}/metrics")
    assert '# HELP shop_cents_value Cents by "status" and plan.\n# TYPE shop_cents_value gauge' in text
    assert "# TYPE shop_orders_total_value counter" in text
    # A query that takes too long is missing, and the others are there.
    assert "pg_exporter_last_scrape_error 1" in text
    assert set(re.findall(r"^(\w+_value)\{", text, re.MULTILINE)) == {
        f"{name}_value" for name in ("shop_cents", "shop_orders_total", "shop_shares")
    }
    assert not re.search(r"^pg_(?!exporter_|up|scrape_)", text, re.MULTILINE)
    # The answers are kept, and the failure with them.
    began = time.monotonic()
    assert "shop_cents_value" in fetch(f"http://{exporter}/metrics") and time.monotonic() - began < 2


def test_prometheus_stores_them_under_their_names(exporter, tmp_path):
    texts, _entry = render_entry(
        EXPORTERS, "__exporters_entries", {**ASKED, "__exporters_server_certificate": {}}, "agent"
    )
    config = yaml.safe_load(texts["prometheus.yml"])
    (job,) = [job for job in config["scrape_configs"] if job["job_name"] == "sql-metrics"]
    assert job["static_configs"] == [{"targets": ["sql-exporter:9187"], "labels": {"host": "node1"}}]
    job["static_configs"][0]["targets"] = [exporter]
    job.update(scrape_interval="7s", scrape_timeout="7s")
    files = {"/etc/prometheus/prometheus.yml": yaml.safe_dump({"scrape_configs": [job]})}
    command = ["/bin/prometheus", "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
    with running(tmp_path, files, [], command) as address:
        query = urllib.parse.quote('{job="sql-metrics",__name__!~"up|scrape_.*"}')

        def stored() -> list[dict[str, Any]]:
            try:
                return list(json.loads(fetch(f"http://{address}/api/v1/query?query={query}"))["data"]["result"])
            except OSError:
                # It listens before it can answer.
                return []

        found = wait_for(stored, lambda: "Prometheus stored nothing")
    values = {json.dumps(each["metric"], sort_keys=True): each["value"][1] for each in found}
    said = {"host": "node1", "instance": exporter, "job": "sql-metrics"}
    assert values == {
        json.dumps({**said, **labels}, sort_keys=True): value
        for labels, value in (
            ({"__name__": "shop_cents", "status": "paid", "plan": "pro"}, "350"),
            ({"__name__": "shop_cents", "status": "open", "plan": "free"}, "40"),
            ({"__name__": "shop_cents", "status": "open"}, "2"),
            ({"__name__": "shop_orders_total"}, "4"),
            ({"__name__": "shop_shares", "plan": "c"}, "9"),
            ({"__name__": "shop_shares", "plan": "a"}, "3"),
            ({"__name__": "pg_exporter_last_scrape_error"}, "1"),
        )
    }


def test_the_metrics_of_the_inventories_suit_the_example_application(run, shop):
    folder = ROOT / "examples" / "tenant-app" / "supabase" / "migrations"
    assert run("migration", {"path": str(folder), **shop.login}).changed
    text = (ROOT / "inventories" / "prod" / "group_vars" / "all" / "apps.yml").read_text(encoding="utf-8")
    assert run("sql_metrics", arguments(shop, yaml.safe_load(text)["monitoring_sql_metrics"])).changed
    shop.query("insert into public.tenants (name) values ('Acme')")
    assert shop.query("select * from groundwork_metrics.tenant_app_tenants()") == [(1.0,)]
    assert shop.query("select * from groundwork_metrics.tenant_app_payments()") == []


def test_without_metrics_nothing_is_added():
    settings = {**ASKED, "exporters_sql_metrics": []}
    entries = render_variable(EXPORTERS, "__exporters_entries", {**settings, "__exporters_server_certificate": {}})
    assert set(entries) == {"agent", "node", "postgres"}
    assert "sql-metrics" not in render_variable(EXPORTERS, "__exporters_targets", settings)
    (role,) = render_variable(EXPORTERS, "__exporters_login_roles", settings)
    assert role["name"] == "groundwork_monitor"
