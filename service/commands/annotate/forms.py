"""Encodes annotations of lines: CoNLL-U, JSON lines, or CSV."""

import csv
import io
from collections.abc import Callable, Coroutine, Iterable, Sequence
from itertools import repeat
from typing import Any

from service.formats import classification, tagging
from service.pipelines.classification import classify
from service.pipelines.run import PipelineRun
from service.pipelines.tagging import tag
from service.text.conllu import write_features

Annotate = Callable[
    [PipelineRun, list[str], int], Coroutine[Any, Any, bytes]
]  # some lines, the first of which has that number
TOKEN_COLUMNS = ("text", "start", "end", "lemma", "upos", "xpos", "feats", "confidence")


async def tag_conllu(run: PipelineRun, lines: list[str], first: int) -> bytes:
    """Encodes each line as a document, with the line's number as its id; a blank one has no sentence."""
    model, texts = await tag(run, lines)
    return b"".join(await run.do(tagging.write_conllu(model, texts, first=first)))


async def tag_jsonl(run: PipelineRun, lines: list[str], first: int) -> bytes:
    """Encodes for each line a result of /tag, with the line's number."""
    _, texts = await tag(run, lines)
    return _numbered([await run.do(tagging.write_result(text)) for text in texts], first)


async def tag_csv(run: PipelineRun, lines: list[str], first: int) -> bytes:
    """Encodes a row per token: the numbers of line, sentence and token, each from 1, then the tags."""
    _, texts = await tag(run, lines)
    rows: list[Sequence[Any]] = []
    for line, text in enumerate(texts, first):
        lemmas = text.lemmas or repeat(repeat(""))
        for number, (sentence, tags, row) in enumerate(zip(text.sentences, text.tags, lemmas, strict=False), 1):
            for place, (token, tag_, lemma) in enumerate(zip(sentence.tokens, tags, row, strict=False), 1):
                known = (tag_.upos, tag_.xpos, write_features(tag_.feats), tag_.confidence)
                rows.append((line, number, place, token.text, token.start, token.end, lemma, *known))
    return _rows(["line", "sentence", "token", *TOKEN_COLUMNS], rows, first)


async def classify_jsonl(run: PipelineRun, lines: list[str], first: int) -> bytes:
    """Encodes for each line a result of /classify, with the line's number."""
    _, texts = await classify(run, lines)
    return _numbered([await run.do(classification.write_result(text)) for text in texts], first)


async def classify_csv(run: PipelineRun, lines: list[str], first: int) -> bytes:
    """Encodes a row per line: its number, label, probabilities and text."""
    _, texts = await classify(run, lines)
    results = [text.classification for text in texts]
    rows = [
        [number, result.label, *result.scores.values(), text]
        for number, (result, text) in enumerate(zip(results, lines, strict=True), first)
    ]
    return _rows(["line", "label", *results[0].scores, "text"], rows, first)


FORMS: dict[tuple[str, str], Annotate] = {
    ("tag", "conllu"): tag_conllu,
    ("tag", "jsonl"): tag_jsonl,
    ("tag", "csv"): tag_csv,
    ("classify", "jsonl"): classify_jsonl,
    ("classify", "csv"): classify_csv,
}


def _numbered(results: Iterable[Sequence[bytes]], first: int) -> bytes:
    """Encodes a line per result, with its number as the first member."""
    return b"".join(b'{"line":%d,%b\n' % (number, b"".join(pieces)[1:]) for number, pieces in enumerate(results, first))


def _rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], first: int) -> bytes:
    """Encodes rows as CSV (RFC 4180), with a header before the first line."""
    content = io.StringIO()
    writer = csv.writer(content)
    writer.writerows([columns, *rows] if first == 1 else rows)
    return content.getvalue().encode()
