"""Do requests fail one by one, or together, and by how much less does a request then say?

Users who retry, batches and sticky sessions make bad answers come in clusters: a hundred of them say less than a hundred
independent ones. How much less is measured on the stable revision alone, before the rollout, by comparing its own pods
over the same seconds. They run the same revision, so that all that differs beyond chance is clustering; what strikes all
of them at once (a busy hour, a broken dependency) cancels, as it does when revisions are compared.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

Pair: TypeAlias = tuple[int, int]
"""(bad, total)"""

LEAST_BAD: Final = 40
"""Bad events that the history must hold; fewer say nothing of how they cluster."""
LEAST_COMPARISONS: Final = 20
"""Comparisons of one pod with the others; fewer give a factor that is chance itself."""
INDEPENDENT: Final = 1.2
"""A measured factor up to here is what independent requests give by chance."""
CAUTION: Final = 1.25
"""A measured factor is raised by this, because it is an estimate."""
ASSUMED: Final = 1.5
"""The factor where nothing could be measured."""
HOPELESS: Final = 20.0
"""Beyond this, counts of requests are no evidence; users must be counted, or sessions."""


def dispersion(strata: Sequence[Sequence[Pair]]) -> float | None:
    """Return by how much the variance between equal pods exceeds that of independent requests.

    The squared distance of each pod's bad count from its share of the stratum's, summed over pods and strata, divided by
    the same sum of the variances that the hypergeometric law gives. Equal to 1 on average where requests are independent,
    whatever the rates and totals. A ratio of sums, not a mean of ratios, so that rare events do no harm.

    Args:
        strata: For each short interval, (bad, total) of each pod that was there throughout.

    Returns:
        The factor, at least 1; None where too little was seen to measure it.

    Source: design effects, Rao & Scott (1992), A simple method for the analysis of clustered binary data, Biometrics 48;
    the variance given all margins, Fisher (1935), The logic of inductive inference, JRSS 98.
    """
    squared, variance, events, comparisons = 0.0, 0.0, 0, 0
    for pods in strata:
        live = [(bad, total) for bad, total in pods if total]
        bad, total = sum(one[0] for one in live), sum(one[1] for one in live)
        if len(live) < 2 or not 0 < bad < total:  # noqa: PLR2004 - one pod has nobody to be compared with
            continue
        events += bad
        comparisons += len(live) - 1
        spread = bad * (total - bad) / (total * (total - 1))
        for one_bad, one_total in live:
            squared += (one_bad - bad * one_total / total) ** 2
            variance += spread * one_total * (total - one_total) / total
    if events < LEAST_BAD or comparisons < LEAST_COMPARISONS:
        return None
    return max(1.0, squared / variance)


def factor(measured: float | None) -> float:
    """Return the number by which counts are divided before they are evidence.

    Args:
        measured: From `dispersion`.
    """
    if measured is None:
        return ASSUMED
    return 1.0 if measured <= INDEPENDENT else CAUTION * measured


def effective(pair: Pair, divisor: float) -> Pair:
    """Return the counts that independent requests would need to say as much as these.

    Divide what was counted in all, not one look: what rounding leaves over then comes with a later look. Good and bad
    are rounded each for itself, so that neither ever falls while the counts grow.

    Args:
        pair: (bad, total) since the beginning.
        divisor: From `factor`.
    """
    bad, total = pair
    few = round(bad / divisor)
    return few, few + round((total - bad) / divisor)
