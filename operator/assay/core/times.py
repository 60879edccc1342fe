"""How are moments written in status, and how are they read back?"""

from datetime import UTC, datetime


def moment(now: datetime) -> str:
    """Return a moment in UTC to the millisecond, as the machine's state keeps it."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"


def second(now: datetime) -> str:
    """Return a moment in UTC to the second, as Kubernetes writes the times of conditions."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parsed(text: str) -> datetime:
    """Return the moment that `moment` or `second` wrote."""
    return datetime.fromisoformat(text)


def since(text: str | None, now: datetime) -> float:
    """Return the seconds from a moment until now; minus infinity where it has not come yet."""
    return (now - parsed(text)).total_seconds() if text else float("-inf")
