"""Lemmatizes tagged words with the lemmatizer trained with the tagger's tags."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from service.pipelines.run import PipelineRun
from service.tasks.lemmatization import OUTPUTS, Lemmatization
from service.tasks.tagging import TOKENS_AT_ONCE, Tag
from service.text.lemmas import Inflected, symbols
from service.text.slices import SENTENCES_AT_ONCE, Sliced
from service.text.tokenizer import Sentence
from service.types import Ragged, Tensors, joined

WORDS_AT_ONCE = 1024  # words of a request in the queue at the same time, so that many new words do not fill it


class TaggedSentences(Protocol):
    """A text whose tokens are tagged."""

    @property
    def sentences(self) -> Sequence[Sentence]:
        """Its sentences."""

    @property
    def tags(self) -> Sequence[Sequence[Tag]]:
        """The tags of their tokens."""


Found = list[list[str | Inflected]]  # by sentence and token: its lemma, or the key to predict it by


def look_up(task: Lemmatization, texts: Iterable[TaggedSentences]) -> Sliced[tuple[Found, dict[Inflected, None]]]:
    """Returns the known lemmas of tokens with placeholders for unknown words, and each unknown word once."""
    found: Found = []
    unknown: dict[Inflected, None] = {}
    for text in texts:
        for sentence, row in zip(text.sentences, text.tags, strict=True):
            lemmas: list[str | Inflected] = []
            for start in range(0, len(row), TOKENS_AT_ONCE):
                if start:
                    yield
                some = slice(start, start + TOKENS_AT_ONCE)
                lemmas += task.known(sentence.tokens[some], row[some])
            unknown |= dict.fromkeys([lemma for lemma in lemmas if isinstance(lemma, Inflected)])
            found.append(lemmas)
            if not len(found) % SENTENCES_AT_ONCE:
                yield
    return found, unknown


def fill_in(found: Sequence[Sequence[str | Inflected]], predicted: Mapping[Inflected, str]) -> Sliced[list[list[str]]]:
    """Replaces the placeholders by the predicted lemmas."""
    rows: list[list[str]] = []
    for row in found:
        rows.append([predicted[lemma] if isinstance(lemma, Inflected) else lemma for lemma in row])
        if not len(rows) % SENTENCES_AT_ONCE:
            yield
    return rows


async def predict(run: PipelineRun, task: Lemmatization, words: Sequence[Inflected]) -> dict[Inflected, str]:
    """Returns the lemmas that the engine predicts for words; a word too long for the model is its own lemma."""
    answers: dict[Inflected, str] = {}
    for start in range(0, len(words), WORDS_AT_ONCE):
        some, sequences = await run.do(encoded(task, words[start : start + WORDS_AT_ONCE]))
        if sequences is not None:
            outputs = await run.infer(task.version, sequences, OUTPUTS)
            await run.do(decode_into(answers, task, some, sequences, outputs))
    return {word: answers.get(word, word.form) for word in words}


def encoded(task: Lemmatization, words: Sequence[Inflected]) -> Sliced[tuple[list[Inflected], Ragged | None]]:
    """Returns the words that are short enough for the model, and their inputs; None if there are none."""
    some: list[Inflected] = []
    parts: list[Ragged] = []
    for start in range(0, len(words), TOKENS_AT_ONCE):
        if start:
            yield
        short = [
            word
            for word in words[start : start + TOKENS_AT_ONCE]
            if len(word.form) < task.longest and len(symbols(word)) <= task.longest
        ]
        if short:
            some += short
            parts.append(task.encode(short))
    return some, joined(parts) if parts else None


def decode_into(
    answers: dict[Inflected, str],
    task: Lemmatization,
    words: Sequence[Inflected],
    sequences: Ragged,
    outputs: Tensors,
) -> Sliced[None]:
    """Decodes outputs and adds the lemmas to `answers`. sequences: the inputs of `words`."""
    lengths = sequences.lengths.tolist()
    cell = 0
    for start in range(0, len(words), TOKENS_AT_ONCE):
        if start:
            yield
        some = slice(start, start + TOKENS_AT_ONCE)
        end = cell + sum(lengths[some])
        part = {"edit": outputs["edit"][some], "lemma_ids": outputs["lemma_ids"][cell:end]}
        answers.update(zip(words[some], task.decode(words[some], lengths[some], part), strict=True))
        cell = end
