"""Is a failed revision refused until a person says that it may be tried once more, and then once only?"""

from assay.api.modeldeployment import Outcome, WishState
from core.simulation import Cluster, a_spec, told
from core.test_intent import ask, failed, mark, outcomes, records


def test_a_retry_lets_a_failed_revision_be_tried_once_more_and_not_for_ever(cluster: Cluster) -> None:
    revision = failed(cluster)

    ask(cluster, retry=revision)
    cluster.run(400)

    assert outcomes(cluster) == [Outcome.ROLLED_BACK] * 2
    assert (mark(cluster, "retry").state, records(cluster)) == (WishState.ACTED, [("Retry", revision)])
    assert f'set spec.intent.retry to "{revision}-2"' in cluster.condition("Stalled").message
    ask(cluster, retry=f"{revision}-2")
    cluster.run(400)
    assert outcomes(cluster) == [Outcome.ROLLED_BACK] * 3
    ask(cluster, retry="")
    cluster.run(10)
    ask(cluster, retry=f"{revision}-2")
    cluster.run(400)
    assert outcomes(cluster) == [Outcome.ROLLED_BACK] * 4


def test_a_failed_revision_applied_again_from_git_is_refused_with_its_reason_until_retry_names_it(
    cluster: Cluster,
) -> None:
    revision = failed(cluster)
    cluster.apply(a_spec("1"))
    cluster.settle(100)
    cluster.apply(a_spec("5"))
    cluster.run(500)

    stalled = cluster.condition("Stalled")
    assert (stalled.status, stalled.reason) == ("True", "Quarantined")
    assert "harm evidence 100 of 100" in stalled.message
    assert f'set spec.intent.retry to "{revision}"' in stalled.message
    assert told(cluster.notes).count("Quarantined") == 1
    cluster.errors.clear()
    ask(cluster, retry=revision)
    cluster.settle(2000)

    assert cluster.weights() == {revision: 100}
    assert not cluster.state().quarantined


def test_a_retry_may_come_before_the_revision_is_applied_again(cluster: Cluster) -> None:
    revision = failed(cluster)
    cluster.apply(a_spec("1", intent={"retry": revision}))
    cluster.settle(100)
    assert mark(cluster, "retry").state is WishState.ACTED

    cluster.errors.clear()
    cluster.apply(a_spec("5", intent={"retry": revision}))
    cluster.settle(2000)

    assert cluster.weights() == {revision: 100}


def test_a_retry_that_stood_there_before_the_failure_lifts_nothing(cluster: Cluster) -> None:
    cluster.errors["5"] = 0.3
    cluster.apply(a_spec("5", intent={"retry": cluster.revision("5")}))

    cluster.run(400)

    assert outcomes(cluster) == [Outcome.ROLLED_BACK]
    assert mark(cluster, "retry").state is WishState.LAPSED
