"""What does a caller ask in the Open Inference Protocol V2, and how is it answered?

The JSON form only; the binary tensor extension is not spoken. Tensors are columns: one per feature, of shape [n] or
[n, 1]. An unknown value is a tensor that is not sent, or a null in it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from flights.model import Feature, Rows

MAX_FLIGHTS: Final = 4096
"""Largest batch."""

MAX_IDENTIFIER: Final = 256
"""Longest request id, in characters."""

LARGEST: Final = 1e12
"""Largest number in a tensor, far beyond any feature; so no sum overflows."""

_NUMERIC: Final = frozenset(
    f"{kind}{bits}"
    for kind, sizes in {"FP": (16, 32, 64), "INT": (8, 16, 32, 64), "UINT": (8, 16, 32, 64)}.items()
    for bits in sizes
)


class BadRequest(Exception):  # noqa: N818 - named as HTTP names it
    """The caller must change the request; the message is one sentence that says how."""


@dataclass(frozen=True, slots=True)
class Inference:
    """A request that the model can answer."""

    identifier: str
    """The caller's id of the request, or empty."""
    columns: Mapping[str, list[Any]]
    """Values by feature."""
    count: int
    """Number of flights."""


def parse(body: bytes, features: Mapping[str, Feature]) -> Inference:
    """Read an inference request.

    Args:
        body: The HTTP body.
        features: The model's features by name. Inputs of other names are ignored, because revisions differ in their
            features and callers cannot know which one will answer.

    Raises:
        BadRequest: The request is not understood.
    """
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("The body is not JSON; send an inference request of the Open Inference Protocol V2.") from None
    inputs = request.get("inputs") if isinstance(request, dict) else None
    if not isinstance(inputs, list) or not inputs:
        raise BadRequest("inputs is missing; it must be a list of at least one tensor.")
    identifier = request.get("id", "")
    if not isinstance(identifier, str) or len(identifier) > MAX_IDENTIFIER or not identifier.isprintable():
        raise BadRequest(f"id must be a string of at most {MAX_IDENTIFIER} printable characters.")
    count = 0
    columns: dict[str, list[Any]] = {}
    for index, tensor in enumerate(inputs):
        name, data = _tensor(tensor, f"inputs[{index}]", features)
        if columns and len(data) != count:
            raise BadRequest(
                f"inputs[{index}] has {len(data)} values where the others have {count}; all must have the same length."
            )
        if name in columns:
            raise BadRequest(f"inputs[{index}]: {name} is given twice; each name may come once.")
        count, columns[name] = len(data), data
    return Inference(identifier, columns, count)


def _tensor(tensor: object, where: str, features: Mapping[str, Feature]) -> tuple[str, list[Any]]:
    """Return a tensor's name and values."""
    if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
        raise BadRequest(f"{where} must be an object with name, shape, datatype and data.")
    name, data = tensor["name"], tensor.get("data")
    where = f"{where} ({name[:64]!r})"
    if not isinstance(data, list):
        raise BadRequest(f"{where}: data must be a list.")
    if not 1 <= len(data) <= MAX_FLIGHTS:
        raise BadRequest(f"{where}: data has {len(data)} values; it must have 1 to {MAX_FLIGHTS}.")
    if tensor.get("shape") not in ([len(data)], [len(data), 1]):
        raise BadRequest(f"{where}: shape must be [{len(data)}], because data has {len(data)} values.")
    if isinstance(data[0], list):
        data = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in data]
    if name in features:
        _check(data, tensor.get("datatype"), where, text=features[name].codes is not None)
    return name, data


def _check(data: list[Any], datatype: object, where: str, *, text: bool) -> None:
    """Refuse values that the feature cannot hold."""
    if not isinstance(datatype, str) or not (datatype == "BYTES" if text else datatype in _NUMERIC):
        raise BadRequest(f"{where}: datatype must be {'BYTES' if text else 'FP64 or another type of number'}.")
    good = _is_text if text else _is_number
    if not all(value is None or good(value) for value in data):
        wanted = "a string" if text else f"a number between -{LARGEST:g} and {LARGEST:g}"
        raise BadRequest(f"{where}: every value must be {wanted}, or null where it is unknown.")


def _is_text(value: object) -> bool:
    """Say whether a value is a category."""
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    """Say whether a value is a number that can be reckoned with; NaN and infinity are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST <= value <= LARGEST


def answer(inference: Inference, version: str, probability: Rows) -> dict[str, Any]:
    """Return an inference response: the probability of arriving late, and whether that is the more likely outcome."""
    late = [value >= 0.5 for value in probability.tolist()]  # noqa: PLR2004 - the more likely of two outcomes
    shape = [inference.count]
    response = {
        "model_name": "flights",
        "model_version": version,
        "outputs": [
            {"name": "late_probability", "shape": shape, "datatype": "FP64", "data": probability.tolist()},
            {"name": "late", "shape": shape, "datatype": "BOOL", "data": late},
        ],
    }
    return {"id": inference.identifier, **response} if inference.identifier else response


def metadata(features: Mapping[str, Feature], version: str, summary: str) -> dict[str, Any]:
    """Return the model's metadata."""
    return {
        "name": "flights",
        "versions": [version],
        "platform": "numpy",
        "inputs": [{"name": name, "datatype": feature.datatype, "shape": [-1]} for name, feature in features.items()],
        "outputs": [
            {"name": "late_probability", "datatype": "FP64", "shape": [-1]},
            {"name": "late", "datatype": "BOOL", "shape": [-1]},
        ],
        "parameters": {"summary": summary},
    }
