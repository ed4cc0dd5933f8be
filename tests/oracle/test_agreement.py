"""The product's replay and the slow model conclude the same from the same random histories."""

import pytest

from tests.oracle.compare import difference
from tests.oracle.histories import history, probe_history

HISTORIES, PROBED, AT_ONCE = 300, 40, 20


@pytest.mark.parametrize("first", range(0, HISTORIES, AT_ONCE))
def test_replay_agrees_with_the_slow_model(first: int) -> None:
    """Every outcome, its amounts and its place in the journal."""
    found = {seed: difference(history(seed)) for seed in range(first, first + AT_ONCE)}
    assert {seed: text for seed, text in found.items() if text} == {}


@pytest.mark.parametrize("first", range(0, PROBED, AT_ONCE))
def test_probe_results_agree_with_the_slow_model(first: int) -> None:
    """What is concluded from slots with ties, `unknown`, silences and two checks."""
    found = {seed: difference(probe_history(seed), probed=True) for seed in range(first, first + AT_ONCE)}
    assert {seed: text for seed, text in found.items() if text} == {}
