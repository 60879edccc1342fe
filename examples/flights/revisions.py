"""What is each of the five revisions, and what is wrong with it?"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Revision:
    """One release of the flights model: an artefact, and the mistakes made around it."""

    name: str
    """What FLIGHTS_REVISION says."""
    artefact: str
    """Stem of the artefact's file: `baseline` or `delay`."""
    summary: str
    """One sentence for the model card and the metadata endpoint."""
    delay_factor: float = 1.0
    """What the server multiplies `dep_delay` with before it asks the model, which was trained on minutes."""
    added_seconds: float = 0.0
    """Waiting time added to every answer."""
    error_share: float = 0.0
    """Share of requests answered with HTTP 500."""


REVISIONS: Final = MappingProxyType(
    {
        revision.name: revision
        for revision in (
            Revision("v1", "baseline", "Logistic regression that is not told the departure delay."),
            Revision("v2", "delay", "Boosted trees that are told the departure delay: better."),
            Revision(
                "v3", "delay", "v2 fed the delay in seconds instead of minutes: wrong, silently.", delay_factor=60.0
            ),
            Revision("v4", "delay", "v2 with 80 ms more for every answer: right, but slow.", added_seconds=0.080),
            Revision("v5", "delay", "v2 that answers HTTP 500 to 3 % of requests: failing.", error_share=0.03),
        )
    }
)
