"""CORS: the origins whose pages may call the service and read its responses."""

from collections.abc import Mapping, Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from service.http.protocols.tensors import HEADER

EXPOSED = (HEADER, "Retry-After", "Server-Timing", "X-Request-ID")


def cors_middleware(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """Wraps an application: answers preflights, and adds the headers of `cors_headers` to all other responses."""
    return CORSMiddleware(
        app, allow_origins=origins, allow_methods=["GET", "HEAD", "POST"], allow_headers=["*"], expose_headers=EXPOSED
    )


def cors_headers(origins: Sequence[str], request_headers: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """Returns the CORS headers for a response that does not pass through the middleware."""
    if not origins:
        return []
    origin = request_headers.get(b"origin")
    if origin is None:
        return [(b"vary", b"Origin")]
    exposed = (b"access-control-expose-headers", ", ".join(EXPOSED).encode())
    if "*" in origins:
        return [(b"access-control-allow-origin", b"*"), exposed, (b"vary", b"Origin")]
    if origin.decode("latin-1") in origins:
        return [(b"access-control-allow-origin", origin), exposed, (b"vary", b"Origin")]
    return [exposed, (b"vary", b"Origin")]
