"""What did Prometheus see of the fleet's counters?"""

import math
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from requests.exceptions import RequestException
from urllib3.util.retry import Retry

from assay.adapters.native import on_grid
from assay.core.decision import Missing, Query, Series
from assay.core.errors import InvalidSpec
from assay.core.names import METRIC_DEPLOYMENT

TIMEOUT_SECONDS = 5
READER_SECONDS = 300.0  # who asked so lately is expected to ask again
MOST_READERS = 100  # names that a query may list: 5 kB of a URL
HISTORY = "[1h:30s]"  # a subquery: one sample per step, all series at the same instants
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

Fleet: TypeAlias = Mapping[tuple[str, str], tuple[Series, ...] | Missing]
"""(namespace, ModelDeployment) -> its pods' series."""


@dataclass(slots=True)
class _Answer:
    """The last answer to one query, and the lock that lets one thread ask while the others wait for it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    asked: float = -math.inf
    fleet: Fleet | Missing = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    """Of the ModelDeployments that it holds; empty where it holds all."""
    readers: dict[str, float] = field(default_factory=dict)
    """Name -> when a ModelDeployment of this name last wanted it."""

    def wanted(self, reader: str, now: float) -> list[str]:
        """Note a reader; return the names to ask for, none of which stands for all: then a newcomer is among them."""
        known = reader in self.readers
        self.readers[reader] = now
        self.readers = {name: at for name, at in self.readers.items() if at >= now - READER_SECONDS}
        return sorted(self.readers) if known and len(self.readers) <= MOST_READERS else []


class PrometheusMetrics:
    """`Metrics` over Prometheus; one instance serves all threads.

    An answer is for all rollouts and kept for `interval` seconds, so that the number of queries grows with the kinds of
    counters, not with the number of rollouts. A newcomer has the whole fleet asked for, and with it come all other
    newcomers of this interval; from the next one on, only those are asked for that want it: a thousand ModelDeployments
    that merely serve need not be read. A failure is kept as long: an unreachable server costs one timeout per interval.
    """

    def __init__(
        self,
        url: str,
        *,
        interval: float = 1.0,
        window: int = 60,
        clock: Callable[[], float] = time.monotonic,
        on_query: Callable[[str], None] = lambda _outcome: None,
    ) -> None:
        """Prepare to ask.

        Args:
            url: Where Prometheus answers.
            interval: Seconds for which an answer is shared.
            window: Seconds of raw samples to read; two scrape intervals at least.
            clock: Monotonic seconds.
            on_query: Told `ok` or `error` for each query that is sent.

        Raises:
            InvalidSpec: The URL is not one.
        """
        if not _is_http(url):
            raise InvalidSpec(f"The Prometheus URL must look like http://prometheus.monitoring:9090, not {url!r}.")
        # No retry of the library's: it would sleep in the worker, and the next look asks again anyway.
        self._server = PrometheusConnect(url=url.rstrip("/"), timeout=TIMEOUT_SECONDS, retry=Retry(total=0, redirect=0))
        self._interval = interval
        self._window = window
        self._clock = clock
        self._on_query = on_query
        self._lock = threading.Lock()
        self._answers: dict[Query, _Answer] = {}

    def series(self, query: Query, namespace: str, deployment: str) -> tuple[Series, ...] | Missing:
        """Return the raw samples of one ModelDeployment's pods; empty where there are none."""
        fleet = self._ask(_own(query, namespace, deployment)) if query.history else self._fleet(query, deployment)
        return fleet if isinstance(fleet, Missing) else fleet.get((namespace, deployment), ())

    def between(
        self, query: Query, namespace: str, deployment: str, start: float, end: float
    ) -> tuple[Series, ...] | Missing:
        """Return the samples of one ModelDeployment's pods from a past time, in seconds since the epoch.

        Of a query for the history they are those that a rollout at `end` would have been told, whatever `start` is.
        """
        mine = replace(_own(query, namespace, deployment), history=query.history)
        fleet = self._ask(mine, window=math.ceil(end - start), at=end)
        return fleet if isinstance(fleet, Missing) else fleet.get((namespace, deployment), ())

    def close(self) -> None:
        """Give the connections back."""
        self._server.close()

    def _fleet(self, query: Query, reader: str) -> Fleet | Missing:
        with self._lock:
            self._forget_the_unasked()
            answer = self._answers.setdefault(query, _Answer())
        with answer.lock:
            now = self._clock()
            names = answer.wanted(reader, now)
            if now - answer.asked >= self._interval or (answer.names and reader not in answer.names):
                answer.fleet = self._ask(query, names)
                answer.names = frozenset() if isinstance(answer.fleet, Missing) else frozenset(names)
                answer.asked = self._clock()
            return answer.fleet

    def _forget_the_unasked(self) -> None:
        """Drop answers that nobody has asked for in ten intervals: checks come and go, memory must not grow."""
        horizon = self._clock() - max(10 * self._interval, 60.0)
        for query in [query for query, answer in self._answers.items() if -math.inf < answer.asked < horizon]:
            del self._answers[query]

    def _ask(
        self, query: Query, names: Sequence[str] = (), *, window: int | None = None, at: float | None = None
    ) -> Fleet | Missing:
        params = {"timeout": f"{TIMEOUT_SECONDS}s", **({} if at is None else {"time": f"{at:.3f}"})}
        try:
            found = self._server.custom_query(promql(query, window or self._window, names), params=params)
            fleet = _grouped(found)
        except RequestException as error:
            self._on_query("error")
            return Missing(f"Prometheus at {self._server.url} did not answer: {type(error).__name__}.")
        except PrometheusApiClientException as error:
            self._on_query("error")
            return Missing(f"Prometheus refused the query for {query.metric}: {str(error)[:300]}")
        except (KeyError, TypeError, ValueError) as error:
            self._on_query("error")
            return Missing(f"Prometheus answered something that is no range vector: {type(error).__name__}.")
        self._on_query("ok")
        return fleet


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def promql(query: Query, window: int, names: Sequence[str] = ()) -> str:
    """Return the range selector that reads a counter's samples of all ModelDeployments that `match` and `names` leave.

    Only series of pods that belong to a ModelDeployment are read, whatever the metric's name.

    Raises:
        ValueError: The metric or a label has a name that Prometheus does not allow; the API's schema refuses those.
    """
    if not _METRIC.fullmatch(query.metric):
        raise ValueError(f"{query.metric!r} is no metric name")
    for label, _ in (*query.match, *query.among):
        if not _LABEL.fullmatch(label):
            raise ValueError(f"{label!r} is no label name")
    whose = f'=~"{_escaped("|".join(names))}"' if names else '!=""'
    exact = (f'{label}="{_escaped(value)}"' for label, value in query.match)
    among = (f'{label}=~"{_escaped("|".join(map(re.escape, values)))}"' for label, values in query.among)
    pairs = ",".join([f"{METRIC_DEPLOYMENT}{whose}", *exact, *among])
    return f"{query.metric}{{{pairs}}}{HISTORY if query.history else f'[{window}s]'}"


