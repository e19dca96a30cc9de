# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scripts/image_policy.py on what Docker says of an image. Docker itself and gitleaks are not asked."""

from __future__ import annotations

import dataclasses
import importlib.util
import io
import json
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
spec = importlib.util.spec_from_file_location("image_policy", ROOT / "scripts" / "image_policy.py")
assert spec is not None and spec.loader is not None
policy = importlib.util.module_from_spec(spec)
sys.modules["image_policy"] = policy
spec.loader.exec_module(policy)

EXAMPLE = ROOT / "examples" / "tenant-app" / "Dockerfile"
DIGEST = "@sha256:" + "0a" * 32
NAME = "registry.test/tenant-app:8f3c"
PULLED = [f"registry.test/node:22{DIGEST}"]
# Of `docker image inspect` for the example's base, and of the configuration that `docker save` wrote for the example:
# Docker 20.10, shortened.
BASE = {
    "Config": {
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "Labels": {"org.opencontainers.image.title": "node"},
    },
    "RootFS": {"Type": "layers", "Layers": ["sha256:a74f", "sha256:5852"]},
}
CONFIG = {
    "config": {
        "User": "10001:10001",
        "Env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "NODE_ENV=production",
            "PORT=8080",
        ],
        "Cmd": ["node", "server/main.js"],
        "Healthcheck": {"Test": ["CMD", "node", "server/healthcheck.js"], "Interval": 10000000000, "Retries": 3},
        "WorkingDir": "/app",
        "Entrypoint": ["tini", "--"],
        "Labels": {"org.opencontainers.image.title": "node", "org.opencontainers.image.revision": "8f3c"},
    },
    "history": [
        {"created": "2026-11-22T03:54:39Z", "comment": "Imported from -"},
        {"created_by": "/bin/sh -c #(nop)  LABEL org.opencontainers.image.title=node", "empty_layer": True},
        {"created_by": "/bin/sh -c apt-get update     && apt-get install -y nodejs npm tini"},
        {"created_by": '/bin/sh -c #(nop)  CMD ["node"]', "empty_layer": True},
        {"created_by": "/bin/sh -c groupadd --gid 10001 app     && useradd --uid 10001 --gid 10001 app"},
        {"created_by": "/bin/sh -c #(nop) WORKDIR /app"},
        {"created_by": "/bin/sh -c #(nop) COPY dir:2140fc84de925d545013a805adbbea3b in . "},
        {"created_by": "/bin/sh -c #(nop)  ENV NODE_ENV=production PORT=8080", "empty_layer": True},
        {"created_by": "/bin/sh -c #(nop)  USER 10001:10001", "empty_layer": True},
    ],
    "rootfs": {
        "type": "layers",
        "diff_ids": ["sha256:a74f", "sha256:5852", "sha256:5b05", "sha256:131e", "sha256:7ad1"],
    },
}
IMAGE = policy.read_image(CONFIG, BASE, 240_000_000)


def lines(name=NAME, pulled=(), limit=350, **changes):
    image = dataclasses.replace(IMAGE, **changes)
    return [str(fault) for fault in policy.find_faults(name, image, pulled or PULLED, limit)]


def test_what_an_image_adds_to_its_base():
    assert IMAGE.settings["environment"] == ("NODE_ENV=production", "PORT=8080")
    assert IMAGE.settings["labels"] == ("org.opencontainers.image.revision=8f3c",)
    assert IMAGE.settings["history"][0] == 'CMD ["node"]', "what stands above the base's last layer"
    assert IMAGE.layers[1:] == (
        "WORKDIR /app",
        "COPY dir:2140fc84de925d545013a805adbbea3b in .",
    )


def test_an_image_on_another_base_has_all_layers_of_its_own():
    image = policy.read_image(CONFIG, {"RootFS": {"Layers": ["sha256:0000"]}}, 0)
    assert (len(image.layers), len(image.settings["history"]), len(image.settings["environment"])) == (5, 9, 3)


