"""Encodes annotations of rows: CoNLL-U, JSON Lines, or CSV."""

import csv
import io
from codecs import BOM_UTF8
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from service.artifact.version import ModelVersion
from service.commands.annotate.conllu import comments, write_block
from service.commands.annotate.rows import Chunk, Position, Row
from service.formats import tagging
from service.formats.pieces import to_json
from service.pipelines.classification import classify
from service.pipelines.run import PipelineRun
from service.pipelines.tagging import TaggedText, tag
from service.tasks.sentiment import SCORE, Classification, Sentiment, has_score
from service.text.conllu import Columns, write_features

OutputFormat = Literal["conllu", "jsonl", "csv", "parquet"]
TOKEN_COLUMNS = {  # of a token, with their types in Arrow
    "text": "string",
    "start": "int32",
    "end": "int32",
    "lemma": "string",
    "upos": "string",
    "xpos": "string",
    "feats": "string",
    "confidence": "float32",
}
TOKEN_NAMES = ["sentence", "token", *TOKEN_COLUMNS]  # in CSV


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """Options of the results.

    Attributes:
        prefix: what the names of results begin with.
        n_best: tags for each token, in JSON.
    """

    prefix: str = ""
    n_best: int = 1


Annotate = Callable[[PipelineRun, Chunk, OutputOptions], Coroutine[Any, Any, bytes]]


async def tag_conllu(run: PipelineRun, chunk: Chunk, options: OutputOptions) -> bytes:
    """Encodes each row as a document, with the number of its line as its id; a blank one has no sentence.

    Sentences of CoNLL-U stay as they are but for lemmas and tags.
    """
    model, texts = await _tag(run, chunk.rows)
    is_first = chunk.start == Position()
    if not any(row.block for row in chunk.rows):
        numbers = [row.line for row in chunk.rows]
        return b"".join(await run.do(tagging.write_conllu(model, texts, numbers=numbers, with_generator=is_first)))
    blocks: list[str] = []
    for row, text in zip(chunk.rows, texts, strict=True):
        generator = tagging.generator_of(model) if is_first and not blocks else None
        blocks.append(write_block(row.block, list(_columns(text)), generator))
    return "".join(blocks).encode()


async def tag_jsonl(run: PipelineRun, chunk: Chunk, options: OutputOptions) -> bytes:
    """Encodes for each row an object with the result of /tag, and what is kept of the input."""
    _, texts = await _tag(run, chunk.rows, candidates=options.n_best > 1)
    name = to_json(f"{options.prefix}sentences")
    objects = []
    for row, text in zip(chunk.rows, texts, strict=True):
        (_, *sentences) = await run.do(tagging.write_result(text, n_best=options.n_best))
        objects.append(b"{%b,%b:%b\n" % (_kept(row, chunk.layout.columns), name, b"".join(sentences)))
    return b"".join(objects)


async def tag_csv(run: PipelineRun, chunk: Chunk, options: OutputOptions) -> bytes:
    """Encodes a row per token: the number of the line; the cells of a table's row but the text; the tags.

    A column called `line` takes the place of the number.
    """
    _, texts = await _tag(run, chunk.rows)
    columns, place = chunk.layout.columns, chunk.layout.text
    keys = [i for i in range(len(columns)) if i != place]
    numbered = "line" not in [columns[i] for i in keys]
    rows: list[Sequence[Any]] = []
    for row, text in zip(chunk.rows, texts, strict=True):
        kept = [*([row.line] if numbered else []), *(row.cells[i] for i in keys if row.cells)]
        rows += [(*kept, *cells) for cells in _tokens(text, "_")]
    names = [options.prefix + name for name in TOKEN_NAMES]
    return _csv([*(["line"] if numbered else []), *(columns[i] for i in keys), *names], rows, chunk)


async def classify_jsonl(run: PipelineRun, chunk: Chunk, options: OutputOptions) -> bytes:
    """Encodes for each row an object with its label and scores, null if it is blank, and what is kept of the input."""
    names = _names_of_classification(run.resources.catalog.find(Sentiment, None).labels)
    objects = []
    for row, result in zip(chunk.rows, await _classify(run, chunk.rows), strict=True):
        members = to_json({options.prefix + name: result and getattr(result, name) for name in names})[1:]
        objects.append(b"{%b,%b\n" % (_kept(row, chunk.layout.columns), members))
    return b"".join(objects)


async def classify_csv(run: PipelineRun, chunk: Chunk, options: OutputOptions) -> bytes:
    """Encodes each row of a table with its label, probabilities and score behind its cells; a blank line stays blank.

    Rows of other inputs become the number of the line, the label, the probabilities, the score, and the text.
    """
    task = run.resources.catalog.find(Sentiment, None)
    names = [options.prefix + name for name in ("label", *task.labels, *[SCORE] * task.has_score)]
    columns = chunk.layout.columns
    rows: list[Sequence[Any]] = []
    for row, result in zip(chunk.rows, await _classify(run, chunk.rows), strict=True):
        known: list[Any] = [""] * len(names)
        if result is not None:
            known = [result.label, *result.scores.values(), *[result.score] * task.has_score]
        if columns:
            rows.append([*row.cells, *known] if row.cells else [])
        else:
            rows.append([row.line, *known, row.text])
    return _csv([*columns, *names] if columns else ["line", *names, "text"], rows, chunk)


