"""The errors of the project, without a word about HTTP.

TagwerkError
 ├── InvalidInput         the caller can mend it: a field, what is wrong with it, what is allowed
 │    └── TooLarge        the same, and a limit on size is what it broke
 ├── ModelNotFound        no model of that name or version is loaded
 ├── Unauthorized         no key, or none that is known
 ├── Forbidden            a key that is not for this
 ├── RateLimited          a key that is over its limits; says when to come again
 ├── NotPossible          the service is not set up so that it could do this
 ├── Overloaded           the queue is full; says when to come again
 ├── ClientGone           nobody waits for the answer any more
 ├── DeadlineExceeded     the moment that the caller set has passed
 ├── EngineUnavailable    not started yet, draining, or gone
 ├── DeviceFailed         the accelerator or its runtime gave an error while it ran a batch
 ├── InternalError        a flaw of the service itself; the log says more
 ├── ArtifactError        a model version folder is incomplete, altered or unreadable
 └── ConfigurationError   settings that cannot work together or on this machine
"""

from collections.abc import Mapping


class TagwerkError(Exception):
    """Base of all errors that this project raises on purpose."""


class InvalidInput(TagwerkError):  # noqa: N818 (says what happened, as its siblings do)
    """Input that the caller can mend.

    `field` is a JSON pointer (RFC 6901) into the request, "" for the whole of it; `allowed` says what would be right.
    """

    def __init__(self, field: str, problem: str, allowed: str) -> None:
        super().__init__(f"{field or 'the body'}: {problem}; allowed: {allowed}")
        self.field = field
        self.problem = problem
        self.allowed = allowed


class TooLarge(InvalidInput):
    """Input over a limit on its size."""


class ModelNotFound(TagwerkError):  # noqa: N818
    """No model of that name or version is loaded."""


class Unauthorized(TagwerkError):  # noqa: N818
    """No key came with the request, or none that is known."""


class Forbidden(TagwerkError):  # noqa: N818
    """The key is not for this."""


class RateLimited(TagwerkError):  # noqa: N818
    """The key is over its limits. `retry_after_seconds` is when it may come again."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class NotPossible(TagwerkError):  # noqa: N818
    """The service is not set up so that it could do this."""


class Overloaded(TagwerkError):  # noqa: N818
    """The queue is full. `retry_after_seconds` is when there should be room again; `waiting`, who fills it."""

    def __init__(self, message: str, retry_after_seconds: float, waiting: int = 0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.waiting = waiting


class ClientGone(TagwerkError):  # noqa: N818
    """Nobody waits for the answer any more."""


class DeadlineExceeded(TagwerkError):  # noqa: N818
    """The deadline passed before the answer was there.

    `stages` says what the time went into, in seconds by stage, as far as whoever raises it knows.
    """

    def __init__(self, message: str, stages: Mapping[str, float] | None = None) -> None:
        super().__init__(message)
        self.stages = dict(stages or {})


class EngineUnavailable(TagwerkError):  # noqa: N818
    """The engine has not started yet, drains, or is gone."""


class DeviceFailed(TagwerkError):  # noqa: N818
    """The device or its runtime failed while it ran a batch."""


class InternalError(TagwerkError):
    """A flaw of the service itself, or of what its own processes said to each other. The log says more."""


class ArtifactError(TagwerkError):
    """A model version folder is incomplete, altered or unreadable.

    The reason may quote files that nobody has checked, so it is kept in one printable line of bounded length.
    """

    MAX_CHARACTERS = 500

    def __init__(self, reason: str) -> None:
        line = " ".join(reason[: 4 * self.MAX_CHARACTERS].split())
        printable = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
        super().__init__(printable if len(printable) <= self.MAX_CHARACTERS else printable[: self.MAX_CHARACTERS] + "…")


class ConfigurationError(TagwerkError):
    """Settings that cannot work together, or not on this machine."""

    EXIT_STATUS = 78  # sysexits.h: EX_CONFIG. Tells a supervisor that starting again will not help


def shortened(text: str, most: int = 40) -> str:
    """Returns a text, cut where it is longer than `most` characters."""
    return text if len(text) <= most else f"{text[:most]}…"
