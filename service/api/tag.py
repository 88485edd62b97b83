"""POST /tag."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import repeat
from typing import Any, NamedTuple

from service.api import schemas
from service.api.call import Call, answer
from service.api.lemmas import lemmas_of
from service.api.problem import Rejected
from service.tasks.tagging import Candidate, Tag, Tagging
from service.text import conllu
from service.text.offsets import Unit, positions
from service.text.tokenizer import Sentence, Token

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
    candidates: Sequence[Sequence[dict[str, list[Candidate]]]] | None = None


async def tag(call: Call, body: schemas.TagRequest) -> tuple[Tagging, list[TaggedText | Rejected]]:
    """Splits texts into sentences and tokens, and tags each token; or tags tokens as they are given."""
    task = call.here.catalog.find(Tagging, body.model)
    began = time.monotonic()
    texts: list[Split | Rejected]
    if body.text is not None:
        accepted = call.admit("text", body.text, len)
        texts = [t if isinstance(t, Rejected) else Split(t, call.here.tokenizer.sentences(t)) for t in accepted]
    else:
        given = call.admit("tokens", body.tokens or [], lambda tokens: sum(map(len, tokens)) + len(tokens) - 1)
        texts = [tokens if isinstance(tokens, Rejected) else join(tokens) for tokens in given]
    split = [text for text in texts if isinstance(text, Split)]
    entries = [task.encode([t.text for t in s.tokens]) for text in split for s in text.sentences]
    call.tokenized(task.version, began)
    heads = frozenset(task.version.manifest.heads) if body.n_best > 1 else frozenset[str]()
    outputs = await call.infer(task.version, entries, heads)
    sentences = [sentence for text in split for sentence in text.sentences]
    lengths = [len(sentence.tokens) for sentence in sentences]
    tags = list(map(task.decode, lengths, outputs))
    lemmas = await lemmas_of(call, task, sentences, tags) if body.lemmas else None
    best = list(map(task.candidates, lengths, outputs, repeat(body.n_best))) if body.n_best > 1 else None
    results: list[TaggedText | Rejected] = []
    end = 0  # of the sentences of a text among all of them
    for text in texts:
        if isinstance(text, Rejected):
            results.append(text)
            continue
        start, end = end, end + len(text.sentences)
        of_text = slice(start, end)
        results.append(TaggedText(*text, tags[of_text], lemmas and lemmas[of_text], best and best[of_text]))
    return task, results


def join(tokens: Sequence[str]) -> Split:
    """Returns tokens as one sentence of the text that they make when joined by spaces."""
    placed, start = [], 0
    for token in tokens:
        placed.append(Token(token, start, start + len(token)))
        start += len(token) + 1
    return Split(" ".join(tokens), [Sentence(0, start - 1, tuple(placed))])


def as_json(task: Tagging, texts: Iterable[TaggedText | Rejected], unit: Unit) -> dict[str, Any]:
    """Returns the answer in the shape of `schemas.TagAnswer`."""
    results: list[dict[str, Any] | Rejected] = []
    for tagged in texts:
        if isinstance(tagged, Rejected):
            results.append(tagged)
            continue
        sentences = [_sentence(tagged.text, s, tags) for s, tags in zip(tagged.sentences, tagged.tags, strict=True)]
        if tagged.lemmas is not None:
            _add_lemmas(sentences, tagged.lemmas)
        if tagged.candidates is not None:
            _add_candidates(sentences, tagged.candidates)
        if unit != "code_points":
            _move(sentences, positions(tagged.text, unit))
        results.append({"sentences": sentences})
    return answer(task.version, results)


def _sentence(text: str, sentence: Sentence, tags: Sequence[Tag]) -> dict[str, Any]:
    tokens = sentence.tokens
    return {
        "text": text[sentence.start : sentence.end],
        "start": sentence.start,
        "end": sentence.end,
        "tokens": [_token(token, tag) for token, tag in zip(tokens, tags, strict=True)],
        "multiword_tokens": [
            {
                "text": text[tokens[first].start : tokens[last].end],
                "start": tokens[first].start,
                "end": tokens[last].end,
                "first": first,
                "last": last,
            }
            for first, last in conllu.multiwords(tokens)
        ],
    }


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


def _add_lemmas(sentences: Iterable[dict[str, Any]], lemmas: Iterable[Sequence[str]]) -> None:
    for sentence, row in zip(sentences, lemmas, strict=True):
        for token, lemma in zip(sentence["tokens"], row, strict=True):
            token["lemma"] = lemma


def _add_candidates(
    sentences: Iterable[dict[str, Any]], candidates: Iterable[Sequence[dict[str, list[Candidate]]]]
) -> None:
    for sentence, tokens in zip(sentences, candidates, strict=True):
        for token, heads in zip(sentence["tokens"], tokens, strict=True):
            token["n_best"] = {head: [one._asdict() for one in some] for head, some in heads.items()}


def _move(sentences: Iterable[dict[str, Any]], places: Sequence[int]) -> None:
    """Counts offsets otherwise: `places` has the new one for each code point."""
    for sentence in sentences:
        for part in (sentence, *sentence["tokens"], *sentence["multiword_tokens"]):
            part["start"], part["end"] = places[part["start"]], places[part["end"]]


def as_conllu(task: Tagging, texts: Iterable[TaggedText], unit: Unit, first: int = 1) -> str:
    """Returns the answer as CoNLL-U: each text a document, numbered from `first`; a blank one has no sentence."""
    blocks: list[str] = []
    for number, tagged in enumerate(texts, start=first):
        places = positions(tagged.text, unit)
        lemmas = tagged.lemmas or repeat(repeat(None))
        for i, (sentence, tags, row) in enumerate(zip(tagged.sentences, tagged.tags, lemmas, strict=False), start=1):
            comments = {"generator": f"{GENERATOR}, {task.version.key}"} if not blocks and first == 1 else {}
            comments |= {"newdoc id": str(number)} if i == 1 else {}
            comments |= {"sent_id": f"{number}-{i}"}
            columns = (conllu.Columns(t.upos, t.xpos, t.feats, lemma) for t, lemma in zip(tags, row, strict=False))
            blocks.append(conllu.write_sentence(comments, tagged.text, sentence.tokens, columns, places))
    return "".join(blocks)
