"""Encodes typed results as JSON and as CoNLL-U, in chunks.

The JSON is the same as Pydantic's in less than half of the time: no schema model is built for a response; tests compare
the output with the schemas. Encoding in chunks avoids one object for the whole response, which would block the event
loop and take several times the memory of the JSON.
"""

from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from itertools import count, islice
from operator import attrgetter
from typing import Any, Literal

import msgspec

from service.artifact.manifest import ModelVersion
from service.pipelines.classification import ClassifiedText
from service.pipelines.tagging import TaggedText
from service.tasks.dictionary import SOURCE
from service.tasks.generation import Choice, Text
from service.tasks.sentiment import Classification
from service.text import conllu
from service.text.interruptible import SENTENCES_AT_ONCE, Interruptible
from service.text.tokens import BLANK_LINE, SentenceSpan, TokenSpan, Unit, multiwords, positions

JSON = "application/json"  # the media type
TagFormat = Literal["json", "conllu", "conllu-chain"]
MEDIA_TYPES: dict[TagFormat, str] = {"json": JSON, "conllu": conllu.MEDIA_TYPE, "conllu-chain": conllu.MEDIA_TYPE}
FORMATS: dict[str, TagFormat] = {JSON: "json", conllu.MEDIA_TYPE: "conllu"}  # by what an Accept header asks for
ITEMS_AT_ONCE = 64  # list items per chunk; an item has a few hundred bytes
GENERATOR = f"tagwerk {version('tagwerk')}"

continues = attrgetter("continues")  # of a token
to_json = msgspec.json.Encoder().encode


def write_list(items: Iterable[Any]) -> Interruptible[list[bytes]]:
    """Encodes a list as JSON in chunks, consuming its items lazily."""
    waiting = iter(items)
    chunks = []
    while some := list(islice(waiting, ITEMS_AT_ONCE)):
        chunks.append(to_json(some)[1:-1])
        yield
    return join_list([chunk] for chunk in chunks)


def join_list(items: Iterable[Sequence[bytes]], start: bytes = b"[", end: bytes = b"]") -> list[bytes]:
    """Joins encoded items to the chunks of a list; `start` and `end` may be those of an object around it."""
    chunks = [start]
    for item in items:
        if len(chunks) > 1:
            chunks.append(b",")
        chunks += item
    chunks.append(end)
    return chunks


def write_object(members: dict[str, Any], **lists: list[bytes]) -> list[bytes]:
    """Encodes an object in chunks: some members, then members that are already encoded."""
    chunks = [to_json(members)[:-1]]
    for name, some in lists.items():
        chunks.append(b'%b"%b":' % (b"," if members or len(chunks) > 1 else b"", name.encode()))
        chunks += some
    chunks.append(b"}")
    return chunks


def prepend(members: dict[str, Any], chunks: list[bytes]) -> list[bytes]:
    """Adds members at the beginning of an encoded object, whose first chunk has a member."""
    if members:
        chunks[0] = to_json(members)[:-1] + b"," + chunks[0][1:]
    return chunks


def write_answer(version: ModelVersion, results: Iterable[Sequence[bytes]]) -> list[bytes]:
    """Encodes a response in chunks from its encoded results. Its schema is checked by tests only."""
    beginning = to_json({"model": version.key.name, "version": version.key.version})[:-1]
    return join_list(results, beginning + b',"results":[', b"]}")


def write_tagged(
    model: ModelVersion,
    texts: Iterable[TaggedText],
    unit: Unit = "code_points",
    n_best: int = 1,
    format: TagFormat = "json",
) -> Interruptible[list[bytes]]:
    """Encodes a /tag response in a format, in chunks.

    `unit`: what offsets count. `n_best`: see `write_tagged_text`.
    """
    if format != "json":
        return (yield from write_conllu(model, texts, unit, chain=format == "conllu-chain"))
    results: list[list[bytes]] = []
    for tagged in texts:
        results.append((yield from write_tagged_text(tagged, unit, n_best)))
        if not len(results) % SENTENCES_AT_ONCE:
            yield
    return write_answer(model, results)


