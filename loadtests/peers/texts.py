"""What all peers share around the model, without TensorFlow: a text to arrays, and outputs to an answer.

The tokenizer, the encoding, the decoding and the shape of the answer are the service's.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from service.api.tag import TaggedText, as_json
from service.engine.padding import Grid, Tensors
from service.registry import ModelVersion, newest
from service.settings import load_settings
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
    """A text as the model takes it: the pieces of all its sentences, each word_ids [T] and char_ids [T, C]."""

    text: str
    sentences: Sequence[Sentence]
    pieces: Sequence[Tensors]


class Texts:
    """Reads texts for the tagger and puts its outputs into words."""

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
