"""Did the arms get the shares of the traffic that they were given, however often one looks?"""

import math
from collections.abc import Sequence
from typing import Final

CONCENTRATION: Final = 10_000.0
"""How near to the given shares another split is expected: some hundredths."""
WARNING: Final = 1000.0
"""A Bayes factor from here on is worth a warning; the chance of ever reaching it by chance is at most 1 in 1000 (Ville 1939)."""


def log_marginal(counts: Sequence[int], alphas: Sequence[float]) -> float:
    """Return the log-probability of a sequence of draws with these counts, the shares being Dirichlet distributed.

    Args:
        counts: How many draws fell on each arm.
        alphas: Parameters of the Dirichlet distribution, all positive; as many.

    Source: Lindon & Malek (2022), Anytime-valid inference for multinomial count data, NeurIPS.
    """
    total, mass = sum(counts), sum(alphas)
    drawn = sum(math.lgamma(alpha + count) - math.lgamma(alpha) for count, alpha in zip(counts, alphas, strict=True))
    return drawn + math.lgamma(mass) - math.lgamma(mass + total)


def mismatch(counts: Sequence[int], shares: Sequence[float], concentration: float = CONCENTRATION) -> float:
    """Return the logarithm of the Bayes factor against the given shares; it may be looked at after any draw.

    Args:
        counts: How many draws fell on each arm.
        shares: What each arm should get; all positive, their sum 1.
        concentration: How near to the shares the alternative is.

    Raises:
        ValueError: The shares are none.
    """
    if min(shares) <= 0 or not math.isclose(sum(shares), 1.0):
        raise ValueError(f"shares are {list(shares)}: must be positive and sum to 1")
    given = sum(count * math.log(share) for count, share in zip(counts, shares, strict=True))
    return log_marginal(counts, [concentration * share for share in shares]) - given
