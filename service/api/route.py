"""Routes that take JSON, or newline-delimited JSON."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, ClassVar

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from service.api.context import headers_of
from service.api.lines import MEDIA_TYPE, LinesResponse, Work
from service.api.negotiation import JSON, wanted

_JSON = JSON.encode()
Lines = tuple[Work, type[BaseModel]]  # what answers a line, and what a line is


class JsonRoute(APIRoute):
    """A route that refuses a body of any other type with 415; `lines` has the paths that take it line by line, too."""

    lines: ClassVar[Mapping[str, Lines]] = {}

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Returns what handles a request."""
        handle = super().get_route_handler()
        lines = self.lines.get(self.path)

        async def handle_either(request: Request) -> Response:
            header = headers_of(request).get(b"content-type", b"")
            if header == _JSON:
                return await handle(request)
            content_type = header.decode("latin-1")
            media_type = content_type.partition(";")[0].strip().lower()
            if media_type == JSON or (media_type.startswith("application/") and media_type.endswith("+json")):
                return await handle(request)
            if media_type == MEDIA_TYPE and lines is not None:
                wanted(request, (MEDIA_TYPE,))
                return LinesResponse(request, *lines)
            got = f"is {content_type[:80]!r}" if content_type else "is missing"
            allowed = JSON if lines is None else f"{JSON}, {MEDIA_TYPE}"
            raise HTTPException(415, f"the Content-Type {got}; allowed: {allowed}", {"Accept-Post": allowed})

        return handle_either if self.methods == {"POST"} else handle
