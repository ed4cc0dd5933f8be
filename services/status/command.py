"""`garant status serve` and `garant status web`: the public status page as processes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from services.status.configuration import load
from services.status.settings import StatusSettings
from shared.settings import HomeSettings, KafkaSettings
from shared.tracing.process import begin

Port = Annotated[int | None, typer.Option(help="Port of the pages.", min=1, max=65_535)]
Workers = Annotated[int | None, typer.Option(help="Processes that serve.", min=1, max=64)]
Folder = Annotated[Path | None, typer.Option(help="Where the pages are.")]


def serve(port: Port = None) -> None:
    """Write the pages on each change, serve them, and tell subscribers, until it is stopped."""
    from services.status.app import serve as run  # `garant status` alone needs no broker's client

    settings = StatusSettings() if port is None else StatusSettings(port=port)
    begin("status")
    asyncio.run(run(settings, KafkaSettings(), HomeSettings().home))


def web(port: Port = None, workers: Workers = None, folder: Folder = None) -> None:
    """Serve the pages that are there, and nothing else: needs no broker and no database."""
    from services.status.serving.web import serve_only

    settings = StatusSettings()
    where = folder or settings.folder_path(HomeSettings().home)
    address = settings.public_url or load(settings.config).url
    serve_only(
        where,
        settings.host,
        port or settings.port,
        workers or settings.workers,
        secure=address.startswith("https://"),
    )
