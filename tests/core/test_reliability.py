"""Every trouble at every stage, in the simulated world: the outcome is as without it, and nothing is left over.

A candidate is on trial twice at each stage: a good one (2), which must be promoted, and a bad one (5), which must go back.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from assay.api.modeldeployment import Outcome, Stage
from assay.core import rollout
from assay.core.names import SPLIT_KEY
from core.simulation import NAME, Cluster, a_spec

GOOD, BAD = "2", "5"
ENDINGS = {GOOD: Outcome.PROMOTED, BAD: Outcome.ROLLED_BACK}
STRIKES = {  # stage: the candidates that can be there
    Stage.INITIALISING: (GOOD,),
    Stage.STABLE: (GOOD,),
    Stage.PREPARING: (GOOD, BAD),
    Stage.ANALYSING: (GOOD, BAD),
    Stage.PROMOTING: (GOOD,),
    Stage.ROLLING_BACK: (BAD,),
    Stage.ROLLED_BACK: (BAD,),
}
REST = frozenset({Stage.STABLE, Stage.ROLLED_BACK})
JUDGED = frozenset({Stage.PREPARING, Stage.ANALYSING})


def reached(stage: Stage, version: str) -> Cluster:
    """A world in which a ModelDeployment has just come to a stage."""
    cluster = Cluster(a_spec("1"), errors={BAD: 0.04})
    if stage is Stage.INITIALISING:
        cluster.round()
        return cluster
    cluster.settle()
    if stage is not Stage.STABLE:
        cluster.apply(a_spec(version))
        cluster.run(3000, until=lambda it: it.state().stage is stage)
    assert cluster.state().stage is stage
    return cluster


# --- the troubles: each strikes, lasts a while, and is over ---


def operator_dead_before_it_acts(cluster: Cluster) -> None:
    cluster.round(act=False, save=False)


def operator_dead_before_it_saves(cluster: Cluster) -> None:
    cluster.round(save=False)


def operator_or_api_server_away(cluster: Cluster) -> None:
    cluster.pass_time(300)


def second_operator_acts_late(cluster: Cluster) -> None:
    """It has looked and decided, is held up while the first goes on, and acts then; its save is refused."""
    _, stale = cluster.decide()
    cluster.run(15)
    cluster.act(stale)


def prometheus_away(cluster: Cluster) -> None:
    cluster.blind = True
    weights = dict(cluster.weights())
    judged = cluster.state().stage in (Stage.PREPARING, Stage.ANALYSING)
    cluster.run(60)
    if judged and cluster.state().candidate is not None:
        version = cluster.spec["model"]["version"]
        assert cluster.weights().get(cluster.revision(version), 0) <= max(weights.get(cluster.revision(version), 0), 10)
    cluster.blind = False


def agent_dead(cluster: Cluster) -> None:
    if not cluster.routers():
        cluster.run(3)
    cluster.lose_router(cluster.routers()[0])
    cluster.run(30)
    cluster.regain_router(cluster.routers()[0])


def router_pod_replaced(cluster: Cluster) -> None:
    """It comes back with empty counters and without the split."""
    if not cluster.routers():
        cluster.run(3)
    cluster.replace_router(cluster.routers()[0])


def stable_pods_away(cluster: Cluster) -> None:
    cluster.broken.add("1")
    cluster.run(20)
    cluster.broken.discard("1")


def candidate_pods_away(cluster: Cluster) -> None:
    version = cluster.spec["model"]["version"]
    cluster.broken.add(version)
    cluster.run(20)
    cluster.broken.discard(version)


def spec_forward_and_back(cluster: Cluster) -> None:
    wanted = cluster.spec
    cluster.apply(a_spec("3"))
    cluster.run(3)
    cluster.apply(wanted)


def prometheus_ahead(cluster: Cluster) -> None:
    cluster.ahead = 40.0
    cluster.run(60)
    cluster.ahead = 0.0


def prometheus_behind(cluster: Cluster) -> None:
    cluster.ahead = -600.0
    cluster.run(60)
    cluster.ahead = 0.0


def no_traffic(cluster: Cluster) -> None:
    rate, cluster.rate = cluster.rate, 0.0
    cluster.run(60)
    cluster.rate = rate


def hour_before_unreadable(cluster: Cluster) -> None:
    cluster.clusters = 0
    cluster.run(30)
    cluster.clusters = 1


def stable_pods_restart(cluster: Cluster) -> None:
    """Their counters begin at zero again, in the middle of everything."""
    cluster.restart("1")
    cluster.run(20)


def status_lost(cluster: Cluster) -> None:
    cluster.status = {}


def split_forged(cluster: Cluster) -> None:
    """Somebody gives everything to whoever is served least."""
    split = cluster.split()
    if split is not None:
        backends = [{**one, "weight": 100} for one in split["backends"][-1:]]
        _write(cluster, json.dumps({**split, "generation": split["generation"] + 20, "backends": backends}))


def split_spoilt(cluster: Cluster) -> None:
    if cluster.split() is not None:
        _write(cluster, "{")


def _write(cluster: Cluster, split: str) -> None:
    cluster.objects["ConfigMap", f"{NAME}-router"]["data"][SPLIT_KEY] = split


def child_deleted(cluster: Cluster) -> None:
    """Everything of the router's but its pods, one after the other."""
    for kind, name in [key for key in cluster.objects if key[0] not in ("Pod", "ControllerRevision")]:
        cluster.objects.pop((kind, name), None)
        cluster.run(3)


