"""The code of all peers around the model, without TensorFlow: from a text to arrays, and from outputs to an answer.

The tokenizer, the encoding, the decoding and the shape of the answer are the service's.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from service.artifact.manifest import ModelVersion
from service.engine.scheduler import Grid
from service.settings import load_settings
from service.store.serving import served
from service.tasks.sentiment import Sentiment
from service.tasks.tagging import Tag, Tagging
from service.text import conllu
from service.text.interruptible import finish
from service.text.tokenizer import Tokenizer
from service.text.tokens import SentenceSpan
from service.types import Array, Tensors


def version_for(task: str) -> ModelVersion:
    """Returns the model that the service takes by default."""
    return next(version for version in served(load_settings())[0] if version.manifest.task == task)


def grid_for(version: ModelVersion) -> Grid:
    """Returns the shapes that the service compiles for a model."""
    return Grid(load_settings().batch_sizes, version.manifest.length_buckets)


def tagged_answer(
    tagging: Tagging, text: str, sentences: Sequence[SentenceSpan], tags: Sequence[Sequence[Tag]]
) -> dict[str, Any]:
    """Returns the answer of /tag to a text, without lemmas, as a dictionary."""
    manifest = tagging.version.manifest
    results = [
        {
            "text": text[sentence.start : sentence.end],
            "start": sentence.start,
            "end": sentence.end,
            "tokens": [
                {
                    "text": token.text,
                    "start": token.start,
                    "end": token.end,
                    "upos": tag.upos,
                    "xpos": tag.xpos,
                    "feats": tag.feats,
                    "confidence": tag.confidence,
                }
                for token, tag in zip(sentence.tokens, of_sentence, strict=True)
            ],
            "multiword_tokens": [
                {
                    "text": text[sentence.tokens[first].start : sentence.tokens[last].end],
                    "start": sentence.tokens[first].start,
                    "end": sentence.tokens[last].end,
                    "first": first,
                    "last": last,
                }
                for first, last in conllu.multiwords(sentence.tokens)
            ],
        }
        for sentence, of_sentence in zip(sentences, tags, strict=True)
    ]
    return {"model": manifest.name, "version": manifest.version, "results": [{"sentences": results}]}


def classified_pieces(sentiment: Sentiment, tokens: Sequence[str]) -> list[Array]:
    """Returns the word ids of each window of a text, [T] int32."""
    ids: list[int] = []
    lengths = sentiment.encode(tokens, ids)
    return np.split(np.array(ids, np.int32), np.cumsum(lengths)[:-1])


class Text(NamedTuple):
    """A text as the model takes it: the pieces of all its sentences, which a classifier does not separate."""

    text: str
    sentences: Sequence[SentenceSpan]
    pieces: Sequence[Tensors]


class Texts(Protocol):
    """Encodes texts for a model, and decodes its outputs."""

    def read(self, text: str) -> Text:
        """Tokenizes and encodes a text."""

    def answer(self, text: Text, outputs: Sequence[Tensors]) -> dict[str, Any]:
        """Returns the answer to a request from the outputs of the text's pieces."""


class TaggedTexts:
    """Texts for the tagger."""

    def __init__(self) -> None:
        self._tokenizer = Tokenizer()
        version = version_for("tag")
        self._tagging = Tagging(version, grid_for(version).lengths[-1])

    def read(self, text: str) -> Text:
        """Tokenizes and encodes a text."""
        sentences = self._tokenizer.sentences(text)
        sequences = finish(self._tagging.encode([token.text for token in one.tokens] for one in sentences))
        return Text(text, sentences, [one.values for one in sequences.split([1] * len(sequences))])

    def answer(self, text: Text, outputs: Sequence[Tensors]) -> dict[str, Any]:
        """Returns the answer to a request from the outputs of the text's pieces."""
        together = {name: np.concatenate([output[name] for output in outputs]) for name in outputs[0]}
        tags = finish(self._tagging.decode([sentence.tokens for sentence in text.sentences], together, lemmas=False))
        return tagged_answer(self._tagging, text.text, text.sentences, tags)


class ClassifiedTexts:
    """Texts for the classifier."""

    def __init__(self) -> None:
        self._tokenizer = Tokenizer()
        version = version_for("classify")
        self._sentiment = Sentiment(version, grid_for(version).lengths[-1])

    def read(self, text: str) -> Text:
        """Tokenizes and encodes a text."""
        pieces = classified_pieces(self._sentiment, finish(self._tokenizer.words(text)))
        return Text(text, (), [{"word_ids": piece} for piece in pieces])

    def answer(self, text: Text, outputs: Sequence[Tensors]) -> dict[str, Any]:
        """Returns the answer to a request from the outputs of the text's pieces."""
        probabilities = np.stack([output["probabilities"] for output in outputs])
        classification = self._sentiment.decode(probabilities, [len(piece["word_ids"]) for piece in text.pieces])
        manifest = self._sentiment.version.manifest
        result = {"label": classification.label, "scores": classification.scores, "score": classification.score}
        return {"model": manifest.name, "version": manifest.version, "results": [result]}


TEXTS: Mapping[str, Callable[[], Texts]] = {"tag": TaggedTexts, "classify": ClassifiedTexts}
