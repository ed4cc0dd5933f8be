"""GET /live, /ready and /metrics of one agent."""

from __future__ import annotations

import time

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.probe.agent import Agent
from services.probe.metrics import Metrics
from services.probe.outbox import Outbox
from shared.health import Server

_STILL_S = 10.0


def application(agent: Agent, outbox: Outbox, metrics: Metrics) -> Starlette:
    """The HTTP side. /live is 503 once the scheduling loop stands still for 10 s; /ready while results can
    neither be published nor put on disk."""

    metrics.agent.info({"location": agent.location})
    counted = {metrics.dropped: 0, metrics.torn: 0}

    def count(counter: Counter, number: int) -> None:
        """Brings `counter` up to what the outbox has counted by itself."""
        counter.inc(number - counted[counter])
        counted[counter] = number

    async def live(_: Request) -> Response:
        still_s = time.monotonic() - agent.ticked_at
        return JSONResponse(
            {"live": still_s < _STILL_S, "loop_still_s": round(still_s, 3)},
            200 if still_s < _STILL_S else 503,
        )

    async def ready(_: Request) -> Response:
        disk = outbox.spool.disk_error
        fit = not outbox.away or disk is None
        said = {
            "ready": fit,
            "location": agent.location,
            "kafka": "away" if outbox.away else "answers" if outbox.delivered else "not tried yet",
            "waiting": outbox.waiting,
            "disk": disk or "works",
        }
        return JSONResponse(said, 200 if fit else 503)

    async def measures(_: Request) -> Response:
        metrics.running.set(agent.running)
        metrics.spooled.set(len(outbox.spool))
        count(metrics.dropped, outbox.spool.dropped + outbox.overflowed)
        count(metrics.torn, outbox.spool.torn)
        metrics.kafka_away.set(outbox.away)
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[Route("/live", live), Route("/ready", ready), Route("/metrics", measures)],
    )


def server(served: Starlette) -> Server:
    """What serves it; signals are the agent's, so that results are put away before the end."""
    return Server(uvicorn.Config(served, log_config=None, access_log=False, lifespan="off"))
