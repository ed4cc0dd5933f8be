"""An agent's folder of a released version: what waited is delivered, in order; nothing is declared again."""

from __future__ import annotations

import shutil
from pathlib import Path

from shared.codec import decode_probe_fact
from shared.facts import ProbeResult, TargetDeclared
from shared.kafka import Record
from shared.settings import KafkaSettings
from shared.topics import PROBE_RESULTS
from tests.upgrade.conftest import Left, Start
from tests.upgrade.waiting import DELIVERED, LOCATION, waited
from tests.waiting import eventually


def test_given_a_spool_half_delivered_and_torn_then_the_rest_is_delivered_in_order_before_what_is_new(
    left: Left, put_back: KafkaSettings, start: Start, tmp_path: Path
) -> None:
    home = tmp_path / "probe" / LOCATION
    (home / "spool").mkdir(parents=True)
    for path in (left.folder / "probe").iterdir():
        shutil.copy(path, home if path.name == "declared.json" else home / "spool")
    configuration = tmp_path / "agent.yaml"
    changed = (left.folder / "probe" / "agent.yaml").read_text().replace("name: Other,", "name: Another,")
    configuration.write_text(changed)

    def told() -> list[Record]:
        return left.behind(put_back, PROBE_RESULTS)[PROBE_RESULTS]

    agent = start(
        "probe",
        *("--config", str(configuration), "--location", LOCATION),
        ready="/live",
    )
    rest = waited()[DELIVERED:]
    eventually(lambda: len([one for one in told() if one.key == b"old"]) >= len(rest))
    of_old = [one.value for one in told() if one.key == b"old"]
    assert of_old[: len(rest)] == rest
    newer = [decode_probe_fact(value or b"") for value in of_old[len(rest) :]]
    assert all(isinstance(one, ProbeResult) for one in newer), "declared again, though it is what it was"
    declared = eventually(lambda: [one.value for one in told() if b'"TargetDeclared"' in (one.value or b"")])
    (fact,) = [decode_probe_fact(value or b"") for value in declared]
    assert isinstance(fact, TargetDeclared)
    assert (fact.target, fact.name) == ("other", "Another")
    assert "spool.record_torn" in agent.said()
    assert not [
        path for path in (left.folder / "probe").glob("*.spool") if (home / "spool" / path.name).exists()
    ]
