"""How long 200 small migrations take: ours, the Supabase CLI's db push, and psql with a process for each file.

All of them run in each of several rounds, one after the other, each on a database of its own. What is printed is the
median, and the median of the ratios within a round, which carries over to another machine better. A round also measures
what Ansible needs to start and to run a module that does nothing, so that ours can be told without it. The server keeps
its data in memory and waits for no disk, so that the programs are compared and not the disk.
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

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from npm_programs import supabase_cli  # noqa: E402
from postgres_server import Database, running_server  # noqa: E402

FILES = 200
ROUNDS = 5
TEXT = """
create table public.t{0} (id bigint generated always as identity primary key, owner uuid not null, note text);
alter table public.t{0} enable row level security;
create policy own on public.t{0} using (owner = (select auth.uid()));
create index on public.t{0} (owner);
"""
COUNT = "select count(*) from pg_tables where schemaname = 'public' and tablename like 't%'"


def timed(command: list[str], folder: Path, **variables: str) -> float:
    """Seconds that a command took; ends the bench where it fails."""
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "HOME": str(folder), **variables}
    start = time.monotonic()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - start
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return seconds


def ansible(module: str, *arguments: str) -> list[str]:
    program = str(Path(sys.executable).with_name("ansible"))
    local = ["-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}"]
    return [program, "localhost", *local, "-m", module, *arguments]


def ours(database: Database, folder: Path) -> float:
    arguments = {"path": str(folder / "supabase" / "migrations"), **database.login}
    return timed(ansible("groundwork.supabase.migration", "-a", json.dumps(arguments)), folder)


def cli(database: Database, folder: Path) -> float:
    server = database.server
    url = f"postgresql://postgres:{server.password}@127.0.0.1:{server.port}/{database.name}"
    return timed([str(supabase_cli()), "db", "push", f"--remote={url}", "--yes"], folder)


def psql(database: Database, folder: Path) -> float:
    login = ["-h", "127.0.0.1", "-p", str(database.server.port), "-U", "postgres", "-d", database.name]
    options = ["-X", "-q", "-1", "-v", "ON_ERROR_STOP=1"]
    files = sorted((folder / "supabase" / "migrations").glob("*.sql"))
    password = database.server.password
    return sum(timed(["psql", *options, *login, "-f", str(file)], folder, PGPASSWORD=password) for file in files)


def measure(folder: Path) -> list[dict[str, float]]:
    """Seconds of each program in each round."""
    programs: dict[str, Callable[[Database, Path], float]] = {"ours": ours, "cli": cli, "psql": psql}
    rounds = []
    with running_server(folder) as server:
        for number in range(ROUNDS):
            spent = {"start": timed(ansible("ansible.builtin.ping"), folder)}
            # Another order in each round, so that none always comes after the same one.
            for name in list(programs)[number % 3 :] + list(programs)[: number % 3]:
                database = server.create_database(f"{name}_{number}")
                spent[name] = programs[name](database, folder)
                if database.query(COUNT) != [(FILES,)]:
                    sys.exit(f"{name} did not apply all files")
                if name != "psql":
                    spent[f"{name}, nothing to do"] = programs[name](database, folder)
            rounds.append(spent)
    return rounds


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "supabase" / "migrations").mkdir(parents=True)
        (folder / "supabase" / "config.toml").write_text('project_id = "bench"\n', encoding="ascii")
        for number in range(FILES):
            file = folder / "supabase" / "migrations" / f"{20260101000000 + number}_t{number}.sql"
            file.write_text(TEXT.format(number), encoding="ascii")
        rounds = measure(folder)
    for spent in rounds:
        for kind in ("ours", "ours, nothing to do"):
            spent[f"{kind}, without Ansible's start"] = spent[kind] - spent["start"]
    rows = [(name, f"{statistics.median(spent[name] for spent in rounds):.2f} s") for name in sorted(rounds[0])]
    for first in ("ours", "ours, without Ansible's start"):
        for second in ("cli", "psql"):
            ratio = statistics.median(spent[first] / spent[second] for spent in rounds)
            rows.append((f"ratio: {first} / {second}", f"{ratio:.2f}"))
    first, second = "ours, nothing to do, without Ansible's start", "cli, nothing to do"
    rows.append((f"ratio: {first} / {second}", f"{statistics.median(s[first] / s[second] for s in rounds):.2f}"))
    width = max(len(name) for name, _value in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value:>8}")


if __name__ == "__main__":
    main()