def write_tagged_text(tagged: TaggedText, unit: Unit = "code_points", n_best: int = 1) -> Interruptible[list[bytes]]:
    """Encodes a text's result as JSON, in chunks, with `n_best` tags per token if it has candidates."""
    places = positions(tagged.text, unit)
    chunks = [b'{"sentences":', b"["]
    for i, sentence in enumerate(tagged.sentences):
        tokens = sentence.tokens
        members = _placed(tagged.text, sentence, places)
        joined = _multiword_tokens(tagged.text, tokens, places) if any(map(continues, tokens)) else ()
        if i:
            chunks.append(b",")
        if len(tokens) <= ITEMS_AT_ONCE:
            members["tokens"] = _tokens(tagged, i, slice(0, ITEMS_AT_ONCE), places, n_best)
            members["multiword_tokens"] = list(joined)
            chunks.append(to_json(members))
        else:
            blocks: list[list[bytes]] = []
            for first in range(0, len(tokens), ITEMS_AT_ONCE):
                some = slice(first, first + ITEMS_AT_ONCE)
                blocks.append([to_json(_tokens(tagged, i, some, places, n_best))[1:-1]])
                yield
            written = yield from write_list(joined)
            chunks += write_object(members, tokens=join_list(blocks), multiword_tokens=written)
        if not (i + 1) % SENTENCES_AT_ONCE:
            yield
    chunks += (b"]", b"}")
    if (found := tagged.identified) is not None:
        (name, number), members = found.version.key, {"language": found.language, "probability": found.probability}
        return prepend({**members, "model": name, "version": number}, chunks)
    return chunks


def _tokens(tagged: TaggedText, sentence: int, some: slice, places: Sequence[int], n_best: int) -> list[dict[str, Any]]:
    """Returns some tokens of a sentence as JSON objects."""
    tags = tagged.tags[sentence][some]
    pairs = zip(tagged.sentences[sentence].tokens[some], tags, strict=True)
    tokens: list[dict[str, Any]] = [
        {"text": text, "start": start, "end": end, "upos": upos, "xpos": xpos, "feats": feats, "confidence": confidence}
        for (text, start, end, _), (upos, xpos, feats, confidence, _) in pairs
    ]
    if tags and tags[0].lemma is not None:
        for token, tag in zip(tokens, tags, strict=True):
            token["lemma"] = tag.lemma
    if tagged.replaced is not None:
        for i in tagged.replaced[sentence]:
            if some.start <= i < some.stop:
                tokens[i - some.start]["source"] = SOURCE
    if tagged.candidates is not None:
        for token, heads in zip(tokens, tagged.candidates[sentence].of(some, n_best), strict=True):
            token["n_best"] = heads
    if not isinstance(places, range):  # which maps each offset to itself
        for token in tokens:
            token["start"], token["end"] = places[token["start"]], places[token["end"]]
    return tokens


def _multiword_tokens(text: str, tokens: Sequence[TokenSpan], places: Sequence[int]) -> Iterator[dict[str, Any]]:
    for first, last in multiwords(tokens):
        start, end = tokens[first].start, tokens[last].end
        yield {"text": text[start:end], "start": places[start], "end": places[end], "first": first, "last": last}


