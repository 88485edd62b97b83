"""Classifies texts: labels with their probabilities, and explanations on request."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

import numpy as np

from service.artifact.manifest import PROBABILITIES, ModelVersion
from service.errors import InvalidInput, shortened
from service.pipelines.run import PipelineRun
from service.tasks.sentiment import CONTRIBUTIONS, EXPLANATION, Classification, Explanation, Sentiment
from service.text.interruptible import SENTENCES_AT_ONCE, TEXTS_AT_ONCE, Interruptible, collect
from service.text.tokenizer import Tokenizer
from service.text.tokens import SentenceSpan, TokenSpan
from service.types import Array, Ragged, Tensors

STRONG = 0.5  # a sentence's least score, positive or negative, for its text to be mixed


@dataclass(frozen=True, slots=True)
class ClassifiedText:
    """A text and its classification; an explanation, and each sentence's classification, on request.

    Attributes:
        tokens: the tokens that `explanation` has contributions for.
        magnitude: the sum of the sentences' scores without their signs; None without sentences or scores.
        mixed: whether one sentence is strongly positive and another strongly negative; None as `magnitude`.
        ignored: the words that the model has not read, by its dictionary.
    """

    text: str
    classification: Classification
    tokens: Sequence[TokenSpan] = ()
    explanation: Explanation | None = None
    sentences: Sequence[tuple[SentenceSpan, Classification]] | None = None
    magnitude: float | None = None
    mixed: bool | None = None
    ignored: Sequence[str] = ()


class EncodedText(NamedTuple):
    """A text, its tokens and sentences if needed, the windows of the whole text and of each sentence, words ignored.

    A window is given by its length; there is one unless the sequence is long. A single sentence has no windows of its
    own: it is the whole text.
    """

    text: str
    tokens: Sequence[TokenSpan]
    sentences: Sequence[SentenceSpan]
    windows: Sequence[Sequence[int]]
    ignored: Sequence[str] = ()


async def classify(
    run: PipelineRun,
    texts: Sequence[str],
    *,
    model: str | None = None,
    contributions: bool | str = False,
    sentences: bool = False,
) -> tuple[ModelVersion, list[ClassifiedText]]:
    """Classifies each text as a whole; with `sentences`, also each of its sentences.

    With `contributions`, returns what each token adds to the most probable label, or to the label named. Returns the
    model version and a result per text. Raises ModelNotFound, TooLarge, InvalidInput if the model has no explanations
    or no such label, and what `Engine.infer` raises.
    """
    task = run.resources.catalog.find(Sentiment, model)
    run.resources.engine.check_room(run.client)
    check_explains(task, contributions)
    await run.begin(run.check_size("text", texts, len))
    began = time.monotonic()
    tokenizer = run.resources.catalog.tokenizer(task.version)
    encoded, _, sequences = await run.do(encode(task, tokenizer, texts, contributions, sentences))
    run.tokenized(task, began, len(texts))
    outputs: dict[str, Array] = {}
    if len(sequences):
        outputs = await run.infer(task.version, sequences, EXPLANATION if contributions else frozenset())
    return task.version, await run.do(decode(task, encoded, outputs, contributions, sentences))


def check_explains(task: Sentiment, contributions: bool | str) -> None:
    """Raises InvalidInput if contributions are requested that the model does not have."""
    if contributions is False:
        return
    got = "got true" if contributions is True else f"got {shortened(contributions)!r}"
    if not task.explains:
        raise InvalidInput("/contributions", got, f"false: {task.version.key} does not say what words contribute")
    if contributions is not True and contributions not in task.labels:
        raise InvalidInput("/contributions", got, f"true, false, or one of the labels {', '.join(task.labels)}")


def encode(
    task: Sentiment, tokenizer: Tokenizer, texts: Iterable[str], contributions: bool | str, by_sentence: bool
) -> Interruptible[tuple[list[EncodedText], list[int], Ragged]]:
    """Splits texts as far as needed, and encodes them; returns also the number of sequences of each."""
    encoded: list[EncodedText] = []
    counts: list[int] = []
    ids: list[int] = []
    lengths: list[int] = []
    for text in texts:
        sentences: Sequence[SentenceSpan] = ()
        tokens: Sequence[TokenSpan] = ()
        if by_sentence:
            sentences = yield from tokenizer.split(text)
            tokens = [token for sentence in sentences for token in sentence.tokens]
        elif contributions:
            tokens = yield from tokenizer.tokenize(text)
        words = [token.text for token in tokens] if tokens else (yield from tokenizer.words(text))
        ignored = task.dictionary.ignored(words) if task.dictionary else ()
        left_out = [words[i] for i in ignored] if ignored else ()
        read = [word for i, word in enumerate(words) if i not in ignored] if ignored else words
        windows = [task.encode(read, ids)]
        end = 0  # of the sentence's words
        for sentence in sentences if len(sentences) > 1 else ():
            start, end = end, end + len(sentence.tokens)
            windows.append(task.encode([words[i] for i in range(start, end) if i not in ignored], ids))
            if not len(windows) % SENTENCES_AT_ONCE:
                yield
        lengths += chain.from_iterable(windows)
        counts.append(sum(map(len, windows)))
        tokens = [token for i, token in enumerate(tokens) if i not in ignored] if ignored else tokens
        encoded.append(EncodedText(text, tokens, sentences, windows, left_out))
        if not len(encoded) % TEXTS_AT_ONCE:
            yield
    return encoded, counts, Ragged(np.array(lengths, np.int32), {"word_ids": np.array(ids, np.int32)})


def decode(
    task: Sentiment, texts: Sequence[EncodedText], outputs: Tensors, contributions: bool | str, by_sentence: bool
) -> Interruptible[list[ClassifiedText]]:
    """Decodes the outputs of all windows, in order, into a result per text."""
    results: list[ClassifiedText] = []
    row = cell = 0  # of the next window

    def take(windows: Sequence[int]) -> Tensors:
        """Returns the outputs of the next windows, whose lengths are given."""
        nonlocal row, cell
        rows, cells = slice(row, row + len(windows)), slice(cell, cell + sum(windows))
        row, cell = rows.stop, cells.stop
        found: dict[str, Array] = {}
        for name, values in outputs.items():  # without a call of a comprehension for each text
            found[name] = values[cells if name == CONTRIBUTIONS else rows]
        return found

    for text in texts:
        of_whole = take(text.windows[0])
        whole = task.decode(of_whole[PROBABILITIES], text.windows[0])
        label = contributions if isinstance(contributions, str) else whole.label
        why = task.explain(of_whole, text.windows[0], label, len(text.tokens)) if contributions else None
        result = ClassifiedText(text.text, whole, text.tokens, why, ignored=text.ignored)
        if by_sentence:
            found = [whole] if len(text.sentences) == 1 else []
            of_sentences = (task.decode(take(windows)[PROBABILITIES], windows) for windows in text.windows[1:])
            found += yield from collect(of_sentences, SENTENCES_AT_ONCE)
            result = with_sentences(result, found, text.sentences)
        results.append(result)
        if not len(results) % SENTENCES_AT_ONCE:
            yield
    return results


def with_sentences(
    text: ClassifiedText, found: Sequence[Classification], sentences: Sequence[SentenceSpan]
) -> ClassifiedText:
    """Adds the classifications of a text's sentences, and what their scores say of the text."""
    placed = list(zip(sentences, found, strict=True))
    if text.classification.score is None:
        return replace(text, sentences=placed)
    scores = [classification.score or 0.0 for classification in found]
    mixed = max(scores, default=0.0) >= STRONG and min(scores, default=0.0) <= -STRONG
    return replace(text, sentences=placed, magnitude=round(sum(map(abs, scores), 0.0), 6), mixed=mixed)
