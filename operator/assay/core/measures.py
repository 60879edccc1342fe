"""Which counters does a check need, and what do they say?"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from assay.api.checks import Check, LabelMatch
from assay.core import evidence
from assay.core.decision import Missing, Query, Series
from assay.core.evidence import Arms, Events, Readings
from assay.core.names import METRIC_VIA, REQUESTS_METRIC

RESPONSE_CLASS = "envoy_response_code_class"
_REQUESTS = Query(REQUESTS_METRIC, ((METRIC_VIA, "split"),))

Found: TypeAlias = Mapping[Query, tuple[Series, ...] | Missing]
"""What was answered to the queries."""


def queries(checks: Sequence[Check]) -> tuple[Query, ...]:
    """Return what must be asked of the metrics for these checks, each once."""
    return tuple(dict.fromkeys(query for check in checks for query in _queries(check)))


def _queries(check: Check) -> tuple[Query, ...]:
    if check.proportion is None:
        return (_REQUESTS,)
    return (_query(check.proportion.bad), _query(check.proportion.total))


def _query(match: LabelMatch) -> Query:
    return Query(match.metric, tuple(sorted((match.match or {}).items())))


def _events(check: Check, found: Found) -> Events | Missing:
    answers = [found.get(query, Missing("was not asked for")) for query in _queries(check)]
    for answer in answers:
        if isinstance(answer, Missing):
            return answer
    series = [answer for answer in answers if not isinstance(answer, Missing)]
    if check.proportion is None:
        bad = tuple(one for one in series[0] if one.labels.get(RESPONSE_CLASS) == "5")
        return Events(bad, series[0])
    return Events(series[0], series[1])


def read(check: Check, found: Found, arms: Arms) -> Readings | Missing:
    """Return what the counters of a check say."""
    events = _events(check, found)
    return events if isinstance(events, Missing) else evidence.read(events, arms)


def requested(checks: Sequence[Check], found: Found, arms: Arms, since: float) -> bool:
    """Return whether any check's counters show an event of the candidate at a scrape after `since`."""
    for check in checks:
        readings = read(check, found, arms)
        if not isinstance(readings, Missing):
            latest = [pod[-1] for pod in readings.values() if pod]
            if any(reading.time > since and reading.candidate[1] for reading in latest):
                return True
    return False
