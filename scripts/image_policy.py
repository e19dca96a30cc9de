"""Say what is wrong with an application's image before others can pull it, all at once, and end with 1 if anything is.

usage: scripts/image_policy.py IMAGE DOCKERFILE

Read are the Dockerfile, for what it starts from, and the image as `docker save` writes it, which is what a registry
gets. Secrets are looked for in what the image adds to its base: what lies below is published by others, and full of
what only looks like a secret.
"""

from __future__ import annotations

import json
import posixpath
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault, GroundworkError, numbered
from ansible_collections.groundwork.supabase.plugins.module_utils.preflight.image_references import find_image_faults

ROOT = Path(__file__).resolve().parents[1]
LIMITS = ROOT / "examples" / "image-sizes.yml"
MEGABYTE = 1_000_000
# Ends of names whose value is the secret itself: TOKEN, and neither TOKEN_FILE nor TOKEN_URL.
ASSIGNMENT = re.compile(
    r"([\w.-]*(?:password|passwd|passphrase|secret|token|credentials?|(?:private|secret|access|service_role)_key))"
    r"=[\"']?([^\s\"']+)",
    re.IGNORECASE,
)
# What a shell finds out when it runs, a digit, and a yes or no are nobody's secret.
HARMLESS = re.compile(r"\$.*|\d|true|false|yes|no", re.IGNORECASE)
HAND_OVER = "give it to the container as a file (${secret:NAME}), to a build by RUN --mount=type=secret, and replace it"


@dataclass(frozen=True)
class Image:
    """What an image is started with, and what it adds to its base.

    ``settings`` are texts of its own by where they stand: environment, labels, and history, which has build arguments.
    ``layers`` has the instruction that made each layer of its own. ``size`` is in bytes, the base's files among them.
    """

    user: str
    healthcheck: tuple[str, ...]
    settings: Mapping[str, tuple[str, ...]]
    layers: tuple[str, ...]
    size: int


# The Dockerfile


def read_dockerfile(text: str) -> tuple[list[str], str]:
    """The images that a build pulls, and which of them the last stage stands on: "" where it stands on nothing."""
    defaults: dict[str, str] = {}
    stages: dict[str, str] = {}
    pulled: list[str] = []
    base = ""
    for line in re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)).splitlines():
        if (argument := re.match(r"ARG\s+(\w+)=(\S*)", line, re.IGNORECASE)) and not stages:
            defaults[argument[1]] = argument[2].strip("\"'")
        if start := re.match(r"FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", line, re.IGNORECASE):
            source = _expand(start[1], defaults)
            base = stages.get(source.lower(), "" if source == "scratch" else source)
            pulled.append(base)
            stages[(start[2] or str(len(stages))).lower()] = base
        for found in re.findall(r"(?:^COPY\s+(?:--\S+\s+)*?--from=|--mount=\S*?\bfrom=)([^\s,]+)", line):
            source = _expand(found, defaults)
            # A number is a stage without a name.
            pulled.append("" if source.isdigit() or source.lower() in stages else source)
    return [source for source in dict.fromkeys(pulled) if source], base


def _expand(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda found: values.get(found[1], found[0]), text)


# What an image is


def read_image(config: Mapping[str, Any], base: Mapping[str, Any], size: int) -> Image:
    """From its own configuration, and from what `docker image inspect` says of its base."""
    own, below, history = config["config"], base.get("Config") or {}, config["history"]
    made = [place for place, entry in enumerate(history) if not entry.get("empty_layer")]
    kept = count_shared(config["rootfs"]["diff_ids"], base)
    first = made[kept - 1] + 1 if kept else 0
    environment, labels = below.get("Env") or (), (below.get("Labels") or {}).items()
    return Image(
        user=own.get("User") or "",
        healthcheck=tuple((own.get("Healthcheck") or {}).get("Test") or ()),
        settings={
            "environment": tuple(line for line in own.get("Env") or () if line not in environment),
            "labels": tuple("=".join(label) for label in (own.get("Labels") or {}).items() if label not in labels),
            "history": tuple(map(_instruction, history[first:])),
        },
        layers=tuple(_instruction(history[place]) for place in made[kept:]),
        size=size,
    )


def count_shared(layers: Sequence[str], base: Mapping[str, Any]) -> int:
    """How many layers an image has from its base, which lies below all of its own."""
    below = (base.get("RootFS") or {}).get("Layers") or []
    return len(below) if list(layers[: len(below)]) == below else 0


def _instruction(entry: Mapping[str, Any]) -> str:
    """An entry of the history as the Dockerfile has it; the two builders write it differently."""
    text = re.sub(r"^/bin/sh -c (?:#\(nop\) +)?| *# buildkit$", "", entry.get("created_by", ""))
    return " ".join(text.split())


# What is wrong with it


def find_faults(name: str, image: Image, pulled: Iterable[str], limit: int | None) -> Iterator[Fault]:
    """All but what only gitleaks sees. ``limit`` is in megabytes, None where nobody set one."""
    yield from find_image_faults(f"image {name}, tag", name, False)
    for reference in pulled:
        yield from find_image_faults(f"image {name}, base", reference, True)
    yield from find_user_faults(name, image.user)
    if image.healthcheck in ((), ("NONE",)):
        yield Fault(
            f"image {name}, health check",
            "it has none, so a release takes it for well as soon as it runs",
            "add a HEALTHCHECK that asks the program itself",
        )
    yield from find_size_faults(name, image.size, limit)
    for key, where in find_assigned_secrets(image.settings).items():
        cause = f"{key} has a value in its {where}, which everybody reads who can pull it"
        yield Fault(f"image {name}, secrets", cause, HAND_OVER)


