"""POST /classify."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from service.artifact.manifest import PROBABILITIES
from service.artifact.version import ModelVersion
from service.errors import InvalidInput
from service.http import schemas
from service.http.call import Call
from service.http.encoding import to_json, write_answer, write_list, write_object
from service.slices import SENTENCES_AT_ONCE, TEXTS_AT_ONCE, Sliced
from service.tasks.sentiment import CONTRIBUTIONS, EXPLANATION, Explanation, Judgement, Sentiment
from service.text.encoding import Ids
from service.text.offsets import positions
from service.text.tokenizer import Sentence, Token, Tokenizer
from service.types import Array, Ragged, Tensors


class Text(NamedTuple):
    """A text, its tokens and sentences where they are asked for, and the word ids of the whole and of each sentence.

    Those of each are in pieces, one unless it is long.
    """

    text: str
    tokens: Sequence[Token]
    sentences: Sequence[Sentence]
    inputs: Sequence[Sequence[Ids]]


class Classified(NamedTuple):
    """The judgement of a text, and its result in the shape of `schemas.Classified`, in pieces."""

    judgement: Judgement
    json: list[bytes]


async def classify(call: Call, body: schemas.ClassifyRequest) -> list[bytes]:
    """Judges texts; returns the answer in the shape of `schemas.ClassifyAnswer`, in pieces."""
    version, results = await judge(call, body)
    return write_answer(version, [result.json for result in results])


async def judge(call: Call, body: schemas.ClassifyRequest) -> tuple[ModelVersion, list[Classified]]:
    """Judges texts; returns the model and the result of each text."""
    task = call.here.catalog.find(Sentiment, body.model)
    if body.contributions and not task.explains:
        raise InvalidInput(
            "/contributions", "got true", f"false: {task.version.key} does not say what words contribute"
        )
    began = time.monotonic()
    call.admit("text", body.text, len)
    texts = await call.run(prepare(task, call.here.tokenizer, body))
    call.tokenized(task.version, began)
    pieces = [piece for text in texts for ids in text.inputs for piece in ids]
    outputs: dict[str, Array] = {}
    if pieces:
        lengths = np.array([len(piece) for piece in pieces], np.int32)
        sequences = Ragged(lengths, {"word_ids": np.concatenate(pieces)})
        outputs = await call.infer(task.version, sequences, EXPLANATION if body.contributions else frozenset())
    return task.version, await call.run(write(task, body, texts, outputs))


def prepare(task: Sentiment, tokenizer: Tokenizer, body: schemas.ClassifyRequest) -> Sliced[list[Text]]:
    """Splits the texts of a request, and encodes them."""
    texts: list[Text] = []
    for text in body.text:
        sentences: list[Sentence] = []
        tokens: list[Token] = []
        if body.sentences:
            sentences = yield from tokenizer.split(text)
            tokens = [token for sentence in sentences for token in sentence.tokens]
        elif body.contributions:
            tokens = yield from tokenizer.tokenize(text)
        words = [token.text for token in tokens] if tokens else (yield from tokenizer.words(text))
        inputs = [task.encode(words)]
        for sentence in sentences:
            inputs.append(task.encode([token.text for token in sentence.tokens]))
            if not len(inputs) % SENTENCES_AT_ONCE:
                yield
        texts.append(Text(text, tokens, sentences, inputs))
        if not len(texts) % TEXTS_AT_ONCE:
            yield
    return texts


class Waiting:
    """The outputs of pieces of texts, taken in order."""

    def __init__(self, outputs: Tensors) -> None:
        self._outputs = outputs
        self._row = self._cell = 0

    def take(self, pieces: Sequence[Ids]) -> tuple[list[int], Tensors]:
        """Returns the lengths of the next pieces, and their outputs."""
        lengths = [len(piece) for piece in pieces]
        rows = slice(self._row, self._row + len(pieces))
        cells = slice(self._cell, self._cell + sum(lengths))
        self._row, self._cell = rows.stop, cells.stop
        return lengths, {name: all_[cells if name == CONTRIBUTIONS else rows] for name, all_ in self._outputs.items()}


def write(
    task: Sentiment, body: schemas.ClassifyRequest, texts: Sequence[Text], outputs: Tensors
) -> Sliced[list[Classified]]:
    """Returns the result of each text from the outputs of all pieces of all inputs."""
    results: list[Classified] = []
    waiting = Waiting(outputs)
    for text in texts:
        results.append((yield from _write(task, body, text, waiting)))
        if not len(results) % SENTENCES_AT_ONCE:
            yield
    return results


def _write(task: Sentiment, body: schemas.ClassifyRequest, text: Text, waiting: Waiting) -> Sliced[Classified]:
    lengths, outputs = waiting.take(text.inputs[0])
    whole = task.decode(outputs[PROBABILITIES], lengths)
    result = {"label": whole.label, "scores": whole.scores, "truncated": False}
    if not (body.contributions or body.sentences):
        return Classified(whole, [to_json(result)])
    places = positions(text.text, body.offsets)
    lists: dict[str, list[bytes]] = {}
    if body.contributions:
        why = task.explain(outputs, lengths, whole.label, len(text.tokens))
        head = {"label": whole.label, "score": why.score, "baseline": why.baseline}
        tokens = yield from write_list(_contributions(text, why, places))
        lists["contributions"] = write_object(head, tokens=tokens)
    if body.sentences:
        lists["sentences"] = yield from write_list(_sentences(task, text, waiting, places))
    return Classified(whole, write_object(result, **lists))


def _contributions(text: Text, why: Explanation, places: Sequence[int]) -> Iterator[dict[str, Any]]:
    for token, contribution in zip(text.tokens, why.contributions, strict=True):
        yield {**_placed(text.text, token, places), "contribution": contribution}


def _sentences(task: Sentiment, text: Text, waiting: Waiting, places: Sequence[int]) -> Iterator[dict[str, Any]]:
    for sentence, pieces in zip(text.sentences, text.inputs[1:], strict=True):
        lengths, outputs = waiting.take(pieces)
        part = task.decode(outputs[PROBABILITIES], lengths)
        yield {**_placed(text.text, sentence, places), "label": part.label, "scores": part.scores}


def _placed(text: str, part: Sentence | Token, places: Sequence[int]) -> dict[str, Any]:
    return {"text": text[part.start : part.end], "start": places[part.start], "end": places[part.end]}
