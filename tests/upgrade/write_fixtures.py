"""Writes what this version of Garant leaves behind, for the versions after it to read.

Run it from a checkout of the version to be released, with nothing of it changed:

    .venv/bin/python -m tests.upgrade.write_fixtures 0.1.0

It runs the services of that checkout on a broker of its own, tells them the story of
`tests/upgrade/story.py`, and writes `tests/upgrade/fixtures/0.1.0/`: every record of every topic, the three
databases, an agent's folder, and what the services answered about them. It takes some minutes. What was
written once is never changed.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kafka import KafkaConsumer, TopicPartition
from rich.console import Console

import services
from services.cli.local.broker import open_broker
from services.cli.local.ports import free_port
from shared.codec import type_of
from shared.settings import KafkaSettings
from shared.topics import JOURNAL, PROBE_RESULTS, TOPICS, UPTIME_STATE
from tests.upgrade import shown
from tests.upgrade.books import write_books
from tests.upgrade.installation import Installation
from tests.upgrade.kept import kept, make_topics, write_topic
from tests.upgrade.processes import CHECKOUT
from tests.upgrade.waiting import write_spool

PARTITIONS = 2


@contextmanager
def broker(data: Path) -> Iterator[KafkaSettings]:
    """A broker with empty topics that keep the times records are given."""
    found = open_broker(data, free_port(), Console(stderr=True), keep=False)
    try:
        settings = KafkaSettings(
            bootstrap=found.bootstrap,
            prefix=f"fixtures-{time.time_ns()}-",
            target_partitions=PARTITIONS,
            account_partitions=PARTITIONS,
        )
        make_topics(settings)
        yield settings
    finally:
        found.stop()


def _saved(kafka: KafkaSettings) -> dict[str, dict[int, int]]:
    """The last offset that is in the saved states, by topic and partition: the groups' offsets tell, which
    are committed after a state is saved."""
    found: dict[str, dict[int, int]] = {}
    for group, topic in (("uptime", PROBE_RESULTS), ("promises", JOURNAL)):
        consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap, group_id=kafka.group(group))
        places = [TopicPartition(kafka.topic(topic), number) for number in range(PARTITIONS)]
        found[topic.name] = {place.partition: consumer.committed(place) - 1 for place in places}
        consumer.close()
    return found


def untold(topics: Path) -> list[str]:
    """The topics that have no record in the files, and the types of records that none of them has: what was
    kept would prove nothing of them."""
    found = []
    for topic in TOPICS:
        types = {type_of(record.value or b"") for record in kept(topics, topic)}
        found += [kind.__name__ for kind in topic.records if kind.__name__ not in types | {"JournalEntry"}]
        found += [] if types else [topic.name]
    return found


def main(version: str) -> None:
    """Writes the fixtures of `version`; see above."""
    if not Path(services.__path__[0]).is_relative_to(CHECKOUT):
        raise SystemExit(f"error: this runs {services.__path__[0]}; run it from the checkout: cd {CHECKOUT}")
    to = CHECKOUT / "tests/upgrade/fixtures" / version
    if to.exists():
        raise SystemExit(f"error: {to} is there already; what a version wrote is never changed")
    with tempfile.TemporaryDirectory(prefix="garant-fixtures-") as name:
        work = Path(name)
        made = work / "made"
        (made / "topics").mkdir(parents=True)
        with broker(work / "kafka") as kafka:
            it = Installation(kafka, work / "home")
            try:
                it.first_part()
                write_topic(kafka, UPTIME_STATE, made)  # nothing is saved in the second part
                saved = _saved(kafka)
                it.second_part()
                counts = {topic.name: write_topic(kafka, topic, made / "topics") for topic in TOPICS}
                it.afterwards()
            finally:
                it.close()
        if (made / "topics/sla.uptime.state.jsonl").read_text() != (
            made / "sla.uptime.state.jsonl"
        ).read_text():
            raise SystemExit("error: a state was saved in the second part; run it again")
        (made / "sla.uptime.state.jsonl").unlink()
        for each in shown.SERVICES:
            write_books(work / "home" / f"{each}.db", made / f"{each}.sql")
        if missing := untold(made / "topics"):
            raise SystemExit(
                f"error: nothing is told of {', '.join(missing)}; add it to story.py or people.py"
            )
        now = time.time_ns() // 1_000_000
        about = {
            "version": version,
            "partitions": PARTITIONS,
            "written_at": now,
            "records": counts,
            "saved": saved,
        }
        (made / "about.json").write_text(json.dumps(about, indent=2) + "\n")
        for each in shown.SERVICES:
            answers = shown.answered(each, work / "home" / f"{each}.db", now)
            text = json.dumps(answers, indent=1, ensure_ascii=False)
            (made / f"{each}.answers.json").write_text(text + "\n", "utf-8")
        write_spool(made / "probe", work)
        shutil.copytree(made, to)
    print(f"{to}: {sum(counts.values())} records")  # noqa: T201


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m tests.upgrade.write_fixtures VERSION")
    main(sys.argv[1])
