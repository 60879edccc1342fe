"""Whatever hands have written among the sums and looks of values: there is always a decision, and it can be saved."""

import copy
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.api.modeldeployment import ModelDeploymentStatus
from core.test_prospects_of_values import a_shop
from core.test_spoilt import EXAMPLES, decided, is_sound
from core.test_values_release import Shop

pytestmark = pytest.mark.exhaustive

NUMBERS = st.sampled_from([0.0, 1.0, -1.0, 1e-300, 5e-324, 1e60, -1e60, 1e120, 1e199, 60.0])


@cache
def judged() -> Shop:
    """Return the world in the midst of a rollout that is judged by a mean."""
    return a_shop(deadlineSeconds=3600).run(200, until=lambda it: any(one.requests >= 600 for one in it.state().checks))


@given(data=st.data())
@EXAMPLES
def test_any_numbers_in_the_place_of_sums_and_looks_can_be_gone_on_from(data: st.DataObject) -> None:
    status = copy.deepcopy(judged().status)
    (check,) = status["checks"]
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.sampled_from(["harm", "safety", "pace", "looks"]))
        if place == "looks":
            for look in check["valueLooks"][: data.draw(st.integers(1, 60))]:
                look[data.draw(st.integers(0, 6))] = data.draw(NUMBERS)
        elif place == "pace":
            check["harm"]["pace"] = check["safety"]["pace"] = abs(data.draw(NUMBERS))
        else:
            sums = check[place]["sums"]
            sums[data.draw(st.integers(2, len(sums) - 1))] = data.draw(NUMBERS)
    ModelDeploymentStatus.model_validate(status)

    is_sound(decided(judged(), status))


@pytest.mark.parametrize("weight", [1e199, 1e170, 2.0**60])
def test_a_weight_whose_square_is_beyond_all_numbers_begins_anew(weight: float) -> None:
    status = copy.deepcopy(judged().status)
    status["checks"][0]["harm"]["sums"][2] = weight

    assert decided(judged(), copy.deepcopy(judged().status)).status.checks[0].harm.sums
    assert not any(check.harm.sums for check in decided(judged(), status).status.checks)
