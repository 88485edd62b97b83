"""Routes that accept JSON, or newline-delimited JSON."""

import copy
from collections.abc import Callable, Coroutine
from typing import Any, get_type_hints

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from service.api.lines import MEDIA_TYPE, OPENAPI, LinesResponse, line_of
from service.http.body import read
from service.http.context import headers_of
from service.http.representation import wanted
from service.pipelines.formats import JSON


class JsonRoute(APIRoute):
    """A route that refuses other content types with 415, and parses the body that its endpoint takes as `body`.

    FastAPI, which would parse without limits, sees it for the documentation only. Endpoints marked by `takes_lines`
    also accept newline-delimited JSON.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if hasattr(endpoint, "work"):
            options["openapi_extra"] = copy.deepcopy(OPENAPI)
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Returns the request handler."""
        if self.methods != {"POST"}:
            return super().get_route_handler()
        endpoint, work = self.endpoint, getattr(self.endpoint, "work", None)
        schema: type[BaseModel] = get_type_hints(endpoint)["body"]

        async def handle(request: Request) -> Response:
            content_type = headers_of(request).get(b"content-type", b"").decode("latin-1")
            media_type = content_type.partition(";")[0].strip().lower()
            if media_type == JSON or (media_type.startswith("application/") and media_type.endswith("+json")):
                response: Response = await endpoint(
                    body=await read(request, schema), request=request, **request.path_params
                )
                return response
            if media_type == MEDIA_TYPE and work is not None:
                wanted(request, (MEDIA_TYPE,))
                return LinesResponse(request, work, line_of(schema))
            got = f"is {content_type[:80]!r}" if content_type else "is missing"
            allowed = JSON if work is None else f"{JSON}, {MEDIA_TYPE}"
            raise HTTPException(415, f"the Content-Type {got}; allowed: {allowed}", {"Accept-Post": allowed})

        return handle
