"""Which predictions were right, when the truth arrives only later?

A prediction waits here for its label. Each counts once for every label delay D: when it is D seconds old, as `correct` or
`wrong` by the last label that came before, or as `unlabelled`. So the counters read at one instant describe the
predictions made until D before it, on every pod, whether its labels are quick or slow.

Nothing runs in the background. Whatever is ripe is counted first whenever anything is asked: a prediction, a label, a
scrape. No order of these can change what is counted.
"""

import json
import math
import operator
import secrets
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from assay.core.names import OUTCOMES

UNMATCHED: Final = ("late", "unknown", "incomparable")
"""Why a label counts nowhere: it came after every delay; its id is none that waits or waited here (another pod's, or one
of this pod before it restarted); the comparison could not make anything of it."""

CAPACITY: Final = 100_000
"""Default of how many predictions may wait: 1,600 a second for a minute."""

MAX_BYTES: Final = 1024 * 1024
"""Largest body of labels."""

MOST_CLASSES: Final = 16

_LONGEST: Final = 16  # digits of a prediction's number


class _Refused(Exception):  # noqa: N818 - named as HTTP names it
    """The labels were not understood; the message is one sentence that says what they must be."""


class Outcomes(Collector):
    """The predictions of one process that wait for their labels, and the counts of those that no longer do.

    They are kept in a ring. When it is full, new predictions are not tracked, and are counted in a counter of their own;
    those that wait are never given up for them. Otherwise a server with more predictions per delay than the ring has room
    for would lose each of them just before it counts, and so count nothing, for ever; like this it counts a sample.
    """

    def __init__(
        self,
        label_delays: Sequence[float] = (),
        *,
        correct: Callable[[Any, Any], bool] = operator.eq,
        classes: Mapping[str, Any] | None = None,
        capacity: int = CAPACITY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin a life: no prediction waits, all counts are zero.

        Args:
            label_delays: The ages, in seconds, at which each prediction counts. None: nothing is tracked.
            correct: Whether a prediction (as given to `predicted`) agrees with a label (as parsed from JSON); it may
                raise TypeError or ValueError for a label that it cannot compare. Default: equality.
            classes: Name and label of each class, such as {"fraud": True, "fine": False}, where labels of one class come later
                than those of another, and the check corrects for it (`classCoverage`). None: nothing is counted by class.
            capacity: How many predictions may wait at once; each takes about 17 bytes beside its value.
            clock: Seconds, never going back.

        Raises:
            ValueError: A delay is no positive number, or occurs twice; there is no capacity, or there are too many classes.
        """
        if not all(math.isfinite(delay) and delay > 0 for delay in label_delays):
            raise ValueError(f"label_delays: {list(label_delays)} must be numbers of seconds above 0.")
        if len(set(label_delays)) < len(label_delays) or capacity < 1:
            raise ValueError(
                f"label_delays: {list(label_delays)} must differ, and capacity, {capacity}, be at least 1."
            )
        if classes and len(classes) > MOST_CLASSES:
            raise ValueError(f"classes: there are {len(classes)}, and must be at most {MOST_CLASSES}.")
        self.delays = tuple(sorted(label_delays))
        self._correct, self._clock = correct, clock
        self._classes, self._labels = list(classes or {}), list((classes or {}).values())
        self._lock = threading.Lock()
        self._life = secrets.token_hex(8)  # in every id, so that no id of another process is taken for one of this
        self._size = capacity if self.delays else 0
        self._made = array("d", bytes(8 * self._size))
        self._values: list[Any] = [None] * self._size
        # 0 without a label; of class c, 1 + 2 c is wrong and 2 + 2 c correct, as OUTCOMES has them for a single one
        self._states = bytearray(self._size)
        self._next = 0  # number of the next prediction; number n is at place n % size
        self._oldest = [0] * len(self.delays)  # for each delay, the oldest prediction that has not counted
        self._counts = [[0] * (1 + 2 * max(len(self._classes), 1)) for _ in self.delays]
        self._unmatched = dict.fromkeys(UNMATCHED, 0)
        self._untracked = 0

    def predicted(self, value: Any) -> str | None:  # noqa: ANN401 - whatever the comparison understands
        """Let a prediction wait for its label.

        Args:
            value: What was predicted; kept until the longest delay is over, so let it be small.

        Returns:
            Its id, for the response header `x-assay-prediction-id`; None when it is not tracked.
        """
        with self._lock:
            self._ripen()
            number = self._next
            if not self.delays or number - self._oldest[-1] >= self._size:
                self._untracked += 1
                return None
            place = number % self._size
            self._made[place], self._values[place], self._states[place] = self._clock(), value, 0
            self._next = number + 1
        return f"{self._life}-{number}"

    def labelled(self, identifier: str, label: Any) -> bool:  # noqa: ANN401 - whatever the comparison understands
        """Tell what really happened. The last label before a delay is over wins; the same one again changes nothing.

        Args:
            identifier: What `predicted` returned.
            label: The truth; None takes an earlier label back.

        Returns:
            Whether a prediction waited for it.
        """
        with self._lock:
            self._ripen()
            number = self._number(identifier)
            if number is None:
                return self._unmatch("unknown")
            if number < self._oldest[-1]:
                return self._unmatch("late")
            place = number % self._size
            try:
                state = 0 if label is None else self._state(self._values[place], label)
            except (TypeError, ValueError):
                return self._unmatch("incomparable")
            self._states[place] = state
            return True

    def _state(self, value: Any, label: Any) -> int:  # noqa: ANN401 - whatever the comparison understands
        place = self._labels.index(label) if self._labels else 0  # a ValueError for a label of no class
        return 1 + 2 * place + bool(self._correct(value, label))

    def _number(self, identifier: str) -> int | None:
        """Return the number of a prediction of this life."""
        life, _, digits = identifier.rpartition("-")
        if life != self._life or len(digits) > _LONGEST or not (digits.isascii() and digits.isdecimal()):
            return None
        return int(digits) if int(digits) < self._next else None

    def _unmatch(self, reason: str) -> bool:
        self._unmatched[reason] += 1
        return False

    def _ripen(self) -> None:
        """Count whatever has reached a delay. Predictions are in the order of their age, so only the oldest are looked at."""
        now, first = self._clock(), self._oldest[-1] if self.delays else 0
        for index, delay in enumerate(self.delays):
            number, counts = self._oldest[index], self._counts[index]
            while number < self._next and self._made[number % self._size] + delay <= now:
                counts[self._states[number % self._size]] += 1
                number += 1
            self._oldest[index] = number
        for number in range(first, self._oldest[-1] if self.delays else 0):
            self._values[number % self._size] = None

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Return the counters as they are at this instant; every combination of labels is there from the beginning."""
        if not self.delays:
            return
        with self._lock:
            self._ripen()
            counts = [list(one) for one in self._counts]
            unmatched, untracked = dict(self._unmatched), self._untracked
        family = CounterMetricFamily(
            "assay_outcomes",
            "Predictions by what their label said when they had this age.",
            labels=["outcome", "age_seconds", *(["class"] if self._classes else [])],
        )
        for delay, one in zip(self.delays, counts, strict=True):
            for place, count in enumerate(one):
                outcome = OUTCOMES[1 + (place - 1) % 2 if place else 0]
                of = [self._classes[(place - 1) // 2] if place else ""] if self._classes else []
                family.add_metric([outcome, decimal(delay), *of], count)
        yield family
        family = CounterMetricFamily(
            "assay_outcomes_unmatched", "Labels that count nowhere, by reason.", labels=["reason"]
        )
        for reason, count in unmatched.items():
            family.add_metric([reason], count)
        yield family
        yield CounterMetricFamily(
            "assay_predictions_untracked",
            "Predictions that got no id, because too many waited for their labels.",
            untracked,
        )

    def answer(self, body: bytes) -> tuple[int, bytes]:
        """Answer a request to `/assay/outcomes`, for servers that do not use the middleware.

        Args:
            body: `{"outcomes": [{"id": "...", "label": ...}, ...]}`

        Returns:
            HTTP status and a body of JSON: how many labels there were, and how many were `known`; or one sentence.
        """
        if len(body) > MAX_BYTES:
            return 413, _json(error=f"The body is too large; send at most {MAX_BYTES} bytes of outcomes at once.")
        try:
            pairs = _parse(body)
        except _Refused as error:
            return 400, _json(error=str(error))
        known = sum(self.labelled(identifier, label) for identifier, label in pairs)
        return 200, _json(outcomes=len(pairs), known=known)


def decimal(seconds: float) -> str:
    """Return the shortest decimal of a number of seconds: 5, 60, 0.5."""
    return format(Decimal(repr(float(seconds))).normalize(), "f")


def _parse(body: bytes) -> list[tuple[str, Any]]:
    """Return ids and labels.

    Raises:
        _Refused: It is something else.
    """
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise _Refused('The body is not JSON; send {"outcomes": [{"id": "...", "label": ...}]}.') from None
    outcomes = said.get("outcomes") if isinstance(said, dict) else None
    if not isinstance(outcomes, list):
        raise _Refused('outcomes is missing; it must be a list of {"id": "...", "label": ...}.')
    for index, one in enumerate(outcomes):
        if not isinstance(one, dict) or not isinstance(one.get("id"), str) or "label" not in one:
            raise _Refused(f"outcomes[{index}] must be an object with id, a string, and label.")
    return [(one["id"], one["label"]) for one in outcomes]


def _json(**content: object) -> bytes:
    return json.dumps(content).encode()
