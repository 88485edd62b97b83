"""Rules of HTTP (RFC 9110, 9112) that the parser does not check, and answers in HTTP/1.0."""

import re
from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.connection.uvicorn_private import RequestResponseCycle

HOST = re.compile(rb"[\w.~!$&'()*+,;=%:\[\]-]*", re.ASCII)


def fault_of(headers: Sequence[tuple[bytes, bytes]], version: str) -> HTTPException | None:
    """Returns the error of a request by its head, or None."""
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version > "1.0"):
        return HTTPException(400, f"it has {len(hosts)} Host headers; allowed: one")
    if hosts and not HOST.fullmatch(hosts[0]):
        return HTTPException(400, f"the Host header is {hosts[0][:40]!r}; allowed: a name or address, and a port")
    codings = b",".join(value for name, value in headers if name == b"transfer-encoding").lower()
    if codings and version != "1.1":
        return HTTPException(400, f"HTTP/{version} has no Transfer-Encoding; allowed: Content-Length")
    if codings.strip() not in (b"", b"chunked"):
        shown = codings.decode("latin-1")[:40]
        allowed = "chunked, and gzip as the Content-Encoding"
        return HTTPException(501, f"the Transfer-Encoding is {shown!r}; allowed: {allowed}")
    return None


async def in_http_1_0(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Calls an application; sends its answer without chunked coding. Without a length, the connection ends it."""
    cycle: RequestResponseCycle = send.__self__  # type: ignore[attr-defined]
    unknown = False

    async def send_unchunked(message: Message) -> None:
        nonlocal unknown
        if message["type"] == "http.response.start":
            unknown = all(name.lower() != b"content-length" for name, _ in message["headers"])
            if unknown:
                cycle.chunked_encoding = False
        elif unknown:
            cycle.expected_content_length = len(message.get("body", b""))  # each chunk is all that uvicorn expects
        await send(message)

    await app(scope, receive, send_unchunked)
