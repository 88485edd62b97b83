"""The body on its way in, without a server."""

import gzip

import pytest

from service.errors import ClientGone, InvalidInput
from service.http.body import Body, content_of
from tests.http.wire import body_part, no_hold, receiving

LARGE = gzip.compress(b"\n" * 300_000)  # more than one chunk
GZIP = {b"content-encoding": b"gzip"}


@pytest.mark.parametrize("limit", [4_000_000, None], ids=["whole", "chunk by chunk"])
@pytest.mark.parametrize(
    "chunks", [[LARGE + b"rest"], [LARGE, b"rest"], [LARGE + LARGE]], ids=["behind it", "in a later chunk", "twice"]
)
async def test_what_follows_the_end_of_a_gzip_stream_ends_the_reading(chunks, limit):
    messages = [body_part(chunk, more=chunk is not chunks[-1]) for chunk in chunks]
    body = Body(GZIP, receiving(*messages), 4_000_000, no_hold)
    body.limit = limit

    async def read() -> None:
        for _ in range(20):
            assert (await body.receive())["more_body"]

    with pytest.raises(InvalidInput, match="data follows its end"):
        await read()


@pytest.mark.parametrize("sizes", [[0], [10], [4, 6], [0, 9_999, 1, 0], [1] * 100], ids=str)
async def test_a_body_is_whole_in_however_many_messages_it_comes_up_to_its_limit(sizes):
    parts = [bytes([65 + number % 26]) * size for number, size in enumerate(sizes)]
    messages = [body_part(part, more=True) for part in parts]
    messages[-1] = {"type": "http.request", "body": parts[-1]}
    assert await content_of(receiving(*messages), 10_000) == b"".join(parts)


async def test_a_body_that_ends_before_it_is_complete_is_an_error():
    with pytest.raises(ClientGone):
        await content_of(receiving(body_part(b"some", more=True), {"type": "http.disconnect"}), 10)
