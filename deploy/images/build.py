#!/usr/bin/env python3
"""Builds Garant's images with Docker. Needs only Python and a Docker daemon.

deploy/images/build.py                          garant, garant-trial and garant-tests, tagged `dev`
deploy/images/build.py --only garant --tag 0.1.0 --registry registry.example/garant
deploy/images/build.py --release --tag 0.1.0 --registry ... --base python:3.11-slim-bookworm@sha256:...
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ("garant", "garant-trial", "garant-tests")
BASE = "python:3.11-slim-bookworm"


class Refused(Exception):
    """What was asked for must not be built; the message says what to change."""


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """What was asked for. Raises Refused for a release that could not be built again."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    found.add_argument("--tag", default="dev", help="of every image (dev)")
    found.add_argument("--registry", default="localhost", help="before the images' names (localhost)")
    found.add_argument("--base", default=os.environ.get("PYTHON_IMAGE", BASE), help=f"base image ({BASE})")
    found.add_argument("--only", choices=IMAGES, action="append", help="only this image; may be repeated")
    found.add_argument("--no-cache", action="store_true", help="build every layer anew")
    found.add_argument("--rules-version", type=int, help="pretend other rules: for testing an upgrade")
    found.add_argument("--release", action="store_true", help="refuse what could not be built again")
    told = found.parse_args(arguments)
    if told.release:
        check_release(told.base, told.tag)
    return told


def check_release(base: str, tag: str) -> None:
    """Raises Refused for a base that is not named by digest, a tag that moves, or changed files."""
    if not re.search(r"@sha256:[0-9a-f]{64}$", base):
        raise Refused(
            f"--base {base} can be another image tomorrow: name it by digest, as `docker buildx imagetools "
            f"inspect {BASE}` shows it (--base {BASE}@sha256:...)."
        )
    if tag in ("latest", "dev"):
        raise Refused(f"--tag {tag} is no version: a release is tagged with it (--tag 0.1.0).")
    if _git("status", "--porcelain"):
        raise Refused("The work tree has changes: commit them, so that the image can be built again.")


def rules_version() -> str:
    """The number of services/sla/rules.py."""
    return _written("services/sla/rules.py", r"^RULES_VERSION\b.*?=\s*(\d+)")


def _written(path: str, pattern: str) -> str:
    return re.findall(pattern, (ROOT / path).read_text(), re.M)[0]


def command(told: argparse.Namespace, image: str) -> list[str]:
    """How Docker builds `image`."""
    arguments = {
        "PYTHON_IMAGE": told.base,
        "BASE_NAME": told.base,
        "VERSION": _written("pyproject.toml", r'^version = "(.*)"'),
        "REVISION": _git("rev-parse", "HEAD") or "unknown",
        "RULES_VERSION": str(told.rules_version or rules_version()),
        "SOURCE_DATE_EPOCH": _git("log", "-1", "--format=%ct") or "0",
    }
    words = ["docker", "build", "--target", image, "--tag", f"{told.registry}/{image}:{told.tag}"]
    words += ["--file", str(ROOT / "deploy/images/Dockerfile")]
    for name, value in arguments.items():
        words += ["--build-arg", f"{name}={value}"]
    return [*words, *(["--no-cache"] if told.no_cache else []), str(ROOT)]


def main(arguments: Sequence[str]) -> int:
    """Builds what was asked for and prints the images' names."""
    try:
        told = options(arguments)
    except Refused as refused:
        print(f"error: {refused}", file=sys.stderr)
        return 1
    for image in told.only or IMAGES:
        done = subprocess.run(command(told, image), env={**os.environ, "DOCKER_BUILDKIT": "1"})
        if done.returncode != 0:
            return done.returncode
        print(f"{told.registry}/{image}:{told.tag}")
    return 0


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
