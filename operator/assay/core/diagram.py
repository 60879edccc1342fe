"""How does the machine look as a picture? Drawn from the table that the tests hold the machine to."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

BEGIN = "[*]"

Stage = TypeVar("Stage", bound=StrEnum)


def mermaid(transitions: Mapping[Stage | None, frozenset[Stage]]) -> str:
    """Return a Mermaid state diagram; None is the beginning."""
    lines = ["stateDiagram-v2"]
    for before, after in transitions.items():
        names = sorted(str(stage) for stage in after)
        lines += [f"    {BEGIN if before is None else before} --> {name}" for name in names]
    return "\n".join(lines) + "\n"
