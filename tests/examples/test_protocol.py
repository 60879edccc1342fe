import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flights.model import Feature
from flights.protocol import MAX_FLIGHTS, BadRequest, answer, parse

FEATURES = {"dep_delay": Feature("dep_delay"), "carrier": Feature("carrier", {"UA": 0.2})}


def body(*tensors: object, **more: object) -> bytes:
    return json.dumps({"inputs": list(tensors), **more}).encode()


def tensor(**changes: object) -> dict[str, object]:
    return {"name": "dep_delay", "shape": [2], "datatype": "FP64", "data": [1.5, 2], **changes}


def test_a_batch_is_columns_of_the_same_length() -> None:
    carriers = {"name": "carrier", "shape": [2, 1], "datatype": "BYTES", "data": [["UA"], ["AA"]]}
    inference = parse(body(tensor(), carriers, id="seven"), FEATURES)
    assert inference.columns == {"dep_delay": [1.5, 2], "carrier": ["UA", "AA"]}
    assert (inference.count, inference.identifier) == (2, "seven")


def test_an_unknown_value_is_null() -> None:
    assert parse(body(tensor(data=[None, 3])), FEATURES).columns == {"dep_delay": [None, 3]}


def test_inputs_that_this_revision_does_not_know_are_ignored_but_count() -> None:
    assert parse(body(tensor(name="moon", datatype="BYTES", data=["new", "full"])), FEATURES).count == 2


@pytest.mark.parametrize(
    ("request_body", "sentence"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "inputs is missing"),
        (b"{}", "inputs is missing"),
        (body(), "inputs is missing"),
        (body(3), r"inputs\[0\] must be an object"),
        (body(tensor(), id=4), "id must be a string"),
        (body(tensor(), id="\ud800"), "id must be a string of at most 256 printable"),
        (body(tensor(data=1)), "data must be a list"),
        (body(tensor(data=[])), f"data has 0 values; it must have 1 to {MAX_FLIGHTS}"),
        (body(tensor(shape=[3])), r"shape must be \[2\], because data has 2 values"),
        (body(tensor(datatype="BYTES")), "datatype must be FP64"),
        (body(tensor(datatype=["FP64"])), "datatype must be FP64"),
        (body(tensor(data=["1", 2])), "every value must be a number between -1e\\+12 and 1e\\+12, or null"),
        (body(tensor(data=[True, 2])), "every value must be a number"),
        (body(tensor(data=[float("nan"), 2])), "every value must be a number"),
        (body(tensor(data=[1e300, 2])), "every value must be a number"),
        (body(tensor(data=[10**400, 2])), "every value must be a number"),
        (body(tensor(name="carrier", datatype="BYTES")), "every value must be a string"),
        (body(tensor(), tensor(name="x", shape=[1], data=[1])), r"inputs\[1\] has 1 values where the others have 2"),
        (body(tensor(), tensor()), "dep_delay is given twice"),
    ],
)
def test_a_bad_request_is_refused_with_one_sentence(request_body: bytes, sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence) as refused:
        parse(request_body, FEATURES)
    assert str(refused.value).endswith(".")
    assert "\n" not in str(refused.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
TENSORS = st.fixed_dictionaries(
    {},
    optional={"name": JSON | st.sampled_from(["dep_delay", "carrier"]), "data": JSON, "shape": JSON, "datatype": JSON},
)


@given(st.binary() | JSON.map(lambda one: json.dumps(one).encode()) | st.lists(TENSORS).map(lambda t: body(*t)))
def test_no_body_whatever_brings_up_anything_but_a_sentence(request_body: bytes) -> None:
    try:
        assert parse(request_body, FEATURES).count > 0
    except BadRequest as refused:
        str(refused).encode()  # can be sent


def test_the_answer_has_a_probability_and_an_outcome_for_each_flight() -> None:
    said = answer(parse(body(tensor(), id="a"), FEATURES), "v2", np.array([0.25, 0.5]))
    assert said["id"] == "a"
    assert said["model_version"] == "v2"
    assert [(one["name"], one["datatype"], one["shape"], one["data"]) for one in said["outputs"]] == [
        ("late_probability", "FP64", [2], [0.25, 0.5]),
        ("late", "BOOL", [2], [False, True]),
    ]
