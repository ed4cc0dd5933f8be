"""What Prometheus is told of every process: which service it is, of which version, and what it takes."""

from __future__ import annotations

from importlib.metadata import version

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

# When each counter began, as a series of its own, is twice as many series for nothing.
disable_created_metrics()  # type: ignore[no-untyped-call]


def tell_process(registry: CollectorRegistry, component: str, **more: str) -> None:
    """Puts `garant_build_info` and the memory, CPU time and open files of this process into `registry`."""
    build = Info("garant_build", "Which service this is, and of which version.", registry=registry)
    build.info({"component": component, "version": version("garant"), **more})
    if registry is not REGISTRY:  # the library's own has them
        ProcessCollector(registry=registry)
