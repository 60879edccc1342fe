"""Every error that Assay raises on purpose.

AssayError
    InvalidSpec            the user must act
    NewerState             an administrator must act: a newer release wrote the status
    Retryable              the world must act
        ApiUnavailable
        MetricsUnavailable
    Conflict               somebody wrote in between: drop the round
    Forbidden              an administrator must act
"""


class AssayError(Exception):
    """Base of all errors that Assay raises on purpose; anything else is a bug."""


class InvalidSpec(AssayError):  # noqa: N818 - the name of what is so, not of what was thrown
    """What the user wrote cannot be carried out; the message names the field and the remedy."""

    def __init__(self, message: str, reason: str = "InvalidSpec") -> None:
        super().__init__(message)
        self.reason = reason


class NewerState(AssayError):  # noqa: N818
    """A newer release wrote the status; nothing may be done until that one, or a newer one, runs again."""


class Retryable(AssayError):  # noqa: N818
    """The world is not ready; the same round may succeed later."""


class ApiUnavailable(Retryable):
    """The API server did not answer, or answered 5xx or 429."""


class MetricsUnavailable(Retryable):
    """Prometheus did not answer; an empty answer is no error."""


class Conflict(AssayError):  # noqa: N818
    """The object was changed since it was read."""


class Forbidden(AssayError):  # noqa: N818
    """The API server refused; the message names the verb and the resource."""
