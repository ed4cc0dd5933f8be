"""`garant sla`: runs the SLA service."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from services.sla.app.service import SlaSettings, serve
from shared.settings import KafkaSettings
from shared.tracing.process import begin


def run(
    port: Annotated[int | None, typer.Option(help="HTTP port of /live, /ready, /targets.")] = None,
) -> None:
    """Folds probe results into states, and all facts into months and credits."""
    settings = SlaSettings() if port is None else SlaSettings(port=port)
    begin("sla", settings.instance)
    asyncio.run(serve(settings, KafkaSettings()))
