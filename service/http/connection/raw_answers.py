"""Encodes responses that a connection sends without the application."""

import http
import json
from collections.abc import Iterable
from typing import Any

from service.http import problem

Header = tuple[bytes, bytes]


def raw_answer(content: dict[str, Any], headers: Iterable[Header], path: str = "") -> bytes:
    """Encodes a problem document as a response."""
    body = json.dumps(problem.with_protocol_error(path, content)).encode()
    status = content["status"]
    always = [
        (b"content-type", problem.MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"x-content-type-options", b"nosniff"),
    ]
    status_line = f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\n".encode()
    return status_line + encoded([*always, *headers]) + b"\r\n" + body


def encoded(headers: Iterable[Header]) -> bytes:
    """Encodes headers."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])
