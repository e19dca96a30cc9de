"""What watching the platform costs: memory and processor of each part, and how many series each target gives.

Needs the lab with the platform on it, some minutes after its deployment. Memory is the proportional share of each
process (PSS), processor time that of a minute in which nobody uses the platform.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from typing import Any

HOSTS = {"node1": "groundwork-lab-node1", "node2": "groundwork-lab-node2"}
SECONDS = 60
UNITS = ("exporters", "monitoring")
# Runs on each host: of each container of the units megabytes, and seconds of processor time that it took meanwhile.
LOOK = """
import json, os, subprocess, sys, time
units, seconds = json.loads(sys.argv[1])
def run(*command):
    return subprocess.run(["docker", *command], capture_output=True, text=True, check=True).stdout.split()
def spent(pid):
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
def memory(pid):
    lines = open(f"/proc/{pid}/smaps_rollup")
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
label = "label=com.docker.compose.project="
names = [name for unit in units for name in run("ps", "--filter", label + unit, "--format", "{{.Names}}")]
pids = {name: [int(pid) for pid in run("top", name, "-o", "pid")[1:]] for name in names}
before = {name: sum(map(spent, found)) for name, found in pids.items()}
time.sleep(seconds)
spent = {name: sum(map(spent, found)) - before[name] for name, found in pids.items()}
print(json.dumps({name: (sum(map(memory, found)), spent[name]) for name, found in pids.items()}))
"""
ASK = """
import json, urllib.parse, urllib.request
query = "max_over_time(scrape_samples_post_metric_relabeling[10m])"
url = "http://127.0.0.1:9090/api/v1/query?" + urllib.parse.urlencode({"query": query})
print(json.dumps(json.load(urllib.request.urlopen(url))["data"]["result"]))
"""


def python(host: str, program: str, *arguments: str) -> subprocess.Popen[str]:
    command = ["docker", "exec", HOSTS[host], "python3", "-c", program, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(host: str, process: subprocess.Popen[str]) -> Any:
    output, errors = process.communicate()
    if process.returncode:
        sys.exit(f"{host} does not watch the platform: {errors.strip()[-1000:]}; run make demo first")
    return json.loads(output)


def main() -> None:
    looking = {host: python(host, LOOK, json.dumps([UNITS, SECONDS])) for host in HOSTS}
    print("| host | part | memory in MB | processor, % of one |")
    print("|---|---|---|---|")
    for host, process in looking.items():
        parts = result(host, process)
        whole = [sum(column) for column in zip(*parts.values(), strict=True)]
        for name, (memory, spent) in [*sorted(parts.items()), ("together", whole)]:
            print(f"| {host} | {name} | {memory:.0f} | {100 * spent / SECONDS:.1f} |")
    series: dict[tuple[str, str], int] = defaultdict(int)
    for found in result("node2", python("node2", ASK)):
        labels = found["metric"]
        series[labels.get("host", ""), labels["job"]] += int(found["value"][1])
    print("\n| host | target | series |")
    print("|---|---|---|")
    for (host, job), count in sorted(series.items()):
        print(f"| {host} | {job} | {count:,} |")
    print(f"| | together | {sum(series.values()):,} |")


if __name__ == "__main__":
    main()
