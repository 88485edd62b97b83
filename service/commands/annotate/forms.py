"""Tags or classifies rows, and encodes what comes of a chunk of them: CoNLL-U, JSON Lines, CSV, or Parquet."""

import csv
import io
from codecs import BOM_UTF8
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from service.artifact.manifest import ModelVersion
from service.commands.annotate.job import Job
from service.commands.annotate.readers import NOT_A_WORD
from service.commands.annotate.rows import Chunk, Position, Row, UnreadableInput
from service.pipelines import formats
from service.pipelines.classification import classify
from service.pipelines.formats import to_json
from service.pipelines.run import PipelineRun
from service.pipelines.tagging import TaggedText, tag
from service.tasks.sentiment import SCORE, Classification, Sentiment
from service.text.conllu import Columns, write_features
from service.text.identifier import AUTO
from service.text.interruptible import finish

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
LANGUAGE = ("language", "probability")
# Returns what made the results, a tagger's version or a classifier's task, and the result of each row.
Infer = Callable[[PipelineRun, Sequence[Row], Job], Coroutine[Any, Any, tuple[Any, Sequence[Any]]]]
# Encodes these results, of the rows of a chunk.
Encode = Callable[[Any, Sequence[Any], Chunk, Job], bytes]


def tag_conllu(model: ModelVersion, texts: Sequence[TaggedText], chunk: Chunk, job: Job) -> bytes:
    """Encodes each row as a document, with the number of its line as its id; a blank one has no sentence.

    Sentences of CoNLL-U stay as they are, except for lemmas and tags.
    """
    is_first = chunk.start == Position()
    if not any(row.block for row in chunk.rows):
        numbers = [row.line for row in chunk.rows]
        return b"".join(finish(formats.write_conllu(model, texts, numbers=numbers, with_generator=is_first)))
    blocks: list[str] = []
    for row, text in zip(chunk.rows, texts, strict=True):
        generator = formats.generator_of(model) if is_first and not blocks else None
        columns = ((one.upos, one.xpos, one.feats, one.lemma) for tags in text.tags for one in tags)
        blocks.append(_with_tags(row.block, columns, generator))
    return "".join(blocks).encode()


def _with_tags(block: Iterable[str], columns: Iterable[Columns], generator: str | None) -> str:
    """Returns a sentence of CoNLL-U with other lemmas and tags; all other lines and columns stay as they are.

    A lemma of None leaves the sentence's lemma. `generator` becomes the first comment, and replaces an earlier one.
    """
    lines = [f"# generator = {generator}"] if generator is not None else []
    words = iter(columns)
    for line in block:
        identity, *cells = line.split("\t")
        if line.startswith("#") or NOT_A_WORD.fullmatch(identity):
            if generator is None or not line.startswith("# generator ="):
                lines.append(line)
            continue
        upos, xpos, feats, lemma = next(words)
        cells[1:5] = [cells[1] if lemma is None else " ".join(lemma.split()), upos, xpos, write_features(feats)]
        lines.append("\t".join([identity, *cells]))
    return "\n".join([*lines, "", ""])


def tag_objects(model: ModelVersion, texts: Sequence[TaggedText], chunk: Chunk, job: Job) -> bytes:
    """Encodes each row as an object with its sentences as in /tag, or for Parquet with its tokens."""
    names = ("sentence", *TOKEN_COLUMNS)
    results = []
    for text in texts:
        found: dict[str, Any] = {}
        if job.form == "jsonl":
            _, *sentences, _ = finish(formats.write_tagged_text(text, n_best=job.n_best))
            found["sentences"] = msgspec.Raw(b"".join(sentences))
        else:
            found["tokens"] = [dict(zip(names, (n, *cells), strict=True)) for n, _, *cells in _tokens(text, None)]
        results.append({**_language(text, job), **found})
    return _objects(chunk, job, results)


def tag_csv(model: ModelVersion, texts: Sequence[TaggedText], chunk: Chunk, job: Job) -> bytes:
    """Encodes a row per token: the number of the line; the cells of a table's row but the text; the tags.

    A column called `line` takes the place of the number.
    """
    columns = [name for name in chunk.layout.columns if name != job.text_column]
    numbered = "line" not in columns
    rows: list[Sequence[Any]] = []
    for row, text in zip(chunk.rows, texts, strict=True):
        cells = [cell for name, cell in row.kept.items() if name != job.text_column] if columns else []
        kept = [*([row.line] if numbered else []), *map(_cell, cells)]
        language = _language(text, job).values()
        rows += [(*kept, *language, *token) for token in _tokens(text, "_")]
    languages = LANGUAGE if job.identifies else ()
    names = [job.prefix + name for name in (*languages, "sentence", "token", *TOKEN_COLUMNS)]
    _refuse_taken(chunk, columns, names)
    return _csv([*(["line"] if numbered else []), *columns, *names], rows, chunk)


def classify_objects(task: Sentiment, results: Sequence[Classification | None], chunk: Chunk, job: Job) -> bytes:
    """Encodes each row as an object with its label and scores, null if it is blank."""
    names = ["label", "scores", *[SCORE] * task.has_score]
    return _objects(chunk, job, [{name: result and getattr(result, name) for name in names} for result in results])


