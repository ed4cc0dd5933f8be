"""Results to Kafka, in order: through FastStream, idempotent, acknowledged by all replicas."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from faststream.kafka import KafkaBroker

from shared.access import ACCESS
from shared.appending import ToAppend, append_by_key
from shared.cloudevents import headers
from shared.codec import Undecodable, decode_probe_fact
from shared.errors import NeedsAPerson
from shared.facts import ProbeResult
from shared.failpoints import reach
from shared.kafka import service_broker
from shared.rights import check_rights
from shared.settings import KafkaSettings
from shared.topics import PROBE_RESULTS

log = structlog.get_logger()

_AT_ONCE = 32
"""Records prepared before the loop may start checks again."""
_KNOCK_S = 5.0


class Publisher:
    """The producer of one agent. `send` connects when it must; after a failure it starts afresh."""

    def __init__(self, settings: KafkaSettings, location: str) -> None:
        self.connected = False
        """Whether the last thing known of the broker is that it answers."""
        self._settings = settings
        self._topic = settings.topic(PROBE_RESULTS)
        self._source = f"/garant/probe/{location}"
        self._broker: KafkaBroker | None = None
        self._refused = ""

    async def send(self, records: Sequence[bytes]) -> None:
        """Publishes `records` and returns once all are acknowledged.

        Raises whatever the client does when the broker is away; then nothing is known of any of them, and
        sending them again does no harm.
        """
        try:
            broker = await self._connect()
            outgoing = []
            for number, record in enumerate(records):
                if number % _AT_ONCE == _AT_ONCE - 1:
                    await asyncio.sleep(0)
                if (one := self._outgoing(record)) is not None:
                    outgoing.append(one)
            reach("probe.outbox.sent")
            await append_by_key(broker, self._topic, outgoing)
            self.connected = True
        except BaseException:
            self.connected = False
            await self.stop()
            raise

    def _outgoing(self, record: bytes) -> ToAppend | None:
        try:
            fact = decode_probe_fact(record)
        except Undecodable as error:
            log.error("publisher.record_unreadable", reason=str(error))
            return None
        time_ms = fact.slot if isinstance(fact, ProbeResult) else fact.at
        said = headers(record, type_name=type(fact).__name__, source=self._source, time_ms=time_ms)
        return ToAppend(record, said, fact.target.encode())

    async def _connect(self) -> KafkaBroker:
        if self._broker is None:
            await self._knock()
            if self._settings.secured:
                await self._show_pass()
            self._broker = service_broker(self._settings, "probe")
            await self._broker.start()
        return self._broker

    async def _knock(self) -> None:
        """Raises OSError unless something listens: a client that cannot start leaves its parts behind."""
        failed: OSError | TimeoutError = ConnectionRefusedError()
        for address in self._settings.bootstrap.split(","):
            host, _, port = address.strip().rpartition(":")
            try:
                async with asyncio.timeout(_KNOCK_S):
                    _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            except (OSError, TimeoutError) as error:
                failed = error
                continue
            writer.close()
            return
        raise failed

    async def _show_pass(self) -> None:
        """Raises Refused where the broker does not let us in or write, having said so once in the log: the
        results wait on disk."""
        try:
            await check_rights(self._settings, ACCESS["probe"])
        except NeedsAPerson as error:
            if str(error) != self._refused:
                self._refused = str(error)
                log.error("kafka.refused", error=self._refused, what="results wait on disk; nothing is lost")
            raise
        self._refused = ""

    async def stop(self, within_s: float = 3.0) -> None:
        """Closes the connection; what was not acknowledged may or may not arrive."""
        broker, self._broker = self._broker, None
        if broker is None:
            return
        try:
            async with asyncio.timeout(within_s):
                await broker.stop()
        except Exception as error:  # a broker that is away cannot be left politely
            log.debug("publisher.stop_failed", reason=type(error).__name__)
