"""The errors of the client.

ClientError
    Refused           the request is not valid, not allowed, or over a limit: the same request fails again
    Unavailable       the service cannot be reached, fails, or has no capacity, and the retries are used up
    DeadlineExceeded  the call has taken its timeout
"""

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """A wrong place in a request: a JSON pointer into its body, what is wrong there, what is allowed."""

    pointer: str
    problem: str
    allowed: str = ""


class Problem(msgspec.Struct, frozen=True):
    """A problem document of the service (RFC 9457). `type` is stable; docs/errors.md lists the types."""

    type: str = "about:blank"
    title: str = ""
    status: int = 0
    detail: str = ""
    errors: tuple[Fault, ...] = ()


class ClientError(Exception):
    """An error of a call to the service."""


class Refused(ClientError):  # noqa: N818 (named after its cause)
    """The service has refused a request, for the reason in `problem`; sent again it would be refused again."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.status} {problem.title}: {problem.detail}")
        self.problem = problem


class Unavailable(ClientError):  # noqa: N818
    """The service cannot be reached, fails, or has no capacity. `problem` is its last answer, if it gave one."""

    def __init__(self, message: str, problem: Problem | None = None) -> None:
        super().__init__(message)
        self.problem = problem


class DeadlineExceeded(ClientError):  # noqa: N818
    """A call has taken its timeout; `last` is what its last attempt failed with, if it was not the first."""

    def __init__(self, message: str, last: Exception | None = None) -> None:
        super().__init__(message)
        self.last = last
