"""Do labels come to the very replica that predicted, and can nobody else steer by the headers that take them there?"""

import base64
from collections import Counter

from assay.core.names import METRIC_REVISION, METRIC_VIA, REQUESTS_METRIC
from router.rig import A, Answer, B, C, Rig, until

PATH = "/assay/outcomes"


def answered_by(answer: Answer) -> int:
    """Return the port of the model that answered."""
    assert answer.status == 200, answer.text
    return int(answer.text.partition('"port": ')[2].partition(",")[0])


def named(port: int) -> str:
    """Return how a replica is named in x-assay-replica."""
    return base64.b64encode(f"127.0.0.1:{port}".encode()).decode()


def test_labels_reach_the_very_replica_that_predicted(rig: Rig) -> None:
    for _ in range(3):
        rig.model(A), rig.model(B)
    rig.start({A: 50, B: 50})
    for prediction in rig.post_many([{}] * 60):
        assert prediction.revision is not None
        replica = prediction.headers["x-assay-replica"]
        labels = rig.post(PATH, x_assay_revision=prediction.revision, x_assay_replica=replica)
        assert answered_by(labels) == answered_by(prediction)
        assert (labels.revision, labels.headers["x-assay-replica"]) == (prediction.revision, replica)


def test_labels_reach_a_revision_without_weight_and_count_apart_from_the_split(rig: Rig) -> None:
    rig.model(A), rig.model(B)
    rig.start({A: 0, B: 100})
    assert rig.post(PATH, x_assay_revision=A).revision == A
    found = {(dict(key)[METRIC_REVISION], dict(key)[METRIC_VIA]) for key in rig.samples(REQUESTS_METRIC)}
    assert found == {(A, "direct")}


def test_no_header_of_the_way_is_shown_to_the_model(rig: Rig) -> None:
    model = rig.model(A)
    rig.start({A: 100})
    for path in (PATH, "/v2/models/m/infer"):
        seen = rig.post(path, x_assay_revision=A, x_assay_replica=named(model.port)).seen
        assert [name for name in seen if name.startswith("x-assay")] == []


def test_a_caller_cannot_choose_the_replica_that_predicts(rig: Rig) -> None:
    models = [rig.model(A) for _ in range(2)]
    rig.start({A: 100}, allowRevisionHeader=True)
    chosen = {"x-assay-replica": named(models[0].port)}
    for headers in (chosen, chosen | {"x-assay-revision": A}):
        counts = Counter(answered_by(answer) for answer in rig.post_many([headers] * 100))
        assert min(counts[model.port] for model in models) > 20


def test_a_model_cannot_lie_about_which_replica_it_is(rig: Rig) -> None:
    model = rig.model(A)
    rig.start({A: 100})
    for answer in (rig.post(), rig.post(PATH, x_assay_revision=A), rig.post(x_test_status="500")):
        assert answer.headers["x-assay-replica"] == named(model.port)


def test_labels_of_a_replica_that_is_gone_come_to_another_one_which_will_not_know_them(rig: Rig) -> None:
    gone, alive = rig.model(A), rig.model(A)
    rig.start({A: 100})
    rig.publish([alive])
    until(
        lambda: answered_by(rig.post(PATH, x_assay_revision=A, x_assay_replica=named(gone.port))) == alive.port,
        "Envoy has heard that a replica is gone",
    )


def test_labels_of_a_replica_that_refuses_connections_are_not_lost_in_an_error(rig: Rig) -> None:
    gone, alive = rig.model(A), rig.model(A)
    rig.start({A: 100})
    rig.do(gone.stop())
    for _ in range(10):
        assert answered_by(rig.post(PATH, x_assay_revision=A, x_assay_replica=named(gone.port))) == alive.port


def test_an_address_that_is_no_replica_of_the_revision_is_never_connected_to(rig: Rig) -> None:
    own, other = rig.model(A), rig.model(B)
    rig.start({A: 50, B: 50})
    for replica in (named(other.port), named(rig.layout.admin_port), "", "!", "a" * 1000):
        assert answered_by(rig.post(PATH, x_assay_revision=A, x_assay_replica=replica)) == own.port


def test_labels_of_a_revision_that_is_no_longer_served_are_refused_in_a_sentence(rig: Rig) -> None:
    rig.model(A)
    rig.start({A: 100})
    answer = rig.post(PATH, x_assay_revision=C)
    assert (answer.status, answer.text) == (
        410,
        "x-assay-revision: m serves that revision no longer, so that its labels count nowhere; it serves aaaaaaaa.\n",
    )


def test_labels_without_a_revision_are_refused_in_a_sentence(rig: Rig) -> None:
    model = rig.model(A)
    rig.start({A: 100})
    answer = rig.post(PATH, x_assay_replica=named(model.port))
    assert answer.status == 400
    assert answer.text.startswith("x-assay-revision is missing; send it, and x-assay-replica, as the answer")
    assert model.seen == 0
