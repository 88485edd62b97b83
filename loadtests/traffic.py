"""What the clients ask, by kind of traffic: the same requests for every server."""

import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any

SENTENCES = Path(__file__).with_name("sentences.txt")
EWT_LENGTHS = Path(__file__).with_name("ewt_lengths.json")  # words of a sentence: how many such in EWT's test part
PROMPT_CHARACTERS = 20
GENERATED_CHARACTERS = 40
ENDLESS_CHARACTERS = 1000  # sent again at once, it never ends
LONG_WORDS, LONG_EVERY = 200, 50
KINDS = ("tag", "classify", "generate", "ewt", "long", "endless", "mixed")
LETTERS = "abcdefghijklmnopqrstuvwxyz"

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """A request to an endpoint; where it is not `timed`, its latency does not count."""

    endpoint: str
    body: Body
    timed: bool = True


def requests(traffic: str) -> Iterable[Request]:
    """Returns the requests of one of `KINDS`: so many, to be repeated, or an iterator that never ends."""
    special = {"ewt": ewt, "long": long, "endless": endless, "mixed": mixed}
    return special[traffic]() if traffic in special else [Request(traffic, body) for body in bodies(traffic)]


def bodies(endpoint: str) -> list[Body]:
    """Returns the JSON bodies for "tag", "classify" or "generate": one sentence or prompt each."""
    if endpoint == "generate":
        prompts = [sentence[:PROMPT_CHARACTERS] for sentence in sentences()]
        return [
            {"prompt": prompt, "max_tokens": GENERATED_CHARACTERS, "seed": seed} for seed, prompt in enumerate(prompts)
        ]
    leaving_out = {"lemmas": False} if endpoint == "tag" else {}  # nobody else has them
    return [{"text": sentence} | leaving_out for sentence in sentences()]


def ewt() -> list[Request]:
    """Returns sentences in the lengths of EWT's test part, shuffled; their words are those of the load."""
    histogram = json.loads(EWT_LENGTHS.read_text(encoding="utf-8"))
    lengths = [int(length) for length, number in histogram.items() for _ in range(number)]
    random.Random(1).shuffle(lengths)
    words = cycle(" ".join(sentences()).split())
    return [Request("tag", {"tokens": [list(islice(words, length))]}) for length in lengths]


def long() -> list[Request]:
    """Returns short sentences to tag, one in fifty of them replaced by one of 200 words."""
    short = [Request("tag", body) for body in bodies("tag")]
    for place in range(LONG_EVERY // 2, len(short), LONG_EVERY):
        short[place] = Request("tag", long_body(), timed=False)
    return short


def endless() -> list[Request]:
    """Returns generations so long that a client which repeats them always has one running."""
    return [Request("generate", {**body, "max_tokens": ENDLESS_CHARACTERS}) for body in bodies("generate")]


def mixed() -> Iterator[Request]:
    """Yields requests of all kinds for ever. One in four brings a word that nobody has seen."""
    for number, sentence in enumerate(cycle(sentences())):
        text = sentence if number % 4 else f"{sentence} {new_word()}"
        if number % 10 == 0:
            prompt = {"prompt": text[-PROMPT_CHARACTERS:], "max_tokens": GENERATED_CHARACTERS, "seed": number}
            yield Request("generate", prompt)
        elif number % LONG_EVERY == 1:
            yield Request("tag", long_body())
        elif number % LONG_EVERY == 2:
            yield Request("tag", {"text": [text] * 8})
        else:
            yield Request("classify" if number % 3 else "tag", {"text": text})


def long_body() -> Body:
    """Returns a sentence of 200 words to tag."""
    return {"tokens": [list(islice(cycle(" ".join(sentences()).split()), LONG_WORDS))]}


def new_word() -> str:
    """Returns a word that was never there."""
    return "".join(random.choices(LETTERS, k=10))


@cache
def sentences() -> Sequence[str]:
    """Returns the sentences of the load."""
    return SENTENCES.read_text(encoding="utf-8").splitlines()
