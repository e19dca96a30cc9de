"""How long grants and row level security of many tables take: modules schema and rls, psql, and community.postgresql.

Everybody gets the same grants and policies. Everything goes to one throw-away server over one port, in interleaved
rounds; each round has a fresh database for each way. Printed are medians, and ratios to psql. "Net" is without the
start of Ansible, which is a playbook with the same file of variables and as many modules, of community.postgresql,
that do next to nothing; what the arguments cost on their way from a variable to a module is part of net, and the start
of psql is part of psql. In "shared" the policies of a schema's tables are alike, as where templates make them; in "own"
no two expressions are. Looped tasks are extrapolated from a few items. Asserts nothing but that every run succeeds, and
that the modules' second run changes nothing.
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
QUERY = "community.postgresql.postgresql_query"
MEMBER = "tenant_id = any (array(select m.tenant_id from {schema}.t0 m where m.user_id = (select auth.uid())))"
POLICIES: list[tuple[str, dict[str, str]]] = [
    ("select", {"using": MEMBER}),
    ("insert", {"check": "user_id = (select auth.uid()) and role in ('owner', 'editor')"}),
    ("update", {"using": "user_id = (select auth.uid())", "check": "tenant_id is not null"}),
    ("delete", {"using": "user_id = (select auth.uid()) and created_at > now() - interval '1 day'"}),
]


GRANTS = {"role": "authenticated", "levels": ["write"]}


def tables(schemas: int, per_schema: int, own: bool = False) -> list[dict[str, Any]]:
    """Module rls's argument, an element for each table. own: each has expressions of its own."""
    names = [(f"s{schema}", f"s{schema}.t{table}") for schema in range(schemas) for table in range(per_schema)]
    return [{"name": name, "policies": policies(schema, name if own else "")} for schema, name in names]


def patterns(schemas: int) -> list[dict[str, Any]]:
    """The same by a pattern for each schema, as a person would write it."""
    return [{"name": f"s{schema}.*", "policies": policies(f"s{schema}")} for schema in range(schemas)]


def policies(schema: str, own: str = "") -> list[dict[str, Any]]:
    more = f" and role <> '{own}'" if own else ""
    return [
        {
            "name": f"p_{command}",
            "command": command,
            "roles": ["authenticated"],
            **{clause: text.format(schema=schema) + more for clause, text in clauses.items()},
        }
        for command, clauses in POLICIES
    ]


def grants(schemas: int) -> list[dict[str, Any]]:
    """Module schema's argument."""
    return [{"name": f"s{schema}", "access": [GRANTS]} for schema in range(schemas)]


def statements(wanted: list[dict[str, Any]], schemas: int, again: bool) -> list[str]:
    """The same as SQL; again: a script that can be run a second time."""
    found = ["alter default privileges revoke execute on routines from public"]
    for schema in (f"s{number}" for number in range(schemas)):
        default = f"alter default privileges in schema {schema} grant"
        found += [
            f"grant usage on schema {schema} to authenticated",
            f"grant select, insert, update, delete on all tables in schema {schema} to authenticated",
            f"{default} select, insert, update, delete on tables to authenticated",
            f"{default} usage, select on sequences to authenticated",
        ]
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


ENVIRONMENT = {**os.environ, "ANSIBLE_NOCOLOR": "1"}


