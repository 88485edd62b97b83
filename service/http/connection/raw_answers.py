"""Encodes responses that a connection sends without the application."""

import http
import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from service.errors import TagwerkError
from service.http import problem

Header = tuple[bytes, bytes]


def raw_answer(content: dict[str, Any], headers: Iterable[Header], path: str = "") -> tuple[bytes, bytes]:
    """Encodes a problem document as a response: the head, to which headers can be appended, and the rest."""
    body = json.dumps(problem.with_protocol_error(path, content)).encode()
    status = content["status"]
    always = [
        (b"content-type", problem.MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"x-content-type-options", b"nosniff"),
    ]
    status_line = f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\n".encode()
    return status_line + encoded([*always, *headers]), b"\r\n" + body


def encoded(headers: Iterable[Header]) -> bytes:
    """Encodes headers."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def raw_refusal(refusal: TagwerkError, path: str) -> tuple[bytes, bytes]:
    """Encodes an error as `raw_answer` does; cached by error object, which load shedding reuses."""
    # Of the path, only its protocol affects the document.
    return _raw_refusal(refusal, next((prefix for prefix in ("/v1/", "/v2/") if path.startswith(prefix)), ""))


@lru_cache(maxsize=32)
def _raw_refusal(refusal: TagwerkError, prefix: str) -> tuple[bytes, bytes]:
    headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers_of(refusal).items()]
    return raw_answer(problem.document(refusal), headers, prefix)
