"""A plain request, and the connection that waits for its answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from service.engine.queue import EngineRequest
from service.engine.requests import ANONYMOUS
from service.security.keys import Key
from service.telemetry.request import Timing

if TYPE_CHECKING:
    from service.http.connection.connection import Connection

Headers = Mapping[bytes, bytes]


@dataclass(slots=True, eq=False)
class Exchange:
    """A plain request: POST, JSON, small, without coding. It has no ASGI scope, task or future.

    Attributes:
        made: the handler class of the route.
        headers: by name in lower case.
        key: the API key that it was admitted with; to be released with the answer.
        client: the number of the key's owner.
        request: the parsed body.
        deadline: a time of the monotonic clock.
        media_type: of the answer.
        in_progress: bytes of the body that are counted, once it is admitted, until it is answered.
        running: what waits in the engine, or runs.
        content: what the request's handler keeps between encoding and decoding.
        over: answered, redirected, or its client has gone.
    """

    connection: "Connection"
    made: Any
    headers: Headers
    body: bytes
    timing: Timing
    key: Key | None = None
    client: int = ANONYMOUS
    request: Any = None
    deadline: float = 0.0
    media_type: str = ""
    in_progress: int = 0
    running: EngineRequest | None = None
    content: Any = field(default=None)
    over: bool = False
