"""Sentiment: a text's tokens to encoded entries, class probabilities back to a label."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.engine.padding import Tensors
from service.registry import ModelVersion
from service.text.encoding import encode_tokens
from service.text.vocabulary import UNK

EXPLANATION = frozenset({"contributions", "baseline"})  # outputs that not every model has
NOTHING = np.array([UNK], np.int32)  # a blank text: one token of which nothing is known


@dataclass(frozen=True, slots=True)
class Judgement:
    """The most probable label, and the probability of each."""

    label: str
    scores: dict[str, float]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a text has its label, in log-odds, ln p - ln (1 - p): `baseline` and `contributions` sum to `score`.

    Attributes:
        score: the log-odds of the label; of a text in pieces, the mean of theirs, weighted by their lengths.
        baseline: what they are without any word.
        contributions: what each token adds.
    """

    score: float
    baseline: float
    contributions: list[float]


class Sentiment:
    """Encodes texts for one classifier, and decodes its outputs."""

    def __init__(self, version: ModelVersion, longest: int) -> None:
        self.version = version
        self.longest = longest
        ((_, self._labels),) = version.manifest.labels.items()
        self._words = version.vocabularies["words"]
        self.explains = version.manifest.endpoint.outputs.keys() >= EXPLANATION

    def encode(self, tokens: Sequence[str]) -> list[Tensors]:
        """Returns the inputs of one text, word_ids [T], in pieces of about equal length if it is a long one."""
        ids = encode_tokens(tokens, self._words) if tokens else NOTHING
        if len(ids) <= self.longest:
            return [{"word_ids": ids}]
        return [{"word_ids": piece} for piece in np.array_split(ids, -(-len(ids) // self.longest))]

    def decode(self, outputs: Sequence[Tensors], lengths: Sequence[int]) -> Judgement:
        """Returns the judgement of a text from the outputs of its pieces, the mean weighted by their lengths."""
        pieces = [output["probabilities"] for output in outputs]
        probabilities = pieces[0] if len(pieces) == 1 else np.average(pieces, axis=0, weights=lengths)
        scores = {label: round(p, 6) for label, p in zip(self._labels, probabilities.tolist(), strict=True)}
        return Judgement(max(scores, key=scores.__getitem__), scores)

    def explain(self, outputs: Sequence[Tensors], lengths: Sequence[int], label: str, tokens: int) -> Explanation:
        """Says what each of the tokens of a text adds to a label. `outputs` of its pieces hold those of EXPLANATION."""
        k = self._labels.index(label)
        weights = np.array(lengths) / sum(lengths)
        pieces = zip(outputs, weights, strict=True)
        contributions = np.concatenate([weight * output["contributions"][:, k] for output, weight in pieces])
        baseline = float(np.dot([output["baseline"][k] for output in outputs], weights))
        score = baseline + float(contributions.sum())
        if not tokens:  # what stands for a blank text is none
            contributions, baseline = contributions[:0], score
        return Explanation(round(score, 6), round(baseline, 6), contributions.astype(float).round(6).tolist())
