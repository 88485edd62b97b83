"""Sentiment: a text's tokens to encoded entries, class probabilities back to a label."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.engine.padding import Tensors
from service.registry import ModelVersion
from service.text.encoding import encode_tokens
from service.text.vocabulary import UNK

NOTHING = np.array([UNK], np.int32)  # a blank text: one token of which nothing is known


@dataclass(frozen=True, slots=True)
class Judgement:
    """The most probable label, and the probability of each."""

    label: str
    scores: dict[str, float]


class Sentiment:
    """Encodes texts for one classifier, and decodes its outputs."""

    def __init__(self, version: ModelVersion, longest: int) -> None:
        self.version = version
        self.longest = longest
        ((_, self._labels),) = version.manifest.labels.items()
        self._words = version.vocabularies["words"]

    def encode(self, tokens: Sequence[str]) -> list[Tensors]:
        """Returns the inputs of one text, word_ids [T], in pieces of about equal length if it is a long one."""
        ids = encode_tokens(tokens, self._words) if tokens else NOTHING
        pieces = max(1, -(-len(ids) // self.longest))
        return [{"word_ids": piece} for piece in np.array_split(ids, pieces)]

    def decode(self, outputs: Sequence[Tensors], lengths: Sequence[int]) -> Judgement:
        """Returns the judgement of a text from the outputs of its pieces, the mean weighted by their lengths."""
        probabilities = np.average([output["probabilities"] for output in outputs], axis=0, weights=lengths)
        scores = {label: round(float(p), 6) for label, p in zip(self._labels, probabilities.tolist(), strict=True)}
        return Judgement(max(scores, key=scores.__getitem__), scores)
