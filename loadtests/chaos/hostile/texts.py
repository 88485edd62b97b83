"""Requests within every limit that cost the most: the longest texts, in every script, with every option."""

import random
from collections.abc import Callable
from itertools import cycle, islice
from typing import Any

from loadtests.chaos.hostile.attack import TEXT_CHARACTERS, Attack, request, together
from loadtests.traffic import sentences

UNBROKEN = {
    "letters": "a",
    "mixed letters": "aBc",
    "digits": "1234567890",
    "dots": ".",
    "brackets": "(",
    "quotes": "'\"",
    "CJK": "犬",
    "emoji": "😀",
    "combining marks": "e\u0301\u0302",
    "URLs": "http://a.b/",
    "hyphens": "a-",
    "apostrophes": "I'd've",
    "slashes": "a/b",
    "abbreviations": "U.S.",
}
SOON = "X-Request-Timeout-Ms: 2000\r\n"  # the device would take tens of seconds; these attacks do not need its answers
BEST = {"n_best": 5}
WHY = {"contributions": True, "sentences": True}


def unbroken(pattern: str) -> str:
    """Returns the longest text that has no space."""
    return (pattern * TEXT_CHARACTERS)[:TEXT_CHARACTERS]


def longest(words: str = "") -> str:
    """Returns the longest text of ordinary sentences, or of some words."""
    text = f"{words} " * TEXT_CHARACTERS if words else " ".join(islice(cycle(sentences()), TEXT_CHARACTERS // 10))
    return text[:TEXT_CHARACTERS]


def tag(text: object, **options: Any) -> list[bytes]:
    """Returns a request to /tag."""
    return [request("/tag", {"text": text, **options})]


def unbroken_text(name: str) -> Attack:
    """Returns the attack of a text without a space."""

    def requests() -> list[bytes]:
        body = {"text": unbroken(UNBROKEN[name])}
        return [request("/classify", body), request("/tag", body, headers=SOON)]

    return Attack(f"{name}, 200 000 without a space", requests)


def new_words(path: str, count: int, make: Callable[[list[str]], dict[str, Any]]) -> list[bytes]:
    """Returns requests of 1000 new words each."""
    chance = random.Random(path)
    words = [[f"{chance.getrandbits(60):x}" for _ in range(1000)] for _ in range(count // 1000)]
    return [request(path, make(each)) for each in words]


def stop_strings() -> list[bytes]:
    """Returns requests with the most and longest stop strings; all but their last characters are frequent."""
    stops = ["e" * 99 + chr(97 + number) for number in range(16)]
    return [
        request("/generate", {"prompt": "e" * 100, "max_tokens": 300, "n": 16, "stop": stops, "temperature": 0})
    ] * 2


ATTACKS = [
    Attack(
        "100 tokens of 200 000 characters",
        lambda: [
            request("/tag", {"tokens": [[f"{number:03}" + "😀" * (TEXT_CHARACTERS - 3)]]}) for number in range(100)
        ],
    ),
    Attack("10 000 new words to tag", lambda: new_words("/tag", 10_000, lambda words: {"tokens": [words]})),
    Attack(
        "100 000 new words to classify",
        lambda: new_words("/classify", 100_000, lambda words: {"text": " ".join(words)}),
    ),
    *(unbroken_text(name) for name in UNBROKEN),
    Attack("the longest text", lambda: tag(longest())),
    Attack("the longest text, n_best=5", lambda: tag(longest(), **BEST)),
    Attack(
        "the longest text, gzipped answer",
        lambda: [request("/tag", {"text": longest(), **BEST}, headers="Accept-Encoding: gzip\r\n")],
    ),
    Attack("the longest text as CoNLL-U", lambda: tag(longest(), format="conllu")),
    Attack("the longest text as one-letter tokens", lambda: [request("/tag", {"tokens": [["a"] * TEXT_CHARACTERS]})]),
    Attack("the longest text as one-word sentences", lambda: tag(longest("A."))),
    Attack("the longest non-ASCII text, utf8 offsets", lambda: tag(longest("naïve 犬 😀."), offsets="utf8", **BEST)),
    Attack("the longest text classified and explained", lambda: [request("/classify", {"text": longest(), **WHY})]),
    Attack("four longest texts classified together", lambda: [request("/classify", {"text": longest()})] * 4, together),
    Attack("the longest prompt", lambda: [request("/generate", {"prompt": longest(), "max_tokens": 10}, headers=SOON)]),
    Attack("16 stop strings of 100 characters, n=16", stop_strings),
]
