"""Hypothesis strategies that more than one test file draws from."""

from hypothesis import strategies as st

from assay.stats.proportion import Look, Rule, above, below, harm, safety


@st.composite
def looks(draw: st.DrawFn, most: int = 60) -> Look:
    """One look with up to `most` requests on each side; sides without requests and without bad ones included."""
    candidate, stable = draw(st.integers(0, most)), draw(st.integers(0, most))
    return Look(candidate, draw(st.integers(0, candidate)), stable, draw(st.integers(0, stable)))


def levels() -> st.SearchStrategy[float]:
    """Chances of a false alarm that somebody may ask for."""
    return st.sampled_from([0.2, 0.05, 0.01, 0.001])


@st.composite
def relative_rules(draw: st.DrawFn) -> Rule:
    """Rules that compare the candidate with the stable revision, of both directions."""
    level = draw(levels())
    if draw(st.booleans()):
        return harm(level, draw(st.sampled_from([1.0, 1.1, 1.25])))
    return safety(level, draw(st.sampled_from([1.25, 1.5, 2.0])))


@st.composite
def absolute_rules(draw: st.DrawFn) -> Rule:
    """Rules that compare the candidate with a fixed rate, of both directions."""
    return draw(st.sampled_from([above, below]))(draw(levels()), draw(st.sampled_from([0.001, 0.05, 0.3])))


def rules() -> st.SearchStrategy[Rule]:
    """All kinds of rules."""
    return st.one_of(relative_rules(), absolute_rules())