def find_user_faults(name: str, user: str) -> Iterator[Fault]:
    where, remedy = f"image {name}, user", "end the last stage with USER NUMBER:NUMBER, such as 10001:10001"
    who = user.partition(":")[0]
    if who in ("", "root") or who.isdigit() and int(who) == 0:
        yield Fault(where, "it runs as root", remedy)
    elif not who.isdigit():
        # An /etc/passwd in a later layer, or mounted over it, makes root of any name; and files for it want a number.
        yield Fault(where, f"{who} is a name, and which number it has only the image says", remedy)


def find_size_faults(name: str, size: int, limit: int | None) -> Iterator[Fault]:
    where, has = f"image {name}, size", f"it has {size / MEGABYTE:.0f} MB"
    if limit is None:
        yield Fault(
            where, f"{has} and nobody said how much it may have", f"write its limit into examples/{LIMITS.name}"
        )
    elif size > limit * MEGABYTE:
        remedy = f"leave what only the build needs in an earlier stage, or raise its limit in examples/{LIMITS.name}"
        yield Fault(where, f"{has} where {limit} MB are allowed", remedy)


def find_assigned_secrets(settings: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Names that say of their value that it is secret, with where that stands."""
    found: dict[str, str] = {}
    for where, texts in settings.items():
        for key, value in (match for text in texts for match in ASSIGNMENT.findall(text)):
            if not HARMLESS.fullmatch(value):
                found.setdefault(key, where)
    return found


def find_leaks(name: str, image: Image, report: Iterable[Mapping[str, Any]], folder: Path) -> Iterator[Fault]:
    """What gitleaks found in the folder that `unpack` and `write_settings` filled. Its report is redacted."""
    for leak in sorted(report, key=lambda leak: (leak["File"], leak["StartLine"])):
        place, _slash, path = Path(leak["File"]).relative_to(folder).as_posix().partition("/")
        where = f"its {path}" if place == "settings" else f"{path}, added by {image.layers[int(place) - 1][:60]!r},"
        cause = f"{where} has in line {leak['StartLine']} what looks like a secret ({leak['RuleID']})"
        remedy = HAND_OVER if place == "settings" else f"keep the file out of it with .dockerignore; {HAND_OVER}"
        yield Fault(f"image {name}, secrets", cause, remedy)


# Looking


def unpack(archive: IO[bytes], base: Mapping[str, Any], folder: Path) -> Image:
    """Write the files of the image's own layers into folders by their number, those that a later one removes too."""
    size = 0
    with tarfile.open(fileobj=archive) as saved:
        (manifest,) = json.load(_open(saved, "manifest.json"))
        config = json.load(_open(saved, manifest["Config"]))
        shared = count_shared(config["rootfs"]["diff_ids"], base)
        for number, path in enumerate(manifest["Layers"], start=1 - shared):
            with tarfile.open(fileobj=_open(saved, path)) as layer:
                for member in filter(tarfile.TarInfo.isfile, layer):
                    size += member.size
                    if number > 0:
                        # Never above the folder, whatever the name in the archive is.
                        target = folder / str(number) / posixpath.normpath(f"/{member.name}").lstrip("/")
                        target.parent.mkdir(parents=True, exist_ok=True)
                        target.write_bytes(_open(layer, member).read())
    return read_image(config, base, size)


def _open(archive: tarfile.TarFile, member: str | tarfile.TarInfo) -> IO[bytes]:
    opened = archive.extractfile(member)
    assert opened is not None, member
    return opened


def write_settings(settings: Mapping[str, Iterable[str]], folder: Path) -> None:
    (folder / "settings").mkdir()
    for name, lines in settings.items():
        (folder / "settings" / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def run(*command: str) -> str:
    """What a command prints. Raises GroundworkError where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        what = " ".join((Path(command[0]).name, *command[1:3]))
        raise GroundworkError(what, f"it ended with {done.returncode}: {said}", "correct that, then build again")
    return done.stdout


def inspect_base(reference: str) -> Mapping[str, Any]:
    """What the engine knows of a base; builders keep theirs where it does not look, so it may have to be pulled."""
    if not reference:
        return {}
    if subprocess.run(["docker", "image", "inspect", reference], capture_output=True, check=False).returncode:
        run("docker", "pull", "--quiet", reference)
    (found,) = json.loads(run("docker", "image", "inspect", reference))
    return dict(found)


def judge(name: str, dockerfile: Path) -> tuple[Image, list[Fault]]:
    pulled, base = read_dockerfile(dockerfile.read_text(encoding="utf-8"))
    limits = yaml.safe_load(LIMITS.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as scratch:
        archive, report, folder = Path(scratch) / "image.tar", Path(scratch) / "report.json", Path(scratch) / "files"
        folder.mkdir()
        run("docker", "save", "--output", str(archive), name)
        with archive.open("rb") as saved:
            image = unpack(saved, inspect_base(base), folder)
        write_settings(image.settings, folder)
        options = ["--report-format", "json", "--report-path", str(report), "--exit-code", "0"]
        run(str(ROOT / "scripts" / "gitleaks"), "dir", str(folder), *options)
        leaks = json.loads(report.read_text(encoding="utf-8"))
        faults = [
            *find_faults(name, image, pulled, limits.get(dockerfile.parent.name)),
            *find_leaks(name, image, leaks, folder),
        ]
    return image, list(dict.fromkeys(faults))


def main(arguments: Sequence[str]) -> int:
    name, dockerfile = arguments
    try:
        image, faults = judge(name, Path(dockerfile).resolve())
    except GroundworkError as error:
        print(error, file=sys.stderr)
        return 1
    if faults:
        print(numbered(faults), file=sys.stderr)
        return 1
    print(f"image {name}: user {image.user}, {image.size / MEGABYTE:.0f} MB, {len(image.layers)} layers of its own")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
