"""GET / and /docs: pages served from packages that use this service only; and GET /openapi.json.

Each is encoded once: it needs no key, so it must cost nothing.
"""

import asyncio
import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from service.http.context import headers_of
from service.http.representation import accepts_gzip
from service.pipelines.formats import JSON, to_json

FOLDER = Path(__file__).parent / "static"
SWAGGER = Path(fastapi_offline.__file__).parent / "static"
MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# Scripts and styles only from its own files, requests only to its own service, and no framing.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Swagger UI has icons in its style, and writes styles into its elements.
DOCS_POLICY = POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'").replace(
    "img-src 'self'", "img-src 'self' data:"
)
HEADERS = {
    "Cache-Control": "no-cache",  # revalidated, so that a new version of the service shows its own page
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


def asset_of(media_type: str, plain: bytes) -> Asset:
    """Makes an asset of its content."""
    return Asset(media_type, plain, gzip.compress(plain, mtime=0), hashlib.sha256(plain).hexdigest()[:16])


@cache
def assets(folder: Path = FOLDER) -> dict[str, Asset]:
    """Reads the files of a folder by name."""
    return {
        path.name: asset_of(f"{MEDIA_TYPES[path.suffix]}; charset=utf-8", path.read_bytes())
        for path in folder.iterdir()
        if path.suffix in MEDIA_TYPES and not path.name.startswith("redoc")
    }


@router.get("/")
async def page(request: Request) -> Response:
    """Sends the page."""
    return send(request, assets().get("index.html"))


@router.get("/page/{name}")
async def asset(name: str, request: Request) -> Response:
    """Sends a script, the style, or the icon."""
    return send(request, assets().get(name))


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Sends the page that shows the OpenAPI document."""
    return send(request, assets().get("docs.html"), DOCS_POLICY)


@router.get("/docs/assets/{name}")
async def docs_asset(name: str, request: Request) -> Response:
    """Sends Swagger UI."""
    return send(request, assets(SWAGGER).get(name))


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """Sends the OpenAPI document."""
    return send(request, await asyncio.shield(openapi_asset(request.app)))


def openapi_asset(app: FastAPI) -> asyncio.Task[Asset]:
    """Returns the OpenAPI document of an application. It is encoded once, in a thread: that takes 0.3 s."""
    encoding: asyncio.Task[Asset] | None = getattr(app.state, "openapi", None)
    if encoding is None or encoding.cancelled():
        encoding = app.state.openapi = asyncio.create_task(
            asyncio.to_thread(lambda: asset_of(JSON, to_json(app.openapi())))
        )
    return encoding


def send(request: Request, found: Asset | None, policy: str = POLICY) -> Response:
    """Returns a file; 304 if the client has it. Raises 404 for none."""
    if found is None:
        raise HTTPException(404)
    zipped = accepts_gzip(headers_of(request))
    tag = f'"{found.tag}-gzip"' if zipped else f'"{found.tag}"'
    headers = HEADERS | {"ETag": tag, "Content-Security-Policy": policy}
    known = {known.strip().removeprefix("W/") for known in request.headers.get("if-none-match", "").split(",")}
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    if zipped:
        headers["Content-Encoding"] = "gzip"
    body = found.zipped if zipped else found.plain
    return Response(body, headers=headers, media_type=found.media_type)