async def tag_parquet(run: PipelineRun, chunk: Chunk, options: OutputOptions) -> bytes:
    """Encodes rows with a column of their tokens, for Parquet."""
    from service.commands.annotate.parquet import tokens_of

    _, texts = await _tag(run, chunk.rows)
    values = [[(number, *cells) for number, _, *cells in _tokens(text, None)] for text in texts]
    return _typed(chunk, {f"{options.prefix}tokens": (tokens_of({"sentence": "int32", **TOKEN_COLUMNS}), values)})


async def classify_parquet(run: PipelineRun, chunk: Chunk, options: OutputOptions) -> bytes:
    """Encodes rows with a column of their label, one of the probability of each, and one of the score, for Parquet."""
    from service.commands.annotate.parquet import classification_types

    labels = run.resources.catalog.find(Sentiment, None).labels
    types = classification_types(labels)
    classified = await _classify(run, chunk.rows)
    results = {
        options.prefix + name: (types[name], [result and getattr(result, name) for result in classified])
        for name in _names_of_classification(labels)
    }
    return _typed(chunk, results)


FORMS: dict[tuple[str, str], Annotate] = {
    ("tag", "conllu"): tag_conllu,
    ("tag", "jsonl"): tag_jsonl,
    ("tag", "csv"): tag_csv,
    ("classify", "jsonl"): classify_jsonl,
    ("classify", "csv"): classify_csv,
    ("tag", "parquet"): tag_parquet,
    ("classify", "parquet"): classify_parquet,
}


def names_of_results(task: str, form: str, prefix: str, labels: Sequence[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Returns the names of results that no column of a table, and no member of a JSON object, may have."""
    names = {
        ("tag", "csv"): TOKEN_NAMES,
        ("tag", "jsonl"): ["sentences"],
        ("classify", "jsonl"): _names_of_classification(labels),
        ("classify", "csv"): ["label", *labels, *[SCORE] * has_score(labels)],
        ("tag", "parquet"): ["tokens"],
        ("classify", "parquet"): _names_of_classification(labels),
    }.get((task, form), [])
    taken = frozenset(prefix + name for name in names)
    return taken, taken if form in ("jsonl", "parquet") else frozenset()


def _names_of_classification(labels: Sequence[str]) -> list[str]:
    """Returns the names of the attributes of a classification, in formats that keep the probabilities together."""
    return ["label", "scores", *[SCORE] * has_score(labels)]


async def _tag(
    run: PipelineRun, rows: Sequence[Row], candidates: bool = False
) -> tuple[ModelVersion, list[TaggedText]]:
    """Tags rows; a blank one has no sentences."""
    if all(row.tokens is None for row in rows):
        return await tag(run, [row.text for row in rows], candidates=candidates)
    model, tagged = await tag(run, tokens=[row.tokens for row in rows if row.tokens], candidates=candidates)
    results = iter(tagged)
    return model, [next(results) if row.tokens else TaggedText(row.text, (), ()) for row in rows]


async def _classify(run: PipelineRun, rows: Sequence[Row]) -> list[Classification | None]:
    """Classifies rows; a blank one has no result."""
    texts = [row.text for row in rows if row.text and not row.text.isspace()]
    _, classified = await classify(run, texts)
    results = iter(classified)
    return [next(results).classification if row.text and not row.text.isspace() else None for row in rows]


def _tokens(text: TaggedText, no_features: str | None) -> Iterator[tuple[Any, ...]]:
    """Yields for each token the numbers of its sentence and of itself, each from 1, and the values of TOKEN_COLUMNS."""
    for number, (sentence, tags) in enumerate(zip(text.sentences, text.tags, strict=True), 1):
        for place, (token, tag_) in enumerate(zip(sentence.tokens, tags, strict=True), 1):
            feats = write_features(tag_.feats) if tag_.feats else no_features
            tags_of_token = (tag_.lemma, tag_.upos, tag_.xpos, feats, tag_.confidence)
            yield number, place, token.text, token.start, token.end, *tags_of_token


def _typed(chunk: Chunk, results: Mapping[str, tuple[Any, Sequence[Any]]]) -> bytes:
    from service.commands.annotate.parquet import with_results

    rows = [
        row if row.record is not None else row._replace(record=_record(row, chunk.layout.columns)) for row in chunk.rows
    ]
    return with_results(rows, chunk.schema, results, chunk.start == Position())


def _record(row: Row, columns: Sequence[str]) -> dict[str, str]:
    """Returns what is kept of a row of text."""
    if columns:
        return dict(zip(columns, row.cells, strict=False))
    return comments(row.block) if row.block else {"text": row.text if row.tokens is None else " ".join(row.tokens)}


def _columns(text: TaggedText) -> Iterator[Columns]:
    for tags in text.tags:
        for tag_ in tags:
            yield Columns(tag_.upos, tag_.xpos, tag_.feats, tag_.lemma)


def _kept(row: Row, columns: Sequence[str]) -> bytes:
    """Returns what is kept of the input and the number of the line, as members without braces.

    A column called `line` takes the place of the number.
    """
    kept = {"line": row.line} | dict(zip(columns, row.cells, strict=False)) | comments(row.block)
    return row.members or to_json(kept)[1:-1]


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Any]], chunk: Chunk) -> bytes:
    """Encodes rows as CSV (RFC 4180), with the input's delimiter, and a header and its mark before the first one."""
    content = io.StringIO()
    writer = csv.writer(content, **chunk.layout.csv)
    is_first = chunk.start == Position()
    writer.writerows([columns, *rows] if is_first else rows)
    return (BOM_UTF8 if is_first and chunk.layout.has_mark else b"") + content.getvalue().encode()
