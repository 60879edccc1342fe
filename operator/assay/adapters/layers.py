"""How is one JSON value laid over another, as server-side apply does, with lists as a whole?"""

from typing import Any, TypeVar, cast

T = TypeVar("T")


def copied(value: T) -> T:
    """Return a copy that shares nothing which could be changed; for JSON alone, and so several times faster than `copy`."""
    if isinstance(value, dict):
        return cast("T", {key: copied(one) for key, one in value.items()})
    return cast("T", [copied(one) for one in value]) if isinstance(value, list) else value


def merged(below: object, above: object) -> Any:  # noqa: ANN401 - JSON
    """Lay one JSON value over another: objects key by key, all else as a whole."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return copied(above)
    return {**below, **{key: merged(below.get(key), value) for key, value in above.items()}}


def without(now: object, applied: object, wanted: object) -> Any:  # noqa: ANN401 - JSON
    """Take from an object the fields that were applied before and are wanted no longer."""
    if not (isinstance(now, dict) and isinstance(applied, dict) and isinstance(wanted, dict)):
        return now
    return {
        key: without(value, applied.get(key), wanted.get(key)) if key in wanted else value
        for key, value in now.items()
        if key in wanted or key not in applied
    }
