"""Which flights have landed, and which pod is to be told whether they were late?

A label goes back the way of its prediction: with the headers that the answer had, to the revision and the pod that predicted.
Labels for one pod travel together.
"""

import asyncio
import heapq
import itertools
import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

import aiohttp

from flights.tally import Tally

OUTCOMES: Final = "/assay/outcomes"
PREDICTION_HEADER: Final = "x-assay-prediction-id"
WAY: Final = ("x-assay-revision", "x-assay-replica")
"""Headers of an answer that the label of its prediction must have; without a router there are none."""

GONE: Final = 410
"""The router's answer when nobody serves that revision any more."""

Way = tuple[tuple[str, str], ...]


class Labels:
    """The predictions about flights that are in the air."""

    def __init__(self, session: aiohttp.ClientSession, tally: Tally) -> None:
        self._session = session
        self._tally = tally
        self._flying: list[tuple[float, int, Way, str, bool]] = []  # a heap, by arrival
        self._number = itertools.count()  # so that flights that arrive together are not compared further

    def expect(self, answer: Mapping[str, str], arrival: float, *, late: bool) -> None:
        """Remember a prediction until its flight arrives.

        Args:
            answer: Headers of the answer.
            arrival: When the flight arrives, in the flights' own seconds.
            late: Whether it will be late.
        """
        if PREDICTION_HEADER in answer:  # or the server wants no label
            way = tuple((name, answer[name]) for name in WAY if name in answer)
            heapq.heappush(self._flying, (arrival, next(self._number), way, answer[PREDICTION_HEADER], late))

    async def send(self, now: float) -> None:
        """Tell the labels of all flights that have arrived, in the flights' own seconds."""
        batches: dict[Way, list[dict[str, object]]] = defaultdict(list)
        while self._flying and self._flying[0][0] <= now:
            _, _, way, identifier, late = heapq.heappop(self._flying)
            batches[way].append({"id": identifier, "label": late})
        await asyncio.gather(*(self._tell(way, outcomes) for way, outcomes in batches.items()))

    async def _tell(self, way: Way, outcomes: list[dict[str, object]]) -> None:
        """Send labels to one pod, and count how many it knew."""
        known, failed = 0, False
        try:
            async with self._session.post(OUTCOMES, json={"outcomes": outcomes}, headers=dict(way)) as response:
                body = await response.read()
        except (TimeoutError, aiohttp.ClientError):
            failed = True
        else:
            if response.ok:
                known = json.loads(body)["known"]
            failed = not response.ok and response.status != GONE
        self._tally.label(len(outcomes), known, failed=failed)
