"""Fills the tagger's table of words in every process, so that what it takes up is no growth of memory later."""

import asyncio
import json
import random

from loadtests.chaos.clients import Wire, post
from loadtests.chaos.request_counts import RequestCounts

WORDS = 48_000  # half as many again as the tables of two processes hold
A_REQUEST, AT_A_TIME = 100, 16


async def fill_word_tables(port: int, counts: RequestCounts, headers: str = "") -> None:
    """Sends requests with new words, several at a time, so that each process gets its part of them."""
    chance = random.Random()

    async def send() -> None:
        words = [f"{chance.getrandbits(60):x}" for _ in range(A_REQUEST)]
        async with Wire(port, counts) as wire:
            await wire.send(post("/tag", json.dumps({"tokens": [words]}).encode(), headers=headers))
            await wire.answer("/tag")

    for _ in range(WORDS // A_REQUEST // AT_A_TIME):
        await asyncio.gather(*(send() for _ in range(AT_A_TIME)))
