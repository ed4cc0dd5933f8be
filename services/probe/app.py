"""One agent as a process: checks, outbox, health server, and a configuration that may change under it."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import socket
from pathlib import Path

import structlog

from services.probe.agent import Agent
from services.probe.config import Configuration, load
from services.probe.declarations import Declarations
from services.probe.health import application, server
from services.probe.icmp import PingNotPermitted, open_socket
from services.probe.metrics import Metrics
from services.probe.outbox import Outbox
from services.probe.probing import probes_of
from services.probe.publisher import Publisher
from services.probe.schedule import SlotClock
from services.probe.spool import Spool
from shared.codec import encode
from shared.settings import HomeSettings, KafkaSettings
from shared.yaml_files import ConfigurationInvalid

log = structlog.get_logger()

_LOOK_S = 2.0


class AgentRefused(Exception):
    """The agent cannot start; the message says what to do."""


async def serve(path: Path, location: str, host: str, port: int) -> None:
    """Runs the agent of `location` by the file `path` until SIGTERM or SIGINT.

    Raises ConfigurationInvalid, AgentRefused. Kafka may be away, at the start too: results then wait in
    `GARANT_HOME/probe/LOCATION`.
    """
    configuration = load(path)
    refuse_unfit(configuration, location)
    for warning in configuration.warnings():
        log.warning("configuration.warning", warning=warning)
    home = HomeSettings().home / "probe" / location
    lock = _lock(home)
    try:
        with _listening(host, port) as listening:
            await _Process(configuration, path, location, home).run(listening)
    finally:
        os.close(lock)


class _Process:
    def __init__(self, configuration: Configuration, path: Path, location: str, home: Path) -> None:
        # The client tells every failed attempt on its own; the outbox says once that Kafka is away.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        limits = configuration.spool
        spool = Spool(
            home / "spool", max_bytes=limits.max_mb * 1024 * 1024, max_age_s=limits.max_days * 86_400
        )
        self._path = path
        self._seen = _stamp(path)
        self._metrics = Metrics()
        self._clock = SlotClock()
        self._publisher = Publisher(KafkaSettings(), location)
        self._outbox = Outbox(self._publisher.send, spool)
        self._declarations = Declarations(home / "declared.json")
        self._dropped = 0
        self._declare(configuration, location)
        self._agent = Agent(configuration, location, self._outbox.put, self._metrics, self._clock)

    async def run(self, listening: socket.socket) -> None:
        health = server(application(self._agent, self._outbox, self._metrics))
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        agent = asyncio.create_task(self._agent.run())
        outbox = asyncio.create_task(self._outbox.run())
        serving = asyncio.create_task(health.serve(sockets=[listening]))
        watching = asyncio.create_task(self._watch())
        asked = asyncio.create_task(stop.wait())
        log.info("agent.started", location=self._agent.location, waiting=len(self._outbox.spool))
        try:
            await asyncio.wait({agent, outbox, serving, watching, asked}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watching.cancel()
            asked.cancel()
            self._agent.stop()
            await asyncio.wait({agent})
            self._outbox.stop()
            await asyncio.wait({outbox})
            await self._publisher.stop()
            health.should_exit = True
            await asyncio.wait({serving, watching})
        log.info("agent.stopped", waiting=self._outbox.waiting)
        for task in (agent, outbox, serving, watching):
            if not task.cancelled():
                task.result()

    def _declare(self, configuration: Configuration, location: str) -> None:
        facts = self._declarations.due(configuration, location, int(self._clock.now_ms()))
        for fact in facts:
            self._outbox.put(encode(fact))
        self._declared = (facts, self._outbox.accepted)

    async def _watch(self) -> None:
        """Follows the configuration file, and what became of the declarations."""
        while True:
            await asyncio.sleep(_LOOK_S)
            facts, number = self._declared
            if facts and self._outbox.settled >= number and self._outbox.spool.disk_error is None:
                self._declared = ([], number)
                self._declarations.remember(facts)
            if self._outbox.spool.dropped > self._dropped:
                # A declaration may have been among them, and results mean nothing without it.
                self._dropped = self._outbox.spool.dropped
                self._declarations.forget()
                self._declare(self._agent.configuration, self._agent.location)
            stamp = _stamp(self._path)
            if stamp is not None and stamp != self._seen:
                self._seen = stamp
                self._reload()

    def _reload(self) -> None:
        location = self._agent.location
        try:
            configuration = load(self._path)
            refuse_unfit(configuration, location)
        except (ConfigurationInvalid, AgentRefused) as error:
            log.error("configuration.refused", mistakes=str(error).splitlines(), kept="the one before")
            return
        self._declare(configuration, location)
        self._agent.take(configuration)
        log.info("configuration.taken", targets=len(configuration.targets))


def refuse_unfit(configuration: Configuration, location: str) -> None:
    """Raises AgentRefused where the agent at `location` could only report nonsense."""
    if location not in configuration.locations:
        raise AgentRefused(
            f"location {location!r} is not in the configuration; it has {', '.join(configuration.locations)}"
        )
    pings = [probe for probe in probes_of(configuration, location) if probe.check == "icmp"]
    if not pings:
        return
    try:
        open_socket(socket.AF_INET)[0].close()
    except PingNotPermitted as error:
        needed = sorted({probe.target for probe in pings if probe.config.required})
        if needed:
            raise AgentRefused(f"{error}; needed by {', '.join(needed[:5])}") from None
        log.error("icmp.not_permitted", what_to_do=str(error), results="unknown")


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise AgentRefused(
            f"{host}:{port} cannot be served: {error.strerror}; choose another --port or --host"
        ) from None


def _lock(home: Path) -> int:
    home.mkdir(parents=True, exist_ok=True)
    lock = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise AgentRefused(
            f"another agent uses {home}; stop it, or give this one another location or GARANT_HOME"
        ) from None
    return lock


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
