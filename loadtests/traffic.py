"""The requests of the load, by kind of traffic: the same for every server."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from loadtests.text import endless_text, running_text

SENTENCES = Path(__file__).with_name("sentences.txt")
PROMPT_CHARACTERS = 20
GENERATED_CHARACTERS = 40
ENDLESS_CHARACTERS = 1000  # sent again at once, it never ends
LONG_WORDS, LONG_EVERY = 200, 50
KINDS = ("tag", "no-lemmas", "classify", "generate", "long", "endless", "mixed")

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """A request to an endpoint; where it is not `timed`, its latency does not count."""

    endpoint: str
    body: Body
    timed: bool = True


def requests(traffic: str) -> Iterable[Request]:
    """Returns the requests of one of `KINDS`: so many, to be repeated, or an iterator that never ends."""
    special = {"no-lemmas": no_lemmas, "generate": prompts, "long": long, "endless": endless, "mixed": mixed}
    return special[traffic]() if traffic in special else texts(traffic)


def texts(endpoint: str) -> list[Request]:
    """Returns the sentences of running text, one a request, without options."""
    return [Request(endpoint, {"text": sentence.text}) for sentence in running_text()]


def no_lemmas() -> list[Request]:
    """Returns the sentences to tag without lemmas."""
    return [Request("tag", {**request.body, "lemmas": False}) for request in texts("tag")]


def prompts() -> list[Request]:
    """Returns the beginnings of the sentences, each to be continued."""
    return [
        Request(
            "generate", {"prompt": sentence.text[:PROMPT_CHARACTERS], "max_tokens": GENERATED_CHARACTERS, "seed": seed}
        )
        for seed, sentence in enumerate(running_text())
    ]


def long() -> list[Request]:
    """Returns sentences to tag, one in fifty of them replaced by one of 200 words."""
    requests = texts("tag")
    words = cycle(" ".join(sentence.text for sentence in running_text()).split())
    for place in range(LONG_EVERY // 2, len(requests), LONG_EVERY):
        requests[place] = Request("tag", long_body(words), timed=False)
    return requests


def endless() -> list[Request]:
    """Returns generations so long that a client which repeats them always has one running."""
    return [Request("generate", {**request.body, "max_tokens": ENDLESS_CHARACTERS}) for request in prompts()]


def mixed() -> Iterator[Request]:
    """Yields requests of all kinds for ever, some of whose words are new."""
    text = endless_text(random.Random())
    words = (word for sentence in endless_text(random.Random()) for word in sentence.split())
    for number, sentence in enumerate(text):
        if number % 10 == 0:
            prompt = {"prompt": sentence[-PROMPT_CHARACTERS:], "max_tokens": GENERATED_CHARACTERS, "seed": number}
            yield Request("generate", prompt)
        elif number % LONG_EVERY == 1:
            yield Request("tag", long_body(words))
        elif number % LONG_EVERY == 2:
            yield Request("tag", {"text": [sentence, *islice(text, 7)]})
        else:
            yield Request("classify" if number % 3 else "tag", {"text": sentence})


def long_body(words: Iterator[str]) -> Body:
    """Returns a sentence of 200 words to tag."""
    return {"tokens": [list(islice(words, LONG_WORDS))]}


def bodies(endpoint: str) -> list[Body]:
    """Returns requests that all servers answer alike, so without lemmas, which the service alone has.

    They are no part of what is timed.
    """
    if endpoint == "generate":
        return [
            {"prompt": sentence[:PROMPT_CHARACTERS], "max_tokens": GENERATED_CHARACTERS, "seed": seed}
            for seed, sentence in enumerate(sentences())
        ]
    leaving_out = {"lemmas": False} if endpoint == "tag" else {}
    return [{"text": sentence} | leaving_out for sentence in sentences()]


@cache
def sentences() -> Sequence[str]:
    """Returns 200 sentences that were written for this, for what is not timed."""
    return SENTENCES.read_text(encoding="utf-8").splitlines()
