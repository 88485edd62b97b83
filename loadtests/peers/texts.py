"""What all peers share around the model, without TensorFlow: a text to arrays, and outputs to an answer.

The tokenizer, the encoding, the decoding and the shape of the answer are the service's.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from service.api.tag import TaggedText, as_json
from service.engine.padding import Grid, Tensors
from service.registry import ModelVersion, newest
from service.settings import load_settings
from service.tasks.sentiment import Sentiment
from service.tasks.tagging import Tagging
from service.text.spacy_tokenizer import SpacyTokenizer
from service.text.tokenizer import Sentence


def version_for(task: str) -> ModelVersion:
    """Returns the model that the service takes by default."""
    return next(version for version in newest(load_settings().model_store) if version.manifest.task == task)


def grid_for(version: ModelVersion) -> Grid:
    """Returns the shapes that the service compiles for a model."""
    settings = load_settings()
    return Grid(settings.batch_sizes, settings.length_buckets or version.manifest.length_buckets)


class Text(NamedTuple):
    """A text as the model takes it: the pieces of all its sentences, which a classifier does not tell apart."""

    text: str
    sentences: Sequence[Sentence]
    pieces: Sequence[Tensors]


class Texts(Protocol):
    """Reads texts for a model and puts its outputs into words."""

    def read(self, text: str) -> Text:
        """Tokenizes and encodes a text."""

    def answer(self, text: Text, outputs: Sequence[Tensors]) -> dict[str, Any]:
        """Returns the answer to a request from the outputs of the text's pieces."""


class TaggedTexts:
    """Texts for the tagger."""

    def __init__(self) -> None:
        self._tokenizer = SpacyTokenizer()
        version = version_for("tag")
        self._tagging = Tagging(version, grid_for(version).lengths[-1])

    def read(self, text: str) -> Text:
        """Tokenizes and encodes a text."""
        sentences = self._tokenizer.sentences(text)
        return Text(text, sentences, [piece for sentence in sentences for piece in self._encode(sentence)])

    def answer(self, text: Text, outputs: Sequence[Tensors]) -> dict[str, Any]:
        """Returns the answer to a request from the outputs of the text's pieces."""
        remaining, tags = iter(outputs), []
        for sentence in text.sentences:
            of_sentence = [next(remaining) for _ in self._encode(sentence)]
            tags.append(self._tagging.decode(len(sentence.tokens), of_sentence))
        return as_json(self._tagging, [TaggedText(text.text, text.sentences, tags)], "code_points")

    def _encode(self, sentence: Sentence) -> list[Tensors]:
        return self._tagging.encode([token.text for token in sentence.tokens])


class JudgedTexts:
    """Texts for the classifier."""

    def __init__(self) -> None:
        self._tokenizer = SpacyTokenizer()
        version = version_for("classify")
        self._sentiment = Sentiment(version, grid_for(version).lengths[-1])

    def read(self, text: str) -> Text:
        """Tokenizes and encodes a text."""
        return Text(text, (), self._sentiment.encode([token.text for token in self._tokenizer.tokens(text)]))

    def answer(self, text: Text, outputs: Sequence[Tensors]) -> dict[str, Any]:
        """Returns the answer to a request from the outputs of the text's pieces."""
        judgement = self._sentiment.decode(outputs, [len(piece["word_ids"]) for piece in text.pieces])
        manifest = self._sentiment.version.manifest
        result = {"label": judgement.label, "scores": judgement.scores, "truncated": False}
        return {"model": manifest.name, "version": manifest.version, "results": [result]}


TEXTS: Mapping[str, Callable[[], Texts]] = {"tag": TaggedTexts, "classify": JudgedTexts}
