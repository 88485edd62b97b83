"""GET /: the playground, a page served from the package that uses this service only."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from service.http.negotiation import takes_gzip

FOLDER = Path(__file__).parent / "static"
MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# Scripts and styles only from its own files, requests only to its own service, and no framing.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "no-cache",  # revalidated, so that a new version of the service shows its own page
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Encoding",
}

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page, plain and gzipped."""

    media_type: str
    plain: bytes
    zipped: bytes
    tag: str  # a hash of the content


@cache
def assets() -> dict[str, Asset]:
    """Reads the page's files by name."""
    found = {}
    for path in FOLDER.iterdir():
        if (media_type := MEDIA_TYPES.get(path.suffix)) is not None:
            plain = path.read_bytes()
            tag = hashlib.sha256(plain).hexdigest()[:16]
            found[path.name] = Asset(f"{media_type}; charset=utf-8", plain, gzip.compress(plain, mtime=0), tag)
    return found


@router.api_route("/", methods=["GET", "HEAD"])
async def page(request: Request) -> Response:
    """Sends the page."""
    return send(request, "index.html")


@router.api_route("/page/{name}", methods=["GET", "HEAD"])
async def asset(name: str, request: Request) -> Response:
    """Sends a script, the style, or the icon."""
    return send(request, name)


def send(request: Request, name: str) -> Response:
    """Returns a file; 304 if the client has it. Raises 404 for an unknown name."""
    found = assets().get(name)
    if found is None:
        raise HTTPException(404)
    zipped = takes_gzip(request)
    tag = f'"{found.tag}-gzip"' if zipped else f'"{found.tag}"'
    headers = HEADERS | {"ETag": tag}
    known = {known.strip().removeprefix("W/") for known in request.headers.get("if-none-match", "").split(",")}
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    if zipped:
        headers["Content-Encoding"] = "gzip"
    body = found.zipped if zipped else found.plain
    return Response(body, headers=headers, media_type=found.media_type)
