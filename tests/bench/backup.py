"""Base backups and restores of a database of two gigabytes, beside `tar | zstd -1` and `cp -a` of the same files.

Needs the lab with the platform on it. pgbench fills a database of its own (scale 130), which is dropped at the end. A
backup is what backup.yml runs; it crosses SSH to the other host and is written there, where tar writes beside the
database. A restore is what restore.yml runs: the other host prepares it, this one fetches it, ready for PostgreSQL to
start. Rounds are interleaved; printed are medians.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

SOURCE, SERVER = "groundwork-lab-node1", "groundwork-lab-node2"
TOOLS = "/usr/local/lib/groundwork/groundwork_backup"
PLACE = "/var/lib/docker/bench"
SCALE = 130
ROUNDS = 3
TERABYTE = 1e12


def run(host: str, command: str) -> str:
    done = subprocess.run(["docker", "exec", host, "sh", "-ec", command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{host}: {command}\nended with {done.returncode}: {(done.stdout + done.stderr).strip()[-3000:]}")
    return done.stdout.strip()


def database(command: str) -> str:
    return run(SOURCE, f"docker exec supabase-db-1 {command}")


def seconds(host: str, command: str) -> float:
    run(host, "sync")
    begin = time.perf_counter()
    run(host, f"{command}; sync")
    return time.perf_counter() - begin


def restore() -> float:
    """Seconds until the files lie on the source as PostgreSQL takes them."""
    free = run(SOURCE, "df --block-size=1 --output=avail /var/lib/docker | tail -n 1").strip()
    targets = "--time '' --lsn '' --name '' --backup ''"
    spent = seconds(SERVER, f"{TOOLS}/server prepare {targets} --free node1:/var/lib/docker={free}")
    run(SOURCE, f"install -d -o 105 -g 106 -m 0700 {PLACE}/restored")
    spent += seconds(SOURCE, f"{TOOLS}/source receive {PLACE}/restored")
    run(SERVER, f"{TOOLS}/server forget")
    return spent


def main() -> None:
    data = json.loads(run(SOURCE, "docker inspect supabase-db-1"))[0]
    live = next(each["Source"] for each in data["Mounts"] if each["Destination"] == "/var/lib/postgresql/data")
    rows: dict[str, Callable[[], float]] = {
        "base backup": lambda: seconds(SERVER, f"{TOOLS}/server backup --label bench"),
        "tar | zstd -1": lambda: seconds(SOURCE, f"tar -C {live} -cf - . | zstd -q -1 -o {PLACE}/tar.zst"),
        "restore": restore,
        "cp -a": lambda: seconds(SOURCE, f"cp -a {live} {PLACE}/copy"),
    }
    run(SOURCE, f"command -v zstd >/dev/null || apt-get -qq install zstd >/dev/null; install -d {PLACE}")
    database("createdb -U supabase_admin bench")
    try:
        database(f"pgbench -U supabase_admin -i -q -s {SCALE} bench")
        database("psql -U supabase_admin -qc checkpoint")
        size = int(run(SOURCE, f"du -sb {live} | cut -f 1"))
        found: dict[str, list[float]] = {name: [] for name in rows}
        for _round in range(ROUNDS):
            for name, measure in rows.items():
                found[name].append(measure())
                run(SOURCE, f"rm -rf {PLACE}/*")
    finally:
        run(SOURCE, f"rm -rf {PLACE}")
        database("dropdb -U supabase_admin --force bench")
    print(f"| {size / 1e9:.2f} GB | seconds | beside its peer | 1 TB at this rate |")
    print("|---|---|---|---|")
    medians = {name: statistics.median(each) for name, each in found.items()}
    peers = {"base backup": "tar | zstd -1", "restore": "cp -a"}
    for name, middle in medians.items():
        beside = f"{middle / medians[peers[name]]:.2f} ×" if name in peers else "1"
        hours = middle * TERABYTE / size / 3600
        print(f"| {name.replace('|', 'and')} | {middle:.1f} | {beside} | {hours:.1f} h |")


if __name__ == "__main__":
    main()