def timed(command: list[str], output: str = "") -> float:
    """Seconds that a command took; output: what it must have printed."""
    start = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - start
    if done.returncode or output not in done.stdout:
        sys.exit(f"{' '.join(command)[:200]} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return seconds


class Ways:
    """The ways to bring a database there. What Ansible is given is read from a file of variables."""

    # How many modules each needs, and the variables that they read. A loop's are a few statements at a time.
    NEEDS: dict[str, tuple[int, tuple[str, ...]]] = {
        "modules": (2, ("grants", "tables")),
        "patterns": (2, ("grants", "patterns")),
        "one_list": (1, ("statements",)),
        "looped": (1, ()),
    }
    NAMES = ["psql", *NEEDS]

    def __init__(self, folder: Path, schemas: int, per_schema: int, own: bool = False) -> None:
        self.folder = folder
        self.wanted = tables(schemas, per_schema, own)
        self.lines = {again: statements(self.wanted, schemas, again) for again in (False, True)}
        self.variables = {
            "grants": grants(schemas),
            "tables": self.wanted,
            "patterns": patterns(schemas),
            "statements": self.lines[True],
        }

    def psql(self, database: Database, again: bool) -> float:
        script = self.folder / "script.sql"
        script.write_text(";\n".join(self.lines[again]) + ";\n", encoding="utf-8")
        login = ["-h", "127.0.0.1", "-p", str(database.server.port), "-U", "postgres", "-d", database.name]
        return timed(["psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", *login, "-f", str(script)])

    def modules(self, database: Database, again: bool, argument: str = "tables") -> float:
        tasks = [
            {"groundwork.supabase.schema": {"schemas": "{{ grants }}", **database.login}},
            {"groundwork.supabase.rls": {"tables": f"{{{{ {argument} }}}}", **database.login}},
        ]
        variables = {name: self.variables[name] for name in ("grants", argument)}
        return self.play(tasks, variables, "changed=0 " if again else "changed=2 ")

    def patterns(self, database: Database, again: bool) -> float:
        return self.modules(database, again, "patterns")

    def one_list(self, database: Database, again: bool) -> float:
        task = {QUERY: {"query": "{{ statements }}", **theirs(database)}}
        return self.play([task], {"statements": self.lines[again]})

    def looped(self, database: Database, again: bool) -> float:
        """Extrapolated from some statements; the start of Ansible is not repeated, so it is not multiplied."""
        task = {QUERY: {"query": "{{ item }}", **theirs(database)}, "loop": "{{ statements }}"}
        one, some = (self.play([task], {"statements": self.lines[again][:count]}) for count in (1, 1 + LOOPED))
        return one + (some - one) / LOOPED * (len(self.lines[again]) - 1)

    def start(self, database: Database, name: str) -> float:
        """Ansible with a way's variables, and as many modules, which do next to nothing with the same server."""
        count, names = self.NEEDS[name]
        login = theirs(database)
        tasks = [{QUERY: {"query": "select 1", **login}}, {"community.postgresql.postgresql_ping": login}]
        return self.play(tasks[:count], {name: self.variables[name] for name in names})

    def play(self, tasks: list[dict[str, Any]], variables: dict[str, Any], output: str = "") -> float:
        playbook, file = self.folder / "play.yml", self.folder / "variables.json"
        play = {"hosts": "localhost", "gather_facts": False, "connection": "local", "tasks": tasks}
        playbook.write_text(json.dumps([play]), encoding="utf-8")
        file.write_text(json.dumps(variables), encoding="utf-8")
        options = ["-i", "localhost,", "-e", f"ansible_python_interpreter={sys.executable}", "-e", f"@{file}"]
        return timed([str(BIN / "ansible-playbook"), *options, str(playbook)], output)


def theirs(database: Database) -> dict[str, Any]:
    login = {key: value for key, value in database.login.items() if key != "login_password_file"}
    return {**login, "login_host": "127.0.0.1", "login_user": "postgres", "login_password": database.server.password}


def measure(template: Database, ways: Ways, names: list[str], rounds: int) -> dict[Any, float]:
    """Medians of seconds: by way and whether it is the second run, and by way alone the start of Ansible with it."""
    found: dict[Any, list[float]] = {"psql": [0.0]}
    for number in range(rounds):
        order = names[number % len(names) :] + names[: number % len(names)]
        for name in order:
            database = copy_of(template, f"{name}_{number}")
            way: Callable[[Database, bool], float] = getattr(ways, name)
            for again in (False, True):
                found.setdefault((name, again), []).append(way(database, again))
            with database.server.connect() as connection:
                connection.execute(f'drop database "{database.name}" with (force)')
        for name in order:
            if name in ways.NEEDS:
                found.setdefault(name, []).append(ways.start(template, name))
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
    print(f"\n{title}\n  {'':<10}{'start':>7}{'apply':>10}{'net':>8}{'/psql':>8}{'again':>10}{'net':>8}{'/psql':>8}")
    for name in dict.fromkeys(key[0] for key in found if isinstance(key, tuple)):
        row = f"  {name:<10}{found[name]:>7.2f}"
        for again in (False, True):
            row += f"{found[name, again]:>10.2f}{net(found, name, again):>8.2f}"
            row += f"{net(found, name, again) / found['psql', again]:>8.2f}"
        print(row, flush=True)


def net(found: dict[Any, float], name: str, again: bool) -> float:
    return found[name, again] - found[name]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as temporary, running_server(Path(temporary)) as server:
        folder = Path(temporary)
        ENVIRONMENT["PGPASSWORD"] = server.password
        small, large = server.create_database("small"), server.create_database("large")
        fill(small, 10, 20)
        fill(large, 10, 200)
        few = measure(small, Ways(folder, 10, 20), Ways.NAMES, rounds)
        report("200 tables, 4 policies each, shared (looped: extrapolated)", few)
        own = measure(small, Ways(folder, 10, 20, own=True), ["psql", "modules"], rounds)
        report("200 tables, 4 policies each, own", own)
        many = measure(large, Ways(folder, 10, 200), ["psql", "modules", "patterns"], max(1, rounds // 2))
        report("2,000 tables, 4 policies each, shared", many)
        for again in (False, True):
            ratio = net(many, "modules", again) / net(few, "modules", again)
            print(f"  10 x the tables, {'again' if again else 'apply'}: {ratio:.1f} x the net time")


if __name__ == "__main__":
    main()
