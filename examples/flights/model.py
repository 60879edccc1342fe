"""How likely is each flight to arrive late, according to an artefact?

An artefact is JSON: numbers and names, no code. So it can be read by people, compared by digest, and loaded without
trusting it (a pickle can run anything) and without scikit-learn (whose version a pickle binds, and whose per-call
overhead of a millisecond would be most of a prediction). Scoring is numpy alone; a test holds it to scikit-learn.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
"""Encoded features: one row per flight, one column per feature, NaN where unknown."""


class Scorer(Protocol):
    """Whatever turns encoded features into log odds."""

    def log_odds(self, rows: Rows) -> Rows:
        """Return the log odds of arriving late, one per row."""


@dataclass(frozen=True, slots=True)
class Linear:
    """Logistic regression on standardised features; unknown values take the training mean."""

    mean: Rows
    scale: Rows
    weights: Rows
    intercept: float

    def log_odds(self, rows: Rows) -> Rows:
        """Return the log odds of arriving late, one per row."""
        standardised: Rows = (np.where(np.isnan(rows), self.mean, rows) - self.mean) / self.scale
        log_odds: Rows = standardised @ self.weights + self.intercept
        return log_odds


@dataclass(frozen=True, slots=True)
class Trees:
    """Boosted trees as flat arrays over the nodes of all trees; a leaf is its own child, so walks may overshoot."""

    roots: NDArray[np.intp]
    depth: int
    feature: NDArray[np.intp]
    threshold: Rows
    missing_left: NDArray[np.bool_]
    left: NDArray[np.intp]
    right: NDArray[np.intp]
    value: Rows
    intercept: float

    def log_odds(self, rows: Rows) -> Rows:
        """Return the log odds of arriving late, one per row: all trees are walked at once, level by level."""
        row = np.arange(len(rows))[:, None]
        node = np.broadcast_to(self.roots, (len(rows), len(self.roots)))
        for _ in range(self.depth):
            x = rows[row, self.feature[node]]
            # A comparison with NaN is false, so only trees that send the unknown to the left need a second look.
            goes_left = (x <= self.threshold[node]) | (self.missing_left[node] & (x != x))  # noqa: PLR0124 - NaN
            node = np.where(goes_left, self.left[node], self.right[node])
        log_odds: Rows = self.value[node].sum(axis=1) + self.intercept
        return log_odds


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of the model."""

    name: str
    codes: Mapping[str, float] | None = None
    """Of a category: the share of late flights that training saw for each value. None for a number."""

    @property
    def datatype(self) -> str:
        """The Open Inference Protocol's name for what a caller sends."""
        return "FP64" if self.codes is None else "BYTES"


@dataclass(frozen=True, slots=True)
class Model:
    """Named features and what scores them."""

    features: tuple[Feature, ...]
    scorer: Scorer

    def encode(self, columns: Mapping[str, list[Any]], count: int) -> Rows:
        """Return the features of `count` flights.

        Args:
            columns: Values by feature name, each list `count` long: numbers, or strings for categories. A feature that
                is not there, None, or a category never seen in training is unknown, which the model can live with.
            count: Number of flights.
        """
        rows = np.full((count, len(self.features)), np.nan)
        for index, feature in enumerate(self.features):
            column = columns.get(feature.name)
            if column is None:
                continue
            if feature.codes is not None:
                column = [feature.codes.get(value) for value in column]
            rows[:, index] = column  # numpy reads None as NaN
        return rows

    def probability(self, rows: Rows) -> Rows:
        """Return the probability of arriving late, one per row."""
        # exp(-x) overflows for no log odds a sane model gives; clipping keeps a broken one from warning.
        return 1.0 / (1.0 + np.exp(-np.clip(self.scorer.log_odds(rows), -500, 500)))


def load(path: Path) -> Model:
    """Read an artefact.

    Raises:
        FileNotFoundError: There is none; `python -m flights.train` writes it.
        ValueError: The file is no artefact of this program.
    """
    try:
        artefact = json.loads(path.read_text())
        features = tuple(Feature(one["name"], one.get("codes")) for one in artefact["features"])
        return Model(features, _scorer(artefact["scorer"]))
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path.name} is no flights artefact: {error!r}; train it again.") from None


def _scorer(fields: dict[str, Any]) -> Scorer:
    """Build the scorer that an artefact describes."""
    kind = fields["kind"]
    if kind == "linear":
        mean, scale, weights = (np.asarray(fields[key], float) for key in ("mean", "scale", "weights"))
        return Linear(mean, scale, weights, float(fields["intercept"]))
    if kind == "trees":
        roots, feature, left, right = (
            np.asarray(fields[key], np.intp) for key in ("roots", "feature", "left", "right")
        )
        threshold, value = (np.asarray(fields[key], float) for key in ("threshold", "value"))
        missing_left = np.asarray(fields["missing_left"], bool)
        depth, intercept = int(fields["depth"]), float(fields["intercept"])
        return Trees(roots, depth, feature, threshold, missing_left, left, right, value, intercept)
    raise ValueError(f"The artefact's scorer is {kind!r}; it must be 'linear' or 'trees'.")
