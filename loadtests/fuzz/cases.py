"""The cases of the fuzz: each is made of a seed and its number alone, so that it can be sent again."""

import json
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from loadtests.fuzz import valid
from loadtests.fuzz.json_mutations import encoded, mutated, odd, with_odd_texts
from loadtests.fuzz.message import Message
from loadtests.fuzz.valid import HOST, LINES, TIMEOUT, Endpoint
from loadtests.fuzz.wire_mutations import change_headers, change_target, damaged, framed, split, zipped

ANSWER_SECONDS = 60.0  # for an answer that must come
QUIET_SECONDS = 0.5  # for one that need not: the service may wait for the rest of the request
CHARSETS = ["utf-16", "utf-16-le", "utf-32", "utf-7", "latin-1", "cp037", "utf-8-sig"]
NDJSON = (b"Content-Type", b"application/x-ndjson")


@dataclass(frozen=True, slots=True)
class Case:
    """What is sent on one connection."""

    number: int
    kind: str
    pieces: list[bytes]  # written one after the other
    answers: int = 1  # for which the client waits
    must_answer: bool = False  # it is well-formed HTTP, so no answer is a fault
    seconds: float = QUIET_SECONDS

    def __str__(self) -> str:
        content = b"".join(self.pieces)
        return f"case {self.number} ({self.kind}, {len(content)} bytes): {content[:300]!r}"


@dataclass(slots=True)
class Draft:
    """A case without its number."""

    content: bytes | list[bytes]
    answers: int = 1
    must_answer: bool = False
    seconds: float = QUIET_SECONDS


def make(seed: int, number: int, endpoints: Sequence[Endpoint]) -> Case:
    """Returns a case."""
    chance = random.Random(f"{seed}/{number}")
    kind = chance.choice(list(KINDS))
    draft = KINDS[kind](endpoints, chance)
    pieces = draft.content if isinstance(draft.content, list) else split(draft.content, chance)
    seconds = ANSWER_SECONDS if draft.must_answer else draft.seconds
    return Case(number, kind, pieces, draft.answers, draft.must_answer, seconds)


def _any(endpoints: Sequence[Endpoint], chance: random.Random) -> Message:
    return valid.message(chance.choice(endpoints), chance)


def _post(endpoints: Sequence[Endpoint], chance: random.Random) -> tuple[Endpoint, Message]:
    endpoint = chance.choice([endpoint for endpoint in endpoints if endpoint.method == "POST"])
    return endpoint, valid.message(endpoint, chance)


def bodies(endpoints: Sequence[Endpoint], chance: random.Random) -> Draft:
    """A well-formed request whose JSON is mutated."""
    endpoint, message = _post(endpoints, chance)
    message.body = mutated(valid.body(endpoint.path, chance)[1], chance)
    return Draft(message.encode(), must_answer=True)


def texts(endpoints: Sequence[Endpoint], chance: random.Random) -> Draft:
    """A valid request with odd text in the place of each of its texts."""
    endpoint, message = _post(endpoints, chance)
    message.body = encoded(with_odd_texts(valid.body(endpoint.path, chance)[1], chance), chance)
    return Draft(message.encode(), must_answer=True)


def targets(endpoints: Sequence[Endpoint], chance: random.Random) -> Draft:
    """Another method or path."""
    message = _any(endpoints, chance)
    change_target(message, chance)
    return Draft(message.encode())


def headers(endpoints: Sequence[Endpoint], chance: random.Random) -> Draft:
    """Headers that are inserted, repeated, reordered, damaged."""
    message = _any(endpoints, chance)
    if chance.random() < 0.5:  # the length among the headers that are mutated
        message.headers.append((b"Content-Length", b"%d" % len(message.body)))
        change_headers(message, chance)
        return Draft(message.head(message.headers) + message.body)
    change_headers(message, chance)
    return Draft(message.encode())


def framing(endpoints: Sequence[Endpoint], chance: random.Random) -> Draft:
    """Lengths, chunks and trailers, right and wrong."""
    return Draft(framed(_post(endpoints, chance)[1], chance))


def compression(endpoints: Sequence[Endpoint], chance: random.Random) -> Draft:
    """Bodies that are gzip, or nearly."""
    endpoint, message = _post(endpoints, chance)
    message.headers.append((b"Content-Encoding", b"gzip"))
    if endpoint.path in LINES and chance.random() < 0.5:
        message.headers[1] = NDJSON
        message.body = (message.body + b"\n" * chance.choice([1, 1000, 100_000])) * chance.choice([1, 3])
    message.body = zipped(message.body, chance)
    return Draft(message.encode() if message.body else message.head([*message.headers, (b"Content-Length", b"0")]))


def lines(endpoints: Sequence[Endpoint], chance: random.Random) -> Draft:
    """Newline-delimited bodies with lines that are mutated, blank, broken or cut off."""
    path = chance.choice([path for path in LINES if any(endpoint.path == path for endpoint in endpoints)])
    made = []
    for _ in range(chance.choice([1, 3, 10, 40])):
        made.append(line(valid.body(path, chance)[1], chance).replace(b"\n", b" "))
    message = Message(b"POST", path.encode(), [HOST, NDJSON, TIMEOUT], b"\n".join(made))
    if chance.random() < 0.3:
        message.headers.append((b"Accept-Encoding", b"gzip"))
    if chance.random() < 0.2:
        return Draft(framed(message, chance))
    if chance.random() < 0.5:
        return Draft(message.chunked([chance.randrange(1, 500) for _ in range(20)], []), must_answer=True)
    return Draft(message.encode() if message.body else message.chunked([], []), must_answer=True)


