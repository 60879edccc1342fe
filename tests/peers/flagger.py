"""Flagger: a threshold on each interval's success rate; failed checks are a running total.

Source: fluxcd/flagger, pkg/controller/scheduler.go and scheduler_metrics.go at 15bd6ad5 (2026-07-21), and
docs.flagger.app, "Canary analysis" (2026). `canary.Status.FailedChecks` is never reset within a revision; a rollback
follows when it reaches `analysis.threshold`. A query without an answer ("no values found") is a failed check.
"""

import numpy as np

from peers.streams import Bools, Ints, Streams, first, rates


def failed(seen: Streams, success: float) -> Bools:
    """Return which checks fail: a success rate below the threshold, or none at all."""
    good = rates(seen.candidate_total - seen.candidate_bad, seen.candidate_total)
    return ~(good >= success)


def total(seen: Streams, success: float, threshold: int) -> Ints:
    """Roll back when so many checks of the rollout have failed, whenever that was."""
    return first(failed(seen, success).cumsum(axis=1) >= threshold)


def consecutive(seen: Streams, success: float, threshold: int) -> Ints:
    """Roll back after so many failures in a row: what many take the rule to be."""
    fails = failed(seen, success)
    row, crossed = np.zeros(len(fails), np.int64), np.zeros(fails.shape, np.bool_)
    for k in range(fails.shape[1]):
        row = np.where(fails[:, k], row + 1, 0)
        crossed[:, k] = row >= threshold
    return first(crossed)


def errors(seen: Streams, least: int, threshold: int) -> Ints:
    """Roll back after so many looks with so many candidate errors: the rule for whoever knows the stable rate."""
    return first((seen.candidate_bad >= least).cumsum(axis=1) >= threshold)
