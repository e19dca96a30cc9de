"""How long row level security of many tables takes: module rls, psql, and community.postgresql on the same statements.

Everything goes to one throw-away server over one port, in interleaved rounds; each round has a fresh database for each
way. Printed are medians, and ratios to psql. "Net" is without the start of Ansible, which is taken to be a run of
community.postgresql.postgresql_ping on the same server; the start of psql is part of psql. Looped tasks are
extrapolated from a few items. Asserts nothing but that every run succeeds, and that the module's second run changes
nothing.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from postgres_server import Database, running_server  # noqa: E402

BIN = Path(sys.executable).parent
ROUNDS = 5
LOOPED = 20
MEMBER = "tenant_id = any (array(select m.tenant_id from {schema}.t0 m where m.user_id = (select auth.uid())))"
POLICIES: list[tuple[str, dict[str, str]]] = [
    ("select", {"using": MEMBER}),
    ("insert", {"check": "user_id = (select auth.uid()) and role in ('owner', 'editor')"}),
    ("update", {"using": "user_id = (select auth.uid())", "check": "tenant_id is not null"}),
    ("delete", {"using": "user_id = (select auth.uid()) and created_at > now() - interval '1 day'"}),
]


def tables(schemas: int, per_schema: int) -> list[dict[str, Any]]:
    """The module's argument, an element for each table."""
    names = [(f"s{schema}", f"s{schema}.t{table}") for schema in range(schemas) for table in range(per_schema)]
    return [{"name": name, "policies": policies(schema)} for schema, name in names]


def patterns(schemas: int) -> list[dict[str, Any]]:
    """The same by a pattern for each schema, as a person would write it."""
    return [{"name": f"s{schema}.*", "policies": policies(f"s{schema}")} for schema in range(schemas)]


def policies(schema: str) -> list[dict[str, Any]]:
    return [
        {
            "name": f"p_{command}",
            "command": command,
            "roles": ["authenticated"],
            **{clause: text.format(schema=schema) for clause, text in clauses.items()},
        }
        for command, clauses in POLICIES
    ]


def statements(wanted: list[dict[str, Any]], again: bool) -> list[str]:
    """The same as SQL; again: a script that can be run a second time."""
    found = []
    for table in wanted:
        found.append(f"alter table {table['name']} enable row level security")
        for policy in table["policies"]:
            if again:
                found.append(f"drop policy if exists {policy['name']} on {table['name']}")
            using = f" using ({policy['using']})" if "using" in policy else ""
            check = f" with check ({policy['check']})" if "check" in policy else ""
            head = f"create policy {policy['name']} on {table['name']} for {policy['command']} to authenticated"
            found.append(head + using + check)
    return found


