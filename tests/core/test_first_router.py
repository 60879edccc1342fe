"""Routers are older than their operator until they have rolled: every split must be one that they carry out."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from assay.api.base import Manifest
from assay.core.decision import Decision, Ensure
from assay.core.names import SPLIT_KEY
from core import first_router
from core.simulation import NAME, Cluster, a_spec


@st.composite
def changes(draw: st.DrawFn) -> Manifest:
    """All that a user can write and a split is made of."""
    header = draw(st.sampled_from([{}, {"stickyHeader": "x-user-id"}, {"stickyHeader": "a" * 64}]))
    router = {
        "replicas": draw(st.integers(1, 3)),
        "revisionHeader": draw(st.sampled_from(["Strip", "Allow"])),
        "timeoutSeconds": draw(st.sampled_from([1, 60, 3600])),
    }
    weights = sorted(draw(st.lists(st.integers(1, 99), min_size=1, max_size=3)))
    return {
        "traffic": {"router": router, **header},
        "strategy__canary__steps": [{"weight": weight, "minSeconds": 5} for weight in weights],
    }


def told(decision: Decision) -> list[str]:
    """Return the splits that a round writes."""
    written = [one.manifest for one in decision.actions if isinstance(one, Ensure)]
    return [one["data"][SPLIT_KEY] for one in written if SPLIT_KEY in one.get("data", {})]


@given(changed=changes(), candidate=st.sampled_from(["2", "5"]))
@settings(max_examples=25, deadline=None)
def test_every_split_of_a_rollout_is_carried_out_by_a_router_of_the_first_release(
    changed: dict[str, Any], candidate: str
) -> None:
    cluster = Cluster(a_spec("1", **changed), errors={"5": 0.5})
    splits: list[str] = []
    cluster.settle(each=lambda _, decision: splits.extend(told(decision)))
    cluster.apply(a_spec(candidate, **changed))
    cluster.run(60.0, each=lambda _, decision: splits.extend(told(decision)))

    assert len({json.loads(text)["generation"] for text in splits}) > 1
    assert all(first_router.reads(text, NAME) for text in splits)


def test_a_field_that_it_does_not_know_would_be_refused() -> None:
    split = {"deployment": NAME, "generation": 1, "backends": [], "mirror": {"percent": 10}}

    with pytest.raises(ValidationError):
        first_router.reads(json.dumps(split), NAME)
