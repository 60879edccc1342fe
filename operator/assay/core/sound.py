"""What of a status can be gone on from?

Only the operator writes status, but whoever has the right to can write anything there that fits the schema. What no
round of ours can have left is taken for lost, never for good: evidence begins anew, a moment that has not come yet is
now, and a candidate that is the stable revision is none.
"""

import math
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from assay.api.base import Verdict
from assay.api.modeldeployment import (
    Analysis,
    CheckStatus,
    CounterState,
    ModelDeployment,
    ProcessState,
    QuantileState,
    RanksState,
    WalkState,
)
from assay.core import past_looks
from assay.core.checks import safety_share
from assay.core.split import LARGEST_GENERATION
from assay.core.times import moment, parsed
from assay.stats import proportion
from assay.stats.boundary import NODES, Density, mass
from assay.stats.means import Sums
from assay.stats.moments import LARGEST

MOST = 2**52  # counted events; twice as many is the largest integer that every JSON reader keeps exact
LOOK = 5  # numbers: the second, then total and bad of both sides
SUMS = 4  # of two numbers for each side
ROUNDING = 1e-9
FORGOTTEN = 1e-6  # of all chance; what rounding takes from a walk is a millionth of that
WIDEST = 2**40  # counts per cell of a walk
FAR = 1e15  # of a log-likelihood ratio: beyond what 2**52 events can say
HUGEST = 1e200  # of a sum of squares of values
HUGE = 1e30  # of a sum of ranks, of its variance and of its law
DAY = 86_400.0  # by which Prometheus' clock may be ahead of ours
GRID = len(proportion.HARM_WEIGHTS)  # alternatives of every rule
LATTICE = len(proportion.start_effect().logs)
CANDIDATE_TIMES = ("start_time", "step_start_time", "first_request_time", "look_time", "count_time")
CANDIDATE_COUNTS = ("requests", "step_requests")


def sound(resource: ModelDeployment, now: datetime) -> ModelDeployment:
    """Return the resource with what of its status can be gone on from; the same object where that is all of it."""
    status = resource.status
    candidate = status.candidate
    update: dict[str, Any] = _not_later(status, ("split_acked_time", "decision_time"), now)
    if status.split_generation > LARGEST_GENERATION:
        update["split_generation"] = 0
    if candidate is not None:
        changed = _not_later(candidate, CANDIDATE_TIMES, now)
        changed |= {name: 0 for name in CANDIDATE_COUNTS if getattr(candidate, name) > MOST}
        if status.stable is not None and candidate.revision == status.stable.revision:
            update["candidate"] = None
        elif changed:
            update["candidate"] = candidate.model_copy(update=changed)
    good = [one for one in status.checks if is_sound(one, resource.spec.analysis, now)]
    if len(good) < len(status.checks):
        update["checks"] = good
    if not update:
        return resource
    return resource.model_copy(update={"status": status.model_copy(update=update)})


def _not_later(value: BaseModel, names: Sequence[str], now: datetime) -> dict[str, Any]:
    """Return the moments that have not come yet as now: what they tell of has happened, or the status could not tell."""
    written = {name: getattr(value, name) for name in names}
    return {name: moment(now) for name, text in written.items() if text is not None and parsed(text) > now}


def is_sound(check: CheckStatus, analysis: Analysis, now: datetime) -> bool:
    """Return whether looks can have left this: shapes, bounds, and no verdict Pass without its evidence."""
    required = sum(one.required for one in analysis.checks)
    harm, safety = required / float(analysis.false_rollback), 2 / float(analysis.false_promotion)
    if check.quantile is not None:
        harm *= 2  # at half of the level; the other half is that of the ranks
    passed = check.verdict is not Verdict.PASS or safety_share(check, float(analysis.false_promotion)) >= 1 - ROUNDING
    return (
        passed
        and max(check.missed_looks, check.measured_looks, check.step_requests, *check.labels, 0) <= MOST
        and (check.dispersion == 0 or check.dispersion >= 1)
        and len(check.labels) in (0, SUMS)
        and _are_totals(check.totals)
        and _is_hour(check.before)
        and all(len(one) == LOOK and max(one) <= MOST for one in check.looks)
        and all(map(_is_value_look, check.value_looks))
        and _are_odds(check.odds)
        and len(check.pooled) in (0, 2, SUMS)
        and all(abs(one) <= HUGEST for one in check.pooled)
        and _is_effect(check)
        and all(_is_process(one, harm) for one in (check.harm, check.harm_beyond))
        and all(_is_process(one, safety) for one in (check.safety, check.negligible))
        and (check.quantile is None or _is_quantile(check.quantile))
        and all(_is_counter(one, now) for one in check.counters)
    )


def _is_process(state: ProcessState, top: float) -> bool:
    if state.sums:
        return not state.logs and 0 < state.score <= top * (1 + ROUNDING) and _are_sums(state)
    if state.walk is not None:
        return not state.logs and 0 < state.score <= top * (1 + ROUNDING) and _is_walk(state.walk)
    if not state.logs:
        return state.score == 1.0
    logs = len(state.logs) == GRID and all(proportion.NEVER <= one <= FAR for one in state.logs)
    return logs and 0 < state.score <= top * (1 + ROUNDING)


