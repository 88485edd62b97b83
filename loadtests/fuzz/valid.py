"""Valid requests to every endpoint that the OpenAPI document lists: what the fuzz mutates."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loadtests.fuzz.message import Message

HOST = (b"Host", b"127.0.0.1")
JSON = (b"Content-Type", b"application/json")
TIMEOUT_MS = 2000
# A generation or a queue that takes longer is answered 504, so the fuzz waits for no answer longer than this.
TIMEOUT = (b"X-Request-Timeout-Ms", b"%d" % TIMEOUT_MS)

NAMES = ["tagger-en", "sentiment-en", "lm-shakespeare", "nothing", "a%2Fb", "%00", "."]
VERSIONS = ["1", "2", "3", "4", "0", "-1", "one", "9" * 40]

_infer = "/v2/models/{name}/infer"
# By path: the model's name where the path has one, and a body.
BODIES: Mapping[str, list[tuple[str, dict[str, Any]]]] = {
    "/tag": [
        ("", {"text": "She didn't see it."}),
        ("", {"text": ["Dr. Smith's e-mail cost $3.50.", "犬が吠える 😀 e\u0301"], "n_best": 3, "offsets": "utf16"}),
        ("", {"tokens": [["Dogs", "bark", "."], ["Yes"]], "lemmas": False, "offsets": "utf8"}),
        ("", {"text": "One. Two.", "format": "conllu", "model": "tagger-en"}),
    ],
    "/classify": [
        ("", {"text": "A warm, funny film."}),
        ("", {"text": ["Good. Bad.", ""], "contributions": "positive", "sentences": True, "offsets": "utf8"}),
        ("", {"text": "A dull mess!", "model": "sentiment-en"}),
    ],
    "/generate": [
        ("", {"prompt": "ROMEO:", "max_tokens": 8, "seed": 1}),
        ("", {"prompt": ["To be", "Or"], "max_tokens": 5, "n": 2, "logprobs": 2, "temperature": 0.5, "top_k": 4}),
        ("", {"prompt": "A", "max_tokens": 20, "stop": ["e", "\n\n"], "top_p": 0.9, "stream": True}),
    ],
    "/v1/completions": [
        ("", {"model": "lm-shakespeare", "prompt": "ROMEO:", "max_tokens": 8}),
        ("", {"model": "lm-shakespeare", "prompt": "To be", "max_tokens": 4, "n": 2, "logprobs": 2, "stop": "e"}),
        ("", {"model": "lm-shakespeare", "prompt": ["a", "b"], "max_tokens": 4, "stream": True, "echo": True}),
    ],
    _infer: [
        ("sentiment-en", {"inputs": [{"name": "text", "shape": [2], "datatype": "BYTES", "data": ["Good.", "Bad."]}]}),
        (
            "tagger-en",
            {
                "id": "7",
                "inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["It is."]}],
                "outputs": [{"name": "sentences", "parameters": {"binary_data": True}}],
            },
        ),
        (
            "lm-shakespeare",
            {
                "parameters": {"max_tokens": 4, "n": 2, "timeout": 1_000_000},
                "inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["Who"]}],
            },
        ),
    ],
}
LINES = ("/tag", "/classify", "/generate")  # paths that take newline-delimited JSON


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method and a path of the OpenAPI document, in which names stand in braces."""

    method: str
    path: str


def endpoints(document: Mapping[str, Any]) -> list[Endpoint]:
    """Returns every endpoint of an OpenAPI document, in its order."""
    return [Endpoint(method.upper(), path) for path, methods in document["paths"].items() for method in methods]


def target(path: str, chance: random.Random, name: str = "") -> bytes:
    """Returns a path with its names filled in: the model's where one is given, else any."""
    filled = path.replace("{name}", name or chance.choice(NAMES)).replace("{version}", chance.choice(VERSIONS))
    return filled.encode()


def body(path: str, chance: random.Random) -> tuple[str, dict[str, Any]]:
    """Returns the model's name, where the path has one, and a valid body; an empty one for a path not known here."""
    known = BODIES.get(path) or BODIES.get(path.replace("/versions/{version}", ""))
    return chance.choice(known) if known else ("", {})


def message(endpoint: Endpoint, chance: random.Random) -> Message:
    """Returns a valid request to an endpoint."""
    if endpoint.method != "POST":
        return Message(endpoint.method.encode(), target(endpoint.path, chance), [HOST])
    name, content = body(endpoint.path, chance)
    return Message(b"POST", target(endpoint.path, chance, name), [HOST, JSON, TIMEOUT], json.dumps(content).encode())
