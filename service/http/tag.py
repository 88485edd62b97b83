"""POST /tag."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import repeat
from typing import Any, NamedTuple

from service.http import schemas
from service.http.call import Call
from service.http.encoding import ITEMS_AT_ONCE, join_list, to_json, write_answer, write_list, write_object
from service.http.lemmas import lemmas_of
from service.slices import SENTENCES_AT_ONCE, TEXTS_AT_ONCE, Sliced
from service.tasks.tagging import TOKENS_AT_ONCE, Candidates, Tag, Tagging
from service.text import conllu
from service.text.offsets import Unit, positions
from service.text.tokenizer import Sentence, Token, Tokenizer
from service.types import Array

GENERATOR = f"tagwerk {version('tagwerk')}"


class Split(NamedTuple):
    """A text and its sentences."""

    text: str
    sentences: Sequence[Sentence]


@dataclass(frozen=True, slots=True)
class TaggedText:
    """A text, its sentences, and the tags of the tokens of each; their lemmas and the next best tags, where wanted."""

    text: str
    sentences: Sequence[Sentence]
    tags: Sequence[Sequence[Tag]]
    lemmas: Sequence[Sequence[str]] | None = None
    candidates: Sequence[Candidates] | None = None


async def tag(call: Call, body: schemas.TagRequest) -> tuple[Tagging, list[TaggedText]]:
    """Splits texts into sentences and tokens, and tags each token; or tags tokens as they are given."""
    task = call.here.catalog.find(Tagging, body.model)
    began = time.monotonic()
    if body.text is not None:
        call.admit("text", body.text, len)
    else:
        call.admit("tokens", body.tokens or [], lambda tokens: sum(map(len, tokens)) + len(tokens) - 1)
    texts = await call.run(split(call.here.tokenizer, body))
    sentences = [sentence for text in texts for sentence in text.sentences]
    sequences = await call.run(task.encode([token.text for token in sentence.tokens] for sentence in sentences))
    call.tokenized(task.version, began)
    outputs: dict[str, Array] = {}
    if sentences:
        further = task.candidate_outputs if body.n_best > 1 else frozenset[str]()
        outputs = await call.infer(task.version, sequences, further)
    lengths = [len(sentence.tokens) for sentence in sentences]
    tags = await call.run(task.decode(lengths, outputs))
    candidates = await call.run(task.candidates(lengths, outputs)) if body.n_best > 1 else None
    lemmas = await lemmas_of(call, task, sentences, tags) if body.lemmas else None
    results: list[TaggedText] = []
    end = 0  # of the sentences of a text among all of them
    for text in texts:
        start, end = end, end + len(text.sentences)
        of_text = slice(start, end)
        results.append(TaggedText(*text, tags[of_text], lemmas and lemmas[of_text], candidates and candidates[of_text]))
    return task, results


def split(tokenizer: Tokenizer, body: schemas.TagRequest) -> Sliced[list[Split]]:
    """Returns the texts of a request with their sentences."""
    texts: list[Split] = []
    for text in body.text or ():
        texts.append(Split(text, (yield from tokenizer.split(text))))
        if not len(texts) % TEXTS_AT_ONCE:
            yield
    for tokens in body.tokens or ():
        texts.append((yield from join(tokens)))
    return texts


def join(tokens: Sequence[str]) -> Sliced[Split]:
    """Returns tokens as one sentence of the text that they make when joined by spaces."""
    placed: list[Token] = []
    start = 0
    for token in tokens:
        placed.append(Token(token, start, start + len(token)))
        start += len(token) + 1
        if not len(placed) % TOKENS_AT_ONCE:
            yield
    return Split(" ".join(tokens), [Sentence(0, start - 1, tuple(placed))])


def write_json(task: Tagging, texts: Iterable[TaggedText], body: schemas.TagRequest) -> Sliced[list[bytes]]:
    """Returns the answer in the shape of `schemas.TagAnswer`, in pieces."""
    results: list[list[bytes]] = []
    for tagged in texts:
        results.append((yield from write_result(tagged, body)))
        if not len(results) % SENTENCES_AT_ONCE:
            yield
    return write_answer(task.version, results)


def write_result(tagged: TaggedText, body: schemas.TagRequest) -> Sliced[list[bytes]]:
    """Returns the result of a text in the shape of `schemas.Tagged`, in pieces."""
    places = positions(tagged.text, body.offsets) if body.offsets != "code_points" else None
    sentences: list[list[bytes]] = []
    for i, sentence in enumerate(tagged.sentences):
        tokens = sentence.tokens
        text = tagged.text[sentence.start : sentence.end]
        members = _moved({"text": text, "start": sentence.start, "end": sentence.end}, places)
        if len(tokens) <= ITEMS_AT_ONCE:
            members["tokens"] = _tokens(tagged, i, slice(None), places, body.n_best)
            members["multiword_tokens"] = list(_multiwords(tagged.text, tokens, places))
            sentences.append([to_json(members)])
            if not len(sentences) % SENTENCES_AT_ONCE:
                yield
            continue
        blocks: list[list[bytes]] = []
        for first in range(0, len(tokens), ITEMS_AT_ONCE):
            some = slice(first, first + ITEMS_AT_ONCE)
            blocks.append([to_json(_tokens(tagged, i, some, places, body.n_best))[1:-1]])
            yield
        multiwords = yield from write_list(_multiwords(tagged.text, tokens, places))
        sentences.append(write_object(members, tokens=join_list(blocks), multiword_tokens=multiwords))
    return [b'{"sentences":', *join_list(sentences), b"}"]


def _tokens(
    tagged: TaggedText, sentence: int, some: slice, places: Sequence[int] | None, n_best: int
) -> list[dict[str, Any]]:
    """Returns some of the tokens of a sentence in the shape of `schemas.Token`."""
    tokens = list(map(_token, tagged.sentences[sentence].tokens[some], tagged.tags[sentence][some]))
    if tagged.lemmas is not None:
        for token, lemma in zip(tokens, tagged.lemmas[sentence][some], strict=True):
            token["lemma"] = lemma
    if tagged.candidates is not None:
        for token, heads in zip(tokens, tagged.candidates[sentence].of(some, n_best), strict=True):
            token["n_best"] = heads
    if places is not None:
        for token in tokens:
            _moved(token, places)
    return tokens


def _token(token: Token, tag: Tag) -> dict[str, Any]:
    return {
        "text": token.text,
        "start": token.start,
        "end": token.end,
        "upos": tag.upos,
        "xpos": tag.xpos,
        "feats": tag.feats,
        "confidence": tag.confidence,
    }


def _multiwords(text: str, tokens: Sequence[Token], places: Sequence[int] | None) -> Iterator[dict[str, Any]]:
    for first, last in conllu.multiwords(tokens):
        start, end = tokens[first].start, tokens[last].end
        whole = {"text": text[start:end], "start": start, "end": end, "first": first, "last": last}
        yield _moved(whole, places)


def _moved(part: dict[str, Any], places: Sequence[int] | None) -> dict[str, Any]:
    """Counts the offsets of a part otherwise: `places` has the new one for each code point."""
    if places is not None:
        part["start"], part["end"] = places[part["start"]], places[part["end"]]
    return part


def write_conllu(task: Tagging, texts: Iterable[TaggedText], unit: Unit, first: int = 1) -> Sliced[list[bytes]]:
    """Returns the answer as CoNLL-U, in pieces: each text a document, numbered from `first`; a blank one has none."""
    pieces: list[bytes] = []
    for number, tagged in enumerate(texts, start=first):
        places = positions(tagged.text, unit)
        lemmas = tagged.lemmas or repeat(repeat(None))
        for i, (sentence, tags, row) in enumerate(zip(tagged.sentences, tagged.tags, lemmas, strict=False), start=1):
            comments = {"generator": f"{GENERATOR}, {task.version.key}"} if not pieces and first == 1 else {}
            comments |= {"newdoc id": str(number)} if i == 1 else {}
            comments |= {"sent_id": f"{number}-{i}"}
            columns = (conllu.Columns(t.upos, t.xpos, t.feats, lemma) for t, lemma in zip(tags, row, strict=False))
            pieces += yield from conllu.write_sentence(comments, tagged.text, sentence.tokens, columns, places)
    return pieces
