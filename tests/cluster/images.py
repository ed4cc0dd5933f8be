"""The images that are tried: those that CLUSTER_IMAGES names, or built here and given to the cluster.

CLUSTER_IMAGES       REGISTRY:TAG of images the cluster has: "localhost:0.1.0" is localhost/garant:0.1.0;
                     of `garant` also TAG-next (the same under another name) and TAG-rules (other rules)
CLUSTER_LOAD         otherwise: the command that gives the cluster the images named behind it
PYTHON_IMAGE         the base image to build on
"""

from __future__ import annotations

import os
import py_compile
import re
import shlex
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from services.cli.local.config import DEPLOY
from tests.cluster.kube import Failed, run
from tests.cluster.other_charts import OTHER_RULES, Before

BUILD = DEPLOY.parent / "images" / "build.py"
NEXT, RULES = "-next", "-rules"


class Images(NamedTuple):
    """Names of images that the cluster has."""

    registry: str
    tag: str

    @property
    def tests(self) -> str:
        return f"{self.registry}/garant-tests:{self.tag}"

    def values(self) -> list[str]:
        """Helm's arguments that choose them."""
        return [*self.version(""), "--set-string", f"trial.image.repository={self.registry}/garant-trial"]

    def version(self, suffix: str) -> list[str]:
        """Helm's arguments that choose a version of the services, and leave a trial's Kafka as it is."""
        chosen = {
            "image.repository": f"{self.registry}/garant",
            "image.tag": f"{self.tag}{suffix}",
            "trial.image.tag": self.tag,
        }
        return [word for name, value in chosen.items() for word in ("--set-string", f"{name}={value}")]


def named(environment: Mapping[str, str]) -> Images | None:
    """The images that the environment names; None where they are to be built. Raises Failed."""
    told = environment.get("CLUSTER_IMAGES", "")
    if not told:
        return None
    registry, _, tag = told.rpartition(":")
    if not registry or not tag or "/" in tag:
        raise Failed(f"CLUSTER_IMAGES is {told!r}: name a registry and a tag, as in localhost:0.1.0")
    return Images(registry, tag)


def images() -> Images:
    """The images to try, in the cluster when this returns. Raises Failed."""
    if (told := named(os.environ)) is not None:
        return told
    load = os.environ.get("CLUSTER_LOAD", "")
    if not load:
        raise Failed(
            "name images that the cluster has (CLUSTER_IMAGES=localhost:0.1.0), or the command that "
            "gives it the ones built here (CLUSTER_LOAD)"
        )
    built = Images("localhost", "test")
    build = [sys.executable, str(BUILD), "--registry", built.registry]
    run([*build, "--tag", built.tag], within_s=1_800)
    make_others(f"{built.registry}/garant:{built.tag}")
    names = ["garant", "garant-trial", "garant-tests"]
    all_of_them = [f"localhost/{name}:{built.tag}" for name in names]
    all_of_them += [f"localhost/garant:{built.tag}{suffix}" for suffix in (NEXT, RULES)]
    run([*shlex.split(load), *all_of_them], within_s=900)
    return built


def make_others(image: str) -> None:
    """Makes of `image` one under another name, and one of other rules."""
    run(["docker", "tag", image, image + NEXT])
    asked = "from services.sla import rules; print(rules.__file__, rules.__cached__)"
    source, compiled = run(
        ["docker", "run", "--rm", "--entrypoint", "python", image, "-c", asked]
    ).out.split()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = (DEPLOY.parents[1] / "services" / "sla" / "rules.py").read_text()
        changed = re.sub(r"^(RULES_VERSION\b.*=) \d+", rf"\1 {OTHER_RULES}", text, flags=re.M)
        (folder / "rules.py").write_text(changed)
        # An image's byte code is never compared with its source.
        py_compile.compile(
            str(folder / "rules.py"),
            str(folder / "rules.pyc"),
            source,
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
        copies = f"COPY rules.py {source}\nCOPY rules.pyc {compiled}\n"
        (folder / "Dockerfile").write_text(f"FROM {image}\n{copies}")
        run(["docker", "build", "--tag", image + RULES, name], within_s=600)


def images_before(this: Images, previous: Before) -> list[str]:
    """Helm's arguments that choose the images of the chart before. Raises Failed where they are not told."""
    if not previous.released:
        return this.values()
    told = named({"CLUSTER_IMAGES": os.environ.get("CLUSTER_PREVIOUS_IMAGES", "")})
    if told is None:
        raise Failed(f"name the images of {previous.what}: CLUSTER_PREVIOUS_IMAGES=REGISTRY:TAG")
    return told.values()