def write_conllu(
    model: ModelVersion,
    texts: Iterable[TaggedText],
    unit: Unit = "code_points",
    numbers: Iterable[int] | None = None,
    *,
    with_generator: bool = True,
    chain: bool = False,
) -> Interruptible[list[bytes]]:
    """Encodes texts as CoNLL-U documents, in chunks; a blank text has none.

    `numbers` are the documents' ids, by default from 1. The first comment names the model; where languages have been
    identified, the comments of each document name its model and its language. With `chain`, words have heads, see
    `conllu.write_sentence`.
    """
    chunks: list[bytes] = []
    for number, tagged in zip(numbers or count(1), texts, strict=False):
        places = positions(tagged.text, unit)
        end = 0  # of the sentence before
        for i, (sentence, tags) in enumerate(zip(tagged.sentences, tagged.tags, strict=True), start=1):
            comments = {"generator": generator_of(model)} if not chunks and with_generator else {}
            if (found := tagged.identified) is not None and i == 1:
                comments |= {"generator": generator_of(found.version), "language": found.language}
            comments |= {"newdoc id": str(number)} if i == 1 else {}
            comments |= {"newpar": ""} if i > 1 and BLANK_LINE.search(tagged.text, end, sentence.start) else {}
            comments |= {"sent_id": f"{number}-{i}"}
            columns = ((upos, xpos, feats, lemma) for upos, xpos, feats, _, lemma in tags)
            sources = dict.fromkeys(tagged.replaced[i - 1], SOURCE) if tagged.replaced else None
            tokens, end = sentence.tokens, sentence.end
            chunks += yield from conllu.write_sentence(
                comments, tagged.text, tokens, columns, places, chain=chain, sources=sources
            )
    return chunks


def generator_of(model: ModelVersion) -> str:
    """Returns the comment that names the program and the model."""
    return f"{GENERATOR}, {model.key}"


def write_classified(
    model: ModelVersion, texts: Iterable[ClassifiedText], unit: Unit = "code_points"
) -> Interruptible[list[bytes]]:
    """Encodes a /classify response as JSON, in chunks. `unit`: what offsets count."""
    results: list[list[bytes]] = []
    for text in texts:
        if text.explanation is None and text.sentences is None and not text.ignored:
            results.append([to_json(_members(text.classification))])
        else:
            results.append((yield from write_classified_text(text, unit)))
        if not len(results) % SENTENCES_AT_ONCE:
            yield
    return write_answer(model, results)


def write_classified_text(classified: ClassifiedText, unit: Unit = "code_points") -> Interruptible[list[bytes]]:
    """Encodes a text's result as JSON, in chunks."""
    why, result = classified.explanation, _members(classified.classification)
    if classified.ignored:
        result["ignored"] = [{"text": word, "source": SOURCE} for word in classified.ignored]
    if classified.magnitude is not None:
        result |= {"magnitude": classified.magnitude, "mixed": classified.mixed}
    text, places = classified.text, positions(classified.text, unit)
    lists: dict[str, list[bytes]] = {}
    if why is not None:
        head = {"label": why.label, "score": why.score, "baseline": why.baseline}
        pairs = zip(classified.tokens, why.contributions, strict=True)
        added = (_placed(text, token, places) | {"contribution": contribution} for token, contribution in pairs)
        lists["contributions"] = write_object(head, tokens=(yield from write_list(added)))
    if classified.sentences is not None:
        sentences = (_placed(text, sentence, places) | _members(found) for sentence, found in classified.sentences)
        lists["sentences"] = yield from write_list(sentences)
    return write_object(result, **lists)


def _members(found: Classification) -> dict[str, Any]:
    if found.score is None:
        return {"label": found.label, "scores": found.scores}
    return {"label": found.label, "scores": found.scores, "score": found.score}


def _placed(text: str, span: SentenceSpan | TokenSpan, places: Sequence[int]) -> dict[str, Any]:
    return {"text": text[span.start : span.end], "start": places[span.start], "end": places[span.end]}


def write_generated(index: int, text: Text, *, logprobs: bool) -> Interruptible[list[bytes]]:
    """Encodes a text's result as JSON, in chunks; with log probabilities on request."""
    facts = {"finish_reason": text.end.finish_reason, "tokens": text.end.tokens, "seed": text.end.seed}
    lists = {"logprobs": (yield from write_list(map(as_dict, text.choices)))} if logprobs else {}
    return write_object({"text": text.text, **facts}, **lists)


def as_dict(choice: Choice) -> dict[str, Any]:
    """Returns a token with its log probability, and the most probable tokens, as JSON objects."""
    return choice.chosen._asdict() | {"top": [one._asdict() for one in choice.top]}
