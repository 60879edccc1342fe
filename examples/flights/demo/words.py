"""How is a release told in sentences?"""

import math

from flights.demo.timeline import Act


def strength(value: float, limit: float) -> float:
    """Return evidence as a share of the way to its limit, 0 to 1, on the logarithmic scale on which it grows."""
    if limit <= 1 or value <= 1:
        return 0.0
    return min(math.log(value) / math.log(limit), 1.0)


def outcome_of(act: Act) -> str:
    """Return a sentence of what was decided."""
    ending = act.ending
    if ending is None:
        return "Nothing was decided."
    verb = {"Promoted": "promoted", "RolledBack": "rolled back"}.get(ending.outcome, ending.outcome)
    lost = {0: "no request was", 1: "one request was"}.get(ending.lost, f"{ending.lost:,} requests were")
    return (
        f"{act.revision} was {verb} after {ending.seconds:.0f} s and {ending.candidate_requests:,} of its answers, "
        f"on the check {ending.check}; {lost} lost."
    )


def aftermath_of(act: Act) -> str:
    """Return a sentence of how quickly traffic followed the decision."""
    ending = act.ending
    if ending is None:
        return ""
    loser = act.over if ending.outcome == "Promoted" else act.revision
    first = f"Its first answer came {ending.first_candidate_seconds:.1f} s after kubectl apply"
    return f"{first}; the last answer of {loser} came {_spell(ending.verdict_to_last_request_milliseconds)} after the decision."


def _spell(milliseconds: int) -> str:
    return f"{milliseconds} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"  # noqa: PLR2004 - ms in a s
