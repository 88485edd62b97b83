"""POST /tag."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from service.api import schemas
from service.api.call import Call, answer
from service.api.lemmas import with_lemmas
from service.tasks.tagging import Tag, Tagging
from service.text import conllu
from service.text.offsets import Unit, positions
from service.text.tokenizer import Sentence, Token

GENERATOR = f"tagwerk {version('tagwerk')}"


@dataclass(frozen=True, slots=True)
class TaggedText:
    """A text, its sentences, and the tags of the tokens of each."""

    text: str
    sentences: Sequence[Sentence]
    tags: Sequence[Sequence[Tag]]


async def tag(call: Call, body: schemas.TagRequest) -> tuple[Tagging, list[TaggedText]]:
    """Splits texts into sentences and tokens, and tags each token; or tags tokens as they are given."""
    task = call.here.catalog.find(Tagging, body.model)
    began = time.monotonic()
    texts: list[tuple[str, Sequence[Sentence]]]
    if body.text is not None:
        call.check_size("text", body.text)
        texts = [(text, call.here.tokenizer.sentences(text)) for text in body.text]
    else:
        call.check_size("tokens", [" ".join(tokens) for tokens in body.tokens or []])
        texts = [join(tokens) for tokens in body.tokens or []]
    entries = [task.encode([t.text for t in s.tokens]) for _, sentences in texts for s in sentences]
    call.tokenized(task.version, began)
    outputs = await call.infer(task.version, entries)
    sentences = [sentence for _, sentences in texts for sentence in sentences]
    tags = [task.decode(len(s.tokens), output) for s, output in zip(sentences, outputs, strict=True)]
    tagged = iter(await with_lemmas(call, task, sentences, tags) if body.lemmas else tags)
    return task, [TaggedText(text, sentences, [next(tagged) for _ in sentences]) for text, sentences in texts]


def join(tokens: Sequence[str]) -> tuple[str, Sequence[Sentence]]:
    """Returns tokens as one sentence of the text that they make when joined by spaces."""
    placed, start = [], 0
    for token in tokens:
        placed.append(Token(token, start, start + len(token)))
        start += len(token) + 1
    return " ".join(tokens), [Sentence(0, start - 1, tuple(placed))]


def as_json(task: Tagging, texts: Iterable[TaggedText], unit: Unit) -> dict[str, Any]:
    """Returns the answer in the shape of `schemas.TagAnswer`."""
    results = []
    for tagged in texts:
        sentences = [_sentence(tagged.text, s, tags) for s, tags in zip(tagged.sentences, tagged.tags, strict=True)]
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
    found = {
        "text": token.text,
        "start": token.start,
        "end": token.end,
        "upos": tag.upos,
        "xpos": tag.xpos,
        "feats": tag.feats,
        "confidence": tag.confidence,
    }
    if tag.lemma is not None:
        found["lemma"] = tag.lemma
    return found


def _move(sentences: Iterable[dict[str, Any]], places: Sequence[int]) -> None:
    """Counts offsets otherwise: `places` has the new one for each code point."""
    for sentence in sentences:
        for part in (sentence, *sentence["tokens"], *sentence["multiword_tokens"]):
            part["start"], part["end"] = places[part["start"]], places[part["end"]]


def as_conllu(task: Tagging, texts: Iterable[TaggedText], unit: Unit) -> str:
    """Returns the answer as CoNLL-U: each text a document, numbered from 1; a blank one has no sentence."""
    blocks: list[str] = []
    for number, tagged in enumerate(texts, start=1):
        places = positions(tagged.text, unit)
        for i, (sentence, tags) in enumerate(zip(tagged.sentences, tagged.tags, strict=True), start=1):
            comments = {"generator": f"{GENERATOR}, {task.version.key}"} if not blocks else {}
            comments |= {"newdoc id": str(number)} if i == 1 else {}
            comments |= {"sent_id": f"{number}-{i}"}
            columns = (conllu.Columns(tag.upos, tag.xpos, tag.feats, tag.lemma) for tag in tags)
            blocks.append(conllu.write_sentence(comments, tagged.text, sentence.tokens, columns, places))
    return "".join(blocks)
