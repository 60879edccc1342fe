"""Does each revision get its share, and does a user stay with one?"""

from collections import Counter
from math import sqrt
from typing import Any

from router.rig import A, B, Rig


def users(count: int) -> list[dict[str, str]]:
    return [{"x-user-id": f"user-{number}"} for number in range(count)]


# Each request is drawn by Envoy's own dice, so a bound of three sigma would be broken by chance now and then. Four sigma of
# 16/9 as many requests are as narrow a share, and broken once in sixteen thousand runs.


def test_requests_are_split_as_asked(rig: Rig) -> None:
    rig.model(A), rig.model(B)
    rig.start({A: 20, B: 80})
    total = 10_800
    counts = Counter(answer.revision for answer in rig.post_many([{}] * total))
    assert counts.total() == counts[A] + counts[B] == total
    assert abs(counts[A] - 0.2 * total) < 4 * sqrt(total * 0.2 * 0.8)


def test_a_user_keeps_the_revision_and_moves_one_way_when_its_weight_grows(rig: Rig) -> None:
    rig.model(A), rig.model(B)
    sticky: Any = {"stickyHeader": "x-user-id", "salt": "m/1"}
    rig.start({A: 10, B: 90}, **sticky)
    total = 1500
    on_a: set[int] = set()
    for weight in (10, 10, 25, 50, 50, 100):
        rig.ask_for({A: weight, B: 100 - weight}, **sticky)
        answers = rig.post_many(users(total))
        now_on_a = {number for number, answer in enumerate(answers) if answer.revision == A}
        assert {answer.status for answer in answers} == {200}
        assert on_a <= now_on_a, "a user went back"
        assert weight != 10 or not on_a or on_a == now_on_a, "a user moved although the weight did not"
        share = weight / 100
        assert abs(len(now_on_a) - share * total) <= 3 * sqrt(total * share * (1 - share))
        on_a = now_on_a


def test_another_salt_chooses_other_users(rig: Rig) -> None:
    rig.model(A), rig.model(B)
    rig.start({A: 50, B: 50}, stickyHeader="x-user-id", salt="one")
    one = [answer.revision for answer in rig.post_many(users(1000))]
    rig.ask_for({A: 50, B: 50}, stickyHeader="x-user-id", salt="tw\\0o")
    two = [answer.revision for answer in rig.post_many(users(1000))]
    same = sum(left == right for left, right in zip(one, two, strict=True))
    assert abs(same - 500) < 3 * sqrt(250), "independent choices agree for half of the users"


def test_requests_without_the_sticky_header_are_drawn_anew(rig: Rig) -> None:
    rig.model(A), rig.model(B)
    rig.start({A: 50, B: 50}, stickyHeader="x-user-id", salt="one")
    counts = Counter(answer.revision for answer in rig.post_many([{}] * 1800))
    assert abs(counts[A] - 900) < 4 * sqrt(450)