def timed(command: list[str], changed: bool | None = None) -> float:
    """Seconds that a command took; changed: what the module must report."""
    start = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - start
    if done.returncode or (changed is not None and f'"changed": {str(changed).lower()}' not in done.stdout):
        sys.exit(f"{' '.join(command)[:200]} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return seconds


ENVIRONMENT = {**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_NOCOLOR": "1"}


class Ways:
    """The ways to bring a database there, each a command."""

    def __init__(self, folder: Path, wanted: list[dict[str, Any]], schemas: int) -> None:
        self.count = len(statements(wanted, again=False))
        self.files = {}
        for again in (False, True):
            lines = statements(wanted, again)
            self.files[again] = folder / f"again_{again}.sql"
            self.files[again].write_text(";\n".join(lines) + ";\n", encoding="utf-8")
            self.files["list", again] = folder / f"again_{again}.json"
            self.files["list", again].write_text(json.dumps({"statements": lines}), encoding="utf-8")
        self.files["tables"] = folder / "tables.json"
        self.files["tables"].write_text(json.dumps({"tables": wanted}), encoding="utf-8")
        self.files["patterns"] = folder / "patterns.json"
        self.files["patterns"].write_text(json.dumps({"tables": patterns(schemas)}), encoding="utf-8")
        self.files["loop"] = folder / "loop.yml"

    def psql(self, database: Database, again: bool) -> float:
        login = ["-h", "127.0.0.1", "-p", str(database.server.port), "-U", "postgres", "-d", database.name]
        return timed(["psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", *login, "-f", str(self.files[again])])

    def rls(self, database: Database, again: bool) -> float:
        arguments = {"tables": "{{ tables }}", **database.login}
        return ansible("groundwork.supabase.rls", arguments, self.files["tables"], changed=not again)

    def patterns(self, database: Database, again: bool) -> float:
        arguments = {"tables": "{{ tables }}", **database.login}
        return ansible("groundwork.supabase.rls", arguments, self.files["patterns"], changed=not again)

    def one_list(self, database: Database, again: bool) -> float:
        arguments = {"query": "{{ statements }}", **theirs(database)}
        return ansible("community.postgresql.postgresql_query", arguments, self.files["list", again])

    def looped(self, database: Database, again: bool) -> float:
        """Extrapolated from the first few statements."""
        task = {
            "community.postgresql.postgresql_query": {"query": "{{ item }}", **theirs(database)},
            "loop": f"{{{{ statements[:{LOOPED}] }}}}",
        }
        play = [{"hosts": "localhost", "gather_facts": False, "connection": "local", "tasks": [task]}]
        self.files["loop"].write_text(json.dumps(play), encoding="utf-8")
        options = ["-i", "localhost,", "-e", f"ansible_python_interpreter={sys.executable}"]
        variables = ["-e", f"@{self.files['list', again]}"]
        seconds = timed([str(BIN / "ansible-playbook"), *options, *variables, str(self.files["loop"])])
        count = self.count if not again else len(self.files[True].read_text(encoding="utf-8").splitlines())
        return seconds * count / LOOPED


def theirs(database: Database) -> dict[str, Any]:
    login = {key: value for key, value in database.login.items() if key != "login_password_file"}
    return {**login, "login_host": "127.0.0.1", "login_user": "postgres", "login_password": database.server.password}


def ansible(
    module: str, arguments: dict[str, Any], variables: Path | None = None, changed: bool | None = None
) -> float:
    local = ["localhost", "-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}"]
    extra = ["-e", f"@{variables}"] if variables else []
    return timed([str(BIN / "ansible"), *local, *extra, "-m", module, "-a", json.dumps(arguments)], changed)


def measure(folder: Path, template: Database, ways: Ways, names: list[str], rounds: int) -> dict[Any, float]:
    """Medians: way and whether it is the second run to seconds; None to the start of Ansible."""
    found: dict[Any, list[float]] = {}
    for number in range(rounds):
        order = names[number % len(names) :] + names[: number % len(names)]
        for name in order:
            database = copy_of(template, f"{name}_{number}")
            way: Callable[[Database, bool], float] = getattr(ways, name)
            for again in (False, True):
                found.setdefault((name, again), []).append(way(database, again))
            database.server.connect().execute(f'drop database "{database.name}" with (force)')
        found.setdefault(None, []).append(ansible("community.postgresql.postgresql_ping", theirs(template)))
    return {key: statistics.median(seconds) for key, seconds in found.items()}


def copy_of(template: Database, name: str) -> Database:
    with template.server.connect() as connection:
        connection.execute(f'create database "{name}" template "{template.name}" owner postgres')
    return Database(template.server, name)


def fill(database: Database, schemas: int, per_schema: int) -> None:
    columns = "id bigint primary key, user_id uuid, tenant_id uuid, role varchar(20), created_at timestamptz"
    with database.connect() as connection, connection.transaction():
        for schema in range(schemas):
            connection.execute(f"create schema s{schema}")
            for table in range(per_schema):
                connection.execute(f"create table s{schema}.t{table} ({columns})")


def report(title: str, found: dict[Any, float]) -> None:
    start = found[None]
    print(f"\n{title}\n  start of Ansible (postgresql_ping): {start:.2f} s")
    print(f"  {'':<10}{'apply':>9}{'net':>8}{'/psql':>8}{'net':>8}{'again':>10}{'net':>8}{'/psql':>8}{'net':>8}")
    for name in dict.fromkeys(key[0] for key in found if key):
        row = f"  {name:<10}"
        for again in (False, True):
            gross, base = found[name, again], found["psql", again]
            net = gross if name == "psql" else gross - start
            row += f"{gross:>{10 if again else 9}.2f}{net:>8.2f}{gross / base:>8.2f}{net / base:>8.2f}"
        print(row)


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary, running_server(Path(temporary)) as server:
        folder = Path(temporary)
        ENVIRONMENT["PGPASSWORD"] = server.password
        small, large = server.create_database("small"), server.create_database("large")
        fill(small, 10, 20)
        fill(large, 10, 200)
        rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
        few = measure(
            folder, small, Ways(folder, tables(10, 20), 10), ["psql", "rls", "patterns", "one_list", "looped"], rounds
        )
        report("200 tables, 4 policies each (looped: extrapolated from 20 items)", few)
        many = measure(
            folder, large, Ways(folder, tables(10, 200), 10), ["psql", "rls", "patterns"], max(1, rounds // 2)
        )
        report("2,000 tables, 4 policies each", many)
        for again in (False, True):
            ratio = (many["rls", again] - many[None]) / (few["rls", again] - few[None])
            print(f"  10 x the tables, {'again' if again else 'apply'}: {ratio:.1f} x the net time")


if __name__ == "__main__":
    main()
