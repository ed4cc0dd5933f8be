"""One trial for everything that does not need its own, told nothing but its images; what was found.

Collected only where GARANT_TEST_CLUSTER is set (`make test-cluster`): these tests need a cluster.

KUBECONFIG           the cluster; it gets namespaces garant-test-*, which are removed again
CLUSTER_IMAGES, CLUSTER_LOAD   see images.py
CLUSTER_REPORT   a file for what was found, as JSON
CLUSTER_KEEP     anything: leaves the namespaces for looking at, and uses a trial that is there again
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from tests.cluster.images import Images, images_before
from tests.cluster.images import images as images_to_try
from tests.cluster.installed import CHART, Installation
from tests.cluster.other_charts import Before, before
from tests.cluster.table import Found

collect_ignore_glob = [] if os.environ.get("GARANT_TEST_CLUSTER") else ["test_*.py"]
ORDER = ("production", "install", "stories", "policies", "mistakes", "faults", "upgrade", "backup")
"""Production first, alone on the cluster, and gone before a trial is there, which is broken last."""
FOUND = Found()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        name = item.path.stem.removeprefix("test_")
        return ORDER.index(name) if name in ORDER else len(ORDER)

    items.sort(key=place)


@pytest.fixture(scope="session")
def images() -> Images:
    """In the cluster."""
    return images_to_try()


@pytest.fixture(scope="session")
def found() -> Found:
    """What the tests measured and broke; shown at the end, and written where it is asked for."""
    return FOUND


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    shown = io.StringIO()
    FOUND.show(Console(file=shown, width=150))
    terminalreporter.write(shown.getvalue())
    if path := os.environ.get("CLUSTER_REPORT"):
        FOUND.write(Path(path))


@pytest.fixture(scope="session")
def previous() -> Before:
    """The chart before this one, as far as there is one."""
    return before(CHART)


@pytest.fixture(scope="session")
def second(images: Images, previous: Before) -> Iterator[Installation]:
    """Another trial, of the chart before, with a witness: to be upgraded and restored."""
    made = Installation("second", images)
    made.install(*images_before(images, previous), chart=previous.chart)
    made.witness.start()
    yield made
    made.remove()


@pytest.fixture(scope="session")
def trial(images: Images) -> Iterator[Installation]:
    """`helm install` with nothing else told than the images."""
    made = Installation("main", images)
    made.install(*images.values())
    yield made
    made.remove()