def line(content: dict[str, Any], chance: random.Random) -> bytes:
    """Returns a line: a valid body, a mutated one, one with odd texts, another value, or a blank."""
    match chance.randrange(5):
        case 0:
            return encoded(content, chance)
        case 1:
            return mutated(content, chance)
        case 2:
            return encoded(with_odd_texts(content, chance), chance)
        case 3:
            return encoded(odd(chance), chance)
        case _:
            return chance.choice([b"", b"  \r", b"\t" * 1000])


def streams(endpoints: Sequence[Endpoint], chance: random.Random) -> Draft:
    """Server-sent events: read to their end, or left at some moment."""
    path = chance.choice(["/generate", "/v1/completions"])
    content = {**valid.body(path, chance)[1], "stream": True}
    body = mutated(content, chance) if chance.random() < 0.5 else encoded(content, chance)
    message = Message(b"POST", path.encode(), [HOST, valid.JSON, TIMEOUT], body)
    if chance.random() < 0.3:
        message.headers.append((b"Accept", b"text/event-stream"))
    if chance.random() < 0.4:
        return Draft(message.encode(), seconds=chance.random() * 0.1)
    return Draft(message.encode(), must_answer=True)


def damage(endpoints: Sequence[Endpoint], chance: random.Random) -> Draft:
    """A valid request in which bytes are flipped, removed, repeated, inserted, or that is cut off."""
    content = damaged(_any(endpoints, chance).encode(), chance)
    return Draft(content[: chance.randrange(len(content) + 1)] if chance.random() < 0.2 else content)


def pipelines(endpoints: Sequence[Endpoint], chance: random.Random) -> Draft:
    """Several requests on one connection, with or without garbage between them."""
    count = chance.choice([2, 3, 10, 16])
    requests = [_any(endpoints, chance).encode() for _ in range(count)]
    if chance.random() < 0.5:
        return Draft(b"".join(requests), answers=count, must_answer=True)
    garbage = [
        chance.choice([b"\r\n", b"\r\n\r\n", b"\0", b" ", b"x", chance.randbytes(20), b"0\r\n\r\n"]) for _ in requests
    ]
    parts = [part for pair in zip(requests, garbage, strict=True) for part in pair]
    return Draft(b"".join(parts), answers=count)


def charsets(endpoints: Sequence[Endpoint], chance: random.Random) -> Draft:
    """JSON in an encoding that is not UTF-8, or in damaged UTF-8."""
    endpoint, message = _post(endpoints, chance)
    text = json.dumps(valid.body(endpoint.path, chance)[1], ensure_ascii=False)
    charset = chance.choice([*CHARSETS, "damaged"])
    if charset == "damaged":
        message.body = damaged(text.encode(), chance)
    else:
        message.body = text.encode(charset, "replace")
    message.headers[1] = (b"Content-Type", b"application/json; charset=" + charset.encode())
    return Draft(message.encode(), must_answer=bool(message.body))


def tensors(endpoints: Sequence[Endpoint], chance: random.Random) -> Draft:
    """Requests in the binary extension of the Open Inference Protocol, with sizes that are right or wrong."""
    strings = b"".join(struct.pack("<I", len(text)) + text for text in (b"Good.", "犬 é".encode(), b""))
    sizes = [
        len(strings),
        len(strings),
        len(strings) - 1,
        len(strings) + 1,
        0,
        -1,
        2**31,
        2**64,
        10**400,
        True,
        "5",
        1.0,
    ]
    shape = chance.choice([[3], [3], [1, 3], [3, 1, 1], [-1], [10**400], [2**32, 2**32], [0], [], [3.0], [2**63, 0]])
    tensor = {
        "name": "text",
        "datatype": chance.choice(["BYTES", "BYTES", "BYTES", "FP32", "INT64", "FP16"]),
        "shape": shape,
        "parameters": {"binary_data_size": chance.choice(sizes)},
    }
    content: dict[str, object] = {"inputs": [tensor] * chance.choice([1, 1, 2])}
    if chance.random() < 0.3:
        content["parameters"] = {"timeout": odd(chance), "binary_data_output": chance.choice([True, "yes"])}
    head = mutated(content, chance) if chance.random() < 0.4 else encoded(content, chance)
    length = chance.choice([len(head), len(head), len(head), len(head) - 1, len(head) + 1, 0, 10**12])
    name = chance.choice(["sentiment-en", "tagger-en", "lm-shakespeare"])
    message = Message(b"POST", f"/v2/models/{name}/infer".encode(), [HOST, TIMEOUT])
    message.headers.append((b"Inference-Header-Content-Length", b"%d" % length))
    message.body = head + (damaged(strings, chance) if chance.random() < 0.3 else strings)
    return Draft(message.encode(), must_answer=True)


KINDS: dict[str, Callable[[Sequence[Endpoint], random.Random], Draft]] = {
    "bodies": bodies,
    "texts": texts,
    "targets": targets,
    "headers": headers,
    "framing": framing,
    "compression": compression,
    "lines": lines,
    "streams": streams,
    "damage": damage,
    "pipelines": pipelines,
    "charsets": charsets,
    "tensors": tensors,
}