def classify_csv(task: Sentiment, results: Sequence[Classification | None], chunk: Chunk, job: Job) -> bytes:
    """Encodes each row of a table with its label, probabilities and score behind its cells; a blank line stays blank.

    Rows of other inputs become the number of the line, the label, the probabilities, the score, and the text.
    """
    names = [job.prefix + name for name in ("label", *task.labels, *[SCORE] * task.has_score)]
    columns = chunk.layout.columns
    rows: list[Sequence[Any]] = []
    for row, result in zip(chunk.rows, results, strict=True):
        known: list[Any] = [""] * len(names)
        if result is not None:
            known = [result.label, *result.scores.values(), *[result.score] * task.has_score]
        if columns:
            rows.append([*map(_cell, row.kept.values()), *known] if row.kept else [])
        else:
            rows.append([row.line, *known, row.text])
    _refuse_taken(chunk, columns, names)
    return _csv([*columns, *names] if columns else ["line", *names, "text"], rows, chunk)


FORMS: dict[tuple[str, str], Encode] = {
    ("tag", "conllu"): tag_conllu,
    ("tag", "jsonl"): tag_objects,
    ("tag", "csv"): tag_csv,
    ("tag", "parquet"): tag_objects,
    ("classify", "jsonl"): classify_objects,
    ("classify", "csv"): classify_csv,
    ("classify", "parquet"): classify_objects,
}


async def tagged_rows(run: PipelineRun, rows: Sequence[Row], job: Job) -> tuple[ModelVersion, list[TaggedText]]:
    """Tags rows; a blank one has no sentences."""
    options: dict[str, Any] = {"candidates": job.n_best > 1}
    is_text = all(row.tokens is None for row in rows)
    if job.identifies:
        known = [_known_language(row) for row in rows if is_text or row.tokens]
        options |= {"language": AUTO, "model": job.model, "known": known}
    if is_text:
        return await tag(run, [row.text for row in rows], **options)
    model, tagged = await tag(run, tokens=[row.tokens for row in rows if row.tokens], **options)
    results = iter(tagged)
    return model, [next(results) if row.tokens else TaggedText(row.text, (), ()) for row in rows]


def _known_language(row: Row) -> str | None:
    """Returns what a row's column or member `language` says, if it is a string."""
    value = row.kept.get("language")
    if isinstance(value, msgspec.Raw):
        value = msgspec.json.decode(value)
    return value.strip() if isinstance(value, str) else None


def _language(text: TaggedText, job: Job) -> dict[str, Any]:
    """Returns the language of a text and its probability, if languages are identified; null for a blank text."""
    if not job.identifies:
        return {}
    return dict(zip(LANGUAGE, (None, None) if text.identified is None else text.identified[:2], strict=True))


async def classified_rows(
    run: PipelineRun, rows: Sequence[Row], job: Job
) -> tuple[Sentiment, list[Classification | None]]:
    """Classifies rows; a blank one has no result. Returns the model's task, too."""
    _, classified = await classify(run, [row.text for row in rows if not row.is_blank])
    results = iter(classified)
    task = run.resources.catalog.find(Sentiment, None)
    return task, [None if row.is_blank else next(results).classification for row in rows]


INFER: dict[str, Infer] = {"tag": tagged_rows, "classify": classified_rows}


def _tokens(text: TaggedText, no_features: str | None) -> Iterator[tuple[Any, ...]]:
    """Yields for each token the numbers of its sentence and of itself, each from 1, and the values of TOKEN_COLUMNS."""
    for number, (sentence, tags) in enumerate(zip(text.sentences, text.tags, strict=True), 1):
        for place, (token, tag_) in enumerate(zip(sentence.tokens, tags, strict=True), 1):
            feats = write_features(tag_.feats) if tag_.feats else no_features
            tags_of_token = (tag_.lemma, tag_.upos, tag_.xpos, feats, tag_.confidence)
            yield number, place, token.text, token.start, token.end, *tags_of_token


def _refuse_taken(chunk: Chunk, kept: Iterable[str], names: Iterable[str]) -> None:
    """Raises UnreadableInput if what is kept of the input has a name of the results."""
    if taken := sorted(set(kept) & set(names)):
        advice = "name those of the result otherwise, with --prefix predicted_ for instance"
        raise UnreadableInput(f"{chunk.layout.name} has a column or member {taken[0]!r}, as the result has: {advice}")


def _objects(chunk: Chunk, job: Job, results: Sequence[dict[str, Any]]) -> bytes:
    """Encodes for each row the number of its line, unless the input has its own, what is kept, and its result.

    For Parquet these stay apart, see `parquet.PartialRow`.
    """
    lines = []
    for row, result in zip(chunk.rows, results, strict=True):
        named = {job.prefix + name: value for name, value in result.items()}
        _refuse_taken(chunk, {*chunk.layout.columns, *row.kept}, named)
        members = {**row.kept, **named} if job.form == "jsonl" else {"kept": row.kept, "results": named}
        lines.append(to_json({"line": row.line, **members}) + b"\n")
    return b"".join(lines)


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Any]], chunk: Chunk) -> bytes:
    """Encodes rows as CSV (RFC 4180), with the input's delimiter, and a header and its mark before the first one."""
    content = io.StringIO()
    writer = csv.writer(content, **chunk.layout.csv)
    is_first = chunk.start == Position()
    writer.writerows([columns, *rows] if is_first else rows)
    return (BOM_UTF8 if is_first and chunk.layout.has_mark else b"") + content.getvalue().encode()


def _cell(value: Any) -> str:
    """Returns a value of the input as a cell of CSV."""
    if value is None:
        return ""
    return value if isinstance(value, str) else to_json(value).decode()
