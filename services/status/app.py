"""The status service as a process: reading, writing pages, serving them, the staff API, mails and webhooks,
until one ends.

Kafka, the database and notify may each be away, at the start too: the pages that are there are served, and
say as of when they are true.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog
import uvicorn
from msgspec.structs import replace
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from services.status.configuration import Configuration, load
from services.status.database import PAGE
from services.status.history.reading import Reading
from services.status.history.saved import open_standing
from services.status.pages import Pages
from services.status.readers.calls import deliver_calls
from services.status.readers.forms import PREFIXES, public_routes
from services.status.readers.hook_routes import add_hooks
from services.status.readers.mails import deliver_mails
from services.status.readers.reaching import Rules
from services.status.readers.telling import News, keep_telling
from services.status.serving.kept_files import Folder
from services.status.serving.public import App, serve_folder
from services.status.serving.publishing import Publishing
from services.status.settings import NOTIFY_TOKEN, TOKEN, StatusSettings
from services.status.staff.api import build_api
from services.status.staff.noticing import Noticed, watch
from shared.database import Clock, DatabaseUnusable, migrate, open_engine, own_file, wall_clock
from shared.health import Pulse, Server, check_port
from shared.running import Part, run
from shared.settings import KafkaSettings
from shared.tokens import caller_token, service_token

log = structlog.get_logger()

_STOP_S = 5
_AGAIN_S = 2.0


async def serve(
    settings: StatusSettings, kafka: KafkaSettings, home: Path, clock: Clock = wall_clock
) -> None:
    """Runs until SIGTERM or SIGINT, or until a part fails: then its exception ends the whole process.

    Raises ConfigurationInvalid, DatabaseUnusable, PortTaken.
    """
    configuration = load(settings.config)
    configuration = replace(configuration, url=configuration.url or settings.public_url)
    check_port(settings.host, settings.port, "GARANT_STATUS_PORT")
    check_port(settings.api_host, settings.api_port, "GARANT_STATUS_API_PORT")
    folder = settings.folder_path(home).absolute()
    for each in (home, folder):
        await asyncio.to_thread(each.mkdir, parents=True, exist_ok=True)
    engine = open_engine(settings.engine_url(home), PAGE)
    with own_file(engine, PAGE):
        await _run(settings, configuration, kafka, engine, home, folder, clock)
    engine.dispose()


async def _run(
    settings: StatusSettings,
    configuration: Configuration,
    kafka: KafkaSettings,
    engine: Engine,
    home: Path,
    folder: Path,
    clock: Clock,
) -> None:
    pulse, prepared = Pulse("reading"), asyncio.Event()
    mails_wake, calls_wake = asyncio.Event(), asyncio.Event()
    state = settings.state_path(home)
    standing = open_standing(configuration, state, clock(), settings.silent_after_ms)
    reading = Reading(kafka, standing, state, settings.save_every_s, clock)
    noticed = Noticed(home / "status.incidents")
    pages = Pages(folder, configuration.language)
    page = Publishing(standing, reading, noticed, pages, folder, clock)
    rules = Rules(
        settings.hook_http, settings.hook_local, str(settings.hook_ca_file) if settings.hook_ca_file else None
    )

    def wake() -> None:
        loop.call_soon_threadsafe(mails_wake.set)
        loop.call_soon_threadsafe(calls_wake.set)

    def written() -> None:
        loop.call_soon_threadsafe(noticed.asked.set)

    def ready() -> list[str]:
        wrong = reading.wrong()
        if not wrong and not reading.caught_up:
            wrong = ["not all is read yet that Kafka has"]
        if not prepared.is_set() or noticed.away:
            wrong.append("the database does not answer: see GARANT_STATUS_DATABASE_URL")
        return wrong + ([page.failure] if page.failure else [])

    def beating(part: str) -> Callable[[], None]:
        return lambda: pulse.beat(part)

    def notify_token() -> str:
        return caller_token(NOTIFY_TOKEN, settings.notify_token, home)

    loop = asyncio.get_running_loop()
    news = News(engine, clock, wake)
    forms = public_routes(engine, lambda: page.site, clock, mails_wake)
    secure = configuration.url.startswith("https://")
    public = serve_folder(Folder(folder, secure=secure), forms, PREFIXES)
    api = build_api(
        engine,
        service_token(TOKEN, settings.token, home),
        clock,
        tuple(one.id for one in configuration.components),
        f"{configuration.url}/{configuration.language}",
        prepared.is_set,
        written,
        pulse.stuck,
        ready,
        lambda api, may: add_hooks(api, engine, may, rules, clock, lambda: page.site),
    )

    async def with_database(part: Callable[[], Part]) -> None:
        await prepared.wait()
        await part()

    parts: dict[str, Part] = {
        "pages": _public(public, settings.host, settings.port),
        "reading": reading.run(page.news),
        "writing": page.keep(beating("writing")),
        "incidents": with_database(lambda: watch(engine, noticed, clock, page.news, beating("incidents"))),
        "news": with_database(
            lambda: keep_telling(news, page.caught_up, page.fresh, settings.news_gather_s, beating("news"))
        ),
        "mails": with_database(
            lambda: deliver_mails(
                engine, settings.notify_url, notify_token, clock, mails_wake, beating("mails")
            )
        ),
        "webhooks": with_database(
            lambda: deliver_calls(engine, rules, clock, calls_wake, beating("webhooks"))
        ),
    }
    passing = {"database": _prepare(engine, prepared, noticed)}
    await run(PAGE, api, (settings.api_host, settings.api_port), parts, None, passing)


async def _prepare(engine: Engine, prepared: asyncio.Event, noticed: Noticed) -> None:
    """Brings the database to this version as soon as it answers. Raises DatabaseUnusable where a newer
    version has changed it."""
    said = False
    while True:
        try:
            await asyncio.to_thread(migrate, engine, PAGE)
            prepared.set()
            return
        except DatabaseUnusable as error:
            if not isinstance(error.__cause__, OperationalError):
                raise
            if not said:
                log.warning("status.database.away", error=str(error))
            said = noticed.away = True
        await asyncio.sleep(_AGAIN_S)


async def _public(application: App, host: str, port: int) -> None:
    """Serves the pages; asked to stop, it ends the requests under way first."""
    server = Server(
        uvicorn.Config(
            application,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=_STOP_S,
        )
    )
    serving = asyncio.create_task(server.serve())
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        await asyncio.wait({serving}, timeout=_STOP_S + 1)
