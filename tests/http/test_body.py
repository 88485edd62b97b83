"""The body on its way in, without a server."""

import asyncio
import gzip

import pytest

from service.errors import InvalidInput
from service.http.body import Body

LARGE = gzip.compress(b"\n" * 300_000)  # more than one piece
GZIP = {b"content-encoding": b"gzip"}


@pytest.mark.parametrize("limit", [4_000_000, None], ids=["whole", "piece by piece"])
@pytest.mark.parametrize(
    "chunks", [[LARGE + b"rest"], [LARGE, b"rest"], [LARGE + LARGE]], ids=["behind it", "in a later chunk", "twice"]
)
def test_what_follows_the_end_of_a_gzip_stream_ends_the_reading(chunks, limit):
    async def read() -> int:
        messages = [{"type": "http.request", "body": chunk, "more_body": chunk is not chunks[-1]} for chunk in chunks]

        async def receive():
            return messages.pop(0)

        body = Body(GZIP, receive, 4_000_000)
        body.limit = limit
        for number in range(20):
            if not (await body.receive())["more_body"]:
                return number
        raise AssertionError("it never ends")

    with pytest.raises(InvalidInput, match="goes on after its end"):
        asyncio.run(read())


def test_a_gzip_stream_ends_with_its_last_piece():
    async def read() -> bytes:
        messages = [{"type": "http.request", "body": LARGE, "more_body": False}]

        async def receive():
            return messages.pop(0)

        body, content, more = Body(GZIP, receive, 4_000_000), b"", True
        while more:
            message = await body.receive()
            content, more = content + message["body"], message["more_body"]
        return content

    assert asyncio.run(read()) == b"\n" * 300_000
