import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from flights import data, model, train
from flights.revisions import REVISIONS


@pytest.fixture(scope="module")
def card(artefacts: Path, held_out: pd.DataFrame) -> dict[str, Any]:
    return train.model_card(held_out[held_out["late"].notna()], artefacts)


def test_the_data_are_the_flights_that_left_in_2013_in_their_order(departures: pd.DataFrame) -> None:
    assert len(departures) == 336_776 - 8_255  # the others were cancelled
    assert departures["departure"].is_monotonic_increasing
    assert departures["name"].is_unique
    assert departures["late"].isna().sum() == 1_175  # diverted: they left, but nobody learned whether they were late
    assert 0.5 < departures["wind_gust"].isna().mean() < 0.9  # real missing values stay missing


def test_flights_are_underway_for_the_time_in_the_air_and_some_taxiing(departures: pd.DataFrame) -> None:
    hours = (departures["arrival"] - departures["departure"]) / 3600
    assert (hours.isna() == departures["late"].isna()).all(), "who is diverted never arrives"
    to_honolulu, to_boston = (hours[departures["dest"] == code] for code in ("HNL", "BOS"))
    assert 10.5 < to_honolulu.median() < 11.5, "not the 5 or 6 hours that the local clocks show"
    assert 0.9 < to_boston.median() < 1.5
    assert hours.min() > 0.3
    assert hours.max() < 14


def test_training_again_gives_the_same_bytes(training: pd.DataFrame, artefacts: Path, tmp_path: Path) -> None:
    train.train(training, tmp_path)
    for name in ("baseline.json", "delay.json"):
        assert (tmp_path / name).read_bytes() == (artefacts / name).read_bytes()


def test_artefacts_are_small(artefacts: Path) -> None:
    assert sum(path.stat().st_size for path in artefacts.glob("*.json")) < 100_000


def test_v2_is_clearly_better_than_v1_in_every_month_that_training_never_saw(card: dict[str, Any]) -> None:
    v1, v2 = (card["revisions"][name]["accuracyByMonth"] for name in ("v1", "v2"))
    assert set(v1) == {"9", "10", "11", "12"}
    assert all(v2[month] > v1[month] + 0.05 for month in v1)
    assert card["revisions"]["v2"]["auc"] > 0.88


def test_v3_is_visibly_worse_than_v2_although_its_artefact_is_the_same(card: dict[str, Any]) -> None:
    v2, v3 = (card["revisions"][name] for name in ("v2", "v3"))
    assert v2["artefact"] == v3["artefact"]
    assert v3["accuracy"] < v2["accuracy"] - 0.08
    assert v3["predictedLate"] > 2 * v2["predictedLate"]


def test_v4_and_v5_are_as_right_as_v2_where_they_answer(card: dict[str, Any]) -> None:
    assert len({card["revisions"][name]["accuracy"] for name in ("v2", "v4", "v5")}) == 1
    assert set(card["revisions"]) == set(REVISIONS)


def test_numpy_scores_as_scikit_learn_does_also_where_values_are_missing(tmp_path: Path) -> None:
    dice = np.random.default_rng(7)
    rows = dice.normal(size=(3_000, 5))
    rows[dice.random(rows.shape) < 0.2] = np.nan
    labels = (np.nan_to_num(rows[:, 0]) + np.isnan(rows[:, 1]) + dice.normal(size=len(rows)) > 0.5).astype(float)
    fitted = HistGradientBoostingClassifier(max_iter=40, max_depth=6, random_state=1).fit(rows, labels)
    features = [{"name": str(index)} for index in range(5)]
    (tmp_path / "trees.json").write_text(json.dumps({"features": features, "scorer": train.trees_of(fitted)}))
    ours = model.load(tmp_path / "trees.json").probability(rows)
    np.testing.assert_allclose(ours, fitted.predict_proba(rows)[:, 1], rtol=1e-9)


@pytest.mark.parametrize("artefact", ["baseline", "delay"])
def test_a_flight_of_which_nothing_is_known_still_gets_a_probability(artefacts: Path, artefact: str) -> None:
    loaded = model.load(artefacts / f"{artefact}.json")
    rows = loaded.encode({"carrier": ["no such airline"], "dep_delay": [None]}, 1)
    assert np.isnan(rows).all()
    assert 0 < loaded.probability(rows)[0] < 1


def test_encoding_columns_and_encoding_a_table_agree(artefacts: Path, held_out: pd.DataFrame) -> None:
    loaded, some = model.load(artefacts / "delay.json"), held_out.head(500)
    columns = {name: some[name].astype(object).where(some[name].notna(), None).tolist() for name in data.NUMBERS}
    columns |= {name: some[name].tolist() for name in data.CATEGORIES}
    np.testing.assert_array_equal(loaded.encode(columns, 500), train.encode(loaded.features, some))


@pytest.mark.parametrize("text", ["{}", '{"features": [], "scorer": {"kind": "oracle"}}', '{"features": 1}', "no"])
def test_a_file_that_is_no_artefact_is_refused_with_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "odd.json").write_text(text)
    with pytest.raises(ValueError, match=r"no flights artefact|must be 'linear' or 'trees'"):
        model.load(tmp_path / "odd.json")
