"""Answers that a connection gives itself, without the application, as bytes."""

import http
import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from service.errors import TagwerkError
from service.http import problem

Header = tuple[bytes, bytes]


def raw_answer(content: dict[str, Any], headers: Iterable[Header], path: str = "") -> tuple[bytes, bytes]:
    """Returns a problem document as it is sent: the head, to which further headers may be added, and the rest."""
    body = json.dumps(problem.worded(path, content)).encode()
    status = content["status"]
    always = [
        (b"content-type", problem.MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"x-content-type-options", b"nosniff"),
    ]
    status_line = f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\n".encode()
    return status_line + encoded([*always, *headers]), b"\r\n" + body


def encoded(headers: Iterable[Header]) -> bytes:
    """Returns headers as they are sent."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def raw_refusal(refusal: TagwerkError, path: str) -> tuple[bytes, bytes]:
    """Returns `raw_answer` for an error. For an error object that comes again, it was made before."""
    # The members that the document has beside the problem's own depend on the path's protocol alone.
    return _raw_refusal(refusal, next((prefix for prefix in ("/v1/", "/v2/") if path.startswith(prefix)), ""))


@lru_cache(maxsize=32)
def _raw_refusal(refusal: TagwerkError, prefix: str) -> tuple[bytes, bytes]:
    headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers_of(refusal).items()]
    return raw_answer(problem.document(refusal), headers, prefix)
