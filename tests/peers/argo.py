"""Argo Rollouts: each measurement succeeds or fails; too many failures end the analysis.

Source: argoproj/argo-rollouts, analysis/analysis.go and utils/defaults/defaults.go at 9f8d111d8 (2026-08-17), and
argo-rollouts.readthedocs.io, "Analysis & Progressive Delivery" (2026). The run fails when `Failed > failureLimit`
(default 0). The documented recipe for no data is `isNaN(result) || result >= 0.95`, that is: no data succeeds.
"""

from peers.streams import Bools, Ints, Streams, first, rates


def failed(seen: Streams, success: float) -> Bools:
    """Return which measurements fail `isNaN(result) || result >= success`."""
    return rates(seen.candidate_total - seen.candidate_bad, seen.candidate_total) < success


def analysis(seen: Streams, success: float, failure_limit: int = 0) -> Ints:
    """Roll back when more measurements than the limit have failed."""
    return first(failed(seen, success).cumsum(axis=1) > failure_limit)
