"""The desk dies by kill -9 at every step between a mail and its answer, and at random pairs of steps: each
mail is one request with one fact and one acknowledgement, which the relay took once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from shared.failpoints import POINTS
from tests.faults.around import Around, Place, in_turn
from tests.faults.cases import SEED, Points, chosen, named, pairs, repeated_by, running
from tests.faults.desks import desk, template
from tests.faults.noted import note
from tests.faults.prepared import prepared
from tests.mail.relay import Relay
from tests.mail.servers import MailServer

LANES = 12
DOUBT = ("mail.letters.doubted", "mail.letters.resolving")
ALONE = [name for name in POINTS if name.startswith(("support.", "mail.")) and name not in DOUBT]
SINGLE: list[Points] = [(name,) for name in ALONE] + [("mail.letters.claimed", name) for name in DOUBT]
CASES = SINGLE + [one for one in pairs(ALONE, 6, 120) if one not in SINGLE]


@pytest.fixture(scope="module")
def cases(
    request: pytest.FixtureRequest,
    kafka: str,
    mail: MailServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[Points, Future[int]]]:
    home = tmp_path_factory.mktemp("desks")
    lend, found, relay = in_turn([mail.new_user() for _ in range(LANES)]), template(home), Relay()
    around = Around(prepared(), kafka, mail, relay)

    def run(points: Points) -> int:
        with lend() as address, desk(around, address, Place(home / named(points)), found) as it:
            in_flight = 0
            for number, point in enumerate(points):
                it.poison()
                it.write(f"mail-{number}")
                it.dies_at(point)
                in_flight += len(it.mails) - len(it.sent())
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
def test_given_a_desk_that_dies_at_a_point_then_each_mail_is_answered_exactly_once(
    request: pytest.FixtureRequest, cases: dict[Points, Future[int]], points: Points
) -> None:
    with repeated_by(request):
        in_flight = cases[points].result()
    note(f"kill -9 of support at {' then '.join(points)}", times=len(points), in_flight=in_flight, seed=SEED)
