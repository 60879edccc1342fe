"""In which worlds do whole rollouts go? Equal candidates, candidates at the margin, and one that is worse where it shows least."""

from collections.abc import Callable
from typing import Any

from bench.decisions.rollouts import Moment, Rollouts

LEVEL = "0.05"
ODDS_AT_MARGIN = 1.5
STRICT: dict[str, Any] = {"tolerance": {"relative": "0"}, "margin": {"relative": "0.30"}}
"""Nothing is tolerated, and the narrow margin lets harm be looked for at many looks."""
LENIENT: dict[str, Any] = {"tolerance": {"relative": "0.45"}, "margin": {"relative": "0.50"}}
"""What is at the margin is hardly ever rolled back, so promotion has all the time to err."""
SLOW = 600.0
"""Seconds in which a rate moves from one end to the other."""


def even(_: Moment) -> float:
    """The candidate is as good as stable."""
    return 1.0


def at_margin(_: Moment) -> float:
    """The candidate is as bad as may just not be promoted."""
    return ODDS_AT_MARGIN


def at_margin_last(moment: Moment) -> float:
    """The candidate is well until it has half of the traffic."""
    return ODDS_AT_MARGIN if moment.weight >= 50 else 1.0  # noqa: PLR2004 - the last weight


def worse(_: Moment) -> float:
    """The candidate is worse by more than half."""
    return 1.6


def rising(moment: Moment) -> float:
    """From 0.5 % to 3 %."""
    return 0.005 * 6 ** min(moment.seconds / SLOW, 1.0)


def falling(moment: Moment) -> float:
    """From 3 % to 0.5 %."""
    return 0.03 / 6 ** min(moment.seconds / SLOW, 1.0)


def _equal(name: str, checks: int, **more: Any) -> Rollouts:  # noqa: ANN401 - whatever the fields are
    settings = {"analysis": {}, "thresholds": STRICT, "most_rolled_back": float(LEVEL), **more}
    settings["analysis"] = {"falseRollback": LEVEL, **settings["analysis"]}
    return Rollouts(name, (even,) * checks, **settings)


def _at_margin(name: str, *odds: Callable[[Moment], float]) -> Rollouts:
    return Rollouts(name, odds, thresholds=LENIENT, most_promoted=float(LEVEL))


WHOLE = (
    _equal("an equal candidate, one check", 1),
    _equal("an equal candidate, two checks", 2),
    _equal("an equal candidate, three checks", 3),
    _equal("bursts: now and then 10 % instead of 1 %, both sides, two checks", 2, bursts=True),
    _equal("the shared rate rises from 0.5 % to 3 % while the weight does, two checks", 2, rate=rising),
    _equal(
        "the same, and each weight waits for its own `Pass`, margin 1.00",
        2,
        rate=rising,
        analysis={"gate": "Pass"},
        thresholds={**STRICT, "margin": {"relative": "1"}},
    ),
    _equal("one scrape in five lost, the operator killed in one look of five, two checks", 2, trouble=0.2),
    Rollouts("an equal candidate, one check, at the defaults", (even,), most_rolled_back=0.01),
    _at_margin("a candidate at the margin, one check, hardly ever rolled back", at_margin),
    _at_margin("well at 5 % and 25 %, at the margin at 50 %", at_margin_last),
    _at_margin("at the margin in one of three checks", even, at_margin, even),
    Rollouts("a candidate at the margin, one check, at the defaults", (at_margin,), most_promoted=float(LEVEL)),
    Rollouts(
        "odds ratio 1.6 while the weight rises and the shared rate falls from 3 % to 0.5 %",
        (worse,),
        rate=falling,
        analysis={"falseRollback": LEVEL},
        thresholds={"tolerance": {"relative": "0"}},
        most_promoted=float(LEVEL),
    ),
)
