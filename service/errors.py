"""The project's errors, independent of HTTP. `http/problem.py` has their statuses."""

import errno
from collections.abc import Callable, Mapping

# Of a disk, the memory, descriptors or permissions: they may pass, whatever is read or written.
_NAMES = "EACCES EAGAIN EDQUOT EIO EMFILE ENFILE ENOMEM ENOSPC EPERM EROFS ESTALE ETIMEDOUT"
MACHINE_ERRORS = frozenset(getattr(errno, name) for name in _NAMES.split())


class TagwerkError(Exception):
    """Base of all errors that this project raises deliberately."""


class InvalidInput(TagwerkError):  # noqa: N818 (says what happened, as its siblings do)
    """The request is invalid.

    `field` is a JSON pointer (RFC 6901) into the request, "" for the whole; `allowed` says what would be right.

    Attributes:
        fields: pointer, problem and allowed of each invalid field.
        count: the number of invalid fields.
    """

    def __init__(self, field: str, problem: str, allowed: str) -> None:
        super().__init__(f"{field or 'the body'}: {problem}; allowed: {allowed}")
        self.fields = [{"pointer": field, "problem": problem, "allowed": allowed}]
        self.count = 1

    def move(self, place: Callable[[str], str]) -> None:
        """Replaces each pointer, such as by one into a request of another form."""
        message = str(self)
        for field in self.fields:
            old, field["pointer"] = field["pointer"], place(field["pointer"])
            message = message.replace(old, field["pointer"], 1)
        self.args = (message,)


class InvalidJson(TagwerkError):  # noqa: N818
    """The body is not JSON."""


class NotReceived(TagwerkError):  # noqa: N818
    """The request did not arrive in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the request was not complete within {seconds:g} s (TAGWERK_RECEIVE_TIMEOUT_SECONDS)")


class InvalidFields(InvalidInput):
    """Several fields of the request are invalid. `count` is their number; `fields` describes the first ones."""

    def __init__(self, message: str, fields: list[dict[str, str]], count: int) -> None:
        TagwerkError.__init__(self, message)
        self.fields = fields
        self.count = count


class TooLarge(InvalidInput):
    """A size limit is exceeded."""


class ModelNotFound(TagwerkError):  # noqa: N818
    """No model of that name or version is loaded."""


class Unauthorized(TagwerkError):  # noqa: N818
    """The API key is missing or unknown."""


class Forbidden(TagwerkError):  # noqa: N818
    """The API key lacks the required scope, or the service does not offer it."""


class TryLater(TagwerkError):  # noqa: N818
    """The same request may succeed after `retry_after_seconds`."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class RateLimited(TryLater):
    """The API key's limit is exceeded."""


class Overloaded(TryLater):
    """The queue is full."""


class NotPossible(TagwerkError):  # noqa: N818
    """The service's configuration does not allow it."""


class NotStored(TagwerkError):  # noqa: N818
    """A correction cannot be written, as where the disk is full."""


class ClientGone(TagwerkError):  # noqa: N818
    """The client has disconnected."""


class DeadlineExceeded(TagwerkError):  # noqa: N818
    """The deadline passed before the answer was ready.

    `stages` has the time spent in each stage, in seconds, as far as known.
    """

    def __init__(self, message: str, stages: Mapping[str, float] | None = None) -> None:
        super().__init__(message)
        self.stages = dict(stages or {})


class EngineUnavailable(TagwerkError):  # noqa: N818
    """The engine is starting, draining or gone."""


class DeviceFailed(TagwerkError):  # noqa: N818
    """The device or its runtime failed while it ran a batch."""


class InternalError(TagwerkError):
    """A bug of the service, or an invalid message between its processes. The log has details."""


class ArtifactError(TagwerkError):
    """A model version folder is incomplete, altered or unreadable.

    The reason may quote untrusted files, so it is reduced to one printable line of bounded length.
    """

    MAX_CHARACTERS = 500

    def __init__(self, reason: str) -> None:
        line = one_line(reason[: 4 * self.MAX_CHARACTERS])
        super().__init__(line if len(line) <= self.MAX_CHARACTERS else line[: self.MAX_CHARACTERS] + "…")


class ConfigurationError(TagwerkError):
    """Settings are invalid, together or on this machine."""

    EXIT_STATUS = 78  # EX_CONFIG of sysexits.h: restarting will not help


def install(extra: str) -> str:
    """Returns the commands that install an extra, from a checkout or a wheel: no index has the package."""
    return f"pip install '.[{extra}]' in the folder of the repository, or 'PATH/OF/tagwerk.whl[{extra}]' of a wheel"


def one_line(text: str) -> str:
    """Returns a text in one line, with escapes in place of what is not printable."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text.split()))


def is_machine_fault(error: BaseException | None) -> bool:
    """Returns whether an error, or one that caused it, is a fault of the machine, which may pass."""
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in MACHINE_ERRORS):
            return True
        error = error.__cause__
    return False


def quantity(number: float, noun: str, form: str = "") -> str:
    """Returns a number in a form, such as "," or "g", with a noun: "1 row", "2 rows"."""
    return f"{number:{form}} {noun}{'s' * (number != 1)}"


def shortened(text: str, most: int = 40) -> str:
    """Shortens a text to `most` characters."""
    return text if len(text) <= most else f"{text[:most]}…"
