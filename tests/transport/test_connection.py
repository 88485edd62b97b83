"""Connections whose peer misbehaves: too much at once, nothing read, nonsense among what makes sense."""

import asyncio
import logging

import msgspec
import numpy as np
import pytest

from service.errors import InternalError
from service.transport import connection, messages
from service.transport.connection import Connection
from service.transport.messages import Cancel, Ping, Unframer, frame, frames, pack
from tests.engine.test_engines import run


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.ended: list[str] = []

    def write(self, data) -> None:
        self.written.append(data)

    def set_write_buffer_limits(self, high=None, low=None) -> None:
        self.high = high

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.written))

    def abort(self) -> None:
        self.ended.append("abort")

    def close(self) -> None:
        self.ended.append("close")


def connected(
    on_message=lambda connection, message: None, on_writable=lambda connection: None
) -> tuple[Connection, Transport]:
    made = Connection(lambda _: None, on_message, lambda _: None, on_writable)
    transport = Transport()
    made.connection_made(transport)
    return made, transport


def test_an_error_over_one_message_costs_no_other_of_its_frame(caplog):
    seen = []

    def on_message(connection, message) -> None:
        seen.append(message.id)
        if message.id == 2:
            raise KeyError("xpos")

    made, transport = connected(on_message)
    with caplog.at_level(logging.ERROR):
        made.data_received(frame([Cancel(1), Cancel(2), Cancel(3)]))
    assert seen == [1, 2, 3]
    assert not transport.ended
    assert len(caplog.records) == 1


def test_a_frame_that_is_announced_too_large_is_not_waited_for():
    made, transport = connected()
    made.data_received((2**32 - 1).to_bytes(4, "big"))
    assert transport.ended == ["close"]
    with pytest.raises(msgspec.DecodeError, match="at most"):
        list(Unframer().feed((2**32 - 1).to_bytes(4, "big")))


def test_large_messages_have_frames_of_their_own(monkeypatch):
    monkeypatch.setattr(messages, "FULL_FRAME_BYTES", 30)
    some = [Cancel(i) for i in range(9)]
    sent = list(frames(some))
    assert len(sent) == 9
    assert list(Unframer().feed(b"".join(sent))) == some
    assert len(list(frames(some[:2]))) == 1


def test_what_no_frame_can_hold_is_an_error_of_its_request(monkeypatch):
    monkeypatch.setattr(messages, "MAX_ARRAY_BYTES", 40)
    assert pack({"ids": np.zeros(10, np.int32)})
    with pytest.raises(InternalError, match="at most 40"):
        pack({"ids": np.zeros(5, np.int32), "more": np.zeros(6, np.int32)})


def test_a_peer_that_reads_nothing_is_hung_up_on(monkeypatch):
    monkeypatch.setattr(connection, "STALLED_SECONDS", 0.0)

    async def test():
        made, transport = connected()
        assert transport.high == connection.UNSENT_BYTES
        made.pause_writing()
        while not transport.ended:
            await asyncio.sleep(0)
        assert transport.ended == ["abort"]
        assert not made.writable
        made.connection_lost(None)

    run(test())


def test_a_peer_that_reads_slowly_is_waited_for():
    async def test():
        heard: list[Connection] = []
        made, transport = connected(on_writable=heard.append)
        assert made.writable
        made.pause_writing()
        assert not made.writable
        assert not heard
        made.resume_writing()
        assert made.writable
        assert heard == [made]
        assert made._stalled is None
        made.send(Ping(0))
        await asyncio.sleep(0)
        assert transport.written == [frame([Ping(0)])]

    run(test())
