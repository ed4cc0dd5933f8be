"""Lays out what an image gets, so that the same sources give the same bytes: byte code that depends on
nothing but the sources, one user, one list of what is in it, one time for every file.

    finish.py --venv /opt/garant --sbom /sbom.json --out /rootfs [--also FROM=TO]
"""

from __future__ import annotations

import argparse
import compileall
import hashlib
import json
import os
import py_compile
import shutil
from pathlib import Path
from typing import Any

UID = 10001
HOME = "var/lib/garant"


def main() -> None:
    """Replaces `--out` by what the image's root gets."""
    options = argparse.ArgumentParser()
    options.add_argument("--venv", type=Path, required=True)
    options.add_argument("--sbom", type=Path, required=True)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--also", action="append", default=[])
    told = options.parse_args()
    when = int(os.environ["SOURCE_DATE_EPOCH"])
    shutil.rmtree(told.out, ignore_errors=True)
    venv = told.out / told.venv.relative_to("/")
    shutil.copytree(told.venv, venv, symlinks=True)
    for pair in told.also:
        source, _, target = pair.partition("=")
        shutil.copytree(source, told.out / target.lstrip("/"), symlinks=True)
    _compile(venv, told.venv)
    _user(told.out)
    sbom = told.out / "usr/share/garant/sbom.cdx.json"
    sbom.parent.mkdir(parents=True)
    sbom.write_text(_sbom(json.loads(told.sbom.read_text()), when))
    home = told.out / HOME
    home.mkdir(parents=True)
    home.chmod(0o1777)  # a volume made of it belongs to whoever runs in the container
    for path in (told.out, *told.out.rglob("*")):
        os.utime(path, (when, when), follow_symlinks=False)


def _compile(venv: Path, place: Path) -> None:
    """Byte code that is never checked against its source again: nobody writes in an image."""
    for found in venv.rglob("__pycache__"):
        shutil.rmtree(found, ignore_errors=True)
    for where in venv.glob("lib/*/site-packages/*.dist-info"):
        _forget(where, "direct_url.json", "uv_cache.json")
    compileall.compile_dir(
        venv,
        maxlevels=30,
        quiet=2,
        stripdir=str(venv),
        prependdir=str(place),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def _forget(where: Path, *names: str) -> None:
    """Removes what says where and when a package was built, also from the list of its files."""
    for name in names:
        (where / name).unlink(missing_ok=True)
    record = where / "RECORD"
    if record.exists():
        gone = tuple(f"{where.name}/{name}," for name in names)
        kept = [line for line in record.read_text().splitlines(True) if not line.startswith(gone)]
        record.write_text("".join(kept))


def _user(out: Path) -> None:
    for name, line in (
        ("passwd", f"garant:x:{UID}:{UID}:Garant:/tmp:/usr/sbin/nologin\n"),
        ("group", f"garant:x:{UID}:\n"),
    ):
        (out / "etc").mkdir(exist_ok=True)
        kept = "".join(
            one for one in Path("/etc", name).read_text().splitlines(True) if not one.startswith("garant:")
        )
        (out / "etc" / name).write_text(kept + line)


def _sbom(found: dict[str, Any], when: int) -> str:
    """The Python packages of the lock file and the base's Debian packages, as CycloneDX 1.5."""
    from datetime import UTC, datetime

    found["components"] = sorted(
        [*found.get("components", []), *_debian()], key=lambda one: str(one.get("purl", one["name"]))
    )
    found["metadata"] = {
        **found.get("metadata", {}),
        "timestamp": datetime.fromtimestamp(when, UTC).isoformat(),
    }
    found.pop("serialNumber", None)
    digest = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
    found["serialNumber"] = (
        f"urn:uuid:{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
    )
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def _debian() -> list[dict[str, Any]]:
    packages = []
    for block in Path("/var/lib/dpkg/status").read_text().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and line[0] != " ")
        if fields.get("Status", "").endswith(" installed"):
            name, version = fields["Package"], fields["Version"]
            purl = f"pkg:deb/debian/{name}@{version}?arch={fields['Architecture']}"
            packages.append(
                {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}
            )
    return packages


if __name__ == "__main__":
    main()
