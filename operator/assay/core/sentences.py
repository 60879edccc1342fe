"""How is evidence said, so that a person can follow it?"""

import math

from assay.api.modeldeployment import CheckStatus
from assay.core.coverage import shares
from assay.core.kinds import Pair
from assay.stats.proportion import Effect, interval, odds_ratio

LEVEL = 0.05  # of the interval that is shown
LONGEST = 1024  # characters of a text in status


def sentence(text: str, longest: int = LONGEST) -> str:
    """Return a text as a sentence that fits into status, or into the characters that are left."""
    text = text[:1].upper() + text[1:]
    text = text if text.endswith((".", "…")) else f"{text}."
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def rate(pair: Pair) -> str:
    """Return a rate; empty where nothing was counted."""
    bad, total = pair
    return f"{bad / total:.4g}" if total else ""


def ratio(effect: Effect) -> str:
    """Return the odds ratio; empty where it is not defined."""
    value = odds_ratio(effect)
    return "" if value is None else f"{value:.3g}"


def bounds(effect: Effect) -> str:
    """Return the time-uniform 95 % interval of the odds ratio."""
    return span(*interval(effect, LEVEL))


def span(low: float, high: float) -> str:
    """Return an interval as `0.9 to 1.2`."""
    return f"{low:.3g} to {'infinity' if math.isinf(high) else f'{high:.3g}'}"


def score(value: float, threshold: float) -> str:
    """Return evidence as `5.1 of 100`."""
    return (
        f"{min(value, threshold):.2g} of {threshold:.4g}"
        if value < threshold
        else f"{threshold:.4g} of {threshold:.4g}"
    )


def summary(status: CheckStatus, noun: str) -> str:
    """Return the evidence: `candidate 11 errors / 600, stable 52 / 5400 (odds ratio 1.92); harm evidence 5.1 of 100; ...`."""
    if not status.totals:
        return "nothing counted yet"
    candidate_total, candidate_bad, stable_total, stable_bad = status.totals
    what = "odds ratio" if status.quantile is None else "ratio of the quantiles"
    effect = f" ({what} {status.effect})" if status.effect else ""
    parts = [f"candidate {candidate_bad} {noun} / {candidate_total}, stable {stable_bad} / {stable_total}{effect}"]
    if status.labels:
        parts.append("labelled {:.3g} of candidate, {:.3g} of stable".format(*shares(status)))
    if status.dispersion > 1:
        parts.append(f"counts divided by {status.dispersion:.3g}")
    if status.harm_evidence:
        parts.append(f"harm evidence {status.harm_evidence}")
    if status.safety_evidence:
        parts.append(f"safety evidence {status.safety_evidence}")
    return "; ".join(parts)
