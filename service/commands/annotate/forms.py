"""The annotations of some lines as bytes: CoNLL-U, JSON a line, or CSV."""

import csv
import io
from collections.abc import Callable, Coroutine, Iterable, Sequence
from itertools import repeat
from typing import Any

from service.http import schemas
from service.http.call import Call
from service.http.classify import judge
from service.http.tag import tag, write_conllu, write_result
from service.text.conllu import write_features

Annotate = Callable[
    [Call, list[str], int], Coroutine[Any, Any, bytes]
]  # some lines, the first of which has that number
TOKEN_COLUMNS = ("text", "start", "end", "lemma", "upos", "xpos", "feats", "confidence")


async def tag_conllu(call: Call, lines: list[str], first: int) -> bytes:
    """Each line is a document, with the line's number for its id; a blank one has no sentence."""
    task, texts = await tag(call, schemas.TagRequest(text=[*lines]))
    return b"".join(await call.run(write_conllu(task, texts, "code_points", first)))


async def tag_jsonl(call: Call, lines: list[str], first: int) -> bytes:
    """For each line what /tag answers for a text, and the line's number."""
    body = schemas.TagRequest(text=[*lines])
    _, texts = await tag(call, body)
    return _numbered([await call.run(write_result(text, body)) for text in texts], first)


async def tag_csv(call: Call, lines: list[str], first: int) -> bytes:
    """A row a token: the numbers of the line, of the sentence in it and of the token in that, each from 1."""
    _, texts = await tag(call, schemas.TagRequest(text=[*lines]))
    rows: list[Sequence[Any]] = []
    for line, text in enumerate(texts, first):
        lemmas = text.lemmas or repeat(repeat(""))
        for number, (sentence, tags, row) in enumerate(zip(text.sentences, text.tags, lemmas, strict=False), 1):
            for place, (token, tag_, lemma) in enumerate(zip(sentence.tokens, tags, row, strict=False), 1):
                known = (tag_.upos, tag_.xpos, write_features(tag_.feats), tag_.confidence)
                rows.append((line, number, place, token.text, token.start, token.end, lemma, *known))
    return _rows(["line", "sentence", "token", *TOKEN_COLUMNS], rows, first)


async def classify_jsonl(call: Call, lines: list[str], first: int) -> bytes:
    """For each line what /classify answers for a text, and the line's number."""
    _, results = await judge(call, schemas.ClassifyRequest(text=[*lines]))
    return _numbered([result.json for result in results], first)


async def classify_csv(call: Call, lines: list[str], first: int) -> bytes:
    """A row a line: its number, its label, the probability of each label, its text."""
    _, results = await judge(call, schemas.ClassifyRequest(text=[*lines]))
    judgements = [result.judgement for result in results]
    rows = [
        [number, judgement.label, *judgement.scores.values(), text]
        for number, (judgement, text) in enumerate(zip(judgements, lines, strict=True), first)
    ]
    return _rows(["line", "label", *judgements[0].scores, "text"], rows, first)


FORMS: dict[tuple[str, str], Annotate] = {
    ("tag", "conllu"): tag_conllu,
    ("tag", "jsonl"): tag_jsonl,
    ("tag", "csv"): tag_csv,
    ("classify", "jsonl"): classify_jsonl,
    ("classify", "csv"): classify_csv,
}


def _numbered(results: Iterable[Sequence[bytes]], first: int) -> bytes:
    """Returns a line for each result, which is in pieces: its number before its members."""
    return b"".join(b'{"line":%d,%b\n' % (number, b"".join(pieces)[1:]) for number, pieces in enumerate(results, first))


def _rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], first: int) -> bytes:
    """Returns rows as RFC 4180 has them, their names before those of the first line."""
    content = io.StringIO()
    writer = csv.writer(content)
    writer.writerows([columns, *rows] if first == 1 else rows)
    return content.getvalue().encode()
