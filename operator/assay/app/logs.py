"""How does the process tell what it did?"""

import json
import logging
import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from assay.app.settings import LogFormat, LogLevel

NO_KEY = "-"
_about: ContextVar[str] = ContextVar("about", default=NO_KEY)


@contextmanager
def about(key: Hashable) -> Iterator[None]:
    """Name an object in every line that is logged meanwhile, in this thread or task."""
    token = _about.set(str(key))
    try:
        yield
    finally:
        _about.reset(token)


def set_up(log_format: LogFormat, level: LogLevel) -> None:
    """Send all lines to standard error, each with the object that it is about."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if log_format == "json" else _Text())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Theirs are lines per event and per request; ours are lines per change.
    for noisy in ("kopf", "kopf.objects", "urllib3", "asyncio", "aiohttp.access", "kubernetes"):
        logging.getLogger(noisy).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)


def _time(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"


class _Text(logging.Formatter):
    """One line for people."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_time(record)} {record.levelname:<7} {_about.get()} {record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _Json(logging.Formatter):
    """One JSON object a line for collectors."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "key": _about.get(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)
