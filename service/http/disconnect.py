"""Cancels the work for a client that has disconnected."""

import asyncio
from types import TracebackType

from fastapi import Request

from service.errors import ClientGone
from service.http.connection.connection import Connection


class while_client_waits:  # noqa: N801 (a context manager)
    """Cancels the block when the client disconnects, and raises ClientGone.

    Does nothing without a connection, as in tests that call the application directly.
    """

    __slots__ = ("_connection", "_gone", "_task")

    def __init__(self, request: Request) -> None:
        self._connection: Connection | None = request.scope["state"].get("connection")
        self._gone = False
        self._task: asyncio.Task[object] | None = None

    def __enter__(self) -> None:
        if (connection := self._connection) is None:
            return
        if connection.gone:
            raise _gone()
        self._task = asyncio.current_task()
        connection.when_gone = self._leave

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.when_gone = None
        if self._gone and isinstance(error, asyncio.CancelledError) and self._task is not None:
            self._task.uncancel()
            raise _gone() from None

    def _leave(self) -> None:
        self._gone = True
        if self._task is not None:
            self._task.cancel()


def _gone() -> ClientGone:
    return ClientGone("the client closed its connection before the answer was ready")