def test_both_builders_histories_read_alike():
    buildkit = {"created_by": "RUN |1 NPM_TOKEN=abc /bin/sh -c npm ci # buildkit", "comment": "buildkit.dockerfile.v0"}
    config = {"config": {}, "history": [buildkit], "rootfs": {"diff_ids": ["sha256:1"]}}
    assert policy.read_image(config, {}, 0).layers == ("RUN |1 NPM_TOKEN=abc /bin/sh -c npm ci",)


def test_a_sound_image_has_no_fault():
    assert lines() == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"name": "registry.test/tenant-app:latest"},
            "tenant-app:latest, tag: registry.test/tenant-app:latest is another",
        ),
        ({"name": "registry.test/tenant-app"}, "tag: registry.test/tenant-app is another image every time"),
        ({"name": "registry.example.com/tenant-app:1"}, "tag: registry.example.com/tenant-app:1 is an example"),
        ({"pulled": ["node:22-slim"]}, "base: node:22-slim has no digest; append the @sha256:"),
        ({"pulled": ["node"]}, "base: node has no digest"),
        ({"pulled": ["${NODE_IMAGE}"]}, "base: '${NODE_IMAGE}' is not an image reference"),
        ({"user": ""}, "user: it runs as root; end the last stage with USER NUMBER:NUMBER"),
        ({"user": "root:app"}, "user: it runs as root"),
        ({"user": "00:10001"}, "user: it runs as root"),
        ({"user": "node"}, "user: node is a name"),
        ({"healthcheck": ()}, "health check: it has none"),
        ({"healthcheck": ("NONE",)}, "health check: it has none"),
        ({"size": 350_600_000}, "size: it has 351 MB where 350 MB are allowed; leave what only the build needs"),
        ({"limit": None}, "size: it has 240 MB and nobody said how much it may have; write its limit into examples/"),
        ({"settings": {"environment": ["DB_PASSWORD=x1"]}}, "secrets: DB_PASSWORD has a value in its environment"),
        ({"settings": {"labels": ["com.acme.api.token=x1"]}}, "secrets: com.acme.api.token has a value in its labels"),
        (
            {"settings": {"history": ["RUN |1 NPM_TOKEN=x1 /bin/sh -c npm ci"]}},
            "secrets: NPM_TOKEN has a value in its his",
        ),
        ({"settings": {"history": ["ENV PGPASSWORD=x1", "ENV PGPASSWORD="]}}, "PGPASSWORD has a value in its history"),
    ],
)
def test_each_rule_names_image_cause_and_remedy(changes, expected):
    (line,) = lines(**changes)
    assert line.startswith("image registry.") and expected in line and "; " in line


def test_all_that_is_wrong_is_said_at_once():
    settings = {
        "environment": ["API_TOKEN=x1"],
        "history": ["ENV API_TOKEN=x1", "RUN AWS_SECRET_ACCESS_KEY='x2' deploy"],
    }
    found = lines(name="a", pulled=["b", "c"], limit=1, user="0", healthcheck=(), settings=settings)
    rules = [line.split(": ")[0].removeprefix("image a, ") for line in found]
    assert rules == ["tag", "base", "base", "user", "health check", "size", "secrets", "secrets"]
    assert not [line for line in found if "x1" in line or "x2" in line]


@pytest.mark.parametrize(
    "text",
    [
        "SUPABASE_ANON_KEY=abc",
        "WEBHOOK_SECRET_FILE=/run/secrets/webhook",
        "GPG_KEY=7169605F62C751356D054A26A821E680E5FA6305",
        "API_TOKEN=",
        "ALLOW_EMPTY_PASSWORD=yes",
        'RUN /bin/sh -c TOKEN="$(cat /run/secrets/npm)" npm ci',
        "RUN --mount=type=secret,id=npm npm ci",
    ],
)
def test_what_is_no_secret(text):
    assert policy.find_assigned_secrets({"history": [text]}) == {}


