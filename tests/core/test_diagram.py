"""Is the picture drawn from the table?"""

from pathlib import Path

from assay.core.diagram import mermaid
from assay.core.rollout import TRANSITIONS


def test_the_diagram_has_an_arrow_for_every_transition() -> None:
    arrows = [line for line in mermaid(TRANSITIONS).splitlines() if "-->" in line]

    assert len(arrows) == sum(len(after) for after in TRANSITIONS.values())
    assert "    [*] --> Initialising" in arrows
    assert "    Analysing --> RollingBack" in arrows


def test_the_docs_show_the_diagram_as_it_is() -> None:
    page = Path(__file__).parents[2] / "docs" / "explanation" / "rollout.md"

    assert f"```mermaid\n{mermaid(TRANSITIONS)}```" in page.read_text(encoding="utf-8")
