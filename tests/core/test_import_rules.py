"""What may import what: pure cores stay pure, services know each other only by their records."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from shared.topics import TOPICS

ROOT = Path(__file__).resolve().parents[2]
SERVICES = sorted(
    folder.name for folder in (ROOT / "services").iterdir() if (folder / "__init__.py").exists()
)
SHARED_CORE = {"calendar", "codec", "facts", "money", "outcomes", "terms", "time"}
"""The modules of shared/ that a fold may use: values and their bytes, nothing that touches the world."""
WORLD = {
    *("asyncio", "concurrent", "io", "logging", "multiprocessing", "os", "pathlib"),
    *(
        "random",
        "secrets",
        "select",
        "signal",
        "socket",
        "subprocess",
        "tempfile",
        "threading",
        "time",
        "uuid",
    ),
}
"""Standard modules by which a clock, chance, the environment or other programs come in."""


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def core() -> list[Path]:
    sla = [path for path in (ROOT / "services" / "sla").glob("*.py") if path.name != "command.py"]
    return sorted([*sla, *(ROOT / "shared" / f"{name}.py" for name in SHARED_CORE)])


def imported(path: Path) -> set[str]:
    """Every module a file imports, also inside functions; of `from a import b` both a and a.b."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", core(), ids=named)
def test_core_modules_import_only_the_standard_library_msgspec_and_the_core(path: Path) -> None:
    """No broker, no framework, no clock, no chance, no environment: the same history gives the same bytes."""
    own = {named(other).removesuffix(".py").replace("/", ".") for other in core()}
    for name in imported(path):
        top = name.partition(".")[0]
        if top in ("services", "shared"):
            module = name in own or name.rpartition(".")[0] in own or name in ("shared", "services.sla")
            assert module, f"{named(path)} is core and imports {name}, which is not"
        else:
            assert top in sys.stdlib_module_names | {"msgspec"}, f"{named(path)} is core and imports {name}"
            assert top not in WORLD, f"{named(path)} is core and imports {name}: that is the world outside"


@pytest.mark.parametrize("path", sources("services"), ids=named)
def test_services_know_each_other_only_by_their_records(path: Path) -> None:
    """The command line may call any of them; none of them imports another, nor the command line."""
    own = path.relative_to(ROOT / "services").parts[0]
    others = {f"services.{name}" for name in SERVICES if name != own}
    if path.is_relative_to(ROOT / "services" / "status" / "history"):
        others.remove("services.sla")
    if own != "cli":
        for name in imported(path):
            assert ".".join(name.split(".")[:2]) not in others, f"{named(path)} imports {name}"


@pytest.mark.parametrize("path", sources("services/status/history"), ids=named)
def test_the_status_page_takes_nothing_from_the_sla_service_but_its_pure_core(path: Path) -> None:
    """Its figures are those customers are credited by (docs/adr/0015): the same functions, without state."""
    pure = {named(other).removesuffix(".py").replace("/", ".") for other in core()} | {"services.sla"}
    for name in imported(path):
        if name.startswith("services.sla"):
            assert name in pure or name.rpartition(".")[0] in pure - {"services.sla"}, f"imports {name}"


@pytest.mark.parametrize("path", sources("shared"), ids=named)
def test_what_is_shared_knows_no_service(path: Path) -> None:
    assert not [name for name in imported(path) if name.partition(".")[0] in ("services", "tests", "bench")]


@pytest.mark.parametrize("path", sources("services", "shared"), ids=named)
def test_topic_names_stand_in_the_registry_only(path: Path) -> None:
    """A topic named by hand would not get the prefix of the installation."""
    names = {topic.name for topic in TOPICS}
    if named(path) != "shared/topics.py":
        written = {
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not names & written, (
            f"{named(path)} names {names & written} itself; take it from shared.topics"
        )
