"""What was decided, and why, as one page that needs nothing else?"""

from collections.abc import Sequence
from pathlib import Path

import jinja2

from flights.demo.pictures import picture
from flights.demo.timeline import Act
from flights.demo.words import aftermath_of, outcome_of


def render(acts: Sequence[Act]) -> str:
    """Return the page as HTML, with its pictures inside."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    shown = [
        {"act": act, "sentence": outcome_of(act), "aftermath": aftermath_of(act), "picture": picture(act)}
        for act in acts
    ]
    totals = {"requests": sum(act.samples[-1].requests for act in acts if act.samples),
              "lost": sum(act.samples[-1].lost for act in acts if act.samples)}  # fmt: skip
    return environment.get_template("page.html.j2").render(acts=shown, **totals)
