"""Whole rollouts, with the real decider, through the loop, in a cluster in memory."""

import pytest

from app.release import Release
from app.test_every_call import at_once, at_rest
from assay.api.modeldeployment import Outcome


@pytest.mark.parametrize(("version", "outcome"), [("v2", Outcome.PROMOTED), ("bad", Outcome.ROLLED_BACK)])
def test_a_release_ends_as_it_should_through_the_loop(version: str, outcome: Outcome) -> None:
    release = Release((at_once, "v1"), (at_rest, version))
    release.user_acts()
    release.settles()

    assert set(release.serving().values()) == {"v2" if outcome is Outcome.PROMOTED else "v1"}
    assert [ended for _, ended in release.story()] == [outcome]
    assert outcome.value in [note.reason for _, note in release.cluster.events]
