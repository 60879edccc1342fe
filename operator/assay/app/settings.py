"""What may an administrator set?"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, get_args

from assay import __version__
from assay.core.errors import InvalidSpec

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

PREFIX = "ASSAY_"

LEASE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def _help(text: str) -> dict[str, str]:
    """Return the metadata of a field that becomes an option."""
    return {"help": text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The operator's settings; each is an option of `assay run` and an environment variable `ASSAY_<NAME>`."""

    namespaces: tuple[str, ...] = field(
        default=(), metadata=_help("Namespace to watch; may be repeated. Default: all of them.")
    )
    prometheus_url: str = field(
        default="http://prometheus.monitoring:9090", metadata=_help("Where Prometheus answers.")
    )
    prometheus_interval: float = field(
        default=1.0, metadata=_help("Seconds for which one answer of Prometheus is shared by all rollouts.")
    )
    prometheus_window: int = field(
        default=60, metadata=_help("Seconds of raw samples to read at each look; two scrape intervals or more.")
    )
    router_image: str = field(default=f"assay-router:{__version__}", metadata=_help("Image of the router's pods."))
    workers: int = field(default=8, metadata=_help("Objects that are reconciled at the same time."))
    audit_seconds: float = field(
        default=300.0, metadata=_help("Seconds between two listings of all, which find what a lost event hid.")
    )
    lease: str = field(
        default="",
        metadata=_help(
            "Namespace and name, as namespace/name, of the Lease that one of several operators holds while it works; empty for an operator that is alone."
        ),
    )
    identity: str = field(
        default="",
        metadata=_help(
            "Name under which it holds the Lease, another for each process; empty for the host's name and a random part."
        ),
    )
    http_host: str = field(default="0.0.0.0", metadata=_help("Address that answers probes and scrapes."))  # noqa: S104 - from outside the pod
    http_port: int = field(
        default=8080, metadata=_help("Port of /healthz, /readyz and /metrics; 0 for any that is free.")
    )
    log_format: LogFormat = field(default="text", metadata=_help("text for people, json for collectors."))
    log_level: LogLevel = field(default="info", metadata=_help("How much is logged."))

    def __post_init__(self) -> None:
        for name, low, high in _BOUNDS:
            value = getattr(self, name)
            if not low <= value <= high:
                raise InvalidSpec(f"{PREFIX}{name.upper()} must lie between {low} and {high}, not be {value}.")
        for name, choices in (("log_format", get_args(LogFormat)), ("log_level", get_args(LogLevel))):
            if getattr(self, name) not in choices:
                raise InvalidSpec(f"{PREFIX}{name.upper()} must be one of {', '.join(choices)}.")
        if self.lease and not LEASE.fullmatch(self.lease):
            raise InvalidSpec(f"{PREFIX}LEASE must be namespace/name, both as Kubernetes names, not {self.lease!r}.")

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ, **given: object) -> "Settings":
        """Return the settings of the environment, with what was `given` (and is not None) laid over them.

        Raises:
            InvalidSpec: A value cannot be read or lies out of its bounds; the message names the variable.
        """
        values: dict[str, object] = {}
        for one in fields(cls):
            text = env.get(PREFIX + one.name.upper())
            if given.get(one.name) not in (None, ()):
                values[one.name] = given[one.name]
            elif text:
                values[one.name] = _read(one.name, text, one.default)
        return cls(**values)  # type: ignore[arg-type]  # checked in __post_init__


_BOUNDS: tuple[tuple[str, float, float], ...] = (
    ("prometheus_interval", 0, 3600),
    ("prometheus_window", 2, 86_400),
    ("workers", 1, 256),
    ("audit_seconds", 5, 86_400),
    ("http_port", 0, 65_535),
)


def _read(name: str, text: str, default: object) -> object:
    try:
        match default:
            case tuple():
                return tuple(part.strip() for part in text.split(",") if part.strip())
            case int():
                return int(text)
            case float():
                return float(text)
            case _:
                return text
    except ValueError as error:
        raise InvalidSpec(f"{PREFIX}{name.upper()} must be a number, not {text!r}.") from error
