"""A probe agent that is killed, with a target that notes its visits, and what must be on the log."""

from __future__ import annotations

import json
import signal
import threading
import time
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import HTTPError

from services.cli.local.ports import HOST, free_port
from services.probe.spool import Spool
from shared.codec import decode_probe_fact, encode
from shared.facts import ProbeResult, TargetDeclared
from shared.kafka import read_topic
from shared.settings import KafkaSettings
from shared.time import SECOND, Instant
from shared.topics import PROBE_RESULTS
from tests.faults.around import Place, Running, kafka_env, until
from tests.faults.gate import Gate, Target
from tests.faults.prepared import Own, Prepared

WAITING = 1_200
"""Results that wait in the spool from the beginning: more than two groups."""
LAST_MS = 3 * SECOND
"""Of results younger than this nothing is asked: an agent that dies may take its last second with it."""


class Agent:
    """One agent at "geneva" on a home of its own; `name` is its target's."""

    def __init__(self, starter: Prepared | Own, kafka: KafkaSettings, name: str, place: Place) -> None:
        self.starter, self.kafka, self.name, self.home = starter, kafka, name, place.folder
        self.gate, self.target, self.health = Gate(kafka.bootstrap), Target(), free_port()
        self.log, self.config = place.home / "probe.log", place.home / "agent.yaml"
        self.process: Running | None = None
        self.starts = 0
        self.kept: set[bytes] = set()
        """What stood in the spool at some death, or was remembered as declared."""
        self.required: set[int] = set()
        """Slots that the target saw long enough before each end."""
        self.env = {
            **kafka_env(kafka),
            **place.env("PROBE"),
            "GARANT_KAFKA_BOOTSTRAP": f"{HOST}:{self.gate.port}",
        }
        self._fill()

    def _fill(self) -> None:
        """The spool as an outage of Kafka left it."""
        first = (time.time_ns() // 1_000_000_000 - WAITING - 60) * SECOND
        self.waited = [
            encode(ProbeResult(self.name, self.check, "geneva", Instant(first + n * SECOND), "up", n, None))
            for n in range(WAITING)
        ]
        spool = Spool(self.home / "probe" / "geneva" / "spool", max_bytes=1 << 20, max_age_s=1e6)
        spool.append(self.waited)
        spool.close()

    @property
    def check(self) -> str:
        return f"tcp:{self.target.port}"

    def start(self, point: str = "", opens_in_s: float | None = 2) -> Running:
        """Starts the agent with its target under another name than before, to be declared anew; the way to
        Kafka is closed and opens two seconds after the agent answers, if at all."""
        self.gate.close()
        self.starts += 1
        self.config.write_text(
            "locations: [geneva]\nallow: [loopback]\nspool: {max_mb: 1}\ntargets:\n"
            f"  - {{target: {self.name}, name: {self.name} {self.starts}, host: {HOST}, interval_s: 1,\n"
            f"     checks: [{{kind: tcp, port: {self.target.port}}}]}}\n"
        )
        arguments = ["--config", str(self.config), "--location", "geneva", "--port", str(self.health)]
        env = {**self.env, "GARANT_FAILPOINTS": point}
        self.process = self.starter.start(["probe", *arguments], env, self.log)
        self.began = time.time_ns() // 1_000_000
        if opens_in_s is not None:
            threading.Thread(target=self._open, args=(self.process, opens_in_s), daemon=True).start()
        return self.process

    def _open(self, process: Running, in_s: float) -> None:
        while process.poll() is None and not self._ready():
            time.sleep(0.05)
        time.sleep(in_s)
        self.gate.open()

    def died(self) -> int:
        """Notes what must not be lost, now that it is dead; returns how many results waited in the spool."""
        now = time.time_ns() // 1_000_000
        in_time = (at for at in self.target.seen if self.began <= at <= now - LAST_MS)
        self.required |= {at // SECOND * SECOND for at in in_time if at % SECOND < 700}
        lines = [
            line
            for path in sorted(self.home.glob("probe/geneva/spool/*.spool"))
            for line in path.read_bytes().split(b"\n")
        ]
        whole = [line[9:] for line in lines if line[:9] == b"%08x " % zlib.crc32(line[9:])]
        self.kept |= set(whole)
        return len(whole)

    def finish(self) -> None:
        """Starts the agent without a failpoint, lets it deliver everything, and stops it in order."""
        self.stop(self.start())

    def stop(self, process: Running) -> None:
        """Lets it deliver everything, and stops it in order."""
        until(self.delivered, process, self.said)
        time.sleep(2.5)  # more results, straight to Kafka, and the declaration is remembered
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, self.said()
        assert self.died() == 0, "something stayed behind in the spool"

    def delivered(self) -> bool:
        """Whether Kafka answers and nothing waits."""
        told = self._ready()
        return told.get("kafka") == "answers" and told["waiting"] == 0

    def waiting(self) -> int:
        """How many results wait, on disk and in memory."""
        return int(str(self._ready()["waiting"]))

    def _ready(self) -> dict[str, object]:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.health}/ready", timeout=5) as answer:
                told: dict[str, object] = json.load(answer)
        except HTTPError as refused:
            told = json.load(refused)
        except OSError:
            return {}
        return told

    def said(self) -> str:
        return self.log.read_text()[-3_000:] if self.log.exists() else ""

    def check_log(self) -> None:
        """Every result that was kept is on the log, each slot first told after all before it, and told again
        only in the same bytes; what is declared comes again for each change."""
        told: dict[int, bytes] = {}
        everything: set[bytes] = set()
        names = []
        for record in read_topic(self.kafka, PROBE_RESULTS):
            value = record.value or b""
            if record.key != self.name.encode():
                continue
            everything.add(value)
            fact = decode_probe_fact(value)
            if isinstance(fact, TargetDeclared):
                names.append(fact.name)
            elif fact.slot in told:
                assert told[fact.slot] == value, f"slot {fact.slot} was told again in other bytes"
            else:
                assert not told or fact.slot > max(told), f"slot {fact.slot} was first told after {max(told)}"
                told[fact.slot] = value
        assert not [one for one in self.waited if one not in everything], "results that waited are lost"
        assert self.kept <= everything, f"{len(self.kept - everything)} kept records are lost"
        assert self.required <= told.keys(), f"slots are lost: {sorted(self.required - told.keys())}"
        assert f"{self.name} {self.starts}" in names
        assert len(told) > WAITING + 2, "results of each run are there"


@contextmanager
def agent(starter: Prepared | Own, kafka: KafkaSettings, name: str, place: Place) -> Iterator[Agent]:
    """An agent whose target is called `name`, with results that wait in its spool."""
    place.home.mkdir(exist_ok=True)
    it = Agent(starter, kafka, name, place)
    try:
        yield it
    finally:
        if it.process is not None:
            it.process.kill()
            it.process.wait()
        it.gate.close()
        it.target.close()
