"""Classifies texts: labels with their probabilities, and explanations on request."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from service.artifact.manifest import PROBABILITIES
from service.artifact.version import ModelVersion
from service.errors import InvalidInput
from service.pipelines.run import PipelineRun
from service.slices import SENTENCES_AT_ONCE, TEXTS_AT_ONCE, Sliced
from service.tasks.sentiment import CONTRIBUTIONS, EXPLANATION, Classification, Explanation, Sentiment
from service.text.encoding import Ids
from service.text.tokenizer import Sentence, Token, Tokenizer
from service.types import Array, Ragged, Tensors


@dataclass(frozen=True, slots=True)
class ClassifiedText:
    """A text and its classification; an explanation, and each sentence's classification, on request.

    Attributes:
        tokens: the tokens that `explanation` has contributions for.
    """

    text: str
    classification: Classification
    tokens: Sequence[Token] = ()
    explanation: Explanation | None = None
    sentences: Sequence[tuple[Sentence, Classification]] | None = None


class EncodedText(NamedTuple):
    """A text, its tokens and sentences if needed, and the word ids of the whole text and of each sentence.

    Word ids are in windows: one unless the sequence is long.
    """

    text: str
    tokens: Sequence[Token]
    sentences: Sequence[Sentence]
    inputs: Sequence[Sequence[Ids]]


async def classify(
    run: PipelineRun,
    texts: Sequence[str],
    *,
    model: str | None = None,
    contributions: bool = False,
    sentences: bool = False,
) -> tuple[ModelVersion, list[ClassifiedText]]:
    """Classifies each text as a whole; with `sentences`, also each of its sentences.

    With `contributions`, returns what each token adds to the label. Returns the model version and a result per text.
    Raises ModelNotFound, TooLarge, InvalidInput if the model has no explanations, and what `Engine.infer` raises.
    """
    task = run.resources.catalog.find(Sentiment, model)
    if contributions and not task.explains:
        raise InvalidInput(
            "/contributions", "got true", f"false: {task.version.key} does not say what words contribute"
        )
    began = time.monotonic()
    run.check_size("text", texts, len)
    encoded = await run.do(encode(task, run.resources.catalog.tokenizer(task.version), texts, contributions, sentences))
    run.tokenized(task.version, began)
    pieces = [piece for text in encoded for ids in text.inputs for piece in ids]
    outputs: dict[str, Array] = {}
    if pieces:
        lengths = np.array([len(piece) for piece in pieces], np.int32)
        sequences = Ragged(lengths, {"word_ids": np.concatenate(pieces)})
        outputs = await run.infer(task.version, sequences, EXPLANATION if contributions else frozenset())
    return task.version, await run.do(decode(task, encoded, Outputs(outputs), contributions, sentences))


def encode(
    task: Sentiment, tokenizer: Tokenizer, texts: Sequence[str], contributions: bool, by_sentence: bool
) -> Sliced[list[EncodedText]]:
    """Splits texts as far as needed, and encodes them."""
    encoded: list[EncodedText] = []
    for text in texts:
        sentences: list[Sentence] = []
        tokens: list[Token] = []
        if by_sentence:
            sentences = yield from tokenizer.split(text)
            tokens = [token for sentence in sentences for token in sentence.tokens]
        elif contributions:
            tokens = yield from tokenizer.tokenize(text)
        words = [token.text for token in tokens] if tokens else (yield from tokenizer.words(text))
        inputs = [task.encode(words)]
        for sentence in sentences:
            inputs.append(task.encode([token.text for token in sentence.tokens]))
            if not len(inputs) % SENTENCES_AT_ONCE:
                yield
        encoded.append(EncodedText(text, tokens, sentences, inputs))
        if not len(encoded) % TEXTS_AT_ONCE:
            yield
    return encoded


class Outputs:
    """Consumes the outputs of all windows in order."""

    def __init__(self, outputs: Tensors) -> None:
        self._outputs = outputs
        self._row = self._cell = 0

    def take(self, pieces: Sequence[Ids]) -> tuple[list[int], Tensors]:
        """Returns the lengths of the given windows, which are the next ones, and their outputs."""
        lengths = [len(piece) for piece in pieces]
        rows = slice(self._row, self._row + len(pieces))
        cells = slice(self._cell, self._cell + sum(lengths))
        self._row, self._cell = rows.stop, cells.stop
        return lengths, {name: all_[cells if name == CONTRIBUTIONS else rows] for name, all_ in self._outputs.items()}


def decode(
    task: Sentiment, texts: Sequence[EncodedText], outputs: Outputs, contributions: bool, by_sentence: bool
) -> Sliced[list[ClassifiedText]]:
    """Decodes the outputs of all windows into a result per text."""
    results: list[ClassifiedText] = []
    for text in texts:
        lengths, of_whole = outputs.take(text.inputs[0])
        whole = task.decode(of_whole[PROBABILITIES], lengths)
        why = task.explain(of_whole, lengths, whole.label, len(text.tokens)) if contributions else None
        sentences: list[tuple[Sentence, Classification]] = []
        for sentence, pieces in zip(text.sentences, text.inputs[1:], strict=True):
            lengths, of_sentence = outputs.take(pieces)
            sentences.append((sentence, task.decode(of_sentence[PROBABILITIES], lengths)))
            if not len(sentences) % SENTENCES_AT_ONCE:
                yield
        results.append(ClassifiedText(text.text, whole, text.tokens, why, sentences if by_sentence else None))
        if not len(results) % SENTENCES_AT_ONCE:
            yield
    return results