DOCKERFILES = [
    ("FROM a:1\n", ["a:1"], "a:1"),
    ("ARG BASE=a:1\nFROM ${BASE} AS build\nFROM $BASE\nCOPY --from=build /x /x\n", ["a:1"], "a:1"),
    ("FROM a:1 AS Build\nFROM b:1 AS run\nFROM build\n", ["a:1", "b:1"], "a:1"),
    ("FROM --platform=linux/amd64 a:1\nCOPY --chown=1:1 --from=c:1 x y\nCOPY --from=0 x y\n", ["a:1", "c:1"], "a:1"),
    ("FROM a:1 as build\nFROM scratch\nCOPY --from=build /x /x\n", ["a:1"], ""),
    ("# FROM z:1\nFROM \\\n  a:1\nRUN --mount=type=bind,from=d:1,target=/d true\n", ["a:1", "d:1"], "a:1"),
    ("ARG BASE\nFROM ${BASE}\n", ["${BASE}"], "${BASE}"),
    ("FROM a:1\nARG BASE=b:1\nFROM ${BASE}\n", ["a:1", "${BASE}"], "${BASE}"),
]


@pytest.mark.parametrize(("text", "pulled", "base"), DOCKERFILES)
def test_what_a_build_pulls(text, pulled, base):
    assert policy.read_dockerfile(text) == (pulled, base)


@pytest.mark.skipif(not EXAMPLE.exists(), reason="ansible-test has the collection alone")
def test_every_example_keeps_what_can_be_seen_without_a_build():
    limits = policy.yaml.safe_load(policy.LIMITS.read_text(encoding="utf-8"))
    for dockerfile in (ROOT / "examples").glob("*/Dockerfile"):
        pulled, base = policy.read_dockerfile(dockerfile.read_text(encoding="utf-8"))
        assert base in pulled
        assert lines(pulled=pulled, limit=limits[dockerfile.parent.name]) == []


def archive_of(files):
    """A tar archive of contents by name."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return written.getvalue()


def test_own_layers_are_unpacked_with_what_a_later_one_removes(tmp_path):
    layers = [
        {"bin/sh": b"base"},
        {"usr/bin/node": b"base too"},
        {"app/.env": b"first"},
        {"app/.wh..env": b"", "../../outside": b"within"},
        {"/app/main.js": b"absolute"},
    ]
    manifest = [{"Config": "config.json", "Layers": [f"{number}/layer.tar" for number in range(5)]}]
    saved = {"manifest.json": json.dumps(manifest).encode(), "config.json": json.dumps(CONFIG).encode()}
    saved.update({f"{number}/layer.tar": archive_of(layer) for number, layer in enumerate(layers)})
    image = policy.unpack(io.BytesIO(archive_of(saved)), BASE, tmp_path / "files")
    assert image == dataclasses.replace(IMAGE, size=31)
    files = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {
        "files/1/app/.env": b"first",
        "files/2/app/.wh..env": b"",
        "files/2/outside": b"within",
        "files/3/app/main.js": b"absolute",
    }


def test_what_gitleaks_found_is_named_by_layer_or_setting(tmp_path):
    policy.write_settings(IMAGE.settings, tmp_path)
    # Of its report on an image with a planted key, shortened.
    report = [
        {
            "RuleID": "npm-access-token",
            "StartLine": 7,
            "Secret": "REDACTED",
            "File": str(tmp_path / "settings/history"),
        },
        {"RuleID": "private-key", "StartLine": 1, "Secret": "REDACTED", "File": str(tmp_path / "3/app/deploy.key")},
    ]
    first, second = (str(fault) for fault in policy.find_leaks(NAME, IMAGE, report, tmp_path))
    assert f"image {NAME}, secrets: app/deploy.key, added by 'COPY dir:2140fc" in first
    assert "in line 1 what looks like a secret (private-key); keep the file out of it with .dockerignore" in first
    assert "secrets: its history has in line 7 what looks like a secret (npm-access-token); give it to" in second
    assert (tmp_path / "settings" / "environment").read_text() == "NODE_ENV=production\nPORT=8080\n"
