"""The annotations of some lines as bytes: CoNLL-U, JSON a line, or CSV."""

import csv
import io
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from service.api import schemas
from service.api.call import Call
from service.api.classify import judge
from service.api.encoding import to_json
from service.api.problem import all_accepted
from service.api.tag import as_conllu, as_json, tag
from service.text.conllu import write_features

Annotate = Callable[
    [Call, list[str], int], Coroutine[Any, Any, bytes]
]  # some lines, the first of which has that number
TOKEN_COLUMNS = ("text", "start", "end", "lemma", "upos", "xpos", "feats", "confidence")


async def tag_conllu(call: Call, lines: list[str], first: int) -> bytes:
    """Each line is a document, with the line's number for its id; a blank one has no sentence."""
    task, texts = await tag(call, schemas.TagRequest(text=[*lines]))
    return as_conllu(task, all_accepted(texts), "code_points", first).encode()


async def tag_jsonl(call: Call, lines: list[str], first: int) -> bytes:
    """For each line what /tag answers for a text, and the line's number."""
    return _numbered(await _tagged(call, lines), first)


async def tag_csv(call: Call, lines: list[str], first: int) -> bytes:
    """A row a token: the numbers of the line, of the sentence in it and of the token in that, each from 1."""
    rows: list[Sequence[Any]] = []
    for line, result in enumerate(await _tagged(call, lines), first):
        for number, sentence in enumerate(result["sentences"], 1):
            for place, token in enumerate(sentence["tokens"], 1):
                token["feats"] = write_features(token["feats"])
                rows.append([line, number, place, *(token.get(name, "") for name in TOKEN_COLUMNS)])
    return _rows(["line", "sentence", "token", *TOKEN_COLUMNS], rows, first)


async def classify_jsonl(call: Call, lines: list[str], first: int) -> bytes:
    """For each line what /classify answers for a text, and the line's number."""
    return _numbered(await _judged(call, lines), first)


async def classify_csv(call: Call, lines: list[str], first: int) -> bytes:
    """A row a line: its number, its label, the probability of each label, its text."""
    results = await _judged(call, lines)
    rows = [
        [number, result["label"], *result["scores"].values(), text]
        for number, (result, text) in enumerate(zip(results, lines, strict=True), first)
    ]
    return _rows(["line", "label", *results[0]["scores"], "text"], rows, first)


FORMS: dict[tuple[str, str], Annotate] = {
    ("tag", "conllu"): tag_conllu,
    ("tag", "jsonl"): tag_jsonl,
    ("tag", "csv"): tag_csv,
    ("classify", "jsonl"): classify_jsonl,
    ("classify", "csv"): classify_csv,
}


async def _tagged(call: Call, lines: list[str]) -> list[dict[str, Any]]:
    task, texts = await tag(call, schemas.TagRequest(text=[*lines]))
    results: list[dict[str, Any]] = as_json(task, texts, "code_points")["results"]
    return results


async def _judged(call: Call, lines: list[str]) -> list[dict[str, Any]]:
    return all_accepted((await judge(call, schemas.ClassifyRequest(text=[*lines])))[1])


def _numbered(results: Iterable[dict[str, Any]], first: int) -> bytes:
    return b"".join(to_json({"line": number, **result}) + b"\n" for number, result in enumerate(results, first))


def _rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], first: int) -> bytes:
    """Returns rows as RFC 4180 has them, their names before those of the first line."""
    content = io.StringIO()
    writer = csv.writer(content)
    writer.writerows([columns, *rows] if first == 1 else rows)
    return content.getvalue().encode()
