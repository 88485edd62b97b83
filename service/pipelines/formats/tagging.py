"""Encodes tagged texts as JSON and as CoNLL-U."""

from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from itertools import count
from operator import attrgetter
from typing import Any

from service.artifact.version import ModelVersion
from service.pipelines.formats.pieces import (
    ITEMS_AT_ONCE,
    join_list,
    prepend,
    to_json,
    write_answer,
    write_list,
    write_object,
)
from service.pipelines.tagging import TaggedText
from service.tasks.dictionary import SOURCE
from service.text import conllu
from service.text.offsets import Unit, positions
from service.text.slices import SENTENCES_AT_ONCE, Sliced
from service.text.tokenizer import BLANK_LINE, Token

continues = attrgetter("continues")  # of a token
GENERATOR = f"tagwerk {version('tagwerk')}"


def write_json(
    model: ModelVersion, texts: Iterable[TaggedText], unit: Unit = "code_points", n_best: int = 1
) -> Sliced[list[bytes]]:
    """Encodes a /tag response as JSON, in pieces. `unit`: what offsets count. `n_best`: see `write_result`."""
    results: list[list[bytes]] = []
    for tagged in texts:
        results.append((yield from write_result(tagged, unit, n_best)))
        if not len(results) % SENTENCES_AT_ONCE:
            yield
    return write_answer(model, results)


def write_result(tagged: TaggedText, unit: Unit = "code_points", n_best: int = 1) -> Sliced[list[bytes]]:
    """Encodes a text's result as JSON, in pieces, with `n_best` tags per token if it has candidates."""
    places = positions(tagged.text, unit) if unit != "code_points" else None
    pieces = [b'{"sentences":', b"["]
    for i, sentence in enumerate(tagged.sentences):
        tokens = sentence.tokens
        members = {"text": tagged.text[sentence.start : sentence.end], "start": sentence.start, "end": sentence.end}
        if places is not None:
            _moved(members, places)
        multiwords = _multiwords(tagged.text, tokens, places) if any(map(continues, tokens)) else ()
        if i:
            pieces.append(b",")
        if len(tokens) <= ITEMS_AT_ONCE:
            members["tokens"] = _tokens(tagged, i, slice(None), places, n_best)
            members["multiword_tokens"] = list(multiwords)
            pieces.append(to_json(members))
        else:
            blocks: list[list[bytes]] = []
            for first in range(0, len(tokens), ITEMS_AT_ONCE):
                some = slice(first, first + ITEMS_AT_ONCE)
                blocks.append([to_json(_tokens(tagged, i, some, places, n_best))[1:-1]])
                yield
            joined = yield from write_list(multiwords)
            pieces += write_object(members, tokens=join_list(blocks), multiword_tokens=joined)
        if not (i + 1) % SENTENCES_AT_ONCE:
            yield
    pieces += (b"]", b"}")
    if (found := tagged.identified) is not None:
        (name, number), members = found.version.key, {"language": found.language, "probability": found.probability}
        return prepend({**members, "model": name, "version": number}, pieces)
    return pieces


def _tokens(
    tagged: TaggedText, sentence: int, some: slice, places: Sequence[int] | None, n_best: int
) -> list[dict[str, Any]]:
    """Returns some tokens of a sentence as JSON objects."""
    parts = zip(tagged.sentences[sentence].tokens[some], tagged.tags[sentence][some], strict=True)
    tokens: list[dict[str, Any]] = [
        {
            "text": text,
            "start": start,
            "end": end,
            "upos": upos,
            "xpos": xpos,
            "feats": feats,
            "confidence": confidence,
        }
        for (text, start, end, _), (upos, xpos, feats, confidence, _) in parts
    ]
    tags = tagged.tags[sentence][some]
    if tags and tags[0].lemma is not None:
        for token, tag in zip(tokens, tags, strict=True):
            token["lemma"] = tag.lemma
    if tagged.replaced is not None:
        for i in tagged.replaced[sentence]:
            if some.start is None or some.start <= i < some.stop:
                tokens[i - (some.start or 0)]["source"] = SOURCE
    if tagged.candidates is not None:
        for token, heads in zip(tokens, tagged.candidates[sentence].of(some, n_best), strict=True):
            token["n_best"] = heads
    if places is not None:
        for token in tokens:
            _moved(token, places)
    return tokens


def _multiwords(text: str, tokens: Sequence[Token], places: Sequence[int] | None) -> Iterator[dict[str, Any]]:
    for first, last in conllu.multiwords(tokens):
        start, end = tokens[first].start, tokens[last].end
        whole = {"text": text[start:end], "start": start, "end": end, "first": first, "last": last}
        yield _moved(whole, places)


def _moved(part: dict[str, Any], places: Sequence[int] | None) -> dict[str, Any]:
    """Converts the offsets of a part to another unit: `places` maps each code point's offset."""
    if places is not None:
        part["start"], part["end"] = places[part["start"]], places[part["end"]]
    return part


def write_conllu(
    model: ModelVersion,
    texts: Iterable[TaggedText],
    unit: Unit = "code_points",
    numbers: Iterable[int] | None = None,
    *,
    with_generator: bool = True,
    chain: bool = False,
) -> Sliced[list[bytes]]:
    """Encodes texts as CoNLL-U documents, in pieces; a blank text has none.

    `numbers` are the documents' ids, by default from 1. The first comment names the model; where languages have been
    identified, the comments of each document name its model and its language. With `chain`, words have heads, see
    `conllu.write_sentence`.
    """
    pieces: list[bytes] = []
    for number, tagged in zip(numbers or count(1), texts, strict=False):
        places = positions(tagged.text, unit)
        end = 0  # of the sentence before
        for i, (sentence, tags) in enumerate(zip(tagged.sentences, tagged.tags, strict=True), start=1):
            comments = {"generator": generator_of(model)} if not pieces and with_generator else {}
            if (found := tagged.identified) is not None and i == 1:
                comments |= {"generator": generator_of(found.version), "language": found.language}
            comments |= {"newdoc id": str(number)} if i == 1 else {}
            comments |= {"newpar": ""} if i > 1 and BLANK_LINE.search(tagged.text, end, sentence.start) else {}
            comments |= {"sent_id": f"{number}-{i}"}
            replaced = tagged.replaced[i - 1] if tagged.replaced else ()
            columns = (
                conllu.Columns(tag.upos, tag.xpos, tag.feats, tag.lemma, SOURCE if place in replaced else "")
                for place, tag in enumerate(tags)
            )
            tokens, end = sentence.tokens, sentence.end
            pieces += yield from conllu.write_sentence(comments, tagged.text, tokens, columns, places, chain=chain)
    return pieces


def generator_of(model: ModelVersion) -> str:
    """Returns the comment that names the program and the model."""
    return f"{GENERATOR}, {model.key}"
