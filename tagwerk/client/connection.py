"""Sends requests: over connections that are reused, again where that helps, never past the deadline."""

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeAlias, TypeVar

import aiohttp
import msgspec

from tagwerk.client import retries
from tagwerk.client.errors import DeadlineExceeded, Problem, Refused, Unavailable

Answer = TypeVar("Answer")
Attempt: TypeAlias = Callable[[float], Awaitable[aiohttp.ClientResponse]]
OK = 200
NO_CAPACITY = (429, 503)
FAILED = (408, 500, 502)
TIMED_OUT = 504
RETRY_SECONDS = 1.0  # where an answer without capacity names no time


class Connection:
    """The connections to a service, and what all requests over them share: the retry budget, and the window.

    Args:
        url: of the service, without a path.
        api_key: sent with each request, where the service requires one.
        timeout_seconds: of a request, its retries included.
        connections: at most so many, and so many requests, at the same time; further requests wait.
    """

    def __init__(self, url: str, api_key: str | None, timeout_seconds: float, connections: int) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r} is not the address of a service; right: http://127.0.0.1:8000")
        if not 0 < timeout_seconds < math.inf:
            raise ValueError(f"timeout_seconds is {timeout_seconds}; allowed: above 0, finite")
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._connections = connections
        self.timeout_seconds = timeout_seconds
        self.budget = retries.Budget()
        self._window = retries.Window(connections)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections),
            timeout=aiohttp.ClientTimeout(total=None),
            headers=self._headers | {"Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(self, path: str, answer: type[Answer]) -> Answer:
        """Gets a resource. Raises ClientError."""
        response = await self._answered(lambda seconds: self._attempt("GET", path, None, seconds, whole=True))
        return decoded(await response.read(), msgspec.json.Decoder(answer))

    async def post(self, path: str, body: dict[str, Any], answer: type[Answer]) -> Answer:
        """Sends a body and returns the answer. Raises ClientError."""
        content = msgspec.json.encode(body)
        response = await self._answered(lambda seconds: self._attempt("POST", path, content, seconds, whole=True))
        return decoded(await response.read(), msgspec.json.Decoder(answer))

    async def stream(self, path: str, body: dict[str, Any]) -> aiohttp.ClientResponse:
        """Sends a body and returns the response once it begins, to be read and released. Raises ClientError."""
        content = msgspec.json.encode(body)
        return await self._answered(lambda seconds: self._attempt("POST", path, content, seconds, whole=False))

    def open(self, path: str, content_type: str, body: AsyncIterator[bytes]) -> Any:
        """Returns a context manager of a response that is read while the body is sent; without retries."""
        headers = {"Content-Type": content_type, "X-Request-Timeout-Ms": _milliseconds(self.timeout_seconds)}
        return self._session.post(self._url + path, data=body, headers=headers)

    async def _answered(self, attempt: Attempt) -> aiohttp.ClientResponse:
        """Makes attempts, each with the seconds that are left, until one is answered. Raises ClientError."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.timeout_seconds
        last: Unavailable | None = None
        self.budget.deposit()
        for number in itertools.count():
            try:
                async with asyncio.timeout_at(deadline), self._window:
                    response = await attempt(deadline - loop.time())
                    self._window.grow()
                    return response
            except TimeoutError:
                because = f"; the last attempt: {last}" if last else ""
                raise DeadlineExceeded(f"no answer within {self.timeout_seconds:g} s{because}", last) from last
            except NoCapacity as error:
                last, wait = Unavailable(str(error), error.problem), retries.jittered(error.retry_seconds)
                self._window.shrink()
            except Unavailable as error:
                last, wait = error, retries.backoff(number)
                if not self.budget.withdraw():
                    raise
            if loop.time() + wait >= deadline:
                raise last
            await asyncio.sleep(wait)
        raise AssertionError

    async def _attempt(
        self, method: str, path: str, body: bytes | None, seconds: float, *, whole: bool
    ) -> aiohttp.ClientResponse:
        """Sends a request once; returns the response, read to its end if `whole`.

        Raises Refused, Unavailable, NoCapacity, DeadlineExceeded.
        """
        headers = {"X-Request-Timeout-Ms": _milliseconds(seconds)}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            response = await self._session.request(method, self._url + path, data=body, headers=headers)
            if whole or not response.ok:
                await response.read()
        except aiohttp.ClientError as error:
            raise Unavailable(f"{self._url} cannot be reached: {error or type(error).__name__}") from error
        if not response.ok:
            raise await error_of(response)
        return response


class NoCapacity(Exception):  # noqa: N818 (named after its cause)
    """The service has no capacity, and says when to send again."""

    def __init__(self, problem: Problem, retry_seconds: float) -> None:
        super().__init__(f"{problem.status} {problem.title}: {problem.detail}")
        self.problem = problem
        self.retry_seconds = retry_seconds


def decoded(content: bytes, decoder: msgspec.json.Decoder[Answer]) -> Answer:
    """Decodes an answer. Raises Unavailable for one that is not the service's."""
    try:
        return decoder.decode(content)
    except msgspec.DecodeError as error:
        shown = content[:100].decode(errors="replace")
        raise Unavailable(f"this is not an answer of tagwerk ({error}): {shown}") from error


async def error_of(response: aiohttp.ClientResponse) -> Exception:
    """Returns the error that an answer without a result stands for."""
    content = await response.read()
    try:
        problem = msgspec.json.decode(content, type=Problem)
    except msgspec.DecodeError:  # from a proxy, not from the service
        problem = Problem(title="not an answer of tagwerk", detail=content[:200].decode(errors="replace"))
    return error_of_problem(msgspec.structs.replace(problem, status=response.status), response.headers)


def error_of_problem(problem: Problem, headers: Mapping[str, str] = MappingProxyType({})) -> Exception:
    """Returns the error that a problem document stands for. headers: of the answer."""
    text = f"{problem.status} {problem.title}: {problem.detail}"
    if problem.status in NO_CAPACITY:
        seconds = headers.get("Retry-After", "")
        return NoCapacity(problem, float(seconds) if seconds.isdecimal() else RETRY_SECONDS)
    if problem.status in FAILED:
        return Unavailable(text, problem)
    if problem.status == TIMED_OUT:
        return DeadlineExceeded(text)
    return Refused(problem)


def _milliseconds(seconds: float) -> str:
    return str(max(1, min(999_999_999, math.ceil(seconds * 1000))))