def _own(query: Query, namespace: str, deployment: str) -> Query:
    """Return the query for one ModelDeployment alone: an hour of the whole fleet would be too much."""
    mine = (("namespace", namespace), (METRIC_DEPLOYMENT, deployment))
    return replace(query, match=(*query.match, *mine), history=True)


def _escaped(value: str) -> str:
    """Return a label value as it stands between double quotes, which escape as in Go."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _grouped(found: list[Any]) -> Fleet:
    """Sort a range vector by ModelDeployment.

    A sample that is no number makes all that belong to it unknown: left out, a counter of bad events would read as 0.
    """
    fleet: dict[tuple[str, str], list[Series]] = defaultdict(list)
    spoilt: dict[tuple[str, str], Missing] = {}
    for one in found:
        labels = {str(label): str(value) for label, value in one["metric"].items()}
        samples = () if "histograms" in one else tuple((float(at), float(value)) for at, value in one["values"])
        place = labels.get("namespace", ""), labels.get(METRIC_DEPLOYMENT, "")
        if not all(place):
            continue
        who = f"{labels.get('__name__', 'a counter')} of pod {labels.get('pod', '')}"
        if "histograms" in one:
            try:
                fleet[place].append(on_grid(labels, one["histograms"]))
            except ValueError as error:
                spoilt[place] = Missing(f"{who}: {error}")
            continue
        if not all(math.isfinite(value) for _, value in samples):
            spoilt[place] = Missing(f"{who} is no number")
        elif samples:
            fleet[place].append(Series(labels, samples))
    return {place: tuple(series) for place, series in fleet.items()} | spoilt
