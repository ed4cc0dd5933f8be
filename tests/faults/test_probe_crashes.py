"""The agent dies by kill -9 at every step between a result and its acknowledgement, and at random pairs of
steps: what it kept is on the log, in order, and what is said again is said in the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from shared.failpoints import POINTS
from tests.faults.agents import agent
from tests.faults.around import Place, dies, own_topics
from tests.faults.cases import SEED, Points, chosen, named, pairs, repeated_by, running
from tests.faults.noted import note
from tests.faults.prepared import prepared

LANES = 8
ALONE = [name for name in POINTS if name.startswith("probe.")]
STRAIGHT = ("probe.outbox.sent:5", "probe.outbox.acknowledged:5")
"""The spool is empty by then."""
MIDDLE = ("probe.spool.appended:2", "probe.spool.noted:2")
"""In the middle of the spool as it is at first; for a second death too little may wait in it."""
CASES: list[Points] = [(name,) for name in (*ALONE, *STRAIGHT, *MIDDLE)] + pairs([*ALONE, *STRAIGHT], 6, 100)


@pytest.fixture(scope="module")
def cases(
    request: pytest.FixtureRequest, kafka: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Points, Future[int]]]:
    home, settings, starter = tmp_path_factory.mktemp("agents"), own_topics(kafka), prepared()

    def run(points: Points) -> int:
        name = named(points).replace("+", "-").replace(":", "-")
        with agent(starter, settings, name, Place(home / name)) as it:
            in_flight = 0
            for point in points:
                dies(it.start(point), point, it.said)
                in_flight += it.died()
            it.finish()
            it.check_log()
            return in_flight

    with running(chosen(request), LANES, run) as found:
        yield found


@pytest.mark.parametrize("points", CASES, ids=named)
def test_given_an_agent_that_dies_at_a_point_then_what_it_kept_arrives_in_order(
    request: pytest.FixtureRequest, cases: dict[Points, Future[int]], points: Points
) -> None:
    with repeated_by(request):
        in_flight = cases[points].result()
    note(f"kill -9 of probe at {' then '.join(points)}", times=len(points), in_flight=in_flight, seed=SEED)
