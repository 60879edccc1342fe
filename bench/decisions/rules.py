"""Which rules are compared? Assay's, and what others do; the latter are written anew in `tests/peers`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from assay.api.checks import DEFAULT_MARGIN, DEFAULT_TOLERANCE, Check, CheckPreset
from assay.api.modeldeployment import Analysis
from assay.stats.dispersion import ASSUMED
from assay.stats.proportion import odds_from_relative
from bench.decisions.ours import Assay, Spending
from bench.decisions.worlds import LOOK_SECONDS, LOOKS, World
from peers import argo, flagger, groupsequential, kayenta, oracle, repeated
from peers.streams import Floats, Ints, Streams

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of a table."""

    name: str
    decide: Callable[[Any, World], Ints]
    """Look (from 1) at which each run is rolled back; minus that at which it is promoted; 0 where neither."""
    level: float = ALPHA
    """How many healthy candidates it may roll back."""


def blind(name: str, decide: Callable[[Any], Ints]) -> Rule:
    """Return a rule that knows nothing but what was counted."""
    return Rule(name, lambda seen, _: decide(seen))


def assay(name: str, settings: Assay | Spending) -> Rule:
    """Return Assay's rule with these settings."""
    return replace(blind(f"**Assay** {name}", settings.decide), level=settings.alpha)


def _sprt(seen: Streams, world: World) -> Ints:
    if world.known is None:
        raise ValueError(f"nobody knows the rates of the world {world.name}")
    truth = 1.5 * world.known.null if world.healthy else world.known.truth
    return oracle.sprt(seen, ALPHA, world.known.null, truth)


@cache
def _limits(shape: str) -> Floats:
    return groupsequential.limits(shape, LOOKS, ALPHA)


_analysis = Analysis(checks=[Check(name="errors", preset=CheckPreset.ERROR_RATIO)])
DEFAULTS = Assay(
    alpha=float(_analysis.false_rollback),
    tolerance=odds_from_relative(DEFAULT_TOLERANCE),
    margin=odds_from_relative(DEFAULT_MARGIN),
    beta=float(_analysis.false_promotion),
)
"""What `spec.analysis` says where users say nothing."""
HARM_ONLY = replace(DEFAULTS, margin=None)
SAID = f"{_analysis.false_rollback}, tolerance {DEFAULT_TOLERANCE}"

FLAGGER = blind("Flagger, success >= 98 %, 5 failed checks", lambda seen: flagger.total(seen, 0.98, 5))
ONCE = blind("z-test once, after 30 minutes", lambda seen: repeated.once(seen, ALPHA))
NAIVE = blind("z-test at every look", lambda seen: repeated.naive(seen, ALPHA))
POCOCK = blind("group-sequential z, Pocock spending", lambda seen: groupsequential.stopped(seen, _limits("pocock")))
STRATIFIED = blind(
    "the same, look by look (Mantel-Haenszel)", lambda seen: groupsequential.stratified(seen, _limits("pocock"))
)
MSPRT = blind("mixture SPRT (Optimizely), tau 0.01", lambda seen: repeated.mixture_sprt(seen, ALPHA, 0.01))
OURS = assay("at 0.05, tolerance 0", Assay(ALPHA))
SHIPPED = assay(f"at its defaults: {SAID}", HARM_ONLY)

DETECTING = (
    blind("Flagger, success >= 99 %, 5 failed checks", lambda seen: flagger.total(seen, 0.99, 5)),
    blind("the same, 5 in a row", lambda seen: flagger.consecutive(seen, 0.99, 5)),
    FLAGGER,
    blind("Argo Rollouts, success >= 99 %, failureLimit 3", lambda seen: argo.analysis(seen, 0.99, 3)),
    blind("Argo Rollouts, success >= 98 %, failureLimit 3", lambda seen: argo.analysis(seen, 0.98, 3)),
    blind("threshold tuned to a stable rate of 1 %", lambda seen: flagger.errors(seen, 8, 3)),
    blind("Kayenta, once after 30 minutes", lambda seen: kayenta.judged(seen, [LOOKS])),
    blind("Kayenta, every 5 minutes", lambda seen: kayenta.judged(seen, range(10, LOOKS + 1, 10))),
    blind("Kayenta, at every look from the 5th", lambda seen: kayenta.judged(seen, range(5, LOOKS + 1))),
    ONCE,
    NAIVE,
    blind(
        "group-sequential z, O'Brien-Fleming spending",
        lambda seen: groupsequential.stopped(seen, _limits("obrien-fleming")),
    ),
    POCOCK,
    MSPRT,
    blind("asymptotic sequence (GrowthBook), N* = 5000", lambda seen: repeated.asymptotic_sequence(seen, ALPHA)),
    OURS,
    assay("at 0.05, tolerance 0, by rule Spending", Spending(ALPHA)),
    SHIPPED,
    assay("at its defaults, without an hour of history", replace(HARM_ONLY, divisor=ASSUMED)),
    Rule("Wald's SPRT, told both rates", _sprt),
)
DECIDING = (
    assay("at 0.05, tolerance 0, margin 0.50", Assay(ALPHA, margin=1.5)),
    assay("at 0.05, tolerance 0, margin 1.00", Assay(ALPHA, margin=2.0)),
    assay(f"at its defaults: {SAID}, margin {DEFAULT_MARGIN}", DEFAULTS),
)
IN_REGIMES = (FLAGGER, NAIVE, POCOCK, MSPRT, OURS, SHIPPED)
IN_TRAPS = (FLAGGER, NAIVE, POCOCK, STRATIFIED, MSPRT, OURS)
IN_BEYOND = (
    FLAGGER,
    NAIVE,
    OURS,
    assay(
        "at its defaults, with warm-up and divisor",
        replace(HARM_ONLY, warmup=_analysis.warmup_seconds // LOOK_SECONDS, measures=True),
    ),
)