def _are_sums(state: ProcessState) -> bool:
    """Return whether looks at values can have left this: counts, weights, and no square below 0."""
    if len(state.sums) != len(fields(Sums)) or not all(abs(one) <= HUGEST for one in (*state.sums, state.pace)):
        return False
    sums = Sums(int(state.sums[0]), int(state.sums[1]), *state.sums[2:])
    if state.sums[:2] != [sums.n_c, sums.n_s] or not (0 <= sums.n_c <= MOST and 0 <= sums.n_s <= MOST):
        return False
    weights = 1 / 2 <= sums.w <= MOST and sums.w**2 / MOST <= sums.ww <= sums.w**2 * (1 + ROUNDING)
    squares = sums.ww_mc_mc, sums.ww_ms_ms, sums.ww_vc_nc, sums.ww_vs_ns, sums.ww_vs_nc, sums.ww_vc_ns, state.pace
    means = max(abs(sums.w_mc), abs(sums.w_ms)) <= MOST * LARGEST
    return weights and means and min(squares) >= 0


def _is_walk(walk: WalkState) -> bool:
    """Return whether an error-spending test can have come here: every path was remembered, or crossed a bound."""
    cell = walk.place - walk.lowest
    return (
        abs(walk.spent + sum(walk.law) - 1) <= FORGOTTEN
        and walk.width <= WIDEST
        and cell >= 0
        and (cell < len(walk.law) or walk.count >= walk.bound)
        and walk.count <= walk.bad <= MOST
        and max(abs(walk.bound), abs(walk.place), abs(walk.lowest)) <= MOST
        and walk.information <= FAR
    )


def _is_effect(check: CheckStatus) -> bool:
    if not check.lattice:
        return True
    sums = len(check.pooled) == 2 and all(0 <= one <= MOST for one in check.pooled)  # noqa: PLR2004 - numerator, denominator
    return (
        sums and bool(check.totals) and len(check.lattice) == LATTICE and all(abs(one) <= FAR for one in check.lattice)
    )


def _is_quantile(state: QuantileState) -> bool:
    """Return whether these are two histograms with the same buckets, and a rank test that can have come here."""
    sides, ranks = (state.candidate, state.stable), state.ranks
    buckets = all(0 < a < b < math.inf for a, b in pairwise([state.bounds[0] / 2, *state.bounds]))
    counts = all(len(one) == len(state.bounds) + 1 and 0 < sum(one) <= MOST for one in sides) or not any(sides)
    return (
        buckets
        and state.bound in state.bounds
        and counts
        and abs(ranks.excess) <= HUGE
        and 0 <= ranks.tested <= ranks.information <= HUGE
        and (ranks.scale > 0 or not ranks.tested)
        and 0 <= ranks.spent < 1
        and abs(ranks.third) <= HUGE
        and all(0 <= one <= HUGE for one in ranks.density)
        and -HUGE <= ranks.lowest <= ranks.highest <= HUGE
        and (_is_law(ranks) if ranks.tested else not ranks.density)
    )


def _is_law(ranks: RanksState) -> bool:
    """Return whether a bound was crossed, or else the density holds all other chance."""
    density = Density(ranks.lowest, ranks.highest, tuple(ranks.density))
    return len(ranks.density) == NODES and abs(mass(density) + ranks.spent - 1) <= FORGOTTEN


def _is_value_look(look: Sequence[float]) -> bool:
    """Return whether a look at values can have left this: numbers that can be calculated with, and values of both sides."""
    numbers = len(look) in past_looks.WIDTHS and all(abs(one) <= HUGEST for one in look)
    return numbers and look[0] >= 0 and all(1 <= count <= MOST for count in past_looks.counts(look))


def _are_totals(totals: Sequence[int]) -> bool:
    """Return whether these are total and bad of both sides, or nothing yet."""
    match totals:
        case []:
            return True
        case [candidate, candidate_bad, stable, stable_bad]:
            return candidate_bad <= candidate <= MOST and stable_bad <= stable <= MOST
    return False


def _is_hour(before: Sequence[int]) -> bool:
    """Return whether these are bad, total and seconds, or nothing."""
    match before:
        case []:
            return True
        case [bad, total, seconds]:
            return bad <= total <= MOST and seconds <= MOST
    return False


def _are_odds(odds: Sequence[float]) -> bool:
    match odds:
        case []:
            return True
        case [tolerance, margin]:
            return 0 < tolerance <= FAR and 1 < margin <= FAR and math.isfinite(tolerance + margin)
    return False


def _is_counter(state: CounterState, now: datetime) -> bool:
    """Return whether each is a part of the next, for both revisions, at a scrape that can have been."""
    sides = (state.stable, state.candidate)
    parts = len(state.stable) == len(state.candidate) > 0 and all(sorted(one) == one for one in sides)
    parts = parts and len(state.sums) % 2 == 0 and all(abs(one) <= HUGEST for one in state.sums)
    return parts and len(state.unlabelled) in (0, len(sides)) and 0 <= state.time <= now.timestamp() + DAY
