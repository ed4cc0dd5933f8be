"""Notify dies by kill -9 at every step between an outcome and its letter, and at random pairs of steps: each
occasion is one letter, which the relay took once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from shared.failpoints import POINTS
from tests.faults.around import Around, Place, in_turn
from tests.faults.cases import SEED, Points, chosen, named, pairs, repeated_by, running
from tests.faults.noted import note
from tests.faults.offices import office, people, template
from tests.faults.prepared import prepared
from tests.mail.relay import Relay
from tests.mail.servers import MailServer

LANES = 15
OWN = [name for name in POINTS if name.startswith("notify.")]
DOUBT = ("mail.letters.doubted", "mail.letters.resolving")
MAIL = [name for name in POINTS if name.startswith("mail.") and name not in DOUBT]
SINGLE: list[Points] = [(name,) for name in OWN]
CASES = SINGLE + pairs([*OWN, *MAIL], 5, 80)


@pytest.fixture(scope="module")
def cases(
    request: pytest.FixtureRequest,
    kafka: str,
    mail: MailServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[Points, Future[int]]]:
    home = tmp_path_factory.mktemp("offices")
    lend, found, relay = in_turn([mail.new_user() for _ in range(LANES)]), template(home), Relay()
    around = Around(prepared(), kafka, mail, relay)
    with people() as asked:

        def run(points: Points) -> int:
            with lend() as address, office(around, address, asked, Place(home / named(points)), found) as it:
                in_flight = 0
                for point in points:
                    it.conclude()
                    it.dies_at(point)
                    in_flight += it.letters - len(it.sent())
                it.finish()
                it.check()
                return in_flight

        relay.start()
        try:
            with running(chosen(request), LANES, run) as begun:
                yield begun
        finally:
            relay.stop()


@pytest.mark.parametrize("points", CASES, ids=named)
def test_given_a_notify_that_dies_at_a_point_then_each_letter_leaves_exactly_once(
    request: pytest.FixtureRequest, cases: dict[Points, Future[int]], points: Points
) -> None:
    with repeated_by(request):
        in_flight = cases[points].result()
    note(f"kill -9 of notify at {' then '.join(points)}", times=len(points), in_flight=in_flight, seed=SEED)