CELLS: dict[str, tuple[Callable[[Cluster], None], str, str]] = {
    # trouble: what it is, what comes of it while a candidate is judged, and at rest
    "operator killed before it acts": (operator_dead_before_it_acts, "decides the same again", "serves on"),
    "operator killed between acting and saving": (operator_dead_before_it_saves, "decides the same again", "serves on"),
    "operator or API server away for five minutes": (operator_or_api_server_away, "goes on where it was", "serves on"),
    "second operator, acting late": (second_operator_acts_late, "taken back, same outcome", "serves on"),
    "Prometheus away": (prometheus_away, "holds, then same outcome", "serves on"),
    "router's agent dead": (agent_dead, "waits for it, same outcome", "serves on"),
    "router pod replaced": (router_pod_replaced, "waits for it, same outcome", "serves on"),
    "stable pods away": (stable_pods_away, "nothing is counted, same outcome", ""),
    "candidate pods away": (candidate_pods_away, "traffic goes back to stable, same outcome", ""),
    "Prometheus' clock ahead": (prometheus_ahead, "told, same outcome", "serves on"),
    "Prometheus' clock behind": (prometheus_behind, "NoData, holds, same outcome", "serves on"),
    "no traffic": (no_traffic, "holds, same outcome", "serves on"),
    "history cannot be read": (hour_before_unreadable, "same outcome", "serves on"),
    "stable pods restart": (stable_pods_restart, "same outcome", "serves on"),
    "status lost": (status_lost, "built anew from the world, same outcome", "built anew from the world"),
    "split forged": (split_forged, "taken back, same outcome", "taken back"),
    "split spoilt": (split_spoilt, "written anew, same outcome", "written anew"),
    "child deleted by hand": (child_deleted, "comes back, same outcome", "comes back"),
    "spec changed forward and back": (spec_forward_and_back, "same outcome", "serves on"),
}


def cells() -> Iterator[Any]:
    for trouble, (strike, moving, resting) in CELLS.items():
        for stage, versions in STRIKES.items():
            for version in versions:
                if strike in (stable_pods_away, candidate_pods_away) and stage in (REST | {Stage.INITIALISING}):
                    continue  # which is which is decided on trial alone
                outcome = resting if stage in REST else moving if stage in JUDGED else "same outcome"
                mark = pytest.mark.reliability(trouble=trouble, stage=stage.value, outcome=outcome)
                yield pytest.param(strike, stage, version, marks=mark, id=f"{strike.__name__}-{stage}-{version}")


@pytest.mark.parametrize(("strike", "stage", "version"), list(cells()))
def test_no_trouble_at_any_stage_changes_the_outcome_or_leaves_anything_over(
    strike: Callable[[Cluster], None], stage: Stage, version: str
) -> None:
    cluster = reached(stage, version)

    strike(cluster)
    cluster.settle(5000)

    state = cluster.state()
    assert cluster.rests(), (state.stage, state.candidate, cluster.weights())
    outcomes = [one.outcome for one in state.history if one.outcome is not Outcome.SUPERSEDED]
    assert set(outcomes) <= {ENDINGS[version]}
    serving = version if outcomes == [Outcome.PROMOTED] else "1"
    assert outcomes or stage in (Stage.INITIALISING, Stage.STABLE)
    assert set(cluster.models()) == {cluster.revision(serving)}
    assert cluster.weights() == {cluster.revision(serving): 100}


@pytest.mark.parametrize("rate", [0.02, 0.04])
@pytest.mark.parametrize("seconds", [5, 20, 120])
@pytest.mark.reliability(trouble="stable pods away", stage="Analysing", outcome="nothing is counted, same outcome")
def test_a_stable_revision_that_answers_nothing_is_no_evidence_for_a_bad_candidate(seconds: int, rate: float) -> None:
    cluster = Cluster(a_spec("1"), errors={BAD: rate}).settle()
    cluster.apply(a_spec(BAD))
    cluster.run(3000, until=lambda it: it.state().stage is Stage.ANALYSING and it.weights()[it.revision(BAD)] == 50)
    assert cluster.state().stage is Stage.ANALYSING

    cluster.broken.add("1")
    cluster.run(seconds)
    cluster.broken.discard("1")
    cluster.settle(5000)

    assert [one.outcome for one in cluster.state().history] == [Outcome.ROLLED_BACK]


def deletions() -> Iterator[Any]:
    for stage, versions in STRIKES.items():
        mark = pytest.mark.reliability(trouble="deletion", stage=stage.value, outcome="nothing of it is left")
        yield pytest.param(stage, versions[0], marks=mark, id=stage.value)


@pytest.mark.parametrize(("stage", "version"), list(deletions()))
def test_at_any_stage_all_that_is_there_belongs_to_the_model_deployment_and_nothing_is_made_once_it_is_deleted(
    stage: Stage, version: str
) -> None:
    cluster = reached(stage, version)
    resource = cluster.resource()
    resource.metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    decision = rollout.decide(resource, cluster.look(rollout.needs(resource, cluster.now)))

    assert decision.actions == ()
    made = [one for (kind, _), one in cluster.objects.items() if kind != "Pod"]  # those belong to Deployments
    assert made
    for one in made:
        (owner,) = one["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("ModelDeployment", "u", True)
